/**
 * A consumer of a channel: what comes from its queue goes into the output of its connection, which is written once per turn.
 *
 * Invariants
 * - Nothing is delivered before consume-ok was written, nor after cancel-ok.
 * - While the output of the connection is full it is not willing; the connection resumes it when there is room.
 * - Nor is it while the client has as many messages as the channel allows; the channel resumes it when one is settled.
 *
 * @hot
 */
import type { Delivery, Queue, StreamOffset } from '../../broker/queues/queue.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState, ConsumerEntry } from './channel-state.ts';
import { settleAll } from './settle-turns.ts';
import { deliveredProperties } from './delivered-properties.ts';

export interface ConsumerOptions {
  readonly tag: string;
  readonly queue: Queue;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  readonly prefetch: number;
  readonly streamOffset: StreamOffset | undefined;
}

export class ChannelConsumer implements ConsumerEntry {
  readonly tag: string;
  readonly queue: Queue;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  readonly streamOffset?: StreamOffset;
  private readonly ownPrefetch: number;
  private readonly channel: ChannelState;
  private isStarted = false;

  constructor(channel: ChannelState, options: ConsumerOptions) {
    this.channel = channel;
    this.tag = options.tag;
    this.queue = options.queue;
    this.noAck = options.noAck;
    this.exclusive = options.exclusive;
    this.priority = options.priority;
    this.ownPrefetch = options.prefetch;
    if (options.streamOffset !== undefined) this.streamOffset = options.streamOffset;
  }

  get isWilling(): boolean {
    const { channel } = this;
    return this.isStarted && channel.isOpen && channel.session.output.hasRoom && channel.hasCredit;
  }

  /** Alone it never has more than all consumers of the channel together. */
  get prefetch(): number {
    const { channelPrefetch } = this.channel;
    if (channelPrefetch === 0) return this.ownPrefetch;
    return this.ownPrefetch === 0 ? channelPrefetch : Math.min(this.ownPrefetch, channelPrefetch);
  }

  /** consume-ok was written. */
  start(): void {
    this.isStarted = true;
    this.queue.resume(this);
  }

  deliver(delivery: Delivery): void {
    const { channel } = this;
    if (!channel.isOpen) {
      // Came in the same turn as the end of the channel: nobody has seen it.
      if (!this.noAck) settleAll([delivery], 'release', { counts: false });
      return;
    }
    const deliveryTag = channel.take(delivery, this.noAck);
    channel.session.output.deliver(channel.number, {
      consumerTag: this.tag,
      deliveryTag,
      redelivered: delivery.redelivered,
      message: delivery.message,
      properties: deliveredProperties(delivery),
    });
  }

  cancelled(): void {
    const { channel } = this;
    if (channel.consumers.get(this.tag) !== this) return;
    channel.consumers.delete(this.tag);
    channel.noticeCancel(this.tag);
  }

  timedOut(delivery: Delivery): void {
    const { channel } = this;
    const { logger } = channel.session.shared;
    const timeoutMs = delivery.queue.settings.consumerTimeoutMs ?? 0;
    logger.warn('a consumer did not acknowledge in time; its channel is closed', {
      queue: delivery.queue.name,
      consumer: this.tag,
      timeoutMs,
    });
    channel.session.fault(
      channel.number,
      new AmqpFault(
        'PRECONDITION_FAILED',
        `delivery acknowledgement on channel ${channel.number} timed out. Timeout value used: ${timeoutMs} ms. ` +
          'This timeout value can be configured, see consumers doc guide to learn more',
      ),
    );
  }
}
