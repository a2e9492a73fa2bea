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
  /** `exchanges[i].id === i`. */
  readonly exchanges: readonly Exchange[];
}

/**
 * Records on their way from the stages that make them to those that use them. A lane is one way to get there: an exchange of a
 * union has one for each input, in order, and the records of a lane come before those of the next.
 */
export interface Exchange {
  readonly id: number;
  /** The stateful operator that needs it: its name, its node, and which of the node's inputs this is. */
  readonly name: string;
  readonly node: number;
  readonly input: number;
  /** Stages by lane: `producers[lane]`. A stage may fill several lanes. */
  readonly producers: readonly number[];
  readonly consumers: readonly number[];
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
  /** Source nodes that it reads (one at most); with `exchangesIn` empty. Tasks are packs of splits. */
  readonly sources: readonly number[];
  /** Exchanges whose partitions are its tasks (two for a join), in input order. */
  readonly exchangesIn: readonly number[];
  /** Exchanges that every task reads whole. */
  readonly broadcastsIn: readonly number[];
  readonly exchangesOut: readonly number[];
  /** Write nodes that end in it. */
  readonly writes: readonly number[];
  /** How records flow: `steps[0]` is the root (a source node, or the node whose exchanges are read), others come after their
   * parents. A node behind a union may occur several times, once for each way to it. */
  readonly steps: readonly Step[];
  /** A single task, whatever its input (gather, iterate, sinks that need one part). */
  readonly isSingle: boolean;
  /** For joins: how, and why: shown by `millrace plan`. */
  readonly joins: readonly {
    readonly node: number;
    readonly strategy: JoinStrategy;
    readonly reason: string;
  }[];
}

/** A node of the plan in one stage: it takes the records of the step `parent`. */
export interface Step {
  readonly node: number;
  /** -1 for the root. */
  readonly parent: number;
  /** Which of the node's inputs comes from the parent; 0 for the root. */
  readonly input: number;
  /** The step ends the stage: its records go into this exchange. */
  readonly exchange: number | undefined;
  /** Of the exchange, or of the write node: which of the ways to it this is. */
  readonly lane: number;
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
  /** Number of this task among all tasks that write to the node, in the order of the output, from 0; not dense: lane ×
   * TASKS_PER_LANE + number in the stage. A task that writes to a node by two ways has two of these. */
  readonly task: number;
}

/** More tasks than a stage can have. */
export const TASKS_PER_LANE = 1_000_000;

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
  /** Set by who runs the task; an exchange writer says 0. */
  readonly lane: number;
  /** In stream order. */
  readonly runs: readonly Run[];
  readonly records: number;
  readonly bytes: number;
  /** Keys (encoded, base64) that were sampled, and the hash that chose them: the SAMPLE_RECORDS lowest hashes of all that
   * was written, so that samples of several tasks put together are the sample of the whole, however it was cut. */
  readonly sample: readonly { readonly hash: number; readonly key: string }[];
  /** Keys (encoded, base64) that fill whole blocks of sorted runs, and how many records those blocks have: a lower bound
   * of what the key has. Absent when there are none. */
  readonly heavy?: readonly {
    readonly partition: number;
    readonly key: string;
    readonly records: number;
  }[];
}

export interface TaskResult {
  readonly exchanges: readonly ExchangeOutput[];
  /** One for each TaskWrite: `node` and `task` are its. Sorted by `task`, the parts of all are the output. */
  readonly writes: readonly {
    readonly node: number;
    readonly task: number;
    readonly parts: readonly Part[];
  }[];
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
  /** Of an iteration. */
  readonly rounds?: number;
}

/** Told now and then while a task runs (not per record). */
export interface TaskProgress {
  readonly recordsIn: number;
  readonly bytesIn: number;
}
