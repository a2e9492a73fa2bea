/**
 * Queues that give each message to one consumer: classic and quorum queues over a log of their own, and queues over a topic.
 *
 * A turn: what is due wakes up, then messages go to those who want them, then what is too old or too much goes. Never more than a bounded
 * piece at a time.
 *
 * @hot `append`, `turn`, `settle`
 */
import { QUEUE_GOT_BYTES_MAX, QUEUE_TURN_MESSAGES } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import { type Admission, admit, admitAll, refusedOf } from './admission.ts';
import { appendMessages } from './append-messages.ts';
import { Consumers } from './consumers.ts';
import { ConsumerTimeouts } from './consumer-timeouts.ts';
import { DeadLetterExit } from './dead-letter-exit.ts';
import { HeldDelivery, Holder } from './held-delivery.ts';
import { KeptMessages } from './kept-messages.ts';
import { LargeMessages } from './large-messages.ts';
import type { QueueMessage } from './message.ts';
import type { OpenedQueue } from './opened-queue.ts';
import type {
  AppendOptions,
  DeadLetterReason,
  Delivery,
  QueueAppended,
  QueueConsumer,
  QueueCounts,
  QueueOutcome,
  QueueRefusal,
  QueueSettings,
  SettleOptions,
  Settlement,
} from './queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { MemoryHolder } from './queue-memory.ts';
import type { PartitionOwner } from './partition-contents.ts';
import { PartitionSet } from './partition-set.ts';
import type { QueuePartition } from './queue-partition.ts';
import { QueueTotals } from './queue-totals.ts';
import type { TurnTaker } from './queue-turns.ts';
import { SpaceReclaim } from './space-reclaim.ts';
import { WakeTimer } from './wake-timer.ts';

interface Get {
  readonly noAck: boolean;
  readonly resolve: (outcome: QueueOutcome<Delivery | undefined>) => void;
}

/** What those who ask for single messages have of a turn that consumers would fill. */
const GETS_BUDGET = 8;
const NO_MESSAGE: QueueOutcome<undefined> = { ok: true, value: undefined };

export class WorkQueue implements OpenedQueue, PartitionOwner, TurnTaker, MemoryHolder {
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  readonly topic: string | undefined;
  readonly ready: Promise<void>;
  readonly context: QueueContext;
  budget = 0;
  hasTurnComing = false;
  private readonly isView: boolean;
  private readonly isDurable: boolean;
  private readonly parts: PartitionSet;
  private readonly consumers: Consumers;
  private readonly getter = new Holder(undefined);
  private readonly totals = new QueueTotals();
  private readonly large: LargeMessages;
  private readonly kept = new KeptMessages();
  private readonly got = new KeptMessages();
  private readonly exit: DeadLetterExit;
  private readonly timeouts: ConsumerTimeouts;
  private readonly space: SpaceReclaim;
  private readonly wake: WakeTimer;
  private readonly gets: Get[] = [];
  private isOpen = false;
  private isClosed = false;

  constructor(context: QueueContext, definition: QueueDefinition) {
    const { settings } = definition;
    this.context = context;
    this.id = definition.id;
    this.vhost = definition.vhost;
    this.name = definition.name;
    this.settings = settings;
    this.topic = definition.topic;
    this.isDurable = definition.durable;
    this.isView = settings.sourceTopic !== undefined;
    this.large = new LargeMessages(context, definition, this.totals);
    this.exit = new DeadLetterExit(this, this.totals);
    this.consumers = new Consumers(settings.singleActiveConsumer);
    this.timeouts = new ConsumerTimeouts(context.env, settings.consumerTimeoutMs, () =>
      this.consumers.all(),
    );
    this.space = new SpaceReclaim(context);
    this.wake = new WakeTimer(context.env, () => this.wantTurn());
    this.parts = new PartitionSet(this, definition, (partition) => this.heldOffsets(partition));
    this.ready = this.parts.open(definition.logs).then(() => {
      this.isOpen = !this.isClosed;
      this.wantTurn();
    });
    context.background.run('open a queue', this.ready);
  }

  async addLogs(logs: readonly PartitionLog[]): Promise<void> {
    if (this.isClosed) return;
    await this.parts.add(logs);
    this.wantTurn();
  }

  // ---- Appending ----------------------------------------------------------------------------------------------------

