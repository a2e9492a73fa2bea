/**
 * Appends records to many topics, idempotently or in transactions. Owns: the rounds in which batches are sent, and where the
 * transaction stands.
 *
 *     append* → commit (sent, acknowledged, offsets, end) → append* → …        what fails stays failed until `abort`
 *
 * Records that are appended while a commit is under way belong to the next transaction and wait for it.
 *
 * Invariant: a batch is sent only when its partition is part of the transaction, and never again under another sequence number.
 * Source: KIP-98, KIP-360, KIP-447.
 */
import { assert, MillraceError } from '../../core/errors.ts';
import { LOG_REQUEST_MS, LOG_LEAVE_MS, LOG_TOPIC_MISSING_MS } from '../../core/limits.ts';
import { errorName, type ErrorName, isRetriable } from '../../wire/kafka/error-codes.ts';
import type { RecordBytes, RecordHeader } from '../../wire/kafka/records/record-batch-builder.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { LogProducer, ProducerOptions, TransactionOffsets } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { PartitionLeaders } from './partition-leaders.ts';
import { type PartitionBatches, ProducerBatches, type SealedBatch } from './producer-batches.ts';
import { encodeProduceRequest } from './produce-request.ts';
import { missesTopic, topicMissing } from './refusal.ts';
import {
  commitOffsets,
  isFenced,
  newProducer,
  producerRefusal,
  TransactionClient,
} from './transaction-client.ts';

const TRANSACTION_TIMEOUT_MS = 60_000;
const ACKS_ALL = -1;
const TOO_LARGE: ReadonlySet<ErrorName> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

export class KafkaLogProducer implements LogProducer {
  readonly #cluster: Cluster;
  readonly #options: ProducerOptions;
  readonly #transactions: TransactionClient | undefined;
  readonly #batches: ProducerBatches;
  readonly #leaders: PartitionLeaders;
  readonly #onClose: () => void;
  /** Partitions that are part of the transaction that is sent. */
  readonly #added = new Set<PartitionBatches>();
  #hasOffsets = false;
  /** The transaction whose records are sent; that of `#batches` is ahead of it while one is committed. */
  #sending = 0;
  /** Sends until nothing is left. */
  #round: Promise<void> | undefined;
  #committing: Promise<void> | undefined;
  #failure: unknown;
  #closing: Promise<void> | undefined;
  #onProgress: (() => void)[] = [];

  /** @throws {MillraceError} ML_CONNECT_FAILED, ML_BROKER_REFUSED */
  static async open(
    cluster: Cluster,
    options: ProducerOptions,
    onClose: () => void,
  ): Promise<KafkaLogProducer> {
    const { transactionalId, transactionTimeoutMs = TRANSACTION_TIMEOUT_MS } = options;
    const transactions =
      transactionalId === undefined
        ? undefined
        : new TransactionClient(cluster, transactionalId, transactionTimeoutMs);
    const identity = await (transactions?.begin() ?? newProducer(cluster, LOG_REQUEST_MS));
    const batches = new ProducerBatches(identity, {
      compression: options.compression ?? 'none',
      transactional: transactions !== undefined,
    });
    return new KafkaLogProducer(cluster, { options, transactions, batches, onClose });
  }

  private constructor(
    cluster: Cluster,
    parts: {
      readonly options: ProducerOptions;
      readonly transactions: TransactionClient | undefined;
      readonly batches: ProducerBatches;
      readonly onClose: () => void;
    },
  ) {
    this.#cluster = cluster;
    this.#options = parts.options;
    this.#transactions = parts.transactions;
    this.#batches = parts.batches;
    this.#onClose = parts.onClose;
    this.#leaders = new PartitionLeaders(cluster);
  }

  get unsentBytes(): number {
    return this.#batches.unsentBytes;
  }

