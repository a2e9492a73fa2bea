/**
 * What a queue is for those in front of it: a view over a log. Messages are records; which of them are ready, with somebody, or settled
 * is the state of the queue, and never a second copy of a message.
 *
 * `classic` and `quorum` are one thing here: a durable queue over a topic of its own. `stream` is a topic whose consumers have places of
 * their own, and from which nothing is taken. A queue `over a topic` reads one that is somebody else's, all its partitions, and takes
 * nothing away.
 *
 * Invariants
 * - Nothing is delivered that is not durable and committed (below the last stable offset).
 * - A message is in one place: ready, delayed, with one holder, or settled.
 * - Messages that were never returned are delivered in the order of the log; a returned one comes before those behind it.
 *
 * Source: research of the field in docs/explanation/queues.md; RabbitMQ's documentation of queues (4.x); KIP-932 (share groups: acquire,
 * accept, release, reject).
 */
import type { QueueMessage } from './message.ts';

/** Why a broker refuses something of the queues, in AMQP's words; the server knows their numbers. */
export interface QueueRefusal {
  readonly ok: false;
  readonly error:
    | 'ACCESS_REFUSED'
    | 'NOT_FOUND'
    | 'RESOURCE_LOCKED'
    | 'PRECONDITION_FAILED'
    | 'NOT_ALLOWED'
    | 'NOT_IMPLEMENTED'
    | 'RESOURCE_ERROR'
    | 'COMMAND_INVALID';
  readonly message: string;
}

export type QueueOutcome<Value> = { readonly ok: true; readonly value: Value } | QueueRefusal;

/** What was declared, with defaults. Times in milliseconds; undefined: no limit, not set. */
export interface QueueSettings {
  readonly type: 'classic' | 'quorum' | 'stream';
  readonly maxLength: number | undefined;
  /** Bytes of bodies. */
  readonly maxLengthBytes: number | undefined;
  /** Default drop-head. */
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  readonly messageTtlMs: number | undefined;
  /** The queue goes when it was not used for this long. */
  readonly expiresMs: number | undefined;
  readonly deadLetterExchange: string | undefined;
  /** undefined: the routing key of the message. */
  readonly deadLetterRoutingKey: string | undefined;
  /** Default at-most-once: what cannot go where it should, for a queue there is full or nothing is bound, is dropped. */
  readonly deadLetterStrategy: 'at-most-once' | 'at-least-once';
  /** A message that came back more often than this is a dead letter. Default 20; undefined (declared as -1): never. */
  readonly deliveryLimit: number | undefined;
  /** 1 to 255; undefined: priorities mean nothing. */
  readonly maxPriority: number | undefined;
  readonly singleActiveConsumer: boolean;
  /** A message may be with a consumer this long. Default 30 minutes; undefined (declared as 0): without limit. */
  readonly consumerTimeoutMs: number | undefined;
  /** One message of a key at a time, in their order (x-key-ordered). */
  readonly keyOrdered: boolean;
  /** A message whose `x-dedupe-key` was seen within this time is taken, and not kept (x-dedupe-window). */
  readonly dedupeWindowMs: number | undefined;
  /** Of streams. */
  readonly maxAgeMs: number | undefined;
  readonly segmentBytes: number | undefined;
  /** A topic of somebody else that this queue is a view over (x-source-topic). */
  readonly sourceTopic: string | undefined;
  /** Where a queue over a topic begins (x-source-offset): default 'next'. */
  readonly sourceOffset: 'first' | 'next' | undefined;
}

export interface QueueCounts {
  /** Messages that can be delivered now, or as soon as they are durable. */
  readonly ready: number;
  readonly unacknowledged: number;
  /** Not yet due. */
  readonly delayed: number;
  readonly consumers: number;
  /** Bodies of ready messages. */
  readonly readyBytes: number;
  /** Bytes of the log on disk. */
  readonly logBytes: number;
  /** Since the start: */
  readonly published: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly acknowledged: number;
  readonly expired: number;
  /** By reason, also those for which there was no dead letter exchange. */
  readonly deadLettered: Readonly<Record<DeadLetterReason, number>>;
  /** Dead letters and overflow that went nowhere, since there was nowhere to go; and messages that no segment of the log can hold. */
  readonly dropped: number;
}

export type DeadLetterReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

/** A message that somebody has, until it is settled. Of streams: that was shown. */
export interface Delivery {
  readonly queue: Queue;
  readonly partition: number;
  readonly offset: number;
  /** To be read in the turn in which it is delivered, or soon after it was got: later it may have left the memory, and asking for it throws. */
  readonly message: QueueMessage;
  /** It was with somebody before, or may have been (before a crash). */
  readonly redelivered: boolean;
  /** How often it came back before: 0 at first. */
  readonly deliveryCount: number;
}