  append(messages: readonly QueueMessage[], options: AppendOptions = {}): QueueAppended {
    const [log] = this.parts.logs;
    if (this.isView || this.isClosed || log === undefined)
      return { refused: messages.map((_, index) => index), reason: 'full', durable: undefined };
    const [partition] = this.parts.all;
    const admission = this.admit(messages, partition, options);
    const appended = appendMessages(log, admission.wanted, (batch) => {
      this.totals.published += batch.messages.length;
      partition?.appended(batch, this.consumers.count > 0 || this.gets.length > 0);
    });
    partition?.noteBytes();
    this.large.refused(appended.tooLarge, log);
    this.deadLetterRefused(messages, admission);
    const refused = refusedOf(admission, appended.refused);
    const reason = appended.reason ?? (refused.length > 0 ? 'full' : undefined);
    const durable = this.isDurable ? log.whenDurable(log.logEndOffset) : undefined;
    return { refused, reason, durable };
  }

  hasRoomFor(message: QueueMessage): boolean {
    return this.admit([message], this.parts.all[0], { areMoved: true }).refused.length === 0;
  }

  private admit(
    messages: readonly QueueMessage[],
    partition: QueuePartition | undefined,
    { areMoved = false }: AppendOptions,
  ): Admission {
    const { maxLength, maxLengthBytes, overflow, dedupeWindowMs } = this.settings;
    const isLimited =
      overflow !== 'drop-head' && (maxLength !== undefined || maxLengthBytes !== undefined);
    const isDeduping = dedupeWindowMs !== undefined && !areMoved;
    if (partition === undefined || (!isLimited && !isDeduping)) return admitAll(messages);
    const isRemembered = isDeduping ? (key: string) => partition.isRemembered(key) : undefined;
    if (!isLimited)
      return admit(messages, { isRemembered, messagesMax: Infinity, bytesMax: Infinity });
    // What consumers will take as soon as it is durable does not fill the queue.
    const left = Math.max(0, partition.waiting - this.consumers.credit);
    const leftBytes = left === 0 ? 0 : partition.readyBytes;
    return admit(messages, {
      isRemembered,
      messagesMax: (maxLength ?? Infinity) - left,
      bytesMax: (maxLengthBytes ?? Infinity) - leftBytes,
    });
  }

  private deadLetterRefused(messages: readonly QueueMessage[], { refused }: Admission): void {
    if (refused.length === 0 || this.settings.overflow !== 'reject-publish-dlx') return;
    // Whoever published it is told that it was refused: if it cannot be a dead letter now it need not become one later.
    for (const position of refused) this.deadLetter(messages[position], 'maxlen');
  }

  // ---- Consuming ----------------------------------------------------------------------------------------------------

  consume(consumer: QueueConsumer): QueueRefusal | undefined {
    const refusal = this.consumers.add(consumer, this.name);
    if (refusal === undefined) this.wantTurn();
    return refusal;
  }

  cancel(consumer: QueueConsumer): void {
    this.consumers.remove(consumer);
    this.wantTurn();
  }

  resume(consumer: QueueConsumer): void {
    const holder = this.consumers.get(consumer);
    if (holder === undefined) return;
    this.consumers.wake(holder);
    this.wantTurn();
  }

  async get(options: { readonly noAck: boolean }): Promise<QueueOutcome<Delivery | undefined>> {
    await this.settleIn();
    return new Promise((resolve) => {
      if (this.isClosed) resolve(this.goneRefusal());
      else {
        this.gets.push({ noAck: options.noAck, resolve });
        this.wantTurn();
      }
    });
  }

  /** What was published before a `get` or `purge` counts for it: if nothing is ready, what is on its way is waited for. */
  private async settleIn(): Promise<void> {
    await this.ready;
    for (const partition of this.parts.all)
      if (partition.unstable > 0) await partition.log.whenDurable(partition.arrivals.seenTo);
  }

  private goneRefusal(): QueueRefusal {
    return {
      ok: false,
      error: 'NOT_FOUND',
      message: `no queue '${this.name}' in vhost '${this.vhost}'`,
    };
  }

  // ---- The turn -----------------------------------------------------------------------------------------------------

  get queue(): this {
    return this;
  }

  get keepsDeadLetters(): boolean {
    return this.exit.isOpen;
  }

  wantTurn(): void {
    if (this.isOpen && !this.isClosed) this.context.turns.want(this);
  }

