/**
 * A delivery as its queue knows it, and who has it: a consumer, or those who got single messages. One object for each message that is with
 * somebody; no table, since whoever settles gives back the object.
 *
 * @hot
 */
import { MillraceError } from '../../core/errors.ts';
import { UNLIMITED_PREFETCH } from '../../core/queue-limits.ts';
import type { QueueMessage } from './message.ts';
import type { Delivery, Queue, QueueConsumer } from './queue.ts';

export interface DeliveryFacts {
  readonly offset: number;
  readonly message: QueueMessage;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  /** Milliseconds since 1970; Infinity = never. */
  readonly expiresAtMs: number;
  /** The index of the queue knows when. */
  readonly isTimed: boolean;
  /** Of a queue ordered by key; undefined: of none. */
  readonly key: string | undefined;
}

export class HeldDelivery implements Delivery {
  readonly queue: Queue;
  readonly partition: number;
  readonly offset: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly expiresAtMs: number;
  readonly isTimed: boolean;
  readonly key: string | undefined;
  readonly bodyBytes: number;
  readonly priority: number;
  /** Monotonic. */
  readonly deliveredAtMs: number;
  /** undefined once it has left the memory: it is read again when it comes back. */
  kept: QueueMessage | undefined;
  /** Bytes that the queue had delivered before, in all. */
  deliveredBytes = 0;
  holder: Holder | undefined = undefined;
  before: HeldDelivery | undefined = undefined;
  behind: HeldDelivery | undefined = undefined;

  constructor(
    queue: Queue,
    place: { readonly partition: number; readonly priority: number; readonly nowMs: number },
    facts: DeliveryFacts,
  ) {
    this.queue = queue;
    this.partition = place.partition;
    this.priority = place.priority;
    this.deliveredAtMs = place.nowMs;
    this.offset = facts.offset;
    this.redelivered = facts.redelivered;
    this.deliveryCount = facts.deliveryCount;
    this.expiresAtMs = facts.expiresAtMs;
    this.isTimed = facts.isTimed;
    this.key = facts.key;
    this.kept = facts.message;
    this.bodyBytes = facts.message.body.length;
  }

  get message(): QueueMessage {
    if (this.kept !== undefined) return this.kept;
    throw new MillraceError(
      'ML_ASSERT',
      `message ${this.offset} of queue '${this.queue.name}' was asked for after the turn in which it was delivered`,
    );
  }
}

/** Knows its deliveries in their order, the oldest first; also after the consumer was cancelled. */
export class Holder {
  /** undefined: whoever got messages one by one. */
  readonly consumer: QueueConsumer | undefined;
  /** Deliveries that are not settled. */
  count = 0;
  oldest: HeldDelivery | undefined = undefined;
  private newest: HeldDelivery | undefined = undefined;
  /** It stands in the ring of those that want messages. */
  isInRing = false;
  isCancelled = false;
  /** It was told that it has a message for too long. */
  isTimedOut = false;

  constructor(consumer: QueueConsumer | undefined) {
    this.consumer = consumer;
  }

  /** It takes another message now. */
  get wants(): boolean {
    const { consumer } = this;
    if (consumer === undefined || this.isCancelled || !consumer.isWilling) return false;
    return consumer.noAck || this.count < (consumer.prefetch || UNLIMITED_PREFETCH);
  }

  /** How many more it takes. */
  get credit(): number {
    const { consumer } = this;
    if (consumer === undefined || this.isCancelled || !consumer.isWilling) return 0;
    const prefetch = consumer.prefetch || UNLIMITED_PREFETCH;
    return consumer.noAck ? UNLIMITED_PREFETCH : Math.max(0, prefetch - this.count);
  }

  add(delivery: HeldDelivery): void {
    delivery.holder = this;
    delivery.before = this.newest;
    if (this.newest === undefined) this.oldest = delivery;
    else this.newest.behind = delivery;
    this.newest = delivery;
    this.count++;
  }

  remove(delivery: HeldDelivery): void {
    const { before, behind } = delivery;
    if (before === undefined) this.oldest = behind;
    else before.behind = behind;
    if (behind === undefined) this.newest = before;
    else behind.before = before;
    delivery.before = undefined;
    delivery.behind = undefined;
    delivery.holder = undefined;
    this.count--;
  }
}
