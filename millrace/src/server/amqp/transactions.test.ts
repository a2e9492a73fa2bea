/** Transactions of a channel, where time matters: on a simulated machine, whose clock is its own. */
import { expect, test } from 'vitest';
import {
  encodeBody,
  encodeHeader,
  encodeMethod,
  PROTOCOL_HEADER,
} from '../../../test/amqp/raw-amqp.ts';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';

const START_OK = encodeMethod(0, 'ConnectionStartOk', {
  clientProperties: {},
  mechanism: 'PLAIN',
  response: Buffer.from('\0guest\0guest'),
  locale: 'en_US',
});

test('what is published in a transaction begins to live with its commit', async () => {
  await onSimAmqp({}, async ({ env, log, connect, until }) => {
    const channel = await (await connect()).channel();
    const queue = 'short-lived';
    await channel.declareQueue({ queue, arguments: { 'x-message-ttl': 1_000 } });
    const connection = log.connectAmqp();
    const answers: Buffer[] = [];
    connection.start({
      data: (chunk) => answers.push(Buffer.from(chunk)),
      drained: () => {},
      closed: () => {},
    });
    const answered = (method: string): Promise<void> =>
      until(() => Buffer.concat(answers).includes(encodeMethod(1, method)));
    connection.write([Buffer.concat([PROTOCOL_HEADER, START_OK])]);
    await env.timers.sleep(1_000);
    const said = [
      encodeMethod(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 4_096, heartbeat: 0 }),
      encodeMethod(0, 'ConnectionOpen', { virtualHost: '/' }),
      encodeMethod(1, 'ChannelOpen'),
      encodeMethod(1, 'TxSelect'),
      encodeMethod(1, 'BasicPublish', { routingKey: queue }),
      encodeHeader(1, 1, {}),
      encodeBody(1, Buffer.from('m')),
    ];
    connection.write([Buffer.concat(said)]);
    await answered('TxSelectOk');
    await env.timers.sleep(5_000);
    connection.write([encodeMethod(1, 'TxCommit')]);
    await answered('TxCommitOk');
    const found = await channel.get(queue, { noAck: true });
    expect(found?.body.toString()).toBe('m');
  });
});
