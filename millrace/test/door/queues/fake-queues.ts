/** A broker of queues in memory, whose connections can be cut: what workers and programs that enqueue are tried on. */
import type { MessageFacts } from '../../../src/client/amqp/message-properties.ts';
import { decodeProperties } from '../../../src/wire/amqp/properties.ts';
import { messageFacts } from '../../../src/client/amqp/message-properties.ts';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import type {
  ConsumeHandlers,
  Consuming,
  Delivered,
  Published,
  QueueSession,
  SentMessage,
} from '../../../src/door/queues/session.ts';

interface Message {
  readonly body: Buffer;
  readonly facts: MessageFacts;
  count: number;
  /** Wall clock. */
  readyMs: number;
}

export class FakeQueues {
  readonly env: Env;
  readonly ready = new Map<string, Message[]>();
  readonly sessions: FakeSession[] = [];
  /** What was said to the broker, in order: `ack 1`, `release 2 1000`, `reject 3`. */
  readonly said: string[] = [];
  /** Settlements on channels that were closed. */
  stale = 0;
  /** So many tries to connect fail. */
  refusals = 0;
  lengthMax = Infinity;
  /** Messages that are sent are lost with their connection; true: after they were taken. */
  cutOnPublish: 'before' | 'after' | undefined;
  /** The connection is lost by the next declaration. */
  cutOnDeclare = false;
  tags = 0;

  constructor(env: Env) {
    this.env = env;
  }

  readonly connect = (): Promise<QueueSession> => {
    if (this.refusals > 0) {
      this.refusals--;
      return Promise.reject(new MillraceError('ML_CONNECT_FAILED', 'nobody answers'));
    }
    const session = new FakeSession(this);
    this.sessions.push(session);
    return Promise.resolve(session);
  };

  put(queue: string, value: unknown, options: Partial<MessageFacts> = {}): void {
    const facts = { ...messageFacts({}), ...options };
    const body = Buffer.from(JSON.stringify(value));
    this.add(queue, { body, facts, count: facts.deliveryCount, readyMs: 0 });
  }

  add(queue: string, message: Message): void {
    const list = this.ready.get(queue);
    if (list === undefined) this.ready.set(queue, [message]);
    else list.push(message);
    this.pump();
  }

  /** Deletes a queue. */
  remove(queue: string): void {
    this.ready.delete(queue);
    const why = new MillraceError('ML_QUEUE_MISSING', `queue ${queue} was deleted`);
    for (const session of this.sessions)
      for (const consumer of session.consumers) if (consumer.queue === queue) consumer.end(why);
  }

  /** Gives out what is ready. */
  pump(): void {
    for (const session of this.sessions) for (const consumer of session.consumers) consumer.pump();
  }

  cut(why = new MillraceError('ML_CONNECTION_LOST', 'the connection was cut')): void {
    for (const session of this.sessions.splice(0)) session.end(why);
  }
}

export class FakeSession implements QueueSession {
  readonly ended: Promise<Error | undefined>;
  isOpen = true;
  readonly consumers = new Set<FakeConsumer>();
  readonly broker: FakeQueues;
  #end: (why: Error | undefined) => void = () => {};

