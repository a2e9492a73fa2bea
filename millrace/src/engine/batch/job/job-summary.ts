/**
 * What is known of a job: what `runJob` resolves to, what `job.json` holds, what `millrace job show --json` prints. Plain JSON.
 * NOTE: read by people's scripts (docs/reference/job-summary.md): add names, do not rename them.
 */
import type { ErrorMessage } from '../workers/messages.ts';
import type { TaskMetrics } from '../stage.ts';

export type JobStatus = 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface JobSummary {
  readonly id: string;
  /** A job whose record says `running` although its process has ended is shown as `lost`. */
  readonly status: JobStatus;
  /** Name of the flow. */
  readonly flow: string;
  /** Absolute path of the program; empty for a flow that was run without one. */
  readonly program: string;
  readonly directory: string;
  readonly process: { readonly pid: number; readonly host: string; readonly started: string };
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly elapsedMs: number;
  /** Every parameter of the program, with the value that it had. */
  readonly parameters: Readonly<Record<string, string | number | boolean>>;
  readonly fingerprint: string;
  /** Worker processes; 0: everything ran in the process of the driver. */
  readonly workers: number;
  readonly memoryBytes: number;
  /** Stages, exchanges and joins, as `millrace plan` prints them. */
  readonly plan: string;
  readonly stages: readonly StageSummary[];
  readonly exchanges: readonly ExchangeSummary[];
  readonly counters: Readonly<Record<string, number>>;
  readonly outputs: readonly OutputSummary[];
  readonly skippedRecords: number;
  /** Attempts beyond the first ones. */
  readonly retries: number;
  readonly workersLost: number;
  /** Bytes of the inputs, as far as they are known. */
  readonly inputBytes: number;
  /** The most that all processes had resident, each at its worst; 0 when not known. */
  readonly residentBytesMax: number;
  /** Processor time of all processes. */
  readonly cpuMs: number;
  readonly error: ErrorMessage | null;
}

export interface StageSummary extends Sums {
  readonly stage: number;
  readonly label: string;
  readonly status: 'waiting' | 'running' | 'done';
  /** Its records come from a source, not from another stage. */
  readonly readsSource: boolean;
  readonly retries: number;
  /** From its first task to its last one. */
  readonly elapsedMs: number;
  readonly tasks: readonly TaskSummary[];
}

/** Sums over the tasks that are done. */
export type Sums = Pick<
  TaskMetrics,
  'recordsIn' | 'bytesIn' | 'recordsOut' | 'bytesOut' | 'spills' | 'spilledBytes'
>;

export interface TaskSummary extends TaskMetrics {
  readonly task: number;
  readonly attempts: number;
  /** Who ran the attempt that counts; 0: the driver. */
  readonly worker: number;
}

export interface ExchangeSummary {
  readonly exchange: number;
  readonly name: string;
  readonly kind: string;
  readonly partitions: number;
  readonly records: number;
  readonly bytes: number;
  /** Bytes of the largest partition over those of the median one; 1 when they are alike, or when there is only one. */
  readonly skew: number;
  /** The most frequent key of a hash exchange that is not combined, and its share of the records, 0 to 1: about. */
  readonly hottestKey?: { readonly key: string; readonly share: number };
}

export interface OutputSummary {
  /** Absolute; `-` for stdout. */
  readonly path: string;
  readonly records: number;
  readonly bytes: number;
  readonly files: number;
  /** `path` is a directory, in which the files are. */
  readonly isDirectory: boolean;
}