  turn(): boolean {
    if (!this.isOpen || this.isClosed) return false;
    const nowMs = this.context.env.clock.nowMs();
    this.budget = QUEUE_TURN_MESSAGES;
    for (const partition of this.parts.all) {
      partition.advanced();
      partition.wakeDue(nowMs);
    }
    this.budget -= this.exit.again(this.budget);
    let nextMs = Infinity;
    let isCut = this.dispatch(nowMs);
    for (const partition of this.parts.all) partition.flushSettled();
    if (!isCut && !this.isClosed) {
      nextMs = this.expire(nowMs);
      // Whoever asks for single messages does not wait for them, as consumers do: what is too much is not there for it.
      if (this.dropExcess(nowMs)) this.serve(nowMs);
      isCut = this.budget < 0;
    }
    if (isCut && this.gets.length > 0 && !this.isClosed) {
      // Consumers that never have enough keep nobody out.
      this.budget = GETS_BUDGET;
      this.serve(nowMs);
    }
    this.endTurn(nextMs);
    return isCut && !this.isClosed;
  }

  /** Gives messages to those who wait for them. @returns true when there are more of both */
  private dispatch(nowMs: number): boolean {
    for (let holder = this.consumers.next(); holder !== undefined; holder = this.consumers.next()) {
      const { consumer } = holder;
      if (consumer === undefined) return false;
      const peek = this.parts.peek(nowMs);
      if (peek !== 'ready') return peek === 'cut';
      const delivery = this.take(holder, consumer.noAck);
      this.consumers.served(holder);
      consumer.deliver(delivery);
      if (this.isClosed) return false;
    }
    return false;
  }

  /** Answers those who asked for single messages. */
  private serve(nowMs: number): void {
    for (let get = this.gets[0]; get !== undefined; get = this.gets[0]) {
      const peek = this.parts.peek(nowMs);
      if (peek === 'empty') for (const each of this.gets.splice(0)) each.resolve(NO_MESSAGE);
      if (peek !== 'ready') return;
      this.gets.shift();
      get.resolve({ ok: true, value: this.take(this.getter, get.noAck) });
    }
  }

  private take(holder: Holder, noAck: boolean): HeldDelivery {
    const partition = this.parts.found;
    const delivery = partition.take();
    this.totals.delivered++;
    if (delivery.redelivered) this.totals.redelivered++;
    this.hand(partition, delivery, holder, noAck);
    return delivery;
  }

  private hand(
    partition: QueuePartition,
    delivery: HeldDelivery,
    holder: Holder,
    noAck: boolean,
  ): void {
    if (noAck) {
      partition.accept(delivery);
      return;
    }
    holder.add(delivery);
    (holder === this.getter ? this.got : this.kept).add(delivery);
  }

  /** What is too old goes. @returns when the next will be */
  private expire(nowMs: number): number {
    let nextMs = Infinity;
    for (const partition of this.parts.all) nextMs = Math.min(nextMs, partition.expire(nowMs));
    return nextMs;
  }

  /** What is too much goes, from the head. @returns false when more has to go, and cannot yet */
  private dropExcess(nowMs: number): boolean {
    const { overflow, maxLength, maxLengthBytes } = this.settings;
    if (overflow !== 'drop-head') return true;
    if (maxLength === undefined && maxLengthBytes === undefined) return true;
    const isTooMuch = (): boolean =>
      this.parts.sum((each) => each.ready) > (maxLength ?? Infinity) ||
      this.parts.sum((each) => each.readyBytes) > (maxLengthBytes ?? Infinity);
    while (isTooMuch()) {
      const peek = this.parts.peek(nowMs);
      if (peek === 'later' || peek === 'cut') return this.exit.isBlocked;
      // Without room for dead letters nothing can go, and nobody has to wait for that.
      if (peek === 'empty' || !this.parts.found.leave('maxlen')) return true;
    }
    return true;
  }

  private endTurn(nextMs: number): void {
    const keepsAhead = this.consumers.count > 0 || this.gets.length > 0;
    let memory = 0;
    for (const partition of this.parts.all) {
      partition.rest(keepsAhead);
      memory += partition.memoryBytes;
      if (!this.isView) this.space.look(partition.log, partition.state);
    }
    this.kept.trim();
    this.got.trim(QUEUE_GOT_BYTES_MAX);
    this.context.memory.report(this, memory + this.kept.bytes);
    this.wake.set(Math.min(nextMs, this.nextDelayedMs(), this.exit.unblockedMs));
    if (this.parts.sum((each) => each.held) > 0) this.timeouts.watch();
  }

  private nextDelayedMs(): number {
    let nextMs = Infinity;
    for (const { index, limit } of this.parts.all)
      if (index.delayed.size > 0 && index.delayed.firstOffset < limit)
        nextMs = Math.min(nextMs, index.delayed.firstMs);
    return nextMs;
  }

  giveUpMemory(): void {
    for (const partition of this.parts.all) partition.giveUpMemory();
    this.kept.trim(0);
  }

