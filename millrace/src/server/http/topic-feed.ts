/**
 * The records of a topic for one receiver over HTTP, from where it stands: those that are committed, each once, those of a partition in
 * order.
 *
 *     log reader → record as JSON → receiver, while it takes them
 *
 * What happens when it does not is said beforehand, and counts once all has been given that was there when it came:
 *
 *   backpressure  nothing is read any more until it takes again: the log holds what comes
 *   drop          what comes meanwhile is passed over; it is told how much
 *   buffer        reading goes on, up to a bound; beyond it the subscription ends
 *
 * Invariant: what is held for a receiver is one answer of the log, one that is under way, what the receiver itself bounds, and with `buffer`
 * its bound.
 */
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import { topicMissing } from '../../client/kafka/refusal.ts';
import type { Log, LogReader, LogRecords } from '../../client/log.ts';
import { Background } from '../../core/background.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  HTTP_HEARTBEAT_MS,
  TOPIC_READ_BYTES,
  TOPIC_READ_PARTITION_BYTES,
  TOPIC_WAIT_MS,
} from '../../core/http-limits.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { aroundVector, vectorText } from './offset-vector.ts';
import { type Encodings, recordToJson } from './record-encoding.ts';
import type { FeedStart } from './topic-position.ts';

export type SlowPolicy = 'backpressure' | 'drop' | 'buffer';

/** Whoever is given the records. */
export interface Receiver {
  /** Whether it takes one more, now. */
  readonly isReady: boolean;
  /** Resolves when it does. @throws {MillraceError} ML_HTTP_SLOW: it has taken nothing for too long; ML_ABORTED */
  ready(): Promise<void>;
  /** @param id where it stands behind this record */
  record(json: string, id: string): void;
  /** @param records offsets that were passed over: markers of transactions, and what compaction has removed, are among them */
  dropped(records: number, id: string): void;
  /** Nothing came for a while. */
  idle(id: string): void;
}

export interface FeedOptions {
  readonly log: Log;
  readonly topic: string;
  readonly start: FeedStart;
  readonly slow: SlowPolicy;
  /** Of `buffer`. */
  readonly bufferBytes: number;
  readonly encodings: Encodings;
  readonly receiver: Receiver;
  readonly signal: AbortSignal;
}

interface Held {
  readonly json: string;
  readonly id: string;
}

