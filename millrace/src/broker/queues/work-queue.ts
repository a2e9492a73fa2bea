/**
 * Queues that give each message to one consumer: classic and quorum queues over a log of their own, and queues over a topic.
 *
 * A turn: what is due wakes up, then messages go to those who want them, then what is too old or too much goes. Never more than a bounded
 * piece at a time.
 *
 * @hot `append`, `turn`, `settle`
 */
import {
  QUEUE_AHEAD_OFFSETS_MAX,
  QUEUE_RETRY_MS,
  QUEUE_TURN_MESSAGES,
} from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import { type Admission, admit, admitAll, refusedOf } from './admission.ts';
import { appendMessages } from './append-messages.ts';
import { Consumers } from './consumers.ts';
import { ConsumerTimeouts } from './consumer-timeouts.ts';
import { HeldDelivery, Holder } from './held-delivery.ts';
import { KeptMessages } from './kept-messages.ts';
import type { QueueMessage } from './message.ts';
import type { OpenedQueue } from './opened-queue.ts';
import type {
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
import { type PartitionOwner, type Peek, QueuePartition } from './queue-partition.ts';
import { QueueTotals } from './queue-totals.ts';
import type { TurnTaker } from './queue-turns.ts';
import type { QueueState } from './state/queue-state.ts';
import { SpaceReclaim } from './space-reclaim.ts';
import { WakeTimer } from './wake-timer.ts';

interface Get {
  readonly noAck: boolean;
  readonly resolve: (outcome: QueueOutcome<Delivery | undefined>) => void;
}

/** A message that leaves as a dead letter as soon as it can be read, or appended. */
interface Burial {
  readonly partition: QueuePartition;
  readonly delivery: HeldDelivery;
  readonly reason: DeadLetterReason;
}

const NO_OFFSETS = new Float64Array();
const NO_MESSAGE: QueueOutcome<undefined> = { ok: true, value: undefined };

export class WorkQueue implements OpenedQueue, PartitionOwner, TurnTaker, MemoryHolder {
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  readonly topic: string | undefined;
  readonly ready: Promise<void>;
  readonly context: QueueContext;
  readonly keepsDeadLetters: boolean;
  budget = 0;
  private readonly isView: boolean;
  private readonly isDurable: boolean;
  private readonly logs: PartitionLog[] = [];
  /** Those that are open, by number. */
  private readonly partitions: QueuePartition[] = [];
  private readonly consumers: Consumers;
  private readonly getter = new Holder(undefined);
  private readonly totals = new QueueTotals();
  private readonly kept = new KeptMessages();
  private readonly timeouts: ConsumerTimeouts;
  private readonly space: SpaceReclaim;
  private readonly wake: WakeTimer;
  private readonly stopListening: (() => void)[] = [];
  private readonly gets: Get[] = [];
  private burials: Burial[] = [];
  /** Partitions take turns: the index of the one that is asked first, and of the one that `peek` has found. */
  private turnOf = 0;
  private found = 0;
  /** Dead letters cannot be written before this time; monotonic. */
  private blockedUntilMs = 0;
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
    this.keepsDeadLetters = settings.deadLetterExchange !== undefined;
    this.consumers = new Consumers(settings.singleActiveConsumer);
    this.timeouts = new ConsumerTimeouts(context.env, settings.consumerTimeoutMs, () =>
      this.consumers.all(),
    );
    this.space = new SpaceReclaim(context);
    this.wake = new WakeTimer(context.env, () => this.wantTurn());
    this.ready = this.open(definition.logs, settings.sourceOffset ?? 'next').then(() => {
      this.isOpen = !this.isClosed;
      this.wantTurn();
    });
    context.background.run('open a queue', this.ready);
  }

  // ---- Opening ------------------------------------------------------------------------------------------------------

  private async open(logs: readonly PartitionLog[], start: 'first' | 'next'): Promise<void> {
    const first = this.logs.length;
    this.logs.push(...logs);
    await Promise.all(logs.map((log, index) => this.openPartition(log, first + index, start)));
  }

  private async openPartition(
    log: PartitionLog,
    number: number,
    start: 'first' | 'next',
  ): Promise<void> {
    const { context, isView, isDurable } = this;
    const startOffset = isView && start === 'next' ? log.highWatermark : log.logStartOffset;
    const end = log.logEndOffset;
    const id = { queueId: this.id, partition: number };
    const state = await context.states.open(id, log, { durable: isDurable, startOffset });
    if (this.isClosed) return;
    const handedOutBelow = this.handedOutBelow(state, end);
    // Also when the next start is after a clean stop.
    state.handOutTo(handedOutBelow);
    const partition = new QueuePartition(this, {
      number,
      log,
      state,
      isView,
      isDurable,
      handedOutBelow,
      uncertainBelow: context.wasClean ? 0 : end,
      openedAtMs: context.env.clock.nowMs(),
    });
    await partition.open();
    if (this.isClosed) return partition.close(NO_OFFSETS);
    this.partitions.push(partition);
    this.partitions.sort((a, b) => a.number - b.number);
    this.stopListening.push(
      log.onAdvance(() => {
        partition.advanced();
        this.wantTurn();
      }),
    );
    partition.advanced();
  }

  /** Offsets below it may have been with somebody before the start. After a crash that is more than was written down. */
  private handedOutBelow(state: QueueState, end: number): number {
    if (this.context.wasClean || !this.isDurable) return state.next;
    const isOutOfOrder = state.markedFrom >= 0 || this.settings.maxPriority !== undefined;
    return isOutOfOrder ? end : Math.min(end, state.next + QUEUE_AHEAD_OFFSETS_MAX);
  }

  async addLogs(logs: readonly PartitionLog[]): Promise<void> {
    if (this.isClosed) return;
    await this.open(logs, 'first');
    this.wantTurn();
  }

  // ---- Appending ----------------------------------------------------------------------------------------------------

  append(messages: readonly QueueMessage[]): QueueAppended {
    const [log] = this.logs;
    if (this.isView || this.isClosed || log === undefined)
      return { refused: messages.map((_, index) => index), reason: 'full', durable: undefined };
    const [partition] = this.partitions;
    const admission = this.admit(messages, partition);
    const taken = appendMessages(log, admission.wanted, (batch) => {
      this.totals.published += batch.messages.length;
      partition?.appended(batch, this.consumers.count > 0 || this.gets.length > 0);
    });
    partition?.noteBytes();
    this.deadLetterRefused(messages, admission);
    const durable = this.isDurable ? log.whenDurable(log.logEndOffset) : undefined;
    if (taken < admission.wanted.length)
      return { refused: refusedOf(admission, taken), reason: 'disk-full', durable };
    const { refused } = admission;
    return { refused, reason: refused.length > 0 ? 'full' : undefined, durable };
  }

  private admit(
    messages: readonly QueueMessage[],
    partition: QueuePartition | undefined,
  ): Admission {
    const { maxLength, maxLengthBytes, overflow, dedupeWindowMs } = this.settings;
    const isLimited =
      overflow !== 'drop-head' && (maxLength !== undefined || maxLengthBytes !== undefined);
    if (partition === undefined || (!isLimited && dedupeWindowMs === undefined))
      return admitAll(messages);
    const isDuplicate =
      dedupeWindowMs === undefined
        ? undefined
        : (facts: Parameters<QueuePartition['isDuplicate']>[0]) => partition.isDuplicate(facts);
    if (!isLimited)
      return admit(messages, { isDuplicate, messagesMax: Infinity, bytesMax: Infinity });
    // What consumers will take as soon as it is durable does not fill the queue.
    const waiting = partition.ready + partition.unstable;
    const left = Math.max(0, waiting - this.consumers.credit);
    const leftBytes = left === 0 ? 0 : partition.readyBytes;
    return admit(messages, {
      isDuplicate,
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
    for (const partition of this.partitions)
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

  wantTurn(): void {
    if (this.isOpen && !this.isClosed) this.context.turns.want(this);
  }

  turn(): boolean {
    if (!this.isOpen || this.isClosed) return false;
    const nowMs = this.context.env.clock.nowMs();
    this.budget = QUEUE_TURN_MESSAGES;
    for (const partition of this.partitions) partition.wakeDue(nowMs);
    this.bury();
    let nextMs = Infinity;
    let isCut = this.dispatch(nowMs);
    for (const partition of this.partitions) partition.flushSettled();
    if (!isCut && !this.isClosed) {
      nextMs = this.expire(nowMs);
      this.dropExcess(nowMs);
      isCut = this.budget < 0;
    }
    this.endTurn(nextMs);
    return isCut && !this.isClosed;
  }

  /** Gives messages to those who want them. @returns true when there are more of both */
  private dispatch(nowMs: number): boolean {
    for (;;) {
      const [get] = this.gets;
      const holder = get === undefined ? this.consumers.next() : undefined;
      if (get === undefined && holder === undefined) return false;
      const peek = this.peek(nowMs);
      if (peek === 'cut') return true;
      if (peek === 'empty') for (const each of this.gets.splice(0)) each.resolve(NO_MESSAGE);
      if (peek !== 'ready') return false;
      const partition = this.partitions[this.found] as QueuePartition;
      const delivery = partition.take();
      this.totals.delivered++;
      if (delivery.redelivered) this.totals.redelivered++;
      if (get !== undefined) {
        this.gets.shift();
        this.hand(partition, delivery, this.getter, get.noAck);
        get.resolve({ ok: true, value: delivery });
      } else if (holder?.consumer !== undefined) {
        const { consumer } = holder;
        this.hand(partition, delivery, holder, consumer.noAck);
        this.consumers.served(holder);
        consumer.deliver(delivery);
        if (this.isClosed) return false;
      }
    }
  }

  private hand(
    partition: QueuePartition,
    delivery: HeldDelivery,
    holder: Holder,
    noAck: boolean,
  ): void {
    if (noAck) {
      this.space.settled(1, delivery.bodyBytes);
      partition.accept(delivery);
      return;
    }
    holder.add(delivery);
    this.kept.add(delivery);
  }

  /** The next message of all partitions, which take turns. `found` has it. */
  private peek(nowMs: number): Peek {
    const { partitions } = this;
    let answer: Peek = 'empty';
    for (let count = 0; count < partitions.length; count++) {
      const at = (this.turnOf + count) % partitions.length;
      const peek = (partitions[at] as QueuePartition).peek(nowMs);
      if (peek === 'cut') return 'cut';
      if (peek === 'ready') {
        this.found = at;
        this.turnOf = (at + 1) % partitions.length;
        return 'ready';
      }
      if (peek === 'later') answer = 'later';
    }
    return answer;
  }

  /** What is too old goes. @returns when the next will be */
  private expire(nowMs: number): number {
    let nextMs = Infinity;
    for (const partition of this.partitions) nextMs = Math.min(nextMs, partition.expire(nowMs));
    return nextMs;
  }

  /** What is too much goes, from the head. */
  private dropExcess(nowMs: number): void {
    const { overflow, maxLength, maxLengthBytes } = this.settings;
    if (overflow !== 'drop-head') return;
    if (maxLength === undefined && maxLengthBytes === undefined) return;
    const isTooMuch = (): boolean =>
      this.sum((each) => each.ready) > (maxLength ?? Infinity) ||
      this.sum((each) => each.readyBytes) > (maxLengthBytes ?? Infinity);
    while (isTooMuch()) {
      if (this.peek(nowMs) !== 'ready') return;
      if (!(this.partitions[this.found] as QueuePartition).leave('maxlen')) return;
    }
  }

  private endTurn(nextMs: number): void {
    const keepsAhead = this.consumers.count > 0 || this.gets.length > 0;
    let memory = 0;
    for (const partition of this.partitions) {
      partition.rest(keepsAhead);
      memory += partition.memoryBytes;
      if (!this.isView) this.space.look(partition.log, partition.state);
    }
    this.kept.trim();
    this.context.memory.report(this, memory + this.kept.bytes);
    this.wake.set(Math.min(nextMs, this.nextDelayedMs(), this.unblockedMs()));
    if (this.sum((each) => each.held) > 0) this.timeouts.watch();
  }

  private nextDelayedMs(): number {
    let nextMs = Infinity;
    for (const { index, limit } of this.partitions)
      if (index.delayed.size > 0 && index.delayed.firstOffset < limit)
        nextMs = Math.min(nextMs, index.delayed.firstMs);
    return nextMs;
  }

  private unblockedMs(): number {
    const { clock } = this.context.env;
    const waitMs = this.blockedUntilMs - clock.monotonicMs();
    return waitMs > 0 ? clock.nowMs() + waitMs : Infinity;
  }

  giveUpMemory(): void {
    for (const partition of this.partitions) partition.giveUpMemory();
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
      this.settleOne(this.partitionOf(delivery), delivery, how, options);
    }
    for (const partition of this.partitions) {
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
      this.space.settled(1, delivery.bodyBytes);
      partition.accept(delivery);
      delivery.kept = undefined;
    } else if (how === 'reject') this.buryOne({ partition, delivery, reason: 'rejected' });
    else this.release(partition, delivery, options);
  }

  private release(partition: QueuePartition, delivery: HeldDelivery, options: SettleOptions): void {
    const { delayMs = 0, counts = true } = options;
    const { deliveryLimit } = this.settings;
    if (counts) {
      const count = partition.state.raiseCount(delivery.offset);
      if (deliveryLimit !== undefined && count > deliveryLimit) {
        this.buryOne({ partition, delivery, reason: 'delivery_limit' });
        return;
      }
    }
    const dueMs = delayMs > 0 ? this.context.env.clock.nowMs() + delayMs : 0;
    partition.giveBack(delivery, dueMs);
  }

  private partitionOf(delivery: HeldDelivery): QueuePartition {
    const { partitions } = this;
    const found =
      partitions.length === 1
        ? partitions[0]
        : partitions.find((each) => each.number === delivery.partition);
    return found as QueuePartition;
  }

  // ---- Dead letters -------------------------------------------------------------------------------------------------

  private buryOne(burial: Burial): void {
    if (this.burials.length > 0 || !this.tryBury(burial)) this.burials.push(burial);
  }

  private tryBury({ partition, delivery, reason }: Burial): boolean {
    let message: QueueMessage | undefined;
    if (this.keepsDeadLetters) {
      const found = delivery.kept ?? partition.messageAt(delivery.offset);
      if (found === 'later') return false;
      message = found;
    }
    if (!this.deadLetter(message, reason)) return false;
    this.space.settled(1, delivery.bodyBytes);
    partition.gone(delivery);
    delivery.kept = undefined;
    return true;
  }

  /** Those that could not leave at once. */
  private bury(): void {
    let done = 0;
    for (const burial of this.burials) {
      if (this.budget-- <= 0 || !this.tryBury(burial)) break;
      done++;
    }
    if (done > 0) this.burials = this.burials.slice(done);
  }

  deadLetter(message: QueueMessage | undefined, reason: DeadLetterReason): boolean {
    const { context, totals } = this;
    if (message === undefined || !this.keepsDeadLetters) totals.dropped++;
    else {
      const nowMs = context.env.clock.monotonicMs();
      if (nowMs < this.blockedUntilMs) return false;
      const outcome = context.deadLetters(this, message, reason);
      if (outcome === 'refused') {
        this.blockedUntilMs = nowMs + QUEUE_RETRY_MS;
        this.wantTurn();
        return false;
      }
      if (outcome === 'nowhere') totals.dropped++;
    }
    totals.left[reason]++;
    return true;
  }

  // ---- The rest -----------------------------------------------------------------------------------------------------

  async purge(): Promise<number> {
    await this.settleIn();
    let count = 0;
    for (const partition of this.partitions) count += partition.purge(this.heldOffsets(partition));
    this.wantTurn();
    return count;
  }

  /** With somebody, or on its way to the dead letters. */
  private heldOffsets(partition: QueuePartition): Float64Array {
    const offsets: number[] = [];
    const { number } = partition;
    for (const holders of [this.consumers.all(), [this.getter]])
      for (const holder of holders)
        for (let each = holder.oldest; each !== undefined; each = each.behind)
          if (each.partition === number) offsets.push(each.offset);
    for (const { delivery } of this.burials)
      if (delivery.partition === number) offsets.push(delivery.offset);
    return Float64Array.from(offsets).sort();
  }

  private sum(of: (partition: QueuePartition) => number): number {
    let sum = 0;
    for (const partition of this.partitions) sum += of(partition);
    return sum;
  }

  get counts(): QueueCounts {
    const { totals } = this;
    let logBytes = 0;
    for (const log of this.logs) logBytes += log.sizeBytes;
    return {
      ready: this.sum((each) => each.ready),
      unacknowledged: this.sum((each) => each.held),
      delayed: this.sum((each) => each.index.delayed.size),
      consumers: this.consumers.count,
      readyBytes: this.sum((each) => each.readyBytes),
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
    for (const partition of this.partitions) {
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
    for (const stop of this.stopListening) stop();
    for (const partition of this.partitions) partition.close(this.heldOffsets(partition));
    this.context.memory.report(this, 0);
    for (const get of this.gets.splice(0)) get.resolve(this.goneRefusal());
    for (const consumer of this.consumers.clear()) consumer.cancelled();
    await Promise.resolve();
  }
}