/** Who takes messages: a consumer of a channel. Its fields may change while it consumes (`prefetch` at most). */
export interface QueueConsumer {
  /** For people: in logs and lists. */
  readonly tag: string;
  /** Delivered is settled. */
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** Higher first. Default 0. */
  readonly priority: number;
  /** Most messages that it has unsettled; 0 = UNLIMITED_PREFETCH of core/queue-limits.ts. */
  readonly prefetch: number;
  /** Where a consumer of a stream begins; ignored by other queues. Default 'next'. */
  readonly streamOffset?: StreamOffset;
  /** false: it takes nothing now, for its socket is full. Whoever turns it to true calls `resume`. */
  readonly isWilling: boolean;
  /** Takes the message. Never calls back into the queue synchronously except `settle`. */
  deliver(delivery: Delivery): void;
  /** It consumes no more, without having asked for that: the queue was deleted, or has failed. What it has unsettled is gone with the queue. */
  cancelled(): void;
  /** A message of it was not settled within the consumer timeout: the channel is to be closed, which returns its messages. */
  timedOut(delivery: Delivery): void;
}

export type StreamOffset =
  | { readonly kind: 'first' | 'last' | 'next' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'timestamp'; readonly timestampMs: number };

export interface QueueAppended {
  /** Positions, in what was given, of messages that the queue refused, for it is full (reject-publish) or the disk is. Mostly empty. */
  readonly refused: readonly number[];
  /** Why, when `refused` is not empty. */
  readonly reason: 'full' | 'disk-full' | undefined;
  /** Resolves when the others are durable as the queue promises. undefined: nothing to wait for (a queue that is not durable). */
  readonly durable: Promise<void> | undefined;
}

export interface AppendOptions {
  /** The broker has taken them from another queue: whatever key they have, they are no copies. Default false. */
  readonly areMoved?: boolean;
}

/** How a holder settles: done; back to the queue; not wanted (a dead letter). */
export type Settlement = 'accept' | 'release' | 'reject';

export interface SettleOptions {
  /** Of `release`: it is ready again only after this time. Default 0. */
  readonly delayMs?: number;
  /** Of `release`: it counts towards the delivery limit. Default true; false for what was never shown to a program (cancelled in time). */
  readonly counts?: boolean;
}

export interface Queue {
  /** UUID; of a queue with a topic of its own that of the topic. */
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  /** The topic in which its messages are; undefined for a queue that is not durable. */
  readonly topic: string | undefined;
  readonly counts: QueueCounts;
  /** Resolves when its state was read and it can be used; others wait in `append` no longer than that. */
  readonly ready: Promise<void>;
  /**
   * Appends the messages as one batch. Synchronous, as `PartitionLog.append` is; the bytes of the messages are copied.
   * A queue over a topic refuses (its topic is written by others): callers look at `settings.sourceTopic` before.
   */
  append(messages: readonly QueueMessage[], options?: AppendOptions): QueueAppended;
  /** Whether `append` would take a moved message now, unless the disk is full. True also of what it will never take. */
  hasRoomFor(message: QueueMessage): boolean;
  /** Adds a consumer. @returns why not: ACCESS_REFUSED (exclusive use) */
  consume(consumer: QueueConsumer): QueueRefusal | undefined;
  /** Removes it; what it has stays with it until it is settled. Nothing is delivered to it after this call. */
  cancel(consumer: QueueConsumer): void;
  /** The consumer is willing again, or has a larger prefetch. */
  resume(consumer: QueueConsumer): void;
  /** Takes one message (basic.get); undefined when none is ready. With `noAck` it is settled. */
  get(options: { readonly noAck: boolean }): Promise<QueueOutcome<Delivery | undefined>>;
  /** Settles what a consumer, or a `get`, has been given. What was settled already is left alone. */
  settle(deliveries: readonly Delivery[], how: Settlement, options?: SettleOptions): void;
  /** Settles all that is ready. @returns how many */
  purge(): Promise<number>;
  /** Writes the state that has changed. It is durable when that resolves: for tx.commit. */
  flush(): Promise<void>;
  /** Cancels consumers and stops; of what is on the disk nothing changes. */
  close(): Promise<void>;
}

/**
 * Gives a message that leaves a queue to where dead letters go, before it is settled there. Synchronous: appended to its queues when it returns.
 * @returns `moved`; `nowhere` when the queue has no dead letter exchange, nothing is bound, or the message goes in a circle; `refused`
 * when it could not be appended (a full disk; at least once: a full queue, nothing bound): the message stays, and it is tried again later
 */
export type DeadLetters = (
  queue: Queue,
  message: QueueMessage,
  reason: DeadLetterReason,
) => 'moved' | 'nowhere' | 'refused';
