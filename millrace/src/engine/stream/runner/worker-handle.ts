/** A worker as the flow that started it sees it, wherever it runs. */
import type { TaskAnswer, TaskQuestion } from './answer-question.ts';
import type { TaskId } from '../topology.ts';
import type { WorkerStatus } from '../worker/worker-types.ts';

export interface WorkerHandle {
  /** Resolves when it has ended in order. @throws what ended it */
  readonly done: Promise<void>;
  /** As of lately; undefined: nothing is known yet. */
  status(): WorkerStatus | undefined;
  stop(): void;
  ask(task: TaskId, question: TaskQuestion): Promise<TaskAnswer>;
}
