/**
 * What lives through the crashes of a simulated machine: the clients with what they still wait for, the list of topics,
 * and the history that everybody adds to.
 */
import type { LogId, LogConfig } from '../../src/log/types.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';
import type { BatchFact, ConfigFact, LogEvent } from './log-history.ts';
import type { NewBatch } from './facts.ts';

/** A partition log as the outside knows it. */
export interface KnownLog {
  readonly id: LogId;
  /** Name in the history. */
  readonly name: string;
  config: LogConfig;
  /** Every record has a key, so that the log may be compacted. */
  readonly keyed: boolean;
  /** At times not flushed at every commit: a power cut may take what was acknowledged. */
  readonly lossy: boolean;
}

/** A batch that was, or is to be, sent, and that nobody has acknowledged yet. */
export interface Attempt {
  readonly batch: NewBatch;
  /** Handed to the log by the process that runs now. */
  isSent: boolean;
}

export interface Transaction {
  readonly logs: Set<KnownLog>;
  /** Decided, and to be written to `unmarked`: what a coordinator keeps in its own log. */
  outcome: 'open' | 'commit' | 'abort';
  readonly unmarked: Set<KnownLog>;
}

export interface Producer {
  /** -1: neither idempotent nor transactional. */
  readonly producerId: number;
  readonly isTransactional: boolean;
  epoch: number;
  readonly nextSequence: Map<KnownLog, number>;
  readonly unacked: Map<KnownLog, Attempt[]>;
  transaction: Transaction | undefined;
}

export interface WorldOptions {
  readonly seed: number;
  /** Takes what happens. */
  readonly record: (event: LogEvent) => void;
  /** An append is about to be made: whoever stops the process now may find it done or not. Default: not told. */
  readonly intend?: (event: LogEvent) => void;
  /** Something is wrong already: nobody needs to go on. Default: never. */
  readonly hasFailed?: () => boolean;
  /** The list of logs has changed. Default: not told. */
  readonly onLogs?: (logs: readonly KnownLog[]) => void;
  /** Logs of earlier runs. Default: none. */
  readonly logs?: readonly KnownLog[];
  /** Share of logs that are not flushed at every commit. Default 0.3. */
  readonly lossyChance?: number;
  /** Number of the first producer, and of the first record. Default 0. */
  readonly firstId?: number;
}

export class World {
  /** Decides what everybody does. */
  readonly random: SimRandom;
  readonly logs: KnownLog[];
  readonly producers: Producer[] = [];
  private readonly options: WorldOptions;
  /** Number of the next record, and of the next read. */
  private nextId: number;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = new SimRandom(options.seed * 2 + 1);
    this.logs = [...(options.logs ?? [])];
    this.nextId = options.firstId ?? 0;
    const count = 1 + this.random.below(4);
    for (let index = 0; index < count; index++) this.addProducer(index);
  }

  record(event: LogEvent): void {
    this.options.record(event);
  }

  intend(event: LogEvent): void {
    this.options.intend?.(event);
  }

  hasFailed(): boolean {
    return this.options.hasFailed?.() ?? false;
  }

  id(): number {
    return this.nextId++;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.random.below(items.length)];
  }

  addLog(): KnownLog {
    const { lossyChance = 0.3 } = this.options;
    const kind = { keyed: this.random.chance(0.5), lossy: this.random.chance(lossyChance) };
    const log: KnownLog = {
      id: { topicId: this.random.uuid(), partition: this.random.below(3) },
      name: `log-${this.id()}`,
      config: randomConfig(this.random, kind),
      ...kind,
    };
    this.logs.push(log);
    this.options.onLogs?.(this.logs);
    this.record({ kind: 'config', log: log.name, config: configFact(log.config) });
    return log;
  }

  /** Nobody writes to it, or waits for it, any more. */
  forget(log: KnownLog): void {
    this.logs.splice(this.logs.indexOf(log), 1);
    this.options.onLogs?.(this.logs);
    for (const producer of this.producers) {
      producer.unacked.delete(log);
      producer.nextSequence.delete(log);
      producer.transaction?.logs.delete(log);
      producer.transaction?.unmarked.delete(log);
    }
  }

  private addProducer(index: number): void {
    const kind = this.random.below(3);
    this.producers.push({
      producerId: kind === 0 ? -1 : 100 + index + (this.options.firstId ?? 0),
      isTransactional: kind === 2,
      epoch: kind === 0 ? -1 : 0,
      nextSequence: new Map(),
      unacked: new Map(),
      transaction: undefined,
    });
  }
}

export function configFact(config: LogConfig): ConfigFact {
  const { flush, flushMs, cleanupDelete, cleanupCompact, retentionMs, retentionBytes } = config;
  const { deleteRetentionMs, minCompactionLagMs } = config;
  return {
    flush,
    flushMs,
    cleanupDelete,
    cleanupCompact,
    retentionMs,
    retentionBytes,
    deleteRetentionMs,
    minCompactionLagMs,
  };
}

const FLUSHES = ['commit', 'interval', 'os'] as const;

/** Small segments, so that they roll all the time. */
export function randomConfig(
  random: SimRandom,
  kind: { readonly keyed: boolean; readonly lossy: boolean },
): LogConfig {
  const compact = kind.keyed && random.chance(0.6);
  return {
    segmentBytes: 1024 << random.below(4),
    segmentMs: random.chance(0.3) ? 200 : 3_600_000,
    indexIntervalBytes: 128 << random.below(4),
    retentionMs: random.chance(0.3) ? 500 : -1,
    retentionBytes: random.chance(0.3) ? 2048 << random.below(4) : -1,
    cleanupDelete: !compact || random.chance(0.3),
    cleanupCompact: compact,
    deleteRetentionMs: random.chance(0.5) ? 0 : 300,
    minCleanableDirtyRatio: random.chance(0.5) ? 0 : 0.3,
    minCompactionLagMs: random.chance(0.7) ? 0 : 200,
    maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
    flush: FLUSHES[kind.lossy ? random.below(3) : 0] ?? 'commit',
    flushMs: 50,
    appendTime: false,
  };
}

/** A batch as the log will hold it when it gets `baseOffset`. */
export function expectedFact(
  batch: NewBatch,
  bytes: number,
  place: { readonly baseOffset: number; readonly leaderEpoch: number },
): BatchFact {
  const { baseOffset, leaderEpoch } = place;
  return {
    baseOffset,
    lastOffset: baseOffset + batch.records.length - 1,
    bytes,
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    transactional: batch.transactional ?? false,
    control: 'none',
    markerMs: -1,
    leaderEpoch,
    records: batch.records.map((record, index) => ({
      offset: baseOffset + index,
      id: record.id,
      key: record.key,
      tombstone: record.tombstone,
      timestampMs: record.timestampMs,
    })),
  };
}
