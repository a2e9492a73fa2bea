/** How a client and a broker of AMQP get to know each other: start, tune, open. */
import {
  AMQP_CHANNELS_MAX,
  AMQP_FRAME_BYTES_MAX,
  AMQP_FRAME_BYTES_MIN,
} from '../../core/queue-limits.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import { PROTOCOL_HEADER } from '../../wire/amqp/frames.ts';
import type { AmqpLink } from './link.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
}

export interface Agreement {
  readonly serverProperties: FieldTable;
  readonly channelsMax: number;
}

const CAPABILITIES: FieldTable = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  'basic.nack': true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  authentication_failure_close: true,
};

/** @throws {MillraceError} ML_AMQP_REFUSED, ML_CONNECTION_LOST */
export async function shakeHands(
  link: AmqpLink,
  { user, password, vhost }: Credentials,
  wishes: { readonly heartbeatSeconds: number; readonly label: string | undefined },
): Promise<Agreement> {
  const { label } = wishes;
  link.raw(PROTOCOL_HEADER);
  const { serverProperties } = await link.call(undefined, 'connection.start');
  const tune = await link.call(
    {
      name: 'connection.start-ok',
      clientProperties: {
        product: 'Millrace',
        platform: 'Node.js',
        capabilities: CAPABILITIES,
        ...(label === undefined ? {} : { connection_name: label }),
      },
      mechanism: 'PLAIN',
      response: Buffer.from(`\0${user}\0${password}`),
      locale: 'en_US',
    },
    'connection.tune',
  );
  const frameBytesMax = Math.max(
    AMQP_FRAME_BYTES_MIN,
    Math.min(tune.frameMax === 0 ? AMQP_FRAME_BYTES_MAX : tune.frameMax, AMQP_FRAME_BYTES_MAX),
  );
  const channelsMax = Math.min(
    tune.channelMax === 0 ? AMQP_CHANNELS_MAX : tune.channelMax,
    AMQP_CHANNELS_MAX,
  );
  const { heartbeatSeconds } = wishes;
  const heartbeat =
    tune.heartbeat === 0 ? heartbeatSeconds : Math.min(heartbeatSeconds, tune.heartbeat);
  link.method(0, {
    name: 'connection.tune-ok',
    channelMax: channelsMax,
    frameMax: frameBytesMax,
    heartbeat,
  });
  link.agree({ frameBytesMax, heartbeatSeconds: heartbeat });
  await link.call({ name: 'connection.open', virtualHost: vhost }, 'connection.open-ok');
  return { serverProperties, channelsMax };
}
