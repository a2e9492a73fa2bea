/**
 * A channel: what it was asked for and has not done, and what it has given and not got back.
 *
 * Owns: delivery tags, the messages that are with its client, its consumers, the sequence of its confirms, its transaction.
 * What methods do to it is in one file per class; `channel.ts` says which of them have their turn.
 */
import type { Delivery, Queue, QueueConsumer } from '../../broker/queues/queue.ts';
import type { MethodInput } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { PendingConfirms } from './pending-confirms.ts';
import type { AmqpSession } from './session.ts';
import type { Transaction } from './transaction.ts';
import { UnackedDeliveries } from './unacked-deliveries.ts';

/** A consumer of a channel, on its queue. */
export interface ConsumerEntry extends QueueConsumer {
  readonly queue: Queue;
}

/** A consumer of `amq.rabbitmq.reply-to`. */
export interface ReplyEntry {
  readonly tag: string;
  /** What its messages have as `reply-to`. */
  readonly name: string;
}

export class ChannelState {
  readonly number: number;
  readonly session: AmqpSession;
  readonly unacked = new UnackedDeliveries();
  readonly consumers = new Map<string, ConsumerEntry>();
  readonly confirms: PendingConfirms;
  /** false once it is closed, or being closed by us: nothing is answered any more. */
  isOpen = true;
  mode: 'plain' | 'confirm' | 'tx' = 'plain';
  /** In mode `tx`. */
  transaction: Transaction | undefined;
  reply: ReplyEntry | undefined;
  /** What `basic.qos` said last: of consumers that come after it. */
  prefetch = 0;
  /** What `basic.qos` with `global` said last: most messages that are with the client, of all consumers together. 0: any number. */
  channelPrefetch = 0;
  /** The queue that an empty name means. */
  lastQueue = '';
  /** Of the last message published in mode `confirm`. */
  publishTag = 0;
  private deliveryTag = 0;
  private heldNotices: MethodInput[] | undefined;
  /** Messages that consumers have brought to the client, and that are not settled. */
  private held = 0;
  /** The others, which it has asked for one by one. */
  private readonly got = new Set<Delivery>();
  private resumes = 0;

  constructor(session: AmqpSession, number: number) {
    this.session = session;
    this.number = number;
    this.confirms = new PendingConfirms((deliveryTag, { ok, multiple }) => {
      this.answer(
        ok
          ? { name: 'basic.ack', deliveryTag, multiple }
          : { name: 'basic.nack', deliveryTag, multiple },
      );
    });
  }

  answer(method: MethodInput): void {
    if (this.isOpen) this.session.output.method(this.number, method);
  }

  /** Tells the client that a consumer of it has no queue any more. */
  noticeCancel(consumerTag: string): void {
    if (!this.session.wantsCancels) return;
    const notice: MethodInput = { name: 'basic.cancel', consumerTag, noWait: true };
    if (this.heldNotices === undefined) this.answer(notice);
    else this.heldNotices.push(notice);
  }

  /** Runs what ends consumers of this channel itself: they are told behind its answer, as RabbitMQ does and clients expect. */
  async answerBeforeCancels(run: () => Promise<void>): Promise<void> {
    this.heldNotices = [];
    try {
      await run();
    } finally {
      const held = this.heldNotices;
      this.heldNotices = undefined;
      for (const notice of held) this.answer(notice);
    }
  }

  /** The tag under which a message goes out; unless it is settled by that, it is kept until the client settles it. */
  take(delivery: Delivery, noAck: boolean): number {
    const tag = ++this.deliveryTag;
    if (noAck) return tag;
    this.unacked.add(tag, delivery);
    this.held++;
    return tag;
  }

  /** As `take`, for a message that the client has asked for: no prefetch counts it. */
  takeOne(delivery: Delivery, noAck: boolean): number {
    if (!noAck) {
      this.got.add(delivery);
      this.held--;
    }
    return this.take(delivery, noAck);
  }

  /** A tag of its own, for what needs no settling. */
  nextTag(): number {
    return ++this.deliveryTag;
  }

  /**
   * Takes out of what is with the client: one message, or all up to it; tag 0 with `multiple` means all.
   * @throws {AmqpFault} PRECONDITION_FAILED for a tag that is not there
   */
  takeBack(tag: number, multiple: boolean): Delivery[] {
    if (multiple && tag === 0) return this.unacked.takeAll();
    if (!multiple) {
      const delivery = this.unacked.take(tag);
      if (delivery !== undefined) return [delivery];
    } else if (this.unacked.has(tag)) return this.unacked.takeUpTo(tag);
    throw new AmqpFault('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
  }

  /** Its consumers may have one more message. */
  get hasCredit(): boolean {
    return this.channelPrefetch === 0 || this.held < this.channelPrefetch;
  }

  /** What was taken back is settled now, and not only when its transaction is committed. */
  settled(deliveries: readonly Delivery[]): void {
    const hadCredit = this.hasCredit;
    this.held -= deliveries.length;
    if (this.got.size > 0)
      for (const delivery of deliveries) if (this.got.delete(delivery)) this.held++;
    if (!hadCredit) this.resumeConsumers();
  }

  /** There may be credit again. Each time another one comes first. */
  resumeConsumers(): void {
    if (!this.hasCredit || this.consumers.size === 0) return;
    const consumers = [...this.consumers.values()];
    const first = this.resumes++ % consumers.length;
    const inTurn = [...consumers.slice(first), ...consumers.slice(0, first)];
    for (const consumer of inTurn) consumer.queue.resume(consumer);
  }

  /** '' means the queue that was declared last. @throws {AmqpFault} NOT_FOUND when there was none */
  queueName(name: string): string {
    if (name !== '') return name;
    if (this.lastQueue === '') throw new AmqpFault('NOT_FOUND', 'no previously declared queue');
    return this.lastQueue;
  }
}
