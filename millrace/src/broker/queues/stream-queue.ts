/**
 * Streams: every consumer has a place of its own in the log, and takes nothing away. Settling gives credit, whatever it says. What
 * consumers read is shared among those that are near each other.
 *
 * @hot `turn`
 */
import type { PartitionLog } from '../../log/types.ts';
import { appendMessages } from './append-messages.ts';
import { exclusiveUse } from './consumers.ts';
import { ConsumerTimeouts } from './consumer-timeouts.ts';
import { HeldDelivery, Holder } from './held-delivery.ts';
import { KeptMessages } from './kept-messages.ts';
import { LargeMessages } from './large-messages.ts';
import { LogCursor } from './log-cursor.ts';
import { LogRuns } from './log-runs.ts';
import { MessageDecoder } from './message-record.ts';
import type { QueueMessage } from './message.ts';
import type { OpenedQueue } from './opened-queue.ts';
import type {
  Delivery,
  QueueAppended,
  QueueConsumer,
  QueueCounts,
  QueueOutcome,
  QueueRefusal,
  QueueSettings,
  Settlement,
  StreamOffset,
} from './queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { MemoryHolder } from './queue-memory.ts';
import { QueueTotals } from './queue-totals.ts';
import type { TurnTaker } from './queue-turns.ts';

/** Messages that one consumer is given before the others have their turn. */
const READER_MESSAGES = 64;
/** Rounds over all consumers in one turn. */
const ROUNDS = 8;

/** A consumer and its place. */
interface StreamReader {
  readonly holder: Holder;
  readonly consumer: QueueConsumer;
  /** undefined while its place is looked for. */
  cursor: LogCursor | undefined;
}

const NO_HOLE = (): void => {};

export class StreamQueue implements OpenedQueue, TurnTaker, MemoryHolder {
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  readonly topic: string | undefined;
  readonly ready: Promise<void> = Promise.resolve();
  hasTurnComing = false;
  private readonly context: QueueContext;
  private readonly isDurable: boolean;
  private readonly log: PartitionLog;
  private readonly runs: LogRuns;
  private readonly decoder: MessageDecoder;
  private readonly readers = new Map<QueueConsumer, StreamReader>();
  /** Cancelled ones that have messages. */
  private readonly leaving = new Set<Holder>();
  private order: StreamReader[] = [];
  private first = 0;
  private held = 0;
  private readonly totals = new QueueTotals();
  private readonly large: LargeMessages;
  private readonly kept = new KeptMessages();
  private readonly timeouts: ConsumerTimeouts;
  private readonly stopListening: () => void;
  private isClosed = false;

  constructor(context: QueueContext, definition: QueueDefinition, log: PartitionLog) {
    this.context = context;
    this.id = definition.id;
    this.vhost = definition.vhost;
    this.name = definition.name;
    this.settings = definition.settings;
    this.topic = definition.topic;
    this.isDurable = definition.durable;
    this.log = log;
    this.runs = new LogRuns({ ...context, log, onLoaded: () => this.wantTurn() });
    this.decoder = new MessageDecoder(definition.name);
    this.large = new LargeMessages(context, definition, this.totals);
    const { consumerTimeoutMs } = definition.settings;
    this.timeouts = new ConsumerTimeouts(context.env, consumerTimeoutMs, () => this.holders());
    this.stopListening = log.onAdvance(() => this.wantTurn());
  }

  async addLogs(): Promise<void> {
    // A stream is one log.
  }

  append(messages: readonly QueueMessage[]): QueueAppended {
    const { log, runs } = this;
    if (this.isClosed)
      return { refused: messages.map((_, index) => index), reason: 'full', durable: undefined };
    const isWanted = this.readers.size > 0;
    const appended = appendMessages(log, messages, ({ baseOffset, data, messages: batch }) => {
      this.totals.published += batch.length;
      if (!isWanted) return;
      runs.makeRoom(data.length);
      runs.add(baseOffset, baseOffset + batch.length, data);
    });
    this.large.refused(appended.tooLarge, log);
    const { refused, reason } = appended;
    const durable = this.isDurable ? log.whenDurable(log.logEndOffset) : undefined;
    return { refused, reason, durable };
  }

  hasRoomFor(): boolean {
    return true;
  }

  // ---- Consuming ----------------------------------------------------------------------------------------------------

  consume(consumer: QueueConsumer): QueueRefusal | undefined {
    const where = `stream '${this.name}' in vhost '${this.vhost}'`;
    if (consumer.noAck)
      return {
        ok: false,
        error: 'NOT_IMPLEMENTED',
        message: `automatic acknowledgement not supported by ${where}`,
      };
    if (consumer.prefetch === 0)
      return {
        ok: false,
        error: 'PRECONDITION_FAILED',
        message: `consumer prefetch count is not set for ${where}`,
      };
    const refusal = exclusiveUse(this.readers.keys(), consumer, this.name);
    if (refusal !== undefined) return refusal;
    const reader: StreamReader = { consumer, holder: new Holder(consumer), cursor: undefined };
    this.readers.set(consumer, reader);
    this.order = [...this.readers.values()];
    this.place(reader, consumer.streamOffset ?? { kind: 'next' });
    return undefined;
  }

  private place(reader: StreamReader, from: StreamOffset): void {
    if (from.kind !== 'timestamp') {
      this.begin(reader, this.placeOf(from));
      return;
    }
    const { log } = this;
    const search = log.offsetForTimestamp(from.timestampMs, 'read_committed').then((found) => {
      this.begin(reader, found?.offset ?? log.lastStableOffset);
    });
    this.context.background.run('place in a stream', search);
  }

