/**
 * Appends records to one topic. Owns: which partition a record goes to, the batches that are being filled, those that wait, and
 * the sequence numbers that keep a retry from writing twice.
 *
 *     append → open batch of the partition → waiting (full, or `send` was asked) → one request per leader → acknowledged
 *
 * A round sends at most one batch of each partition and ends when all of them are acknowledged, so that the records of a
 * partition stay in order whatever fails. While a round is under way the next batches fill up.
 *
 * Source: KIP-98 (idempotent producers), KIP-480 (records without a key stay together).
 */
import { MillraceError } from '../../core/errors.ts';
import { CLI_BATCH_BYTES, CLI_PRODUCE_BYTES_MAX, LOG_REQUEST_MS } from '../../core/limits.ts';
import { errorName, isRetriable } from '../../wire/kafka/error-codes.ts';
import type { Compression } from '../../wire/kafka/records/compression.ts';
import {
  RecordBatchBuilder,
  type RecordHeader,
} from '../../wire/kafka/records/record-batch-builder.ts';
import { addSequence } from '../../wire/kafka/records/record-batch.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Cluster, Topic } from './cluster.ts';
import { partitionOf } from '../../core/murmur2.ts';
import { accept, refusal } from './refusal.ts';

export interface SenderOptions {
  readonly topic: string;
  readonly compression: Compression;
  /** -1: durable, and written once whatever happens; 1: written at least once; 0: not even asked. */
  readonly acks: -1 | 0 | 1;
  /** Called for each batch that the broker has acknowledged; with acks=0, that was sent. */
  readonly onAcknowledged?: (records: number, keyAndValueBytes: number) => void;
}

export interface RecordToSend {
  /** undefined: by its key; without a key, wherever there is room. */
  readonly partition: number | undefined;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

interface Batch {
  readonly partition: number;
  readonly builder: RecordBatchBuilder;
  payloadBytes: number;
}

interface SealedBatch {
  readonly partition: number;
  readonly bytes: Buffer;
  readonly count: number;
  readonly payloadBytes: number;
}

interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** NOTE: Kafka's config type 2: a topic. */
const TOPIC_RESOURCE = 2;
/** Room that a batch needs besides keys and values: its header, and lengths and deltas of a record. */
const OVERHEAD_BYTES = 128;

export class RecordSender {
  readonly #cluster: Cluster;
  readonly #options: SenderOptions;
  readonly #identity: ProducerIdentity | undefined;
  readonly #batchBytesMax: number;
  readonly #open = new Map<number, Batch>();
  readonly #waiting: SealedBatch[] = [];
  readonly #sequences: number[] = [];
  #topic: Topic;
  #waitingBytes = 0;
  /** Where records without a key go until the batch is full. */
  #keylessPartition = 0;
  /** Sends until nothing is left. */
  #round: Promise<void> | undefined;
  #failure: unknown;

  /** @throws {MillraceError} ML_CONNECT_FAILED, ML_BROKER_REFUSED */
  static async open(cluster: Cluster, options: SenderOptions): Promise<RecordSender> {
    const topic = await cluster.topic(options.topic, { create: true });
    const identity = options.acks === -1 ? await newIdentity(cluster) : undefined;
    const bytesMax = await batchBytesMax(cluster, options.topic);
    return new RecordSender(cluster, options, { topic, identity, bytesMax });
  }

  private constructor(
    cluster: Cluster,
    options: SenderOptions,
    found: {
      readonly topic: Topic;
      readonly identity: ProducerIdentity | undefined;
      readonly bytesMax: number;
    },
  ) {
    this.#cluster = cluster;
    this.#options = options;
    this.#topic = found.topic;
    this.#identity = found.identity;
    this.#batchBytesMax = found.bytesMax;
  }

