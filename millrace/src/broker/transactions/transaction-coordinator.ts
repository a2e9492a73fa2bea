/**
 * The transaction coordinator: who may write under a transactional id, what its transaction touches, and that it ends in all
 * of it or in nothing.
 *
 * Invariants
 * - A partition is part of a transaction, durably, before a producer may write to it under that transaction.
 * - The outcome is durable before the first marker; from then on it is carried out, after a crash again, until every partition
 *   has its marker.
 * - Changes of one transactional id happen one after the other. While one ends, `mayWrite` refuses: no record can slip in behind
 *   a marker and hang there (the fault that KIP-890 describes).
 *
 * Source: KIP-98, KIP-360, KIP-588, KIP-664, KIP-890.
 */
import type { Background } from '../../core/background.ts';
import type { Env, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { TRANSACTIONAL_IDS_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { GroupCoordinator } from '../groups/group-coordinator.ts';
import type { TransactionalCommitRequest } from '../groups/group-types.ts';
import type { InternalLog } from '../internal-log.ts';
import type { MetadataLog } from '../metadata-log.ts';
import type { BrokerSettings } from '../settings.ts';
import { OFFSETS_TOPIC } from '../topic-names.ts';
import type { Topics } from '../topics.ts';
import { ProducerIds } from './producer-ids.ts';
import { type InitRequest, type InitResult, judgeInit, NO_IDENTITY } from './init-producer.ts';
import { writeMarkers } from './transaction-markers.ts';
import {
  type ProducerIdentity,
  type TransactionRequest,
  TransactionTable,
} from './transaction-table.ts';
import {
  decodeTransaction,
  encodeTransaction,
  encodeTransactionKey,
  isAtRest,
  isPrepared,
  NO_PARTITIONS,
  type TransactionState,
  type TransactionStatus,
  withPartitions,
} from './transaction-state.ts';

export interface TransactionCoordinatorOptions {
  readonly env: Pick<Env, 'clock' | 'timers'>;
  readonly logger: Logger;
  readonly settings: BrokerSettings;
  /** `__transaction_state`. */
  readonly log: InternalLog;
  readonly topics: Topics;
  readonly groups: GroupCoordinator;
  readonly metadata: MetadataLog;
  readonly background: Background;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface ListFilter {
  readonly statuses: readonly TransactionStatus[];
  readonly producerIds: readonly number[];
  /** Only transactions that have been open for longer; negative = all. */
  readonly openLongerThanMs: number;
}

/** NOTE: of the protocol: epochs are 16 bits. */
const EPOCH_MAX = 32_767;
const MARKER_RETRY_MS = 1000;
const FULL: InitResult = { error: 'COORDINATOR_NOT_AVAILABLE', ...NO_IDENTITY };

/** Replays the log and carries out what was decided before a crash. Topics and groups must be open. */
export async function openTransactionCoordinator(
  options: TransactionCoordinatorOptions,
): Promise<TransactionCoordinator> {
  const coordinator = new TransactionCoordinator(options);
  await coordinator.open();
  return coordinator;
}

export class TransactionCoordinator {
  private readonly options: TransactionCoordinatorOptions;
  private readonly producerIds: ProducerIds;
  private readonly table: TransactionTable;
  /** Transactional ids whose transaction is being ended, from the decision to the last marker. */
  private readonly ending = new Set<string>();
  /** The last change of an id that is under way. */
  private readonly changes = new Map<string, Promise<unknown>>();
  private readonly timers = new Set<Timer>();
  private closed = false;

  constructor(options: TransactionCoordinatorOptions) {
    this.options = options;
    this.producerIds = new ProducerIds(options.metadata);
    this.table = new TransactionTable(options.env.clock);
  }

  async open(): Promise<void> {
    const { log, settings } = this.options;
    await log.replay((batch) => {
      if (batch.kind === 'marker') return;
      for (const record of batch.records) {
        const { transactionalId, state } = decodeTransaction(record);
        if (state === undefined) this.table.forget(transactionalId);
        else this.table.remember(state);
      }
    });
    for (const state of this.table.all()) {
      if (isPrepared(state.status)) {
        this.ending.add(state.transactionalId);
        await this.carryOut(state.transactionalId);
      }
    }
    this.every(settings.transactionAbortCheckMs, 'transaction timeouts', () =>
      this.abortTimedOut(),
    );
    this.every(settings.transactionExpiryCheckMs, 'transactional id expiry', () => this.expire());
  }

  /** A producer id and epoch. With a transactional id: fences whoever had it before, and aborts what that left open. */
  async initProducerId(request: InitRequest): Promise<InitResult> {
    const { transactionalId, timeoutMs } = request;
    if (transactionalId === null) {
      return this.storing<InitResult>(
        async () => ({
          error: 'NONE',
          producerId: await this.producerIds.take(),
          producerEpoch: 0,
        }),
        FULL,
      );
    }
    if (transactionalId === '') return { error: 'INVALID_REQUEST', ...NO_IDENTITY };
    if (timeoutMs <= 0 || timeoutMs > this.options.settings.transactionMaxTimeoutMs) {
      return { error: 'INVALID_TRANSACTION_TIMEOUT', ...NO_IDENTITY };
    }
    return this.exclusively(transactionalId, () =>
      this.storing(() => this.init(transactionalId, request), FULL),
    );
  }

  /** Makes partitions part of the transaction, beginning one when none is open. The caller has checked that they exist. */
  async addPartitions(
    request: TransactionRequest,
    partitions: readonly TopicPartition[],
  ): Promise<ErrorName> {
    return this.exclusively(request.transactionalId, async () => {
      const found = this.table.check(request);
      if (typeof found === 'string') return found;
      if (isPrepared(found.status)) return 'CONCURRENT_TRANSACTIONS';
      const open = found.status === 'Ongoing';
      const merged = withPartitions(open ? found.partitions : NO_PARTITIONS, partitions);
      if (merged === undefined) return 'NONE';
      const nowMs = this.nowMs();
      const next: TransactionState = {
        ...found,
        status: 'Ongoing',
        partitions: merged,
        startMs: open ? found.startMs : nowMs,
        lastUpdateMs: nowMs,
      };
      return this.storing<ErrorName>(() => this.store(next), FULL.error);
    });
  }

  /** Makes the offsets of consumer groups part of the transaction. */
  addOffsets(request: TransactionRequest): Promise<ErrorName> {
    return this.addPartitions(request, [{ topic: OFFSETS_TOPIC, partition: 0 }]);
  }

  /** Whether all the partitions are part of the producer's open transaction already. */
  verify(request: TransactionRequest, partitions: readonly TopicPartition[]): ErrorName {
    const found = this.table.check(request);
    if (typeof found === 'string') return found;
    const all = partitions.every(({ topic, partition }) => this.isPart(found, topic, partition));
    return all ? 'NONE' : 'TRANSACTION_ABORTABLE';
  }

  /** Whether a transactional batch of this producer may be appended to the partition now. */
  mayWrite(producer: ProducerIdentity, topic: string, partition: number): ErrorName {
    const state = this.table.ofProducer(producer.producerId);
    if (state === undefined) return 'INVALID_PRODUCER_ID_MAPPING';
    if (state.producerEpoch !== producer.producerEpoch) return 'INVALID_PRODUCER_EPOCH';
    return this.isPart(state, topic, partition) ? 'NONE' : 'INVALID_TXN_STATE';
  }

  /** Offsets that count once the transaction commits: one error per offset. */
  async commitOffsets(
    transactionalId: string,
    request: TransactionalCommitRequest,
  ): Promise<readonly ErrorName[]> {
    const found = this.table.check({ ...request, transactionalId });
    const error =
      typeof found === 'string'
        ? found
        : this.isPart(found, OFFSETS_TOPIC, 0)
          ? 'NONE'
          : 'INVALID_TXN_STATE';
    // Offset commits know no fencing error of their own.
    if (error !== 'NONE')
      return request.offsets.map(() =>
        error === 'PRODUCER_FENCED' ? 'INVALID_PRODUCER_EPOCH' : error,
      );
    return this.options.groups.commitTransactionalOffsets(request);
  }

  /**
   * Commits or aborts. Answers once the outcome is durable and, unless the disk is full, visible to readers.
   * @param bumpEpoch ends with a new epoch for the producer (transactions v2)
   */
  async end(
    request: TransactionRequest,
    committed: boolean,
    bumpEpoch: boolean,
  ): Promise<InitResult> {
    return this.exclusively(request.transactionalId, async () => {
      const retried = this.endedBefore(request, committed, bumpEpoch);
      if (retried !== undefined) return retried;
      const found = this.table.check(request);
      if (typeof found === 'string') return { error: found, ...NO_IDENTITY };
      if (found.status !== 'Ongoing') {
        const error = isPrepared(found.status) ? 'CONCURRENT_TRANSACTIONS' : 'INVALID_TXN_STATE';
        return { error, ...NO_IDENTITY };
      }
      return this.storing<InitResult>(async () => {
        await this.finish(found, committed, bumpEpoch);
        const { producerId, producerEpoch } = this.table.get(request.transactionalId) ?? found;
        return { error: 'NONE', producerId, producerEpoch };
      }, FULL);
    });
  }

  get(transactionalId: string): TransactionState | undefined {
    return this.table.get(transactionalId);
  }

  list(filter: ListFilter): TransactionState[] {
    const nowMs = this.nowMs();
    return this.table
      .all()
      .filter(
        (state) =>
          (filter.statuses.length === 0 || filter.statuses.includes(state.status)) &&
          (filter.producerIds.length === 0 || filter.producerIds.includes(state.producerId)) &&
          (filter.openLongerThanMs < 0 ||
            (state.startMs >= 0 && nowMs - state.startMs > filter.openLongerThanMs)),
      );
  }

  /** The epoch of this coordinator, in every marker that it writes: one older than another's is fenced by the logs. */
  get epoch(): number {
    return this.options.log.log.leaderEpoch;
  }

  /** Aborts transactions that are open for longer than their producer asked; also runs by itself. */
  async abortTimedOut(): Promise<void> {
    const nowMs = this.options.env.clock.monotonicMs();
    const due = this.table.dueAt(nowMs);
    for (const transactionalId of due) {
      await this.exclusively(transactionalId, async () => {
        const state = this.table.get(transactionalId);
        if (state === undefined || !this.table.isDue(transactionalId, nowMs)) return;
        this.options.logger.info('a transaction timed out and is aborted', {
          transactionalId,
          producerId: state.producerId,
          timeoutMs: state.timeoutMs,
        });
        await this.finish(state, false, true);
      });
    }
  }

  /** Forgets transactional ids that nobody used for `transactional.id.expiration.ms`; also runs by itself. */
  async expire(): Promise<void> {
    const oldestMs = this.nowMs() - this.options.settings.transactionalIdExpirationMs;
    for (const { transactionalId } of this.table.all()) {
      await this.exclusively(transactionalId, async () => {
        const state = this.table.get(transactionalId);
        if (state === undefined || !isAtRest(state.status) || state.lastUpdateMs > oldestMs) return;
        await this.options.log.append([
          { key: encodeTransactionKey(transactionalId), value: null },
        ]);
        this.table.forget(transactionalId);
      });
    }
  }

  /** Stops the timers and waits for changes that are under way. Idempotent. */
  async close(): Promise<void> {
    this.closed = true;
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
    await Promise.allSettled(this.changes.values());
  }

  private async init(transactionalId: string, request: InitRequest): Promise<InitResult> {
    const known = this.table.get(transactionalId);
    if (known === undefined) return this.initNew(transactionalId, request);
    const verdict = judgeInit(known, request);
    if (verdict !== 'bump') return verdict;
    if (known.status === 'Ongoing') await this.finish(known, false, true);
    const settled = this.table.get(transactionalId) ?? known;
    // The markers wait for room on the disk: the client tries again.
    if (isPrepared(settled.status)) return { error: 'CONCURRENT_TRANSACTIONS', ...NO_IDENTITY };
    const exhausted = settled.producerEpoch >= EPOCH_MAX - 1;
    const next: TransactionState = {
      ...settled,
      producerId: exhausted ? await this.producerIds.take() : settled.producerId,
      producerEpoch: exhausted ? 0 : settled.producerEpoch + 1,
      lastProducerId: settled.producerId,
      lastProducerEpoch: request.producerEpoch === -1 ? -1 : request.producerEpoch,
      timeoutMs: request.timeoutMs,
      status: 'Empty',
      partitions: NO_PARTITIONS,
      startMs: -1,
      lastUpdateMs: this.nowMs(),
    };
    const error = await this.store(next);
    return { error, producerId: next.producerId, producerEpoch: next.producerEpoch };
  }

  private async initNew(transactionalId: string, request: InitRequest): Promise<InitResult> {
    if (this.table.size >= TRANSACTIONAL_IDS_MAX) {
      this.options.logger.warn('a transactional id is refused: there are too many', {
        transactionalId,
        limit: TRANSACTIONAL_IDS_MAX,
      });
      return { error: 'POLICY_VIOLATION', ...NO_IDENTITY };
    }
    const next: TransactionState = {
      transactionalId,
      producerId: await this.producerIds.take(),
      producerEpoch: 0,
      lastProducerId: -1,
      lastProducerEpoch: -1,
      timeoutMs: request.timeoutMs,
      status: 'Empty',
      partitions: NO_PARTITIONS,
      startMs: -1,
      lastUpdateMs: this.nowMs(),
    };
    const error = await this.store(next);
    return { error, producerId: next.producerId, producerEpoch: next.producerEpoch };
  }

  /** Decides the outcome, durably, and carries it out. */
  private async finish(
    state: TransactionState,
    committed: boolean,
    bumpEpoch: boolean,
  ): Promise<void> {
    const { transactionalId } = state;
    this.ending.add(transactionalId);
    const bumped = bumpEpoch && state.producerEpoch < EPOCH_MAX;
    try {
      await this.store({
        ...state,
        status: committed ? 'PrepareCommit' : 'PrepareAbort',
        producerEpoch: bumped ? state.producerEpoch + 1 : state.producerEpoch,
        lastProducerId: bumped ? state.producerId : state.lastProducerId,
        lastProducerEpoch: bumped ? state.producerEpoch : state.lastProducerEpoch,
        lastUpdateMs: this.nowMs(),
      });
    } catch (error) {
      this.ending.delete(transactionalId);
      throw error;
    }
    await this.carryOut(transactionalId);
  }

  /** Writes the markers of a decided transaction; when there is no room for them, tries again later. */
  private async carryOut(transactionalId: string): Promise<void> {
    const state = this.table.get(transactionalId);
    if (state === undefined || !isPrepared(state.status)) return;
    const committed = state.status === 'PrepareCommit';
    const { producerId, producerEpoch } = state;
    try {
      await writeMarkers(this.options, state.partitions, {
        producer: { producerId, producerEpoch },
        committed,
        coordinatorEpoch: this.epoch,
      });
    } catch (error) {
      if (!(error instanceof MillraceError) || !error.retriable || this.closed) throw error;
      this.options.logger.warn('transaction markers wait for room on the disk', {
        transactionalId,
        error,
      });
      this.later(MARKER_RETRY_MS, 'transaction markers', () =>
        this.exclusively(transactionalId, () => this.carryOut(transactionalId)),
      );
      return;
    }
    const complete: TransactionState = {
      ...state,
      status: committed ? 'CompleteCommit' : 'CompleteAbort',
      partitions: NO_PARTITIONS,
      startMs: -1,
      lastUpdateMs: this.nowMs(),
    };
    // Not waited for: were it lost, the markers would be written once more, which changes nothing. Whatever this id does next
    // is behind it in the same log.
    this.options.background.run(
      'transaction completion',
      this.options.log.append([encodeTransaction(complete)]),
    );
    this.table.remember(complete);
    this.ending.delete(transactionalId);
  }

  private async store(state: TransactionState): Promise<'NONE'> {
    await this.options.log.append([encodeTransaction(state)]);
    this.table.remember(state);
    return 'NONE';
  }

  private isPart(state: TransactionState, topic: string, partition: number): boolean {
    return (
      state.status === 'Ongoing' &&
      !this.ending.has(state.transactionalId) &&
      state.partitions.get(topic)?.has(partition) === true
    );
  }

  /** The answer to an EndTxn that was carried out already and whose answer got lost. */
  private endedBefore(
    request: TransactionRequest,
    committed: boolean,
    bumpEpoch: boolean,
  ): InitResult | undefined {
    const state = this.table.get(request.transactionalId);
    if (state === undefined || state.status !== (committed ? 'CompleteCommit' : 'CompleteAbort'))
      return undefined;
    const isSame =
      state.producerId === request.producerId && state.producerEpoch === request.producerEpoch;
    const isBefore =
      bumpEpoch &&
      state.lastProducerId === request.producerId &&
      state.lastProducerEpoch === request.producerEpoch;
    if (!isSame && !isBefore) return undefined;
    return { error: 'NONE', producerId: state.producerId, producerEpoch: state.producerEpoch };
  }

  /** A full disk is an error that clients repeat. */
  private async storing<Result>(work: () => Promise<Result>, onFull: Result): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'ML_DISK_FULL') return onFull;
      throw error;
    }
  }

  /** Runs `work` after every earlier change of the id has settled. */
  private async exclusively<Value>(
    transactionalId: string,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const previous = this.changes.get(transactionalId);
    const change = previous === undefined ? work() : previous.then(work, work);
    this.changes.set(transactionalId, change);
    try {
      return await change;
    } finally {
      if (this.changes.get(transactionalId) === change) this.changes.delete(transactionalId);
    }
  }

  private every(intervalMs: number, name: string, work: () => Promise<void>): void {
    this.later(intervalMs, name, async () => {
      try {
        await work();
      } finally {
        this.every(intervalMs, name, work);
      }
    });
  }

  private later(delayMs: number, name: string, work: () => Promise<void>): void {
    if (this.closed) return;
    const timer = this.options.env.timers.after(delayMs, () => {
      this.timers.delete(timer);
      this.options.background.run(name, work());
    });
    this.timers.add(timer);
  }

  private nowMs(): number {
    return this.options.env.clock.nowMs();
  }
}
