/**
 * Publishing of a connection: the messages of one received chunk go to their queues together, one append per queue, and are confirmed
 * together when they are durable.
 *
 * Invariants
 * - Messages of a chunk are appended before the memory of the chunk is given back.
 * - A returned message is told of before its confirm; a confirm comes after the message is durable in all queues that keep it.
 * - Bytes appended and not durable, in all queues together, stay within AMQP_UNCONFIRMED_BYTES_MAX and one chunk: beyond, the connection
 *   reads no more. So a publisher is as fast as the disk, and not faster. Nor does it read while it waits for its turn among all others.
 *
 * @hot
 */
import type { Background } from '../../core/background.ts';
import { AMQP_BATCH_BYTES, AMQP_UNCONFIRMED_BYTES_MAX } from '../../core/queue-limits.ts';
import { PublishBatch } from '../../broker/exchanges/publish-batch.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';
import { recordBytes } from '../../broker/queues/message-record.ts';
import type { QueueOutcome } from '../../broker/queues/queue.ts';
import { REPLY_CODES } from '../../wire/amqp/reply-codes.ts';
import { isReplyName, type DirectReplies } from './direct-replies.ts';
import { refused } from './faults.ts';
import type { Output } from './output.ts';
import type { PendingConfirms } from './pending-confirms.ts';
import type { PublishTurns } from './publish-turns.ts';
import type { StagedMessage } from './transaction.ts';

/** What it needs of a channel. */
export interface PublishingChannel {
  readonly number: number;
  readonly isOpen: boolean;
  readonly mode: 'plain' | 'confirm' | 'tx';
  readonly confirms: PendingConfirms;
  /** Of the last message, in mode `confirm`. */
  publishTag: number;
}

export interface PublisherOptions {
  readonly vhost: VirtualHost;
  readonly output: Output;
  readonly replies: DirectReplies;
  readonly background: Background;
  readonly turns: PublishTurns;
  /** `isFull` has changed. */
  readonly onPressure: () => void;
  /** The disk has refused messages. */
  readonly onDiskFull: () => void;
}

export class Publisher {
  /** Something was published on this connection: one that only consumes need not wait for a full disk. */
  hasPublished = false;
  private readonly options: PublisherOptions;
  private readonly batch: PublishBatch;
  /** Of each message in the batch: who is to be told, and under which tag. */
  private readonly channels: PublishingChannel[] = [];
  private readonly tags: number[] = [];
  /** Channels with messages in the batch. Both sets are new ones each time, as the batch is. */
  private touched = new Set<PublishingChannel>();
  private batchBytes = 0;
  private unconfirmedBytes = 0;
  /** Channels that wait for a turn. */
  private waiting = 0;
  /** Channels that have confirms to tell. */
  private telling = new Set<PublishingChannel>();

  constructor(options: PublisherOptions) {
    this.options = options;
    this.batch = new PublishBatch(options.vhost);
  }

  /** More is on its way to the disk than may be, or something waits for its turn. */
  get isFull(): boolean {
    return this.waiting > 0 || this.unconfirmedBytes >= AMQP_UNCONFIRMED_BYTES_MAX;
  }

  /** Others have their turn before anything more is published. */
  get mustWait(): boolean {
    return this.options.turns.isOver;
  }

  /** Resolves when it is the turn of a channel. */
  async nextTurn(): Promise<void> {
    const { turns, onPressure } = this.options;
    this.waiting++;
    onPressure();
    await turns.next();
    this.waiting--;
    onPressure();
  }

  /**
   * @param message its memory must stay as it is until `commit`
   * @throws {AmqpFault} NOT_FOUND, ACCESS_REFUSED
   */
  add(channel: PublishingChannel, message: QueueMessage, mandatory: boolean): void {
    this.hasPublished = true;
    if (channel.mode === 'confirm') {
      channel.publishTag++;
      this.touched.add(channel);
    }
    const routed = this.route(channel, message);
    if (!routed.ok) throw refused(routed);
    if (routed.value === 0 && mandatory) this.giveBack(channel, message);
  }

  /** Something that needs no queue took the place of a message. */
  confirmNothing(channel: PublishingChannel): void {
    if (channel.mode === 'confirm') this.touched.add(channel);
  }

  /** Appends what was added. */
  commit(): void {
    if (this.batch.size === 0 && this.touched.size === 0) return;
    const { refused: refusedAt, reason, durable } = this.batch.commit();
    const bytes = this.batchBytes;
    const done = this.confirmLater(refusedAt);
    this.batchBytes = 0;
    this.channels.length = 0;
    this.tags.length = 0;
    if (durable === undefined) done();
    else this.whenDurable(durable, bytes, done);
    if (reason === 'disk-full') this.options.onDiskFull();
  }