  /** Bytes of batches that wait to be acknowledged, and of those that are being filled. */
  get unsentBytes(): number {
    let bytes = this.#waitingBytes;
    for (const { builder } of this.#open.values()) bytes += builder.bytes;
    return bytes;
  }

  /**
   * Takes a record; nothing is sent before `send`, or a batch is full.
   * @throws {MillraceError} ML_USAGE for a partition that the topic does not have, ML_RECORDS_TOO_LARGE
   */
  append(record: RecordToSend): void {
    const { key, value } = record;
    const partition = record.partition ?? this.#partitionFor(key);
    if (partition >= this.#topic.leaders.length) {
      throw new MillraceError(
        'ML_USAGE',
        `topic ${this.#options.topic} has no partition ${partition}`,
        { hint: `It has ${this.#topic.leaders.length}, counted from 0` },
      );
    }
    const payloadBytes = (key?.length ?? 0) + (value?.length ?? 0);
    let batch = this.#open.get(partition);
    if (
      batch !== undefined &&
      batch.builder.bytes + payloadBytes + OVERHEAD_BYTES > this.#batchBytesMax
    ) {
      this.#seal(batch);
      batch = undefined;
    }
    batch ??= this.#openBatch(partition);
    batch.builder.append(record.timestamp, key, value, record.headers);
    batch.payloadBytes += payloadBytes;
  }

  /** Begins to send what there is, unless it is being sent: then it follows. Failures come out of `settled`. */
  send(): void {
    if (this.#round === undefined && this.#failure === undefined) this.#round = this.#runRounds();
  }

  /**
   * Resolves when no more than `bytes` wait to be acknowledged.
   * @throws {MillraceError} why records could not be appended; nothing more is sent then
   */
  async settled(bytes: number): Promise<void> {
    while (this.unsentBytes > bytes && this.#failure === undefined) {
      this.send();
      await this.#round;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #partitionFor(key: Buffer | null): number {
    return key === null ? this.#keylessPartition : partitionOf(key, this.#topic.leaders.length);
  }

  #openBatch(partition: number): Batch {
    const baseSequence = this.#sequences[partition] ?? 0;
    const builder = new RecordBatchBuilder({
      compression: this.#options.compression,
      ...(this.#identity === undefined ? {} : { ...this.#identity, baseSequence }),
    });
    const batch = { partition, builder, payloadBytes: 0 };
    this.#open.set(partition, batch);
    return batch;
  }

  #seal({ partition, builder, payloadBytes }: Batch): void {
    this.#open.delete(partition);
    const { count } = builder;
    this.#sequences[partition] = addSequence(this.#sequences[partition] ?? 0, count);
    const bytes = builder.finish();
    this.#waiting.push({ partition, bytes, count, payloadBytes });
    this.#waitingBytes += bytes.length;
    if (partition === this.#keylessPartition)
      this.#keylessPartition = (partition + 1) % this.#topic.leaders.length;
  }

  /** Never rejects. */
  async #runRounds(): Promise<void> {
    // What is appended in the same turn goes along.
    await Promise.resolve();
    try {
      for (let batches = this.#nextRound(); batches.length > 0; batches = this.#nextRound()) {
        await this.#sendRound(batches);
      }
    } catch (error) {
      this.#failure = error;
    }
    this.#round = undefined;
  }

  /** At most one batch of each partition, in the order they were sealed; those in the making only when none waits. */
  #nextRound(): SealedBatch[] {
    if (this.#waiting.length === 0) for (const batch of this.#open.values()) this.#seal(batch);
    const round: SealedBatch[] = [];
    const partitions = new Set<number>();
    let bytes = 0;
    for (const batch of this.#waiting) {
      if (partitions.has(batch.partition)) continue;
      if (round.length > 0 && bytes + batch.bytes.length > CLI_PRODUCE_BYTES_MAX) break;
      partitions.add(batch.partition);
      round.push(batch);
      bytes += batch.bytes.length;
    }
    for (const batch of round) this.#waiting.splice(this.#waiting.indexOf(batch), 1);
    return round;
  }

  async #sendRound(batches: readonly SealedBatch[]): Promise<void> {
    const left = new Set(batches);
    await this.#cluster.retrying(async () => {
      const requests: Promise<void>[] = [];
      for (const [leader, some] of this.#byLeader(left))
        requests.push(this.#sendTo(leader, some, left));
      // All of them: a retry must not meet a request that is still under way.
      for (const each of await Promise.allSettled(requests)) {
        if (each.status === 'fulfilled') continue;
        const reason: unknown = each.reason;
        if (reason instanceof MillraceError && reason.retriable)
          this.#topic = await this.#cluster.topic(this.#options.topic);
        throw reason;
      }
    });
  }

  #byLeader(batches: Iterable<SealedBatch>): Map<number, SealedBatch[]> {
    const byLeader = new Map<number, SealedBatch[]>();
    for (const batch of batches) {
      const leader = this.#topic.leaders[batch.partition] ?? -1;
      const some = byLeader.get(leader);
      if (some === undefined) byLeader.set(leader, [batch]);
      else some.push(batch);
    }
    return byLeader;
  }

  /** Takes out of `left` what was acknowledged. */
  async #sendTo(
    leader: number,
    batches: readonly SealedBatch[],
    left: Set<SealedBatch>,
  ): Promise<void> {
    const { topic, acks } = this.#options;
    const partitionData = batches.map(({ partition, bytes }) => ({
      index: partition,
      records: bytes,
    }));
    const request = {
      acks,
      timeoutMs: LOG_REQUEST_MS,
      topicData: [{ name: topic, partitionData }],
    };
    if (acks === 0) {
      const connection = await this.#cluster.connection(leader);
      connection.send(messages[0], request);
      await connection.flushed();
      for (const batch of batches) this.#done(batch, left);
      return;
    }
    const answer = await this.#cluster.callOn(leader, messages[0], request);
    let failed: MillraceError | undefined;
    for (const each of answer.responses[0]?.partitionResponses ?? []) {
      const batch = batches.find(({ partition }) => partition === each.index);
      const name = errorName(each.errorCode);
      // A duplicate: the first try was written, and its answer lost.
      if (batch !== undefined && (name === 'NONE' || name === 'DUPLICATE_SEQUENCE_NUMBER'))
        this.#done(batch, left);
      else if (failed === undefined || !isRetriable(name))
        failed = refusal(
          each.errorCode,
          each.recordErrors[0]?.batchIndexErrorMessage ?? each.errorMessage,
        );
    }
    if (failed !== undefined) throw failed;
  }

  #done(batch: SealedBatch, left: Set<SealedBatch>): void {
    left.delete(batch);
    this.#waitingBytes -= batch.bytes.length;
    this.#options.onAcknowledged?.(batch.count, batch.payloadBytes);
  }
}

async function newIdentity(cluster: Cluster): Promise<ProducerIdentity> {
  return cluster.retrying(async () => {
    const given = await cluster.call(messages[22], {
      transactionalId: null,
      transactionTimeoutMs: LOG_REQUEST_MS,
    });
    accept(given.errorCode);
    return given;
  });
}

/** The most that a batch of this topic may hold, kept below our own limit. */
async function batchBytesMax(cluster: Cluster, topic: string): Promise<number> {
  const resource = {
    resourceType: TOPIC_RESOURCE,
    resourceName: topic,
    configurationKeys: ['max.message.bytes'],
  };
  const { results } = await cluster.retrying(() =>
    cluster.call(messages[32], { resources: [resource] }),
  );
  const topicBytesMax = Number(results[0]?.configs[0]?.value ?? CLI_BATCH_BYTES);
  return Math.min(CLI_BATCH_BYTES, topicBytesMax);
}