  private placeOf(from: Exclude<StreamOffset, { kind: 'timestamp' }>): number {
    const { logStartOffset, lastStableOffset } = this.log;
    switch (from.kind) {
      case 'first':
        return logStartOffset;
      case 'last':
        return Math.max(logStartOffset, lastStableOffset - 1);
      case 'next':
        return lastStableOffset;
      case 'offset':
        return Math.min(Math.max(from.offset, logStartOffset), lastStableOffset);
    }
  }

  private begin(reader: StreamReader, offset: number): void {
    reader.cursor = new LogCursor(this.runs, offset, NO_HOLE);
    this.wantTurn();
  }

  cancel(consumer: QueueConsumer): void {
    const reader = this.readers.get(consumer);
    if (reader === undefined) return;
    reader.holder.isCancelled = true;
    this.readers.delete(consumer);
    this.order = [...this.readers.values()];
    if (reader.holder.count > 0) this.leaving.add(reader.holder);
  }

  resume(consumer: QueueConsumer): void {
    if (this.readers.has(consumer)) this.wantTurn();
  }

  get(): Promise<QueueOutcome<Delivery | undefined>> {
    return Promise.resolve({
      ok: false,
      error: 'NOT_IMPLEMENTED',
      message: `basic.get not supported by stream queues queue '${this.name}' in vhost '${this.vhost}'`,
    });
  }

  // ---- The turn -----------------------------------------------------------------------------------------------------

  private wantTurn(): void {
    if (!this.isClosed && this.readers.size > 0) this.context.turns.want(this);
  }

  turn(): boolean {
    if (this.isClosed) return false;
    let hasMore = true;
    for (let round = 0; round < ROUNDS && hasMore; round++) {
      hasMore = false;
      const { order } = this;
      this.first = order.length === 0 ? 0 : (this.first + 1) % order.length;
      for (let index = 0; index < order.length && !this.isClosed; index++) {
        const reader = order[(this.first + index) % order.length] as StreamReader;
        if (this.feed(reader)) hasMore = true;
      }
    }
    this.endTurn();
    return hasMore && !this.isClosed;
  }

  /** @returns whether it could take more at once */
  private feed(reader: StreamReader): boolean {
    const { cursor, consumer, holder } = reader;
    if (cursor === undefined) return false;
    const limit = this.log.lastStableOffset;
    for (let count = 0; count < READER_MESSAGES; count++) {
      if (!holder.wants || cursor.step(limit) !== 'record') return false;
      const delivery = this.deliveryOf(cursor);
      cursor.take();
      holder.add(delivery);
      this.held++;
      this.kept.add(delivery);
      this.totals.delivered++;
      consumer.deliver(delivery);
    }
    return true;
  }

  private deliveryOf(cursor: LogCursor): HeldDelivery {
    const nowMs = this.context.env.clock.monotonicMs();
    return new HeldDelivery(
      this,
      { partition: 0, priority: 0, nowMs },
      {
        offset: cursor.position,
        message: this.decoder.decode(cursor.record),
        redelivered: false,
        deliveryCount: 0,
        expiresAtMs: Infinity,
        isTimed: false,
        key: undefined,
      },
    );
  }

  private endTurn(): void {
    let behind = Infinity;
    for (const { cursor } of this.order)
      if (cursor !== undefined) behind = Math.min(behind, cursor.position);
    this.runs.passed(Math.min(behind, this.log.lastStableOffset));
    // Nothing ever comes back.
    this.kept.trim(0);
    this.context.memory.report(this, this.runs.bytes);
    if (this.held > 0) this.timeouts.watch();
  }

  private *holders(): Iterable<Holder> {
    for (const { holder } of this.order) yield holder;
    yield* this.leaving;
  }

  giveUpMemory(): void {
    for (const { cursor } of this.order) cursor?.rest();
    this.runs.clear();
  }

  // ---- Settling -----------------------------------------------------------------------------------------------------

  settle(deliveries: readonly Delivery[], how: Settlement): void {
    for (const delivery of deliveries) {
      if (!(delivery instanceof HeldDelivery) || delivery.queue !== this) continue;
      const { holder } = delivery;
      if (holder === undefined) continue;
      holder.remove(delivery);
      this.held--;
      if (how === 'accept') this.totals.acknowledged++;
      if (holder.isCancelled && holder.count === 0) this.leaving.delete(holder);
    }
    this.wantTurn();
  }

  /** Nothing is taken from a stream. */
  purge(): Promise<number> {
    return Promise.resolve(0);
  }

  get counts(): QueueCounts {
    const { log, totals } = this;
    return {
      ready: Math.max(0, log.lastStableOffset - log.logStartOffset),
      unacknowledged: this.held,
      delayed: 0,
      consumers: this.readers.size,
      readyBytes: log.sizeBytes,
      logBytes: log.sizeBytes,
      published: totals.published,
      delivered: totals.delivered,
      redelivered: 0,
      acknowledged: totals.acknowledged,
      expired: 0,
      deadLettered: { ...totals.left },
      dropped: totals.dropped,
    };
  }

  async flush(): Promise<void> {
    // A stream has no state.
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.stopListening();
    this.timeouts.stop();
    this.runs.close();
    this.context.memory.report(this, 0);
    const consumers = [...this.readers.keys()];
    for (const { holder } of this.order) holder.isCancelled = true;
    this.readers.clear();
    this.order = [];
    for (const consumer of consumers) consumer.cancelled();
    await Promise.resolve();
  }
}
