/** What a running job tells those who watch it: the command line draws it, the history keeps some of it, tests act on it. */
import type { Plan } from '../../../flow/plan.ts';
import type { JobSummary } from './job-summary.ts';
import type { StageGraph, TaskResult } from '../stage.ts';

interface TaskEvent {
  readonly stage: number;
  readonly task: number;
  /** From 0. */
  readonly attempt: number;
}

export type JobEvent =
  /** First: the program is loaded, and describes this. */
  | { readonly kind: 'built'; readonly plan: Plan }
  | {
      /** Everything is checked and planned; nothing has been read yet. */
      readonly kind: 'planned';
      readonly job: string;
      readonly flow: string;
      readonly graph: StageGraph;
      /** Worker processes; 0: it runs in this process. */
      readonly workers: number;
      /** Bytes of all inputs, as far as they are known. */
      readonly inputBytes: number;
    }
  | { readonly kind: 'workerStarted'; readonly worker: number; readonly pid: number }
  | {
      readonly kind: 'workerLost';
      readonly worker: number;
      readonly pid: number;
      /** How it ended, for people. */
      readonly reason: string;
    }
  | {
      readonly kind: 'stageStarted';
      readonly stage: number;
      readonly tasks: number;
      /** What its tasks read, as far as that is known. */
      readonly bytes: number;
    }
  | { readonly kind: 'stageDone'; readonly stage: number }
  | ({
      readonly kind: 'taskStarted';
      /** 0: the process of the driver. */
      readonly worker: number;
      readonly pid: number;
    } & TaskEvent)
  | ({
      readonly kind: 'taskProgress';
      readonly recordsIn: number;
      readonly bytesIn: number;
    } & TaskEvent)
  | ({ readonly kind: 'taskDone'; readonly result: TaskResult } & TaskEvent)
  | ({
      readonly kind: 'taskFailed';
      readonly error: unknown;
      /** There is another attempt. */
      readonly retries: boolean;
    } & TaskEvent)
  /** All tasks are done; the outputs become visible now. */
  | { readonly kind: 'committing' }
  /** Last: how the job has ended. Not sent when there was no job, because the program could not be loaded. */
  | { readonly kind: 'ended'; readonly summary: JobSummary }
  /** A line that the program wrote to its standard output or error in a worker. */
  | { readonly kind: 'output'; readonly worker: number; readonly line: string };
