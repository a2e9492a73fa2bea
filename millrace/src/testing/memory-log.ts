/**
 * A log in memory, without a broker: topics are lists of record batches. What is in it is committed; a transaction is collected outside and
 * put in at once.
 */
import { MillraceError } from '../core/errors.ts';
import { partitionOf } from '../core/murmur2.ts';
import type {
  LogRecords,
  RecordBytes,
  RecordHeader,
  TopicPartition,
  TopicSpec,
} from '../client/log.ts';
import { RecordBatchBuilder } from '../wire/kafka/records/record-batch-builder.ts';
import { setBaseOffset } from '../wire/kafka/records/record-batch.ts';
import { type PlainRecord, readRecords } from '../wire/kafka/records/record-reader.ts';

export interface MemoryRecord {
  readonly key: RecordBytes | null;
  readonly value: RecordBytes | null;
  /** Milliseconds since 1970; -1: none. */
  readonly timestamp: number;
  readonly headers?: readonly RecordHeader[];
  /** Default: by the key, as Kafka's clients do; without one: 0. */
  readonly partition?: number;
}

interface Batch {
  readonly from: number;
  readonly next: number;
  readonly bytes: Buffer;
  /** In the order in which batches were appended, of all partitions. */
  readonly sequence: number;
}

/** A record, and where it is. */
export interface PlacedRecord extends PlainRecord {
  readonly partition: number;
}

/** How far all partitions went. */
export type LogEnds = ReadonlyMap<string, readonly number[]>;

interface Partition {
  readonly batches: Batch[];
  end: number;
}

export class MemoryLog {
  readonly #topics = new Map<string, Partition[]>();
  #sequence = 0;

  /** Creates what is not there. */
  createTopics(topics: readonly TopicSpec[]): void {
    for (const { name, partitions } of topics) {
      if (this.#topics.has(name)) continue;
      const count = partitions ?? 1;
      this.#topics.set(
        name,
        Array.from({ length: count }, () => ({ batches: [], end: 0 })),
      );
    }
  }

  /** Topics with how many partitions they have. */
  topics(): ReadonlyMap<string, { readonly partitions: number }> {
    return new Map(
      [...this.#topics].map(([name, partitions]) => [name, { partitions: partitions.length }]),
    );
  }

  partitionsOf(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0;
  }

  /** Appends records, each in a batch of its own unless `asBatch`. @throws {MillraceError} ML_TOPIC_MISSING */
  produce(topic: string, records: readonly MemoryRecord[]): void {
    for (const { key, value, timestamp, headers, partition } of records) {
      const builder = new RecordBatchBuilder();
      builder.append(timestamp, key, value, headers ?? []);
      const chosen = partition ?? this.#chosen(topic, key);
      this.append({ topic, partition: chosen }, builder.finish(), 1);
    }
  }

  /**
   * Appends a batch, whose offsets are set.
   * @param gap offsets behind it that no record has, as the marker of a transaction takes one
   * @returns one past its last record
   */
  append(at: TopicPartition, batch: Buffer, records: number, gap = 0): number {
    const partition = this.#partition(at);
    const from = partition.end;
    setBaseOffset(batch, 0, from);
    const next = from + records;
    partition.end = next + gap;
    const sequence = this.#sequence++;
    partition.batches.push({ from, next: partition.end, bytes: batch, sequence });
    return next;
  }

  /** What a fetch gives: whole batches from the one of `offset` on, of about `bytesMax`, at least one. */
  read(at: TopicPartition & { readonly offset: number }, bytesMax: number): LogRecords {
    const { topic, partition, offset } = at;
    const { batches, end } = this.#partition(at);
    const found: Buffer[] = [];
    let bytes = 0;
    let next = offset;
    for (let index = firstBehind(batches, offset); index < batches.length; index++) {
      const batch = batches[index];
      if (batch === undefined || (bytes > 0 && bytes + batch.bytes.length > bytesMax)) break;
      found.push(batch.bytes);
      bytes += batch.bytes.length;
      ({ next } = batch);
    }
    return { topic, partition, from: offset, next, bytes: Buffer.concat(found), aborted: [], end };
  }

  end(at: TopicPartition): number {
    return this.#partition(at).end;
  }

  /** All records of a partition, or of a topic: partition by partition. */
  records(topic: string, partition?: number): readonly PlainRecord[] {
    const partitions =
      partition === undefined
        ? Array.from({ length: this.partitionsOf(topic) }, (_, index) => index)
        : [partition];
    return partitions.flatMap((index) =>
      this.#partition({ topic, partition: index }).batches.flatMap(({ bytes }) =>
        readRecords(bytes),
      ),
    );
  }

  /** All records of a topic, in the order in which they were appended. */
  inOrder(topic: string): readonly PlacedRecord[] {
    const partitions = this.#topics.get(topic) ?? [];
    return partitions
      .flatMap(({ batches }, partition) => batches.map((batch) => ({ ...batch, partition })))
      .sort((a, b) => a.sequence - b.sequence)
      .flatMap(({ bytes, partition }) =>
        readRecords(bytes).map((record) => ({ ...record, partition })),
      );
  }

  ends(): LogEnds {
    return new Map([...this.#topics].map(([name, all]) => [name, all.map(({ end }) => end)]));
  }

  /** Forgets what came since. Topics that were made since stay, empty. */
  truncate(ends: LogEnds): void {
    for (const [name, partitions] of this.#topics)
      for (const [index, partition] of partitions.entries()) {
        partition.end = ends.get(name)?.[index] ?? 0;
        const kept = partition.batches.findLastIndex(({ next }) => next <= partition.end) + 1;
        partition.batches.length = kept;
      }
  }

  #chosen(topic: string, key: RecordBytes | null): number {
    const partitions = this.partitionsOf(topic);
    if (key === null || partitions < 2) return 0;
    return partitionOf(typeof key === 'string' ? Buffer.from(key) : key, partitions);
  }

  #partition({ topic, partition }: TopicPartition): Partition {
    const found = this.#topics.get(topic)?.[partition];
    if (found !== undefined) return found;
    throw new MillraceError(
      'ML_TOPIC_MISSING',
      `topic ${topic} partition ${partition} does not exist`,
      { fields: { topic, partition } },
    );
  }
}

/** The first batch that does not end before `offset`. */
function firstBehind(batches: readonly Batch[], offset: number): number {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((batches[middle]?.next ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
