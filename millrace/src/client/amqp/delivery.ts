/** A message that a consumer was given. */
import type { Content } from '../../wire/amqp/frames.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { type BasicProperties, decodeProperties } from '../../wire/amqp/properties.ts';

/** Whoever tells the broker what became of messages: the channel that they came by. */
export interface Settler {
  readonly isOpen: boolean;
  ack(deliveryTag: number): void;
  /** @param requeue false: a dead letter */
  reject(deliveryTag: number, requeue: boolean): void;
  release(deliveryTag: number, delayMs: number): void;
}

export class AmqpDelivery {
  readonly deliveryTag: number;
  readonly exchange: string;
  readonly routingKey: string;
  /** Somebody had it before, or may have had. */
  readonly redelivered: boolean;
  /** Memory of its own. */
  readonly body: Buffer;
  /** Flags and list. */
  readonly propertyBytes: Buffer;
  readonly #settler: Settler;
  #properties: BasicProperties | undefined;
  #isSettled: boolean;

  /** @param isSettled delivered without asking for an acknowledgement */
  constructor(
    method: MethodOf<'basic.deliver'> | MethodOf<'basic.get-ok'>,
    content: Content,
    settler: Settler,
    isSettled: boolean,
  ) {
    this.deliveryTag = method.deliveryTag;
    this.exchange = method.exchange;
    this.routingKey = method.routingKey;
    this.redelivered = method.redelivered;
    const { properties, body, isOwned } = content;
    const bodyBytes = isOwned ? 0 : body.length;
    const own = Buffer.allocUnsafe(properties.length + bodyBytes);
    properties.copy(own, 0);
    if (!isOwned) body.copy(own, properties.length);
    this.propertyBytes = own.subarray(0, properties.length);
    this.body = isOwned ? body : own.subarray(properties.length);
    this.#settler = settler;
    this.#isSettled = isSettled;
  }

  /** Decoded when they are asked for. @throws {AmqpFault} when the broker has sent what are none */
  get properties(): BasicProperties {
    this.#properties ??= decodeProperties(this.propertyBytes);
    return this.#properties;
  }

  /** Done. Of this and the two below only the first call counts, and none on a channel that is closed: then the message is another's. */
  ack(): void {
    if (this.#settles()) this.#settler.ack(this.deliveryTag);
  }

  /** Not wanted: a dead letter, or (`requeue`) back to its queue. */
  reject(options: { readonly requeue?: boolean } = {}): void {
    if (this.#settles()) this.#settler.reject(this.deliveryTag, options.requeue === true);
  }

  /** Back to its queue, to be ready after so long; at once for a broker that cannot wait. */
  release(delayMs = 0): void {
    if (this.#settles()) this.#settler.release(this.deliveryTag, delayMs);
  }

  /** @internal It was taken without asking for an acknowledgement. */
  settledAlready(): void {
    this.#isSettled = true;
  }

  #settles(): boolean {
    if (this.#isSettled || !this.#settler.isOpen) return false;
    this.#isSettled = true;
    return true;
  }
}