  // ---- Settling -----------------------------------------------------------------------------------------------------

  settle(deliveries: readonly Delivery[], how: Settlement, options: SettleOptions = {}): void {
    if (this.isClosed) return;
    for (const delivery of deliveries) {
      if (!(delivery instanceof HeldDelivery) || delivery.queue !== this) continue;
      const { holder } = delivery;
      if (holder === undefined) continue;
      holder.remove(delivery);
      if (holder.isCancelled) {
        if (holder.count === 0) this.consumers.leaving.delete(holder);
      } else if (holder.consumer !== undefined) this.consumers.wake(holder);
      this.settleOne(this.parts.of(delivery.partition), delivery, how, options);
    }
    for (const partition of this.parts.all) {
      partition.flushSettled();
      partition.noteBytes();
    }
    this.wantTurn();
  }

  private settleOne(
    partition: QueuePartition,
    delivery: HeldDelivery,
    how: Settlement,
    options: SettleOptions,
  ): void {
    if (how === 'accept') {
      this.totals.acknowledged++;
      partition.accept(delivery);
      delivery.kept = undefined;
    } else if (how === 'reject') this.exit.bury({ partition, delivery, reason: 'rejected' });
    else this.release(partition, delivery, options);
  }

  private release(partition: QueuePartition, delivery: HeldDelivery, options: SettleOptions): void {
    const { delayMs = 0, counts = true } = options;
    const { deliveryLimit } = this.settings;
    if (counts) {
      const count = partition.state.raiseCount(delivery.offset);
      if (deliveryLimit !== undefined && count > deliveryLimit) {
        this.exit.bury({ partition, delivery, reason: 'delivery_limit' });
        return;
      }
    }
    const dueMs = delayMs > 0 ? this.context.env.clock.nowMs() + delayMs : 0;
    partition.giveBack(delivery, dueMs);
  }

  deadLetter(message: QueueMessage | undefined, reason: DeadLetterReason): boolean {
    return this.exit.leave(message, reason);
  }

  settled(messages: number, bodyBytes: number): void {
    this.space.settled(messages, bodyBytes);
  }

  // ---- The rest -----------------------------------------------------------------------------------------------------

  async purge(): Promise<number> {
    await this.settleIn();
    // Deleted meanwhile: of its state nothing may be written any more.
    if (this.isClosed) return 0;
    let count = 0;
    for (const partition of this.parts.all) count += partition.purge(this.heldOffsets(partition));
    this.wantTurn();
    return count;
  }

  /** With somebody, or on its way to the dead letters. */
  private heldOffsets(partition: QueuePartition): Float64Array {
    const offsets = new Float64Array(partition.held);
    const { number } = partition;
    let count = 0;
    let isInOrder = true;
    const add = (delivery: HeldDelivery): void => {
      if (delivery.partition !== number) return;
      if (count > 0 && delivery.offset < (offsets[count - 1] as number)) isInOrder = false;
      offsets[count++] = delivery.offset;
    };
    for (const holders of [this.consumers.all(), [this.getter]])
      for (const holder of holders)
        for (let each = holder.oldest; each !== undefined; each = each.behind) add(each);
    for (const { delivery } of this.exit.waiting) add(delivery);
    const all = offsets.subarray(0, count);
    return isInOrder ? all : all.sort();
  }

  get counts(): QueueCounts {
    const { totals } = this;
    let logBytes = 0;
    for (const log of this.parts.logs) logBytes += log.sizeBytes;
    return {
      ready: this.parts.sum((each) => each.waiting),
      unacknowledged: this.parts.sum((each) => each.held),
      delayed: this.parts.sum((each) => each.index.delayed.size),
      consumers: this.consumers.count,
      readyBytes: this.parts.sum((each) => each.readyBytes),
      logBytes,
      published: totals.published,
      delivered: totals.delivered,
      redelivered: totals.redelivered,
      acknowledged: totals.acknowledged,
      expired: totals.left.expired,
      deadLettered: { ...totals.left },
      dropped: totals.dropped,
    };
  }

  async flush(): Promise<void> {
    for (const partition of this.parts.all) {
      partition.flushSettled();
      partition.noteBytes();
    }
    await this.context.states.flush();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.wake.stop();
    this.timeouts.stop();
    this.space.close();
    this.parts.close();
    this.context.memory.report(this, 0);
    for (const get of this.gets.splice(0)) get.resolve(this.goneRefusal());
    for (const consumer of this.consumers.clear()) consumer.cancelled();
    await Promise.resolve();
  }
}
