/**
 * A channel: what is asked, published and consumed in one order.
 *
 * Invariants
 * - Every call settles: with its answer, or with why the channel is closed.
 * - What is said of a delivery goes to the broker on this channel or not at all.
 */
import type { MillraceError } from '../../core/errors.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import {
  methodEntry,
  type AmqpMethod,
  type ContentMethod,
  type MethodInput,
  type MethodOf,
} from '../../wire/amqp/methods.ts';
import { type BasicProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { REPLY_SUCCESS } from '../../wire/amqp/reply-codes.ts';
import { Confirms, type PublishOutcome } from './confirms.ts';
import { AmqpDelivery, type Settler } from './delivery.ts';
import type { AmqpLink, ChannelPort } from './link.ts';
import { connectionLost, refused } from './refusal.ts';
import { AmqpSubscription, type ConsumeOptions } from './subscription.ts';

export interface AmqpMessage {
  /** Default '': the default exchange, whose routing keys are names of queues. */
  readonly exchange?: string;
  readonly routingKey: string;
  /** Flags and list as bytes, or what they say. Default none. */
  readonly properties?: BasicProperties | Uint8Array;
  /** Must not change before the message is confirmed. */
  readonly body: Uint8Array;
  /** It comes back when it leads nowhere, which a channel with confirms tells. Default false: then it is dropped. */
  readonly mandatory?: boolean;
}

export interface QueueDeclareOptions {
  /** '': the broker chooses. */
  readonly queue: string;
  /** Only looks whether it is there. */
  readonly passive?: boolean;
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly autoDelete?: boolean;
  readonly arguments?: FieldTable;
}

export interface ExchangeDeclareOptions {
  readonly exchange: string;
  /** direct, fanout, topic, headers. */
  readonly type: string;
  readonly passive?: boolean;
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly internal?: boolean;
  readonly arguments?: FieldTable;
}

export interface QueueBinding {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey?: string;
  readonly arguments?: FieldTable;
}

export interface ExchangeBinding {
  readonly destination: string;
  readonly source: string;
  readonly routingKey?: string;
  readonly arguments?: FieldTable;
}

interface Waiting {
  readonly answers: readonly string[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** An answer; with `basic.get-ok` the message. */
interface Answer {
  readonly method: AmqpMethod;
  readonly delivery: AmqpDelivery | undefined;
}

export interface ChannelSetup {
  readonly link: AmqpLink;
  readonly number: number;
  readonly hasRelease: boolean;
  /** The number may be used again. */
  readonly onGone: (number: number) => void;
}

const NO_PROPERTIES: Uint8Array = Buffer.alloc(2);

export class AmqpChannel implements ChannelPort, Settler {
  /** Resolves when the channel is closed: with why, or undefined when it was closed from here. */
  readonly closed: Promise<MillraceError | undefined>;
  readonly #link: AmqpLink;
  readonly #number: number;
  readonly #name: string;
  readonly #hasRelease: boolean;
  readonly #onGone: (number: number) => void;
  readonly #waiting: Waiting[] = [];
  readonly #subscriptions = new Map<string, AmqpSubscription>();
  readonly #confirms: Confirms;
  #confirming = false;
  #nextConsumer = 1;
  #failure: MillraceError | undefined;
  #isClosing = false;
  #tellClosed: (error: MillraceError | undefined) => void = () => {};

  /** @internal `AmqpClient.channel` opens one. */
  constructor({ link, number, hasRelease, onGone }: ChannelSetup) {
    this.#link = link;
    this.#number = number;
    this.#name = `channel ${number} of the connection to ${link.name}`;
    this.#hasRelease = hasRelease;
    this.#onGone = onGone;
    this.#confirms = new Confirms(this.#name);
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
  }

  /** @internal */
  async open(isConfirming: boolean): Promise<void> {
    const opened = this.#call({ name: 'channel.open' });
    if (isConfirming) {
      this.#confirming = true;
      await Promise.all([opened, this.#call({ name: 'confirm.select' })]);
    }
    await opened;
  }

  get isOpen(): boolean {
    return this.#failure === undefined && !this.#isClosing;
  }

  // Publishing ----------------------------------------------------------------------------------------------------

  /**
   * Publishes a message, and waits for nothing; `confirmed` says what became of it, and `ready` when to go on.
   * @throws {MillraceError} why the channel is closed; ML_WIRE_UNREPRESENTABLE
   */
  send(message: AmqpMessage): void {
    const { mandatory = false } = message;
    const properties = propertyBytes(message);
    this.#publish(message, properties);
    if (!this.#confirming) return;
    this.#confirms.add(
      mandatory ? openMessage(message, properties, undefined, undefined) : undefined,
    );
  }

  /** Publishes a message. Resolves when the broker has said what became of it. @throws {MillraceError} why the channel was closed before */
  publish(message: AmqpMessage): Promise<PublishOutcome> {
    return new Promise((resolve, reject) => {
      const properties = propertyBytes(message);
      this.#publish(message, properties);
      if (this.#confirming) {
        this.#confirms.add(openMessage(message, properties, resolve, reject));
      } else resolve('confirmed');
    });
  }

  /**
   * Resolves when all that was sent is confirmed.
   * @throws {MillraceError} ML_AMQP_REFUSED: some of what was sent since the last call was refused or came back; why the channel was closed
   */
  async confirmed(): Promise<void> {
    this.#demandOpen();
    await this.#confirms.confirmed();
  }

  /** undefined: more may be published; otherwise resolves when it may. Whoever publishes much asks before each message, or each few. */
  ready(): Promise<void> | undefined {
    const wait = this.#link.room() ?? this.#confirms.wait();
    return wait === undefined ? undefined : this.#becomesReady(wait);
  }

  async #becomesReady(first: Promise<void>): Promise<void> {
    let wait: Promise<void> | undefined = first;
    while (wait !== undefined) {
      await wait;
      wait = this.#link.room() ?? this.#confirms.wait();
    }
  }

  #publish(message: AmqpMessage, properties: Uint8Array): void {
    this.#demandOpen();
    const { exchange = '', routingKey, body, mandatory = false } = message;
    const method = {
      name: 'basic.publish',
      exchange,
      routingKey,
      mandatory,
      immediate: false,
    } as const;
    this.#link.content(this.#number, method, properties, body);
  }

  // Consuming -----------------------------------------------------------------------------------------------------

  /**
   * Takes messages of a queue as they come. `onDelivery` must not throw.
   * @throws {MillraceError} ML_AMQP_REFUSED; why the channel is closed
   */
  async consume(
    options: ConsumeOptions,
    onDelivery: (delivery: AmqpDelivery) => void,
  ): Promise<AmqpSubscription> {
    const { queue, prefetch = 0, noAck = false, exclusive = false, priority } = options;
    const consumerTag = options.consumerTag ?? `ctag-${this.#nextConsumer++}`;
    const table: FieldTable =
      priority === undefined ? {} : ({ 'x-priority': priority } satisfies FieldTable);
    const subscription = new AmqpSubscription({
      consumerTag,
      noAck,
      onDelivery,
      cancel: () => this.#cancel(consumerTag),
    });
    const qos = this.#call({ name: 'basic.qos', prefetchCount: prefetch });
    const consume = this.#call({
      name: 'basic.consume',
      queue,
      consumerTag,
      noAck,
      exclusive,
      arguments: { ...table, ...options.arguments },
    });
    this.#subscriptions.set(consumerTag, subscription);
    await Promise.all([qos, consume]);
    return subscription;
  }

  /** Takes one message; undefined when there is none. */
  async get(
    queue: string,
    options: { readonly noAck?: boolean } = {},
  ): Promise<AmqpDelivery | undefined> {
    const { noAck = false } = options;
    const { delivery } = await this.#ask({ name: 'basic.get', queue, noAck });
    if (noAck) delivery?.settledAlready();
    return delivery;
  }

  /** `AmqpDelivery.ack` for those who keep the tag alone; an unknown tag closes the channel. */
  ack(deliveryTag: number, multiple = false): void {
    if (this.isOpen) this.#link.method(this.#number, { name: 'basic.ack', deliveryTag, multiple });
  }

  reject(deliveryTag: number, requeue: boolean): void {
    if (this.isOpen)
      this.#link.method(this.#number, { name: 'basic.reject', deliveryTag, requeue });
  }

  release(deliveryTag: number, delayMs: number): void {
    if (!this.isOpen) return;
    const method: MethodInput =
      this.#hasRelease && delayMs > 0
        ? { name: 'basic.release', deliveryTag, delay: Math.ceil(delayMs) }
        : { name: 'basic.nack', deliveryTag, requeue: true };
    this.#link.method(this.#number, method);
  }

  async #cancel(consumerTag: string): Promise<void> {
    if (!this.isOpen || !this.#subscriptions.has(consumerTag)) return;
    await this.#call({ name: 'basic.cancel', consumerTag });
    this.#endSubscription(consumerTag, undefined);
  }

  #endSubscription(consumerTag: string, error: MillraceError | undefined): void {
    const subscription = this.#subscriptions.get(consumerTag);
    this.#subscriptions.delete(consumerTag);
    subscription?.end(error);
  }

  // Queues and exchanges ------------------------------------------------------------------------------------------

  /** @throws {MillraceError} ML_AMQP_REFUSED, which closes the channel, here and below */
  async declareQueue(
    options: QueueDeclareOptions,
  ): Promise<{ readonly queue: string; readonly messages: number; readonly consumers: number }> {
    const answer = await this.#call({ name: 'queue.declare', ...options });
    const { queue, messageCount, consumerCount } = answer as MethodOf<'queue.declare-ok'>;
    return { queue, messages: messageCount, consumers: consumerCount };
  }

  /** @returns the messages that went with it */
  async deleteQueue(
    queue: string,
    conditions: { readonly ifUnused?: boolean; readonly ifEmpty?: boolean } = {},
  ): Promise<number> {
    const answer = await this.#call({ name: 'queue.delete', queue, ...conditions });
    return (answer as MethodOf<'queue.delete-ok'>).messageCount;
  }

  /** Drops what is ready. @returns how many */
  async purgeQueue(queue: string): Promise<number> {
    const answer = await this.#call({ name: 'queue.purge', queue });
    return (answer as MethodOf<'queue.purge-ok'>).messageCount;
  }

  async bindQueue(binding: QueueBinding): Promise<void> {
    await this.#call({ name: 'queue.bind', ...binding });
  }

  async unbindQueue(binding: QueueBinding): Promise<void> {
    await this.#call({ name: 'queue.unbind', ...binding });
  }

  async declareExchange(options: ExchangeDeclareOptions): Promise<void> {
    await this.#call({ name: 'exchange.declare', ...options });
  }

  async deleteExchange(
    exchange: string,
    conditions: { readonly ifUnused?: boolean } = {},
  ): Promise<void> {
    await this.#call({ name: 'exchange.delete', exchange, ...conditions });
  }

  async bindExchange(binding: ExchangeBinding): Promise<void> {
    await this.#call({ name: 'exchange.bind', ...binding });
  }

  async unbindExchange(binding: ExchangeBinding): Promise<void> {
    await this.#call({ name: 'exchange.unbind', ...binding });
  }

  /** Closes in order: the broker knows then all that was said. What was not settled goes back. Idempotent; never rejects. */
  async close(): Promise<void> {
    if (this.isOpen) {
      const closing = this.#call({ name: 'channel.close', replyCode: REPLY_SUCCESS });
      this.#isClosing = true;
      // What goes wrong here is that it is closed already, which `closed` says too.
      await closing.catch(() => {});
    }
    await this.closed;
  }

  // What comes ----------------------------------------------------------------------------------------------------

  /** @internal */
  method(method: AmqpMethod): void {
    const { name } = method;
    if (name === 'basic.ack') {
      this.#confirms.settle(method.deliveryTag, method.multiple, true);
    } else if (name === 'basic.nack') {
      this.#confirms.settle(method.deliveryTag, method.multiple, false);
    } else if (name === 'basic.cancel') {
      this.#endSubscription(method.consumerTag, this.#cancelled(method.consumerTag));
    } else if (name === 'channel.close') {
      this.#link.method(this.#number, { name: 'channel.close-ok' });
      this.#gone(refused(method, this.#name));
    } else if (name === 'channel.close-ok') {
      // Where both have closed it, the answer may come when the number is another channel's already.
      if (this.#isClosing) this.#gone(undefined);
    } else if (name === 'channel.flow') {
      this.#link.method(this.#number, { name: 'channel.flow-ok', active: method.active });
    } else {
      this.#answer(method, undefined);
    }
  }

  /** @internal */
  content(method: ContentMethod, content: Content): void {
    switch (method.name) {
      case 'basic.deliver':
        this.#subscriptions.get(method.consumerTag)?.deliver(method, content, this);
        return;
      case 'basic.get-ok':
        this.#answer(method, new AmqpDelivery(method, content, this, false));
        return;
      case 'basic.return':
        this.#confirms.comesBack(method, content);
        return;
      case 'basic.publish':
        this.#link.fail('was sent a message as if it were a broker');
    }
  }

  /** @internal */
  lost(error: MillraceError): void {
    this.#gone(error);
  }

  #cancelled(consumerTag: string): MillraceError {
    return refused(
      { replyCode: 404, replyText: 'the queue was deleted, or has failed' },
      `consumer ${consumerTag} on ${this.#name}`,
    );
  }

  #answer(method: AmqpMethod, delivery: AmqpDelivery | undefined): void {
    const waiting = this.#waiting[0];
    if (waiting === undefined || !waiting.answers.includes(method.name)) {
      this.#link.fail(`sent ${method.name} out of order`);
      return;
    }
    this.#waiting.shift();
    waiting.resolve({ method, delivery });
  }

  async #call(method: MethodInput): Promise<AmqpMethod> {
    return (await this.#ask(method)).method;
  }

  async #ask(method: MethodInput): Promise<Answer> {
    this.#demandOpen();
    return new Promise((resolve, reject) => {
      this.#link.method(this.#number, method);
      this.#waiting.push({ answers: methodEntry(method.name).answers ?? [], resolve, reject });
    });
  }

  #demandOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosing) throw connectionLost(this.#link.name, `has closed ${this.#name}`);
  }

  #gone(error: MillraceError | undefined): void {
    if (this.#failure !== undefined) return;
    const isAsked = error === undefined || this.#isClosing;
    const failure = error ?? connectionLost(this.#link.name, `has closed ${this.#name}`);
    this.#failure = failure;
    this.#onGone(this.#number);
    this.#tellClosed(isAsked ? undefined : error);
    for (const { reject } of this.#waiting.splice(0)) reject(failure);
    for (const tag of this.#subscriptions.keys()) {
      this.#endSubscription(tag, isAsked ? undefined : error);
    }
    this.#confirms.fail(failure);
  }
}

function propertyBytes({ properties }: AmqpMessage): Uint8Array {
  if (properties === undefined) return NO_PROPERTIES;
  return properties instanceof Uint8Array ? properties : encodeProperties(properties);
}

function openMessage(
  message: AmqpMessage,
  properties: Uint8Array,
  resolve: ((outcome: PublishOutcome) => void) | undefined,
  reject: ((error: Error) => void) | undefined,
): Parameters<Confirms['add']>[0] {
  const { exchange = '', routingKey, body, mandatory = false } = message;
  return {
    exchange,
    routingKey,
    isMandatory: mandatory,
    properties,
    bodyBytes: body.length,
    resolve,
    reject,
    returned: undefined,
  };
}
