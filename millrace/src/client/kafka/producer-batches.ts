/**
 * The batches of a producer that are not acknowledged. Owns: for each partition the batch that is being filled and the sequence numbers
 * that keep a retry from writing twice; the queue of those that are full.
 *
 *     append → open batch of the partition → sealed (full, or flushed) → a round → acknowledged
 *
 * A round has at most one batch of each partition and ends when all of them are acknowledged, so that the records of a partition stay
 * in order whatever fails.
 *
 * @hot Source: KIP-98 (idempotent producers).
 */
import { LOG_BATCH_BYTES, LOG_FREE_BATCHES_MAX, LOG_PRODUCE_BYTES_MAX } from '../../core/limits.ts';
import type { Compression } from '../../wire/kafka/records/compression.ts';
import {
  RecordBatchBuilder,
  type RecordBytes,
  type RecordHeader,
} from '../../wire/kafka/records/record-batch-builder.ts';
import { addSequence } from '../../wire/kafka/records/record-batch.ts';
import type { TopicPartition } from '../log.ts';
import { splitBatch } from './split-batch.ts';
import type { ProducerIdentity } from './transaction-client.ts';

/** Room that a record needs besides its key and value: lengths, deltas, without headers. */
const OVERHEAD_BYTES = 64;
/** A character of a string is at most so many bytes of UTF-8. */
const CHARACTER_BYTES_MAX = 3;
/** Memory of a batch that becomes full. */
const FULL_BATCH_BYTES = LOG_BATCH_BYTES + OVERHEAD_BYTES;
const NO_HEADERS: readonly RecordHeader[] = [];

export class PartitionBatches implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  open: RecordBatchBuilder | undefined = undefined;
  /** Of the next batch that is sealed, and of the one after the last that was acknowledged. */
  sequence = 0;
  acknowledgedSequence = 0;
  nextOffset: number | undefined = undefined;
  /** The next batch is likely to be about as large as the last one. */
  lastBatchBytes = 512;
  /** A batch is closed at this size: less where the topic has turned out not to take that. */
  batchBytesMax = LOG_BATCH_BYTES;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }
}

export interface SealedBatch extends TopicPartition {
  readonly of: PartitionBatches;
  readonly bytes: Buffer;
  readonly count: number;
  /** Number of the transaction that it belongs to. */
  readonly transaction: number;
}

export interface BatchOptions {
  readonly compression: Compression;
  readonly transactional: boolean;
}

export class ProducerBatches {
  readonly #options: BatchOptions;
  readonly #partitions = new Map<string, PartitionBatches[]>();
  readonly #sealed = new Set<SealedBatch>();
  /** Of batches that were too large: what took their place. */
  readonly #halves = new WeakMap<SealedBatch, readonly SealedBatch[]>();
  identity: ProducerIdentity;
  /** Number of the transaction that records are appended to. */
  transaction = 0;
  /** Bytes that are not acknowledged. */
  unsentBytes = 0;
  /** Memory of batches that were acknowledged, for the next ones: allocating it costs as much as filling it. */
  readonly #free: Buffer[] = [];
  /** The topic of the last record: the next one is likely to go there, too. */
  #lastTopic = '';
  #lastPartitions: PartitionBatches[] = [];

  constructor(identity: ProducerIdentity, options: BatchOptions) {
    this.identity = identity;
    this.#options = options;
  }

