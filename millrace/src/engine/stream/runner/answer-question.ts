/**
 * Questions about the state of a task that runs here: how views reach it, across threads. Answers hold what is committed, never what may be
 * undone. Questions and answers are structured clones.
 */
import type { TopicPartition } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { StoredEntry } from '../state/store.ts';
import type { TaskRun } from '../worker/task-run.ts';

export type TaskQuestion =
  /** The value of a key. */
  | {
      readonly kind: 'get';
      readonly store: string;
      readonly key: unknown;
      readonly sub: number;
    }
  /** At most `limit` entries with from <= key < to, in order; undefined: no bound. */
  | {
      readonly kind: 'range';
      readonly store: string;
      readonly from: unknown;
      readonly to: unknown;
      readonly limit: number;
    };

export interface TaskAnswer {
  readonly entries: readonly StoredEntry[];
  /** Of each input of the task: records before this offset are part of the answer, those from it on are not. */
  readonly reflects: readonly (TopicPartition & { readonly offset: number })[];
}

/** @throws {MillraceError} ML_USAGE: there is no such store */
export function answerQuestion(run: TaskRun, question: TaskQuestion): TaskAnswer {
  const view = run.task.state.committedView(question.store);
  if (view === undefined) {
    const names = run.task.state.stores.map(({ name }) => name).join(', ');
    throw new MillraceError('ML_USAGE', `there is no store '${question.store}' in this task`, {
      hint: names === '' ? 'The task has no state' : `It has ${names}`,
      fields: { store: question.store },
    });
  }
  const reflects = run.positions();
  if (question.kind === 'range')
    return { entries: view.range(question.from, question.to, question.limit), reflects };
  const { key, sub } = question;
  const value = view.get(key, sub);
  return { entries: value === undefined ? [] : [{ key, sub, value }], reflects };
}
