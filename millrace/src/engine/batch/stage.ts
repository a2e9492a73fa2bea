/**
 * The physical plan: operators between two exchanges, fused, are a stage; a stage × a piece of its input is a task. Types
 * shared by the planner (`plan-stages.ts`, `plan-tasks.ts`), the driver (`driver.ts`) and what runs a task (`run-task.ts`).
 *
 * Driver and workers build the same graph from the same plan and the same facts, so a task names its stage by number. All that
 * goes between processes is plain JSON.
 */
import type { JoinStrategy } from '../../flow/plan.ts';
import type { Part } from '../../flow/sink.ts';
import type { Split } from '../../flow/source.ts';

/** What the planner has to know besides the plan. None of it depends on the number of workers or the size of splits. */
export interface PlanFacts {
  /** Input bytes of each source node, by node id; 0 when unknown. */
  readonly sourceBytes: Readonly<Record<number, number>>;
  /** Partitions of hash exchanges; undefined: from the input bytes. */
  readonly partitions: number | undefined;
  /** `--memory`, for all processes together. */
  readonly memoryBytes: number;
}

export interface StageGraph {
  /** In an order in which they can run. `stages[i].id === i`. */
  readonly stages: readonly Stage[];
  readonly exchanges: readonly Exchange[];
}

/** Records on their way from one stage to another. */
export interface Exchange {
  readonly id: number;
  /** The stateful operator that needs it. */
  readonly name: string;
  readonly producer: number;
  readonly consumer: number;
  /** `hash`: partition = murmur2(key) mod partitions, as Kafka does. `range`: one sorted sequence, cut by sampled keys.
   * `gather`: one partition, in stream order. `broadcast`: one partition, read whole by every task of the consumer. */
  readonly kind: 'hash' | 'range' | 'gather' | 'broadcast';
  readonly partitions: number;
  /** Records of a partition are sorted by key; otherwise they are in stream order. */
  readonly isSorted: boolean;
  /** Values of equal keys are put together before the exchange. */
  readonly isCombined: boolean;
}

export interface Stage {
  readonly id: number;
  /** For people: `read access.log → map-1 → count hits`. */
  readonly label: string;
  /** Plan nodes that run in it, in order. */
  readonly nodes: readonly number[];
  /** Source nodes that it reads; with `exchangesIn` empty. Tasks are packs of splits. */
  readonly sources: readonly number[];
  /** Exchanges whose partitions are its tasks (two for a join), in input order. */
  readonly exchangesIn: readonly number[];
  /** Exchanges that every task reads whole. */
  readonly broadcastsIn: readonly number[];
  readonly exchangesOut: readonly number[];
  /** Write nodes that end in it. */
  readonly writes: readonly number[];
  /** A single task, whatever its input (gather, iterate, sinks that need one part). */
  readonly isSingle: boolean;
  /** For joins: how, and why: shown by `millrace plan`. */
  readonly joins: readonly {
    readonly node: number;
    readonly strategy: JoinStrategy;
    readonly reason: string;
  }[];
}

/** One attempt at one task. */
export interface TaskSpec {
  readonly stage: number;
  /** Number in the order of the stage. */
  readonly task: number;
  readonly attempt: number;
  /** Splits to read, per source node, in order. */
  readonly splits: readonly { readonly node: number; readonly splits: readonly Split[] }[];
  readonly reads: readonly ExchangeRead[];
  readonly broadcasts: readonly ExchangeRead[];
  /** Runs of this attempt go here: exists, empty, absolute. */
  readonly directory: string;
  /** Where the parts of each write node of the stage go: directories of this attempt alone, on the device of the output. */
  readonly writes: readonly TaskWrite[];
  /** Where dead letters of this attempt go; undefined: none are taken (`fail`). */
  readonly skippedDirectory: string | undefined;
  /** Dead letters that the job may still take. */
  readonly skippedRecordsMax: number;
  /** What the task may hold in memory, counted by itself. */
  readonly memoryBytes: number;
}

export interface TaskWrite {
  readonly node: number;
  readonly directory: string;
  /** Number of this task among all tasks that write to the node, in the order of the output. */
  readonly task: number;
}

/** A part of an exchange that a task reads: runs in stream order, and of each the segment of one partition. */
export interface ExchangeRead {
  readonly exchange: number;
  readonly partition: number;
  readonly runs: readonly RunSegment[];
  /** Only these keys (encoded, base64); undefined: all. */
  readonly range: KeyRange | undefined;
}

export interface KeyRange {
  /** First key that belongs to it; undefined: from the beginning. */
  readonly from: string | undefined;
  /** First key that does not; undefined: to the end. */
  readonly to: string | undefined;
  /** For a hot key that several tasks share: only slice `index` of `count` slices of the records, by rank, nearly equal. */
  readonly slice: { readonly index: number; readonly count: number } | undefined;
}

/** The part of a run file that belongs to one partition. */
export interface RunSegment {
  readonly path: string;
  readonly position: number;
  readonly bytes: number;
  readonly records: number;
  /** Where the sparse index of the segment is in the file. */
  readonly indexPosition: number;
  readonly indexBytes: number;
}

/** A run: one sorted file of one attempt. Segment i is that of partition i; empty ones have 0 bytes. */
export interface Run {
  readonly segments: readonly RunSegment[];
}

export interface ExchangeOutput {
  readonly exchange: number;
  /** In stream order. */
  readonly runs: readonly Run[];
  readonly records: number;
  readonly bytes: number;
  /** Keys (encoded, base64) that were sampled, and the hash that chose them: the SAMPLE_RECORDS lowest hashes of all that
   * was written, so that samples of several tasks put together are the sample of the whole, however it was cut. */
  readonly sample: readonly { readonly hash: number; readonly key: string }[];
}

export interface TaskResult {
  readonly exchanges: readonly ExchangeOutput[];
  readonly writes: readonly { readonly node: number; readonly parts: readonly Part[] }[];
  /** Dead letters of this attempt. */
  readonly skipped: { readonly records: number; readonly parts: readonly Part[] };
  readonly counters: Readonly<Record<string, number>>;
  readonly metrics: TaskMetrics;
}

export interface TaskMetrics {
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly recordsOut: number;
  readonly bytesOut: number;
  readonly spills: number;
  readonly spilledBytes: number;
  readonly memoryBytesMax: number;
  readonly elapsedMs: number;
}

/** Told now and then while a task runs (not per record). */
export interface TaskProgress {
  readonly recordsIn: number;
  readonly bytesIn: number;
}