  constructor(broker: FakeQueues) {
    this.broker = broker;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  declare(name: string, declared: object | undefined): Promise<void> {
    const { ready } = this.broker;
    if (this.broker.cutOnDeclare) {
      this.broker.cutOnDeclare = false;
      this.broker.cut();
      return Promise.reject(new MillraceError('ML_CONNECTION_LOST', 'cut while it was declared'));
    }
    if (declared === undefined && !ready.has(name))
      return Promise.reject(new MillraceError('ML_QUEUE_MISSING', `there is no queue ${name}`));
    if (!ready.has(name)) ready.set(name, []);
    return Promise.resolve();
  }

  publish({ queue, properties, body }: SentMessage): Promise<Published> {
    const { broker } = this;
    const facts = messageFacts(decodeProperties(properties));
    const lost = (): Promise<Published> => {
      const error = new MillraceError('ML_CONNECTION_LOST', 'cut while it was sent');
      broker.cut(error);
      return Promise.reject(error);
    };
    const how = broker.cutOnPublish;
    broker.cutOnPublish = undefined;
    if (how === 'before') return lost();
    const list = broker.ready.get(queue);
    if (list === undefined) return Promise.resolve('missing');
    if (list.length >= broker.lengthMax) return Promise.resolve('full');
    broker.add(queue, { body: Buffer.from(body), facts, count: 0, readyMs: 0 });
    return how === 'after' ? lost() : Promise.resolve('durable');
  }

  consume(queue: string, prefetch: number, handlers: ConsumeHandlers): Promise<Consuming> {
    if (!this.broker.ready.has(queue))
      return Promise.reject(new MillraceError('ML_QUEUE_MISSING', `there is no queue ${queue}`));
    const consumer = new FakeConsumer(this, queue, prefetch, handlers);
    this.consumers.add(consumer);
    this.broker.env.timers.immediate(() => consumer.pump());
    return Promise.resolve(consumer);
  }

  ask(): never {
    throw new Error('nobody is asked here');
  }

  close(): Promise<void> {
    this.end(undefined);
    return Promise.resolve();
  }

  end(why: Error | undefined): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const consumer of this.consumers) consumer.end(why);
    this.#end(why);
  }
}

class FakeConsumer implements Consuming {
  readonly #session: FakeSession;
  readonly queue: string;
  readonly #prefetch: number;
  readonly #handlers: ConsumeHandlers;
  readonly #unsettled = new Map<number, Message>();
  #isOpen = true;
  #isCancelled = false;

  constructor(session: FakeSession, queue: string, prefetch: number, handlers: ConsumeHandlers) {
    this.#session = session;
    this.queue = queue;
    this.#prefetch = prefetch;
    this.#handlers = handlers;
  }

  pump(): void {
    const { broker } = this.#session;
    const list = broker.ready.get(this.queue) ?? [];
    const nowMs = broker.env.clock.nowMs();
    while (this.#isOpen && !this.#isCancelled && this.#unsettled.size < this.#prefetch) {
      const at = list.findIndex(({ readyMs }) => readyMs <= nowMs);
      const [message] = at < 0 ? [] : list.splice(at, 1);
      if (message === undefined) return;
      const tag = ++broker.tags;
      this.#unsettled.set(tag, message);
      const { body, facts, count } = message;
      this.#handlers.delivered(
        { ...facts, deliveryCount: count, tag, body } satisfies Delivered,
        this,
      );
    }
  }

  ack(tag: number): void {
    this.#settle(tag, `ack ${tag}`);
  }

  release(tag: number, delayMs: number): void {
    const message = this.#settle(tag, `release ${tag} ${delayMs}`);
    if (message !== undefined) this.#back(message, delayMs);
  }

  reject(tag: number): void {
    const message = this.#settle(tag, `reject ${tag}`);
    const { broker } = this.#session;
    if (message !== undefined) broker.add(`${this.queue}.dead`, message);
  }

  cancel(): Promise<void> {
    this.#isCancelled = true;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.end(undefined);
    return Promise.resolve();
  }

  end(why: Error | undefined): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#session.consumers.delete(this);
    for (const message of this.#unsettled.values()) this.#back(message, 0);
    this.#handlers.ended(why);
  }

  #back(message: Message, delayMs: number): void {
    const { broker } = this.#session;
    message.count++;
    message.readyMs = broker.env.clock.nowMs() + delayMs;
    broker.add(this.queue, message);
    if (delayMs > 0) broker.env.timers.after(delayMs, () => broker.pump());
  }

  #settle(tag: number, what: string): Message | undefined {
    const { broker } = this.#session;
    const message = this.#unsettled.get(tag);
    if (!this.#isOpen || message === undefined) {
      broker.stale++;
      return undefined;
    }
    broker.said.push(what);
    this.#unsettled.delete(tag);
    broker.env.timers.immediate(() => this.pump());
    return message;
  }
}