  /** The messages of a transaction, at once. */
  publishNow(
    channel: PublishingChannel,
    messages: readonly StagedMessage[],
  ): { readonly refused: number; readonly durable: Promise<void> } {
    this.commit();
    this.hasPublished ||= messages.length > 0;
    for (const { message, mandatory } of messages) {
      const routed = this.route(channel, message);
      // Its exchange may have gone since it was published: then it leads nowhere.
      const isRouted = routed.ok && routed.value > 0;
      if (!isRouted && mandatory) this.giveBack(channel, message);
    }
    const { refused: refusedAt, reason, durable } = this.batch.commit();
    if (durable !== undefined) this.whenDurable(durable, this.batchBytes, () => {});
    this.batchBytes = 0;
    this.channels.length = 0;
    this.tags.length = 0;
    if (reason === 'disk-full') this.options.onDiskFull();
    return { refused: refusedAt.length, durable: durable ?? Promise.resolve() };
  }

  /** Of the broker itself: an answer, which nobody confirms. Dropped when it leads nowhere. */
  publishForBroker(message: QueueMessage): void {
    this.commit();
    const { replies, background } = this.options;
    if (isReplyName(message.routingKey)) {
      replies.find(message.routingKey)?.deliverReply(message);
      return;
    }
    this.batch.add(message);
    const { durable } = this.batch.commit();
    if (durable !== undefined) background.run('publish', durable);
  }

  /** Tells what was confirmed since the last turn. */
  tellConfirms(): void {
    if (this.telling.size === 0) return;
    const { telling } = this;
    this.telling = new Set();
    for (const channel of telling) channel.confirms.flush();
  }

  /** @returns to how many it goes */
  private route(channel: PublishingChannel, message: QueueMessage): QueueOutcome<number> {
    if (message.exchange === '' && isReplyName(message.routingKey)) {
      const consumer = this.options.replies.find(message.routingKey);
      consumer?.deliverReply(message);
      return { ok: true, value: consumer === undefined ? 0 : 1 };
    }
    // By calls of the batch, as it says which were refused.
    this.channels.push(channel);
    this.tags.push(channel.publishTag);
    const queues = this.batch.queues;
    const routed = this.batch.add(message);
    if (routed.ok && routed.value > 0) {
      const bytes = recordBytes(message);
      // Each queue has it for itself.
      this.batchBytes += routed.value * bytes;
      if (routed.value > 1) this.options.turns.spend((routed.value - 1) * bytes);
      else if (queues > 0 && this.batch.queues > queues) this.options.turns.spend(AMQP_BATCH_BYTES);
    }
    return routed;
  }

  /** @returns what is to be called when the others are durable */
  private confirmLater(refusedAt: readonly number[]): () => void {
    if (this.touched.size === 0) return () => {};
    const refusedTags = this.refusedTags(refusedAt);
    const touched = [...this.touched];
    this.touched = new Set();
    const confirmed = touched.map((channel) =>
      channel.confirms.add(channel.publishTag, refusedTags.get(channel) ?? []),
    );
    return () => {
      for (const each of confirmed) each();
      for (const channel of touched) this.telling.add(channel);
      this.options.output.schedule();
    };
  }

  private giveBack(channel: PublishingChannel, message: QueueMessage): void {
    const { exchange, routingKey, properties, body } = message;
    if (!channel.isOpen) return;
    this.options.output.content(
      channel.number,
      {
        name: 'basic.return',
        replyCode: REPLY_CODES.NO_ROUTE,
        replyText: 'NO_ROUTE',
        exchange,
        routingKey,
      },
      { properties, body },
    );
  }

  private refusedTags(refusedAt: readonly number[]): Map<PublishingChannel, number[]> {
    const tags = new Map<PublishingChannel, number[]>();
    for (const at of refusedAt) {
      const channel = this.channels[at];
      const tag = this.tags[at];
      if (channel === undefined || tag === undefined) continue;
      const known = tags.get(channel);
      if (known === undefined) tags.set(channel, [tag]);
      else known.push(tag);
    }
    return tags;
  }

  private whenDurable(durable: Promise<void>, bytes: number, done: () => void): void {
    const wasFull = this.isFull;
    this.unconfirmedBytes += bytes;
    this.options.turns.hold(bytes);
    if (this.isFull && !wasFull) this.options.onPressure();
    this.options.background.run('publish', this.confirmWhen(durable, bytes, done));
  }

  private async confirmWhen(
    durable: Promise<void>,
    bytes: number,
    done: () => void,
  ): Promise<void> {
    try {
      await durable;
    } finally {
      // Of what has failed nothing is on its way any more, either.
      const wasFull = this.isFull;
      this.unconfirmedBytes -= bytes;
      this.options.turns.release(bytes);
      if (wasFull && !this.isFull) this.options.onPressure();
    }
    done();
  }
}
