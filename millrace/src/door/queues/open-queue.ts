/** A queue of a Millrace, by AMQP. */
import {
  contentTypeOf,
  encodeProperties,
  messageProperties,
} from '../../client/amqp/message-properties.ts';
import { messageFields, type MessageOptions } from '../../connect/queues/message-options.ts';
import type { QueueSpec } from '../../connect/queues/queue-options.ts';
import { MillraceError } from '../../core/errors.ts';
import { ENQUEUE_WAIT_MS } from '../../core/queue-limits.ts';
import { OpenDeadLetters } from './dead-letters.ts';
import { Enqueuer, type OutgoingMessage } from './enqueuer.ts';
import { encodeBody } from './message-body.ts';
import type { QueueGround } from './queue-ground.ts';
import type {
  DeadLetters,
  Enqueued,
  Handler,
  NewMessage,
  Queue,
  QueueStats,
  QueueWorker,
  WorkOptions,
} from './queue.ts';
import type { QueueSession } from './session.ts';
import { startWorker } from './start-worker.ts';

export class OpenQueue implements Queue<unknown> {
  readonly name: string;
  readonly #spec: QueueSpec;
  readonly #ground: QueueGround;
  readonly #enqueuer: Enqueuer;
  readonly #contentType: string;
  readonly #dead: OpenDeadLetters | undefined;

  constructor(ground: QueueGround, spec: QueueSpec) {
    this.name = spec.name;
    this.#spec = spec;
    this.#ground = ground;
    this.#enqueuer = new Enqueuer(ground.link, spec);
    this.#contentType = contentTypeOf(spec.value.name);
    const { deadLetters } = spec;
    if (deadLetters !== undefined)
      this.#dead = new OpenDeadLetters({
        name: deadLetters.name,
        value: spec.value,
        session: () => this.#session(),
      });
  }

  get dead(): DeadLetters<unknown> {
    if (this.#dead !== undefined) return this.#dead;
    throw new MillraceError('ML_USAGE', `queue ${this.name} has no dead letters`, {
      fields: { queue: this.name },
      hint: 'It was opened with deadLetters: false',
    });
  }

  async enqueue(value: unknown, options: MessageOptions = {}): Promise<Enqueued> {
    const message = this.#outgoing(value, options);
    await this.#enqueuer.enqueue(message);
    return { id: message.id };
  }

  async enqueueMany(messages: readonly NewMessage<unknown>[]): Promise<readonly Enqueued[]> {
    // Nothing is sent when one of them cannot be.
    const outgoing = messages.map(({ value, ...options }) => this.#outgoing(value, options));
    const results = await Promise.allSettled(
      outgoing.map((message) => this.#enqueuer.enqueue(message)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return outgoing.map(({ id }) => ({ id }));
  }

  work(handler: Handler<unknown>, options: WorkOptions = {}): QueueWorker {
    const worker = startWorker(this.#ground, this.#spec, handler, options);
    this.#ground.onWorker(worker);
    return worker;
  }

  async size(): Promise<number> {
    const { ready, unacknowledged, delayed } = await this.stats();
    return ready + unacknowledged + delayed;
  }

  async stats(): Promise<QueueStats> {
    const session = await this.#session();
    const { deadLettered, ...info } = await session.ask({ op: 'queue', name: this.name });
    const { ready, unacknowledged, delayed, consumers, readyBytes, logBytes } = info;
    const { published, delivered, redelivered, acknowledged, expired, dropped } = info;
    return {
      ready,
      unacknowledged,
      delayed,
      consumers,
      readyBytes,
      logBytes,
      published,
      delivered,
      redelivered,
      acknowledged,
      expired,
      deadLettered: Object.values(deadLettered).reduce((sum, count) => sum + count, 0),
      dropped,
    };
  }

  async purge(): Promise<number> {
    const session = await this.#session();
    return (await session.ask({ op: 'purge', name: this.name })).purged;
  }

  #session(): Promise<QueueSession> {
    return this.#ground.link.ready(this.#spec, { waitMs: ENQUEUE_WAIT_MS });
  }

  #outgoing(value: unknown, options: MessageOptions): OutgoingMessage {
    const { env } = this.#ground;
    const { name, maxPriority, over } = this.#spec;
    if (over !== undefined)
      throw new MillraceError('ML_USAGE', `queue ${name} is over topic ${over}`, {
        fields: { queue: name, topic: over },
        hint: `What it is to give out is written there: millrace.produce('${over}', …)`,
      });
    const body = encodeBody(name, this.#spec.value, value);
    const { id = env.random.uuid(), dedupeKey } = options;
    const properties = this.#checked(() => {
      const fields = messageFields({ ...options, id }, maxPriority);
      return encodeProperties(messageProperties(fields, this.#contentType, env.clock.nowMs()));
    });
    return { id, properties, body, isOnce: dedupeKey !== undefined };
  }

  #checked(properties: () => Buffer): Buffer {
    try {
      return properties();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MillraceError(
        'ML_SINK_VALUE_INVALID',
        `a message cannot be put into queue ${this.name}: ${reason}`,
        { cause, fields: { queue: this.name }, hint: 'Correct what is said of the message' },
      );
    }
  }
}