  append(
    topic: string,
    partition: number,
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers?: readonly RecordHeader[],
  ): void {
    if (this.#failure !== undefined) throw this.#failure;
    const of = this.#batches.partition(topic, partition);
    if (this.#batches.append(of, timestamp, key, value, headers)) this.#send();
  }

  async drained(bytes: number): Promise<void> {
    this.#check();
    while (this.#batches.unsentBytes > bytes) {
      await this.#committing?.catch(() => {});
      this.#check();
      if (this.#batches.nextRound(this.#batches.transaction).length === 0) this.#batches.sealAll();
      await this.#progress();
      this.#check();
    }
  }

  async flush(): Promise<void> {
    await this.#committing?.catch(() => {});
    this.#check();
    this.#batches.sealAll();
    await this.#acknowledged(this.#batches.waiting());
  }

  nextOffset(topic: string, partition: number): number | undefined {
    return this.#batches.partition(topic, partition).nextOffset;
  }

  commit(offsets?: TransactionOffsets): Promise<void> {
    assert(this.#committing === undefined, 'one commit at a time');
    const committing = this.#commit(offsets).finally(() => {
      this.#committing = undefined;
    });
    this.#committing = committing;
    return committing;
  }

  async abort(): Promise<void> {
    await this.#committing?.catch(() => {});
    await this.#round;
    // Somebody else has the id: there is nothing of ours to abort.
    if (isFenced(this.#failure)) throw this.#failure;
    const isClean = this.#failure === undefined;
    const transactions = this.#transactions;
    if (!isClean) {
      const begun = transactions?.begin() ?? newProducer(this.#cluster, LOG_REQUEST_MS);
      this.#batches.drop(await this.#ending(begun));
    } else {
      this.#batches.drop();
      if (transactions !== undefined && this.#hasBegun) await this.#ending(transactions.end(false));
    }
    this.#failure = undefined;
    this.#nextTransaction();
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #closeNow(): Promise<void> {
    const timer = this.#cluster.env.timers.after(LOG_LEAVE_MS, () => {
      this.#cluster.close().catch(() => {});
    });
    // What cannot be aborted now the broker aborts after the timeout of the transaction.
    if (!isFenced(this.#failure)) await this.abort().catch(() => {});
    timer.cancel();
    this.#failure = closed();
    this.#wakeAll();
    await this.#cluster.close();
    this.#onClose();
  }

  async #commit(offsets: TransactionOffsets | undefined): Promise<void> {
    this.#check();
    const hasOffsets = offsets !== undefined && offsets.offsets.length > 0;
    const transactions = this.#transactions;
    this.#batches.sealAll();
    if (transactions === undefined) {
      await this.#acknowledged(this.#batches.waiting());
      if (hasOffsets) await commitOffsets(this.#cluster, offsets);
      return;
    }
    const transaction = this.#sending;
    // What is appended from here on is of the next one.
    this.#batches.transaction++;
    await this.#acknowledged(this.#batches.waiting(transaction));
    if (hasOffsets) {
      this.#hasOffsets = true;
      await this.#ending(transactions.addOffsets(offsets));
    }
    if (this.#hasBegun) await this.#ending(transactions.end(true));
    this.#nextTransaction();
  }

  get #hasBegun(): boolean {
    return this.#added.size > 0 || this.#hasOffsets;
  }

  #nextTransaction(): void {
    this.#added.clear();
    this.#hasOffsets = false;
    this.#sending = this.#batches.transaction;
    if (this.#batches.waiting(this.#sending).length > 0) this.#send();
  }

  /** After a failure nothing goes on before `abort`. */
  async #ending<Result>(step: Promise<Result>): Promise<Result> {
    try {
      return await step;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw closed();
  }

  async #acknowledged(batches: readonly SealedBatch[]): Promise<void> {
    while (batches.some((batch) => this.#batches.isWaiting(batch))) {
      await this.#progress();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Resolves at the end of the next round. */
  async #progress(): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      this.#onProgress.push(resolve);
    });
    this.#send();
    await ended;
  }

  #wakeAll(): void {
    const waiting = this.#onProgress;
    this.#onProgress = [];
    for (const wake of waiting) wake();
  }

  /** Begins to send what is sealed, unless it is being sent: then it follows. */
  #send(): void {
    if (this.#failure !== undefined) this.#wakeAll();
    else this.#round ??= this.#runRounds();
  }

  /** Never rejects. */
  async #runRounds(): Promise<void> {
    // What is appended in the same turn goes along.
    await Promise.resolve();
    try {
      for (let batches; (batches = this.#batches.nextRound(this.#sending)).length > 0; ) {
        await this.#sendRound(batches);
        this.#wakeAll();
      }
    } catch (error) {
      this.#failure ??= error;
    }
    this.#round = undefined;
    this.#wakeAll();
  }

  async #sendRound(batches: readonly SealedBatch[]): Promise<void> {
    const { clock, timers } = this.#cluster.env;
    const missingMs = clock.monotonicMs() + LOG_TOPIC_MISSING_MS;
    let left = batches;
    await this.#cluster.retrying(async () => {
      try {
        const byLeader = await this.#leaders.byLeader(left);
        await this.#addPartitions(left);
        const sent = [...byLeader].map(([leader, some]) => this.#sendTo(leader, some));
        // All of them: a retry must not meet a request that is still under way.
        for (const each of await Promise.allSettled(sent))
          if (each.status === 'rejected') throw each.reason;
      } catch (error) {
        left = left.filter((batch) => this.#batches.has(batch));
        const isMissing = missesTopic(error);
        if (isMissing ? clock.monotonicMs() > missingMs : !isPassing(error))
          throw isMissing ? missing(left, error) : error;
        if (isMissing) await timers.sleep(MISSING_RETRY_MS);
        await this.#leaders.refresh(left.map(({ topic }) => topic));
        throw isMissing
          ? new MillraceError('ML_CONNECTION_LOST', 'again', { cause: error })
          : error;
      }
    });
  }

  async #addPartitions(batches: readonly SealedBatch[]): Promise<void> {
    if (this.#transactions === undefined) return;
    const places = batches.map(({ of }) => of).filter((of) => !this.#added.has(of));
    if (places.length === 0) return;
    await this.#transactions.addPartitions(places);
    for (const of of places) this.#added.add(of);
  }

  async #sendTo(leader: number, batches: readonly SealedBatch[]): Promise<void> {
    const { transactionalId } = this.#options;
    const request = {
      transactionalId: transactionalId ?? null,
      acks: ACKS_ALL,
      timeoutMs: LOG_REQUEST_MS,
      batches,
    };
    const connection = await this.#cluster.connection(leader);
    const answer = await connection.callEncoded(messages[0], (header) =>
      encodeProduceRequest(header, request),
    );
    const sent = new Map(batches.map((batch) => [`${batch.topic} ${batch.partition}`, batch]));
    let failed: MillraceError | undefined;
    for (const { name: topic, partitionResponses } of answer.responses) {
      for (const each of partitionResponses) {
        const batch = sent.get(`${topic} ${each.index}`);
        const name = errorName(each.errorCode);
        // A duplicate: the first try was written, and its answer lost.
        if (batch !== undefined && (name === 'NONE' || name === 'DUPLICATE_SEQUENCE_NUMBER'))
          this.#batches.acknowledge(batch, each.baseOffset);
        // Both halves are sent in rounds of their own.
        else if (batch !== undefined && TOO_LARGE.has(name) && this.#batches.split(batch)) continue;
        else if (failed === undefined || !isRetriable(name)) {
          const detail = each.recordErrors[0]?.batchIndexErrorMessage ?? each.errorMessage;
          failed = this.#refused(each.errorCode, { topic, partition: each.index, detail });
        }
      }
    }
    if (failed !== undefined) throw failed;
  }

  #refused(
    code: number,
    {
      topic,
      partition,
      detail,
    }: { readonly topic: string; readonly partition: number; readonly detail: string | null },
  ): MillraceError {
    const name = errorName(code);
    const place = `topic ${topic} partition ${partition}`;
    if (TOO_LARGE.has(name)) {
      return new MillraceError(
        'ML_RECORDS_TOO_LARGE',
        `${place} does not take batches of that size: ${detail ?? name}`,
        {
          hint: `Raise max.message.bytes of the topic: millrace topic config ${topic} max.message.bytes=…`,
          fields: { topic, partition },
        },
      );
    }
    if (name === 'INVALID_TIMESTAMP') {
      return new MillraceError(
        'ML_TIMESTAMP_INVALID',
        `${place} does not take the time of a record: ${detail ?? name}`,
        {
          hint: `Raise message.timestamp.after.max.ms of the topic: millrace topic config ${topic} message.timestamp.after.max.ms=…`,
          fields: { topic, partition },
        },
      );
    }
    return producerRefusal(
      code,
      this.#options.transactionalId,
      detail === null ? place : `${place}: ${detail}`,
    );
  }
}

const MISSING_RETRY_MS = 100;

function isPassing(error: unknown): boolean {
  return error instanceof MillraceError && error.retriable;
}

function missing([first]: readonly SealedBatch[], error: unknown): unknown {
  if (error instanceof MillraceError && error.code === 'ML_TOPIC_MISSING') return error;
  return first === undefined ? error : topicMissing(first.topic, first.partition);
}

function closed(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the producer is closed');
}
