/**
 * Questions about the state of a task that runs here: how views reach it, across threads. Answers hold what is committed, never what may be
 * undone. Questions and answers are structured clones.
 */
import type { TopicPartition } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { ReadableStore, StoredEntry } from '../state/store.ts';
import type { GlobalTables } from '../task/global-tables.ts';
import { readView } from '../views/read-view.ts';
import type { ViewPage, ViewQuestion } from '../views/view-row.ts';
import type { ViewSpec } from '../views/view-spec.ts';
import { partitionKey, type TaskRun } from '../worker/task-run.ts';

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
    }
  | ViewQuestion;

export interface TaskAnswer {
  readonly entries: readonly StoredEntry[];
  /** Of each input of the task: records before this offset are part of the answer, those from it on are not. */
  readonly reflects: readonly (TopicPartition & { readonly offset: number })[];
  /** To questions about views; `entries` is empty then. */
  readonly page?: ViewPage;
}

/** @throws {MillraceError} ML_USAGE: there is no such store; ML_VIEW_UNKNOWN, and what the functions of a view throw */
export function answerQuestion(
  run: TaskRun,
  views: ReadonlyMap<string, ViewSpec>,
  question: TaskQuestion,
): TaskAnswer {
  if (question.kind === 'view') return answerView(run, views, question);
  const view = committed(run, question.store);
  const reflects = run.positions();
  if (question.kind === 'range')
    return { entries: view.range(question.from, question.to, question.limit), reflects };
  const { key, sub } = question;
  const value = view.get(key, sub);
  return { entries: value === undefined ? [] : [{ key, sub, value }], reflects };
}

function answerView(
  run: TaskRun,
  views: ReadonlyMap<string, ViewSpec>,
  question: ViewQuestion,
): TaskAnswer {
  const spec = views.get(question.view);
  if (spec === undefined) throw unknownView(question.view, [...views.keys()]);
  const { rows, next } = readView(spec, committed(run, spec.store), question);
  const changelog = run.task.changelogs.find(({ store }) => store === spec.store);
  const position =
    changelog === undefined
      ? undefined
      : run.changelogEnds.get(partitionKey(changelog.topic, changelog.partition));
  return {
    entries: [],
    reflects: run.positions(),
    page: {
      rows,
      next,
      position: position ?? 0,
      watermark: run.committedTime,
      committedAt: run.committedAt,
    },
  };
}

/** The same for a global table, which every worker has all of: it is no part of any transaction, and has no changelog. */
export function answerGlobal(
  globals: GlobalTables,
  views: ReadonlyMap<string, ViewSpec>,
  question: ViewQuestion,
): TaskAnswer | undefined {
  const spec = views.get(question.view);
  const store = spec === undefined ? undefined : globals.committedView(spec.store);
  if (spec === undefined || store === undefined) return undefined;
  const { rows, next } = readView(spec, store, question);
  return {
    entries: [],
    reflects: globals.positions,
    page: {
      rows,
      next,
      position: 0,
      watermark: Number.NEGATIVE_INFINITY,
      committedAt: undefined,
    },
  };
}

export function unknownView(view: string, names: readonly string[]): MillraceError {
  return new MillraceError('ML_VIEW_UNKNOWN', `the flow has no view '${view}'`, {
    hint:
      names.length === 0
        ? 'It has no tables and no windows, so there is nothing to show'
        : `It has ${names.join(', ')}`,
    fields: { view },
  });
}

function committed(run: TaskRun, store: string): ReadableStore {
  const view = run.task.state.committedView(store);
  if (view !== undefined) return view;
  const names = run.task.state.stores.map(({ name }) => name).join(', ');
  throw new MillraceError('ML_USAGE', `there is no store '${store}' in this task`, {
    hint: names === '' ? 'The task has no state' : `It has ${names}`,
    fields: { store },
  });
}
