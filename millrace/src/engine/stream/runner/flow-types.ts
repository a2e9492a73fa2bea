/** What runs a flow without end in this process, and what it tells. */
import type { MessagePort } from 'node:worker_threads';
import type { Log } from '../../../client/log.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { ProgramRef } from '../../batch/program/program.ts';
import type { TaskId, Topology } from '../topology.ts';
import type { AssignmentData } from '../worker/member-data.ts';
import type { TaskAnswer, TaskQuestion } from './answer-question.ts';
import type { StateKind } from './task-opener.ts';
import type { CommitStep, StartFrom, WorkerEvent, WorkerStatus } from '../worker/worker-types.ts';

export interface RunFlowOptions {
  readonly log: Log;
  readonly plan: Plan;
  /** What a worker thread imports to get the same plan; needed when `workers` is not 0. */
  readonly program?: ProgramRef;
  /** Absolute. State is kept below `flows/<flow>` of it. */
  readonly dataDirectory: string;
  /** Where state is while the flow runs: on disk, so that it may be larger than memory and a restart reads only what is new; or in memory,
   * made anew from the changelogs at every start. Default 'disk'. */
  readonly state?: StateKind;
  /** Threads; 0: everything in this thread. Default 0. */
  readonly workers?: number;
  /** How a thread reaches the log: the brokers, or a port to the log of this process. Needed when `workers` is not 0. */
  readonly connection?: ThreadConnection;
  /** Where this process serves its views: `host:port`. Default: nowhere. */
  readonly address?: string;
  /** Where a topic is read from of which nothing is committed. Default 'beginning'. */
  readonly from?: StartFrom;
  /** Milliseconds between commits. Default 100. */
  readonly commitIntervalMs?: number;
  /** Milliseconds of silence after which a member has lost its tasks. Default 10,000. */
  readonly sessionMs?: number;
  /** Partitions of repartition topics, and of topics that are made. Default: as many as the input has. */
  readonly partitions?: number;
  /** Waits for topics that do not exist yet; false: they are ML_TOPIC_MISSING. Default true. */
  readonly waitForTopics?: boolean;
  readonly onEvent?: (event: FlowEvent) => void;
  /** Tests let a commit fail there. Without threads only. */
  readonly atStep?: (step: CommitStep, worker: number) => Promise<void> | void;
}

export type ThreadConnection =
  | { readonly kind: 'brokers'; readonly brokers: string }
  /** Called for each thread, which gets the other end. */
  | { readonly kind: 'port'; readonly port: () => MessagePort };

export type FlowEvent =
  /** Topics that the flow reads do not exist: it waits for them. */
  | { readonly kind: 'waiting'; readonly topics: readonly string[] }
  | { readonly kind: 'worker'; readonly worker: number; readonly event: WorkerEvent };

export interface RunningFlow {
  readonly name: string;
  /** Resolves when every worker has restored its tasks once and processes; rejects with what stopped the flow before. */
  readonly ready: Promise<void>;
  /** Resolves after `stop`. @throws {MillraceError} what stopped the flow */
  readonly done: Promise<void>;
  /** Commits, leaves the group, closes. Resolves when all is done; never rejects: `done` does. Idempotent. */
  stop(): Promise<void>;
  /** As of the last half second. */
  metrics(): FlowMetrics;
  /** Who runs which task, in all processes, as the group has dealt it out last; undefined: it has not yet. */
  assignment(): AssignmentData | undefined;
  /** Stages and partitions; undefined: it waits for topics, or has only begun to start. */
  topology(): Topology | undefined;
  /** Asks a task of this process; of stage -1, its global tables. @throws {MillraceError} ML_TASK_ELSEWHERE, ML_USAGE */
  ask(task: TaskId, question: TaskQuestion): Promise<TaskAnswer>;
}

/** How a flow is doing in this process, since it was started here. */
export interface FlowMetrics {
  readonly flow: string;
  readonly workers: readonly WorkerStatus[];
  readonly recordsIn: number;
  readonly recordsOut: number;
  /** Records that came too late and were dropped: `.late(topic)` writes them instead. */
  readonly lateDropped: number;
  /** Records that went to the sink of `skipTo`. */
  readonly skipped: number;
  /** Records that were there and are not committed as read, as far as is known. */
  readonly lagRecords: number;
  /** How far event time has come, milliseconds since 1970: the lowest of the tasks; -Infinity: one has seen nothing yet. */
  readonly watermark: number;
  readonly stateBytes: number;
}
