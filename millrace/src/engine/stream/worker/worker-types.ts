/** What a worker of a flow is given, and what it tells. */
import type { Log, LogRecords, TopicPartition } from '../../../client/log.ts';
import type { StreamTask, TaskMetrics, TaskOutput } from '../task.ts';
import type { TaskId, Topology } from '../topology.ts';
import type { AssignmentData } from './member-data.ts';

/** Where a flow begins to read a topic of which it has committed nothing; a time: with the first record that is not older. */
export type StartFrom = 'beginning' | 'latest' | { readonly timestamp: number };

/** The global tables that all tasks of a worker share. */
export interface GlobalState {
  readonly topics: readonly string[];
  /** Takes committed records in; they are not part of any transaction. */
  add(records: LogRecords): void;
}

/** What a task needs of who runs it. */
export interface TaskHost {
  readonly output: TaskOutput;
  /** Something that waited is done: the task wants to be processed. */
  readonly wake: () => void;
}

export interface WorkerOptions {
  readonly log: Log;
  readonly topology: Topology;
  /** Opens a task and its state, as far as that is on this machine; not restored yet. */
  readonly openTask: (id: TaskId, host: TaskHost) => Promise<StreamTask>;
  /** Tables that all tasks share. */
  readonly globals: GlobalState;
  /** Notes topics as the flow's own, before they are made. */
  readonly recordTopics: (names: readonly string[]) => Promise<void>;
  /** `<instance>-<worker>`: names the static member and, behind the flow's name, the transactional id. */
  readonly label: string;
  /** Tasks whose state is on this machine from before. */
  readonly claims: readonly TaskId[];
  /** Where this process serves views: `host:port`. */
  readonly address: string | undefined;
  readonly from: StartFrom;
  readonly commitIntervalMs: number;
  readonly sessionMs: number;
  readonly transactionMs: number;
  readonly onEvent: (event: WorkerEvent) => void;
  /** Called around the steps of a commit; tests let it fail there. */
  readonly atStep?: (step: CommitStep) => Promise<void> | void;
}

export type CommitStep = 'prepared' | 'flushed' | 'committed';

export type WorkerEvent =
  /** Waits for the group. */
  | { readonly kind: 'joining' }
  /** Has been given tasks; those that are new are restored first. */
  | {
      readonly kind: 'assigned';
      readonly generation: number;
      readonly tasks: readonly TaskId[];
      readonly data: AssignmentData;
    }
  /** State of a task is read from its changelog: `done` of `total` offsets of it. */
  | {
      readonly kind: 'restoring';
      readonly task: TaskId;
      readonly store: string;
      readonly done: number;
      readonly total: number;
    }
  /** All tasks process. */
  | { readonly kind: 'running'; readonly tasks: number; readonly restoredRecords: number }
  | { readonly kind: 'committed'; readonly records: number; readonly tookMs: number }
  /** Something failed that can pass: nothing of the last transaction counts, and it goes on from the last commit. */
  | { readonly kind: 'retrying'; readonly error: unknown; readonly delayMs: number }
  /** Records of repartition topics that all have read could not be deleted; it is tried again. */
  | { readonly kind: 'purgeFailed'; readonly error: unknown }
  /** The group has gone on without this worker, which joins again. */
  | { readonly kind: 'lost'; readonly error: unknown };

export interface TaskStatus {
  readonly task: TaskId;
  readonly phase: 'restoring' | 'running';
  readonly watermark: number;
  readonly counters: TaskMetrics;
  readonly stateBytes: number;
  readonly inputs: readonly InputStatus[];
}

export interface InputStatus extends TopicPartition {
  /** Committed: the next one is processed in the next transaction. */
  readonly offset: number;
  /** One past the last record that could be read when the broker was asked last; undefined: it was not. */
  readonly end: number | undefined;
}

export interface WorkerStatus {
  readonly label: string;
  readonly commits: number;
  /** Of the last commit. */
  readonly commitMs: number;
  readonly tasks: readonly TaskStatus[];
}
