/**
 * A client of AMQP 0-9-1: of Millrace, in this process or elsewhere, and of RabbitMQ. It does not connect again by itself: whoever uses it
 * knows what has to be done then.
 */
import { addressText } from '../../core/address-text.ts';
import type { Connection, Env } from '../../core/env.ts';
import type { MillraceError } from '../../core/errors.ts';
import { AMQP_HANDSHAKE_MS, AMQP_HEARTBEAT_SECONDS, AMQP_PORT } from '../../core/queue-limits.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type {
  ManagementOp,
  ManagementRequest,
  ManagementResults,
} from '../../wire/amqp/management.ts';
import { MESSAGE_BYTES_MAX } from '../../wire/amqp/server-facts.ts';
import { AmqpChannel } from './channel.ts';
import { shakeHands, type Agreement } from './handshake.ts';
import { AmqpLink } from './link.ts';
import { Management } from './management.ts';
import { refused } from './refusal.ts';

export interface AmqpOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 5672. */
  readonly port?: number;
  /** Makes the connection instead: for a broker in this process. It must not be started. */
  readonly connect?: () => Connection | Promise<Connection>;
  /** Default guest, with the password guest, which brokers know on their own machine alone. */
  readonly user?: string;
  readonly password?: string;
  /** Default `/`. */
  readonly vhost?: string;
  /** Seconds between signs of life, of which the broker may want more; 0: none. Default 60. */
  readonly heartbeatSeconds?: number;
  /** What the broker calls the connection, for people. */
  readonly label?: string;
}

export interface ChannelOptions {
  /** The broker says of every message what became of it. Default true. */
  readonly confirms?: boolean;
}

/**
 * Connects, and logs in.
 * @throws {MillraceError} ML_CONNECT_FAILED; ML_CONNECTION_LOST: what listens there does not speak AMQP, or not in time; ML_AMQP_REFUSED
 * @example
 * const client = await connectAmqp(env, { host: 'localhost', user: 'shop', password });
 * const channel = await client.channel();
 * await channel.declareQueue({ queue: 'orders', durable: true });
 * const outcome = await channel.publish({ routingKey: 'orders', properties: { deliveryMode: 2 }, body: Buffer.from('one') });
 */
export async function connectAmqp(env: Env, options: AmqpOptions = {}): Promise<AmqpClient> {
  const { host = '127.0.0.1', port = AMQP_PORT, connect } = options;
  const { user = 'guest', password = 'guest', vhost = '/', label } = options;
  const { heartbeatSeconds = AMQP_HEARTBEAT_SECONDS } = options;
  const connection = await (connect?.() ?? env.net.connect({ host, port }));
  const name = connect === undefined ? addressText({ host, port }) : connection.remoteAddress;
  const link = new AmqpLink(env, connection, name);
  const timer = env.timers.after(AMQP_HANDSHAKE_MS, () => {
    link.fail(`was not opened within ${AMQP_HANDSHAKE_MS} ms`);
  });
  link.start();
  try {
    const credentials = { user, password, vhost };
    const agreement = await shakeHands(link, credentials, { heartbeatSeconds, label });
    return new AmqpClient(env, link, agreement);
  } catch (error) {
    link.fail('could not be opened', error);
    throw error;
  } finally {
    timer.cancel();
  }
}

export class AmqpClient {
  /** What the broker says of itself. */
  readonly serverProperties: FieldTable;
  /** The broker can give messages back later (`basic.release`). */
  readonly hasRelease: boolean;
  /** A message with a larger body closes its channel, and what else is under way there is lost with it. Infinity: the broker does not say. */
  readonly messageBytesMax: number;
  readonly #link: AmqpLink;
  readonly #channelsMax: number;
  readonly #management: Management;
  readonly #freeNumbers: number[] = [];
  #nextNumber = 1;

  /** @internal `connectAmqp` makes one. */
  constructor(env: Env, link: AmqpLink, { serverProperties, channelsMax }: Agreement) {
    this.#link = link;
    this.serverProperties = serverProperties;
    this.#channelsMax = channelsMax;
    const capabilities = serverProperties['capabilities'] as FieldTable | undefined;
    this.hasRelease = capabilities?.['millrace.release'] === true;
    const bytesMax = serverProperties[MESSAGE_BYTES_MAX];
    this.messageBytesMax = typeof bytesMax === 'number' ? bytesMax : Infinity;
    this.#management = new Management(env, link.name, () => this.channel());
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  /** Resolves when the connection is over: with why (ML_CONNECTION_LOST, ML_AMQP_REFUSED), or undefined when it was closed from here. */
  get closed(): Promise<MillraceError | undefined> {
    return this.#link.closed;
  }

  /** Why the broker takes no messages at this time (`connection.blocked`); undefined: it does. */
  get blockedReason(): string | undefined {
    return this.#link.blockedReason;
  }

  /** Opens a channel. @throws {MillraceError} ML_AMQP_REFUSED, also when there are as many as there may be; ML_CONNECTION_LOST */
  async channel(options: ChannelOptions = {}): Promise<AmqpChannel> {
    const { confirms = true } = options;
    this.#link.demandOpen();
    const number = this.#takeNumber();
    const channel = new AmqpChannel({
      link: this.#link,
      number,
      hasRelease: this.hasRelease,
      onGone: (gone) => {
        this.#link.channels.delete(gone);
        this.#freeNumbers.push(gone);
      },
    });
    this.#link.channels.set(number, channel);
    await channel.open(confirms);
    return channel;
  }

  /**
   * Asks a Millrace about its queues, or to change them.
   * @throws {MillraceError} ML_AMQP_REFUSED with what it says, or since it is no Millrace; ML_CONNECTION_LOST, also when it does not answer
   * @example const queues = await client.request({ op: 'queues' });
   */
  async request<Op extends ManagementOp>(
    request: Extract<ManagementRequest, { readonly op: Op }>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<ManagementResults[Op]> {
    return (await this.#management.request(request, options)) as ManagementResults[Op];
  }

  /** Closes in order. Idempotent; never rejects. */
  async close(): Promise<void> {
    await this.#link.close();
  }

  #takeNumber(): number {
    const free = this.#freeNumbers.pop();
    if (free !== undefined) return free;
    if (this.#nextNumber > this.#channelsMax) {
      throw refused(
        { replyCode: 530, replyText: `a connection has at most ${this.#channelsMax} channels` },
        `a channel of the connection to ${this.#link.name}`,
      );
    }
    return this.#nextNumber++;
  }
}
