/**
 * Asks the task that has the answer, wherever it runs: here, or in the process that the assignment of the flow names. While tasks move from
 * one process to another nobody has the answer: then it asks again, for a while.
 */
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { VIEW_MOVING_MS, VIEW_RETRY_MS } from '../../../core/http-limits.ts';
import type { TaskAnswer } from '../runner/answer-question.ts';
import type { FlowMetrics } from '../runner/flow-types.ts';
import type { TaskId } from '../topology.ts';
import { taskName } from '../worker/assign-tasks.ts';
import type { AssignmentData } from '../worker/member-data.ts';
import type { AskPeer, TaskViewAnswer } from './http-peers.ts';
import type { ViewQuestion } from './view-row.ts';

/** What it needs of a flow that runs in this process. */
export interface AskedFlow {
  readonly name: string;
  assignment(): AssignmentData | undefined;
  metrics(): FlowMetrics;
  ask(task: TaskId, question: ViewQuestion): Promise<TaskAnswer>;
}

export interface TaskAskerOptions {
  readonly env: Env;
  readonly running: AskedFlow;
  /** Where this process serves its views. */
  readonly address: string | undefined;
  readonly askPeer: AskPeer;
}

export class TaskAsker {
  readonly #options: TaskAskerOptions;

  constructor(options: TaskAskerOptions) {
    this.#options = options;
  }

  /** @throws {MillraceError} ML_VIEW_MOVING, ML_VIEW_UNREACHABLE, ML_ABORTED; what the view says */
  async ask(task: TaskId, question: ViewQuestion, signal?: AbortSignal): Promise<TaskViewAnswer> {
    const { clock, timers } = this.#options.env;
    const until = clock.monotonicMs() + VIEW_MOVING_MS;
    for (;;) {
      const found =
        (await this.askHere(task, question)) ?? (await this.#askThere(task, question, signal));
      if (!(found instanceof MillraceError)) return found;
      if (clock.monotonicMs() > until) throw found;
      await timers.sleep(VIEW_RETRY_MS, signal);
    }
  }

  /** undefined: it does not run here, or is being restored. */
  async askHere(task: TaskId, question: ViewQuestion): Promise<TaskViewAnswer | undefined> {
    try {
      const { reflects, page } = await this.#options.running.ask(task, question);
      return page === undefined ? undefined : { reflects, page };
    } catch (error) {
      if (isCode(error, 'ML_TASK_ELSEWHERE') || isCode(error, 'ML_WORKER_LOST')) return undefined;
      throw error;
    }
  }

  /** Errors that may pass are returned. */
  async #askThere(
    task: TaskId,
    question: ViewQuestion,
    signal: AbortSignal | undefined,
  ): Promise<TaskViewAnswer | MillraceError> {
    const { running, address, askPeer } = this.#options;
    const assignment = running.assignment();
    const member = assignment?.members.find((each) => mayAnswer(each, task));
    if (assignment === undefined || member === undefined) return moving(running.name, task);
    const isOwn = running.metrics().workers.some(({ label }) => label === member.label);
    if (isOwn || (address !== undefined && member.address === address))
      return moving(running.name, task);
    if (member.address === undefined) return unserved(running.name, task, member.label);
    try {
      return await askPeer(member.address, running.name, assignment.layout, task, question, signal);
    } catch (error) {
      // Where all have the same layout, all know the view: it is the flow that is not served there yet, or any more.
      if (isCode(error, 'ML_VIEW_MOVING') || isCode(error, 'ML_VIEW_UNKNOWN'))
        return moving(running.name, task);
      if (isCode(error, 'ML_CONNECTION_LOST')) return unreachable(running.name, task, error);
      throw error;
    }
  }
}

/** Of a global table every member with work has all. */
function mayAnswer({ tasks }: AssignmentData['members'][number], task: TaskId): boolean {
  return tasks.some(
    ({ stage, partition }) =>
      task.stage < 0 || (stage === task.stage && partition === task.partition),
  );
}

export function moving(flow: string, task: TaskId): MillraceError {
  return new MillraceError(
    'ML_VIEW_MOVING',
    `task ${taskName(task)} of flow '${flow}' is moving to another process, or is being restored`,
    { fields: { flow, task: taskName(task) } },
  );
}

function unserved(flow: string, task: TaskId, worker: string): MillraceError {
  return new MillraceError(
    'ML_VIEW_UNREACHABLE',
    `task ${taskName(task)} of flow '${flow}' runs in worker ${worker}, whose process does not serve its views`,
    {
      hint: 'Start every process of the flow with --http, so that they can ask one another',
      fields: { flow, task: taskName(task), worker },
    },
  );
}

function unreachable(flow: string, task: TaskId, cause: MillraceError): MillraceError {
  return new MillraceError(
    'ML_VIEW_UNREACHABLE',
    `task ${taskName(task)} of flow '${flow}' cannot be asked: ${cause.message}`,
    { cause, fields: { flow, task: taskName(task) } },
  );
}

function isCode(error: unknown, code: string): error is MillraceError {
  return error instanceof MillraceError && error.code === code;
}