  /** The partition, whether it exists or not. */
  partition(topic: string, partition: number): PartitionBatches {
    if (topic !== this.#lastTopic) {
      let partitions = this.#partitions.get(topic);
      if (partitions === undefined) this.#partitions.set(topic, (partitions = []));
      this.#lastTopic = topic;
      this.#lastPartitions = partitions;
    }
    return (this.#lastPartitions[partition] ??= new PartitionBatches(topic, partition));
  }

  /** @returns whether a batch is full, and waits to be sent */
  append(
    of: PartitionBatches,
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeader[] = NO_HEADERS,
  ): boolean {
    let isFull = false;
    let builder = of.open;
    if (builder !== undefined && isAbove(of.batchBytesMax - builder.bytes, key, value)) {
      this.#seal(of, builder);
      builder = undefined;
      isFull = true;
    }
    builder ??= this.#openBatch(of);
    const before = builder.bytes;
    builder.append(timestamp, key, value, headers);
    this.unsentBytes += builder.bytes - before;
    return isFull;
  }

  /** What was appended so far is to be sent. */
  sealAll(): void {
    for (const partitions of this.#partitions.values())
      for (const of of partitions) if (of?.open !== undefined) this.#seal(of, of.open);
  }

  /** Batches that were not acknowledged; those of one transaction only. */
  waiting(transaction?: number): SealedBatch[] {
    if (transaction === undefined) return [...this.#sealed];
    return [...this.#sealed].filter((batch) => batch.transaction === transaction);
  }

  has(batch: SealedBatch): boolean {
    return this.#sealed.has(batch);
  }

  /** Whether records of the batch are not acknowledged, also those that are in others by now. */
  isWaiting(batch: SealedBatch): boolean {
    if (this.#sealed.has(batch)) return true;
    return this.#halves.get(batch)?.some((half) => this.isWaiting(half)) === true;
  }

  /** At most one batch of each partition, in the order in which they were sealed. */
  nextRound(transaction: number): SealedBatch[] {
    const round: SealedBatch[] = [];
    const partitions = new Set<PartitionBatches>();
    let bytes = 0;
    for (const batch of this.#sealed) {
      if (batch.transaction !== transaction || partitions.has(batch.of)) continue;
      if (round.length > 0 && bytes + batch.bytes.length > LOG_PRODUCE_BYTES_MAX) break;
      partitions.add(batch.of);
      round.push(batch);
      bytes += batch.bytes.length;
    }
    return round;
  }

  /** @param baseOffset negative: the broker does not say */
  acknowledge(batch: SealedBatch, baseOffset: number): void {
    const { of, count, bytes } = batch;
    if (!this.#sealed.delete(batch)) return;
    this.unsentBytes -= bytes.length;
    // Nobody reads it any more: whoever carries bytes has given them away before there is an answer.
    const memory = bytes.buffer;
    if (memory.byteLength === FULL_BATCH_BYTES && this.#free.length < LOG_FREE_BATCHES_MAX)
      this.#free.push(Buffer.from(memory));
    of.acknowledgedSequence = addSequence(of.acknowledgedSequence, count);
    if (baseOffset >= 0) of.nextOffset = baseOffset + count;
  }

  /**
   * Puts two batches of half the records in place of one that its topic takes as too large; further ones are smaller from the start.
   * @returns false when it is a single record
   */
  split(batch: SealedBatch): boolean {
    const { of, count } = batch;
    if (count === 1) return false;
    of.batchBytesMax = Math.ceil(Math.min(of.batchBytesMax, batch.bytes.length) / 2);
    const halves = splitBatch(batch.bytes, Math.ceil(count / 2), this.#options).map(
      (half): SealedBatch => ({ ...batch, ...half }),
    );
    this.#halves.set(batch, halves);
    const all = [...this.#sealed];
    this.#sealed.clear();
    for (const each of all) {
      if (each !== batch) this.#sealed.add(each);
      else for (const half of halves) this.#sealed.add(half);
    }
    this.unsentBytes -= batch.bytes.length;
    for (const { bytes } of halves) this.unsentBytes += bytes.length;
    return true;
  }

  /** Forgets all that was not acknowledged; `identity`, when given, begins to count anew. */
  drop(identity?: ProducerIdentity): void {
    this.#sealed.clear();
    this.unsentBytes = 0;
    if (identity !== undefined) this.identity = identity;
    for (const partitions of this.#partitions.values()) {
      for (const of of partitions) {
        if (of === undefined) continue;
        of.open = undefined;
        if (identity !== undefined) of.acknowledgedSequence = 0;
        of.sequence = of.acknowledgedSequence;
      }
    }
  }

  get isEmpty(): boolean {
    return this.#sealed.size === 0 && this.unsentBytes === 0;
  }

  /** Room for about as much as the last batch of the partition. */
  #memory({ lastBatchBytes }: PartitionBatches): number | Buffer {
    if (lastBatchBytes < LOG_BATCH_BYTES / 2) return lastBatchBytes;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(FULL_BATCH_BYTES);
  }

  #openBatch(of: PartitionBatches): RecordBatchBuilder {
    const { compression, transactional } = this.#options;
    const builder = new RecordBatchBuilder(
      { compression, transactional, ...this.identity, baseSequence: of.sequence },
      this.#memory(of),
    );
    of.open = builder;
    this.unsentBytes += builder.bytes;
    return builder;
  }

  #seal(of: PartitionBatches, builder: RecordBatchBuilder): void {
    of.open = undefined;
    const { count, bytes: plainBytes } = builder;
    this.unsentBytes -= plainBytes;
    // A record that was too large has left none.
    if (count === 0) return;
    of.sequence = addSequence(of.sequence, count);
    of.lastBatchBytes = plainBytes + (plainBytes >> 3);
    const bytes = builder.finish();
    this.unsentBytes += bytes.length;
    const { topic, partition } = of;
    this.#sealed.add({ of, topic, partition, bytes, count, transaction: this.transaction });
  }
}

/** Whether a batch that may have so many bytes more has no room for one more record. */
function isAbove(roomBytes: number, key: RecordBytes | null, value: RecordBytes | null): boolean {
  if (bytesAtMost(key) + bytesAtMost(value) + OVERHEAD_BYTES <= roomBytes) return false;
  return bytesOf(key) + bytesOf(value) + OVERHEAD_BYTES > roomBytes;
}

function bytesAtMost(data: RecordBytes | null): number {
  if (data === null) return 0;
  return typeof data === 'string' ? data.length * CHARACTER_BYTES_MAX : data.length;
}

function bytesOf(data: RecordBytes | null): number {
  if (data === null) return 0;
  return typeof data === 'string' ? Buffer.byteLength(data, 'utf8') : data.length;
}