export class TopicFeed {
  /** The most that was held for it: less than `bufferBytes` and one record. */
  heldBytesMax = 0;
  readonly #options: FeedOptions;
  readonly #reader: LogReader;
  readonly #positions: Map<number, number>;
  /** Partitions of which not all has been given that was there when it came. */
  readonly #behind = new Map<number, number>();
  readonly #wake = (): void => this.#reader.wake();
  #held: Held[] = [];
  /** While some are held: where they begin. */
  #givenId: string | undefined;
  #endId: string | undefined;
  #heldBytes = 0;
  #failure: unknown;
  readonly #flushing = new Background((error) => {
    this.#failure = error;
    this.#reader.wake();
  });
  #toldMs: number;
  #lookedMs: number;

  constructor(options: FeedOptions) {
    const { log, topic, start, signal } = options;
    this.#options = options;
    this.#reader = log.reader({
      uncommitted: false,
      bytesMax: TOPIC_READ_BYTES,
      partitionBytesMax: TOPIC_READ_PARTITION_BYTES,
    });
    this.#positions = new Map([...start.positions].toSorted(([left], [right]) => left - right));
    for (const [partition, end] of start.ends)
      if ((this.#positions.get(partition) ?? end) < end) this.#behind.set(partition, end);
    this.#toldMs = this.#lookedMs = log.env.clock.monotonicMs();
    this.#reader.assign(
      [...this.#positions].map(([partition, offset]) => ({ topic, partition, offset })),
    );
    signal.addEventListener('abort', this.#wake, { once: true });
  }

  /** Where the receiver stands behind all that it was given; what is held for it, it was not. */
  get id(): string {
    return this.#endId ?? this.#givenId ?? vectorText(this.#positions);
  }

  /** Resolves at the signal. @throws {MillraceError} ML_HTTP_SLOW, ML_OFFSET_OUT_OF_RANGE, ML_TOPIC_MISSING, … */
  async run(): Promise<void> {
    const { signal } = this.#options;
    try {
      while (!signal.aborted) {
        const polled = await this.#poll();
        if (this.#failure !== undefined) throw this.#failure;
        for (const records of polled) await this.#give(records);
        if (polled.length === 0) await this.#idle();
      }
    } finally {
      signal.removeEventListener('abort', this.#wake);
      this.#reader.close();
      this.#endId = this.id;
      this.#held = [];
    }
  }

  /** @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE: what comes next was deleted meanwhile, and it is not to be passed over */
  async #poll(): Promise<readonly LogRecords[]> {
    try {
      return await this.#reader.poll(TOPIC_WAIT_MS);
    } catch (error) {
      const isGone = error instanceof MillraceError && error.code === 'ML_OFFSET_OUT_OF_RANGE';
      if (!isGone || this.#options.slow !== 'drop') throw error;
      await this.#drop();
      return [];
    }
  }

  async #give(records: LogRecords): Promise<void> {
    const { encodings, signal } = this.#options;
    const { partition } = records;
    // What came of a partition before it was dropped.
    if (this.#positions.get(partition) !== records.from) return;
    const { before, after } = aroundVector(this.#positions, partition);
    for (const batch of visibleBatches(records)) {
      while (batch.next()) {
        if (batch.offset < records.from) continue;
        if (!this.#takes() && !(await this.#waited(batch, partition))) return;
        if (signal.aborted) return;
        const json = recordToJson(batch, partition, encodings);
        this.#hand(json, `${before}${batch.offset + 1}${after}`);
        this.#positions.set(partition, batch.offset + 1);
      }
    }
    this.#reach(partition, records.next);
  }

  /** Whether a record can be handed over, or held. */
  #takes(): boolean {
    const { receiver, slow } = this.#options;
    if (slow === 'buffer' && this.#behind.size === 0) return true;
    return receiver.isReady && this.#held.length === 0;
  }

  /** True: it takes again; false: what was read was dropped. */
  async #waited(batch: RecordReader, partition: number): Promise<boolean> {
    const { receiver, slow } = this.#options;
    const isLive = this.#behind.size === 0;
    this.#positions.set(partition, batch.offset);
    await receiver.ready();
    if (slow !== 'drop' || !isLive) return true;
    await this.#drop();
    return false;
  }

  #hand(json: string, id: string): void {
    const { receiver, bufferBytes } = this.#options;
    this.#toldMs = this.#options.log.env.clock.monotonicMs();
    if (receiver.isReady && this.#held.length === 0) {
      receiver.record(json, id);
      return;
    }
    this.#givenId ??= vectorText(this.#positions);
    this.#held.push({ json, id });
    this.#heldBytes += json.length;
    this.heldBytesMax = Math.max(this.heldBytesMax, this.#heldBytes);
    if (this.#heldBytes > bufferBytes)
      throw new MillraceError(
        'ML_HTTP_SLOW',
        `more than ${bufferBytes} bytes of topic ${this.#options.topic} wait for this subscriber, which is what its buffer holds`,
        { fields: { topic: this.#options.topic } },
      );
    if (this.#flushing.count === 0) this.#flushing.run('flush', this.#flush());
  }

  async #flush(): Promise<void> {
    const { receiver } = this.#options;
    while (this.#held.length > 0) {
      await receiver.ready();
      let count = 0;
      for (; count < this.#held.length && receiver.isReady; count++) {
        const held = this.#held[count];
        if (held === undefined) break;
        receiver.record(held.json, held.id);
        this.#givenId = held.id;
        this.#heldBytes -= held.json.length;
      }
      this.#held = this.#held.slice(count);
    }
    this.#givenId = undefined;
  }

  /** Goes on with what comes from now on. */
  async #drop(): Promise<void> {
    const { log, topic, receiver } = this.#options;
    const places = [...this.#positions.keys()].map((partition) => ({ topic, partition }));
    this.#reader.unassign(places);
    const ends = await log.offsets(places, 'stable');
    let records = 0;
    for (const [index, { partition }] of places.entries()) {
      const position = this.#positions.get(partition) ?? 0;
      const end = Math.max(ends[index] ?? position, position);
      records += end - position;
      this.#positions.set(partition, end);
    }
    receiver.dropped(records, this.id);
    this.#reader.assign(
      [...this.#positions].map(([partition, offset]) => ({ topic, partition, offset })),
    );
  }

  #reach(partition: number, offset: number): void {
    this.#positions.set(partition, Math.max(offset, this.#positions.get(partition) ?? 0));
    const end = this.#behind.get(partition);
    if (end !== undefined && offset >= end) this.#behind.delete(partition);
  }

  async #idle(): Promise<void> {
    const { log, topic, receiver, start } = this.#options;
    const nowMs = log.env.clock.monotonicMs();
    if (nowMs - this.#toldMs >= HTTP_HEARTBEAT_MS && this.#held.length === 0 && receiver.isReady) {
      this.#toldMs = nowMs;
      receiver.idle(this.id);
    }
    if (!start.isWhole || nowMs - this.#lookedMs < HTTP_HEARTBEAT_MS) return;
    this.#lookedMs = nowMs;
    const found = (await log.topics([topic])).get(topic);
    if (found === undefined) throw topicMissing(topic);
    // Partitions that were added are read from their beginning: nothing in them is older than the subscription.
    for (let partition = 0; partition < found.partitions; partition++) {
      if (this.#positions.has(partition)) continue;
      this.#positions.set(partition, 0);
      this.#reader.assign([{ topic, partition, offset: 0 }]);
    }
  }
}
