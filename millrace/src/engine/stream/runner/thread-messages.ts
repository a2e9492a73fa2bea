/** What a worker thread and the flow that started it say to each other. Structured clones; errors as `errorToMessage` makes them. */
import type { MessagePort } from 'node:worker_threads';
import {
  errorFromMessage,
  type ErrorMessage,
  errorToMessage,
} from '../../batch/workers/messages.ts';
import type { ProgramRef } from '../../batch/program/program.ts';
import type { TaskId } from '../topology.ts';
import type { TaskAnswer, TaskQuestion } from './answer-question.ts';
import type { StateKind } from './task-opener.ts';
import type { StartFrom, WorkerEvent, WorkerStatus } from '../worker/worker-types.ts';

/** What a thread is started with. */
export interface ThreadStart {
  readonly program: ProgramRef;
  /** Of the plan: the thread must build the same. */
  readonly fingerprint: string;
  readonly partitionsByTopic: ReadonlyMap<string, number>;
  readonly connection:
    | { readonly kind: 'brokers'; readonly brokers: string }
    | { readonly kind: 'port'; readonly port: MessagePort };
  readonly worker: WorkerSettings;
}

/** What all workers of a flow in a process are set up with, and each by itself. */
export interface WorkerSettings {
  readonly label: string;
  /** Of this worker alone. */
  readonly directory: string;
  readonly state: StateKind;
  readonly claims: readonly TaskId[];
  readonly address: string | undefined;
  readonly from: StartFrom;
  readonly commitIntervalMs: number;
  readonly sessionMs: number;
  readonly transactionMs: number;
  /** Of repartition topics, as the topology was planned. */
  readonly partitions: number | undefined;
}

export type ToThread =
  | { readonly kind: 'stop' }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly task: TaskId;
      readonly question: TaskQuestion;
    };

export type FromThread =
  | { readonly kind: 'event'; readonly event: WorkerEvent }
  | { readonly kind: 'status'; readonly status: WorkerStatus }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: TaskAnswer }
  | { readonly kind: 'refusal'; readonly id: number; readonly error: ErrorMessage }
  | { readonly kind: 'ended'; readonly error: ErrorMessage | undefined };

/** Errors do not survive a structured clone with their class. */
export function packEvent(event: WorkerEvent): WorkerEvent {
  return 'error' in event ? { ...event, error: errorToMessage(event.error) } : event;
}

export function unpackEvent(event: WorkerEvent): WorkerEvent {
  return 'error' in event
    ? { ...event, error: errorFromMessage(event.error as ErrorMessage) }
    : event;
}
