/** What is said while a flow runs without end, on a clock that the test moves. */
import { expect, test } from 'vitest';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { FlowMetrics } from '../engine/stream/runner/flow-types.ts';
import type { WorkerEvent } from '../engine/stream/worker/worker-types.ts';
import { type StreamEvent, StreamProgress, type StreamProgressOptions } from './stream-progress.ts';
import { StreamTally } from './stream-tally.ts';

const T = Date.parse('2026-01-31T12:00:05.250Z');

interface Counted {
  readonly in: number;
  readonly out?: number;
  readonly late?: number;
  readonly skipped?: number;
}

/** One worker, with tasks 0-0, 0-1, … that have counted so much. */
function metricsOf(tasks: readonly Counted[], commits = 1): FlowMetrics {
  return {
    flow: 'f',
    workers: [
      {
        label: 'w',
        commits,
        commitMs: 3.6,
        tasks: tasks.map((task, partition) => ({
          task: { stage: 0, partition },
          phase: 'running',
          watermark: T,
          counters: {
            recordsIn: task.in,
            recordsOut: task.out ?? 0,
            lateDropped: task.late ?? 0,
            skipped: task.skipped ?? 0,
          },
          stateBytes: 0,
          inputs: [],
        })),
      },
    ],
    recordsIn: 0,
    recordsOut: 0,
    lateDropped: 0,
    skipped: 0,
    lagRecords: 1_204,
    watermark: T,
    stateBytes: 2_000_000,
  };
}

function progressOf(changes: Partial<StreamProgressOptions> = {}) {
  const written: string[] = [];
  const events: StreamEvent[] = [];
  let nowMs = 0;
  let metrics = metricsOf([]);
  let due: { readonly atMs: number; readonly callback: () => void } | undefined;
  const env = {
    clock: { nowMs: () => T + nowMs, monotonicMs: () => nowMs },
    timers: {
      after: (delayMs: number, callback: () => void) => {
        due = { atMs: nowMs + delayMs, callback };
        return {
          cancel: () => {
            due = undefined;
          },
        };
      },
    },
  } as unknown as Env;
  const progress = new StreamProgress({
    env,
    flow: 'f',
    where: 'here',
    workers: 0,
    style: 'plain',
    write: (text) => written.push(text),
    columns: () => 200,
    emit: (event) => events.push(event),
    ...changes,
  });
  progress.start(() => metrics);
  return {
    progress,
    events,
    /** What was written since the last call. */
    said: () => written.splice(0).join(''),
    set: (now: FlowMetrics) => {
      metrics = now;
    },
    tell: (event: WorkerEvent, worker = 0) => {
      progress.take({ kind: 'worker', worker, event });
    },
    wait: (ms: number) => {
      const endMs = nowMs + ms;
      while (due !== undefined && due.atMs <= endMs) {
        const { atMs, callback } = due;
        nowMs = atMs;
        due = undefined;
        callback();
      }
      nowMs = endMs;
    },
  };
}

const RUNNING: WorkerEvent = { kind: 'running', tasks: 2, restoredRecords: 0 };
const COMMITTED: WorkerEvent = { kind: 'committed', records: 1, tookMs: 1 };

test('plain lines say what happens, and now and then how it goes', () => {
  const { progress, said, set, tell, wait } = progressOf();
  expect(said()).toBe('f: started on here, in one thread\n');
  progress.take({ kind: 'waiting', topics: ['a', 'b'] });
  expect(said()).toBe('waiting for topic a, topic b: millrace topic create makes one\n');
  tell({ kind: 'joining' });
  tell(RUNNING);
  expect(said()).toBe('f: running 2 tasks\n');
  set(metricsOf([{ in: 20_000, out: 50, late: 3, skipped: 1 }, { in: 5_000 }], 7));
  wait(9_999);
  expect(said()).toBe('');
  wait(1);
  expect(said()).toBe(
    'f: running: 25,000 records in, 50 out, 3 late, 1 skipped, 7 commits (2,500 records/s in), lag 1,204, time 2026-01-31 12:00:05, state 2.0 MB\n',
  );
  set(metricsOf([{ in: 20_001, out: 50, late: 3, skipped: 1 }, { in: 5_000 }], 8));
  tell(COMMITTED);
  // The tasks are closed, and what they counted stays.
  set({ ...metricsOf([], 8), watermark: Number.POSITIVE_INFINITY });
  progress.stopped();
  expect(said()).toBe(
    'f: stopped after 10.0 s: 25,001 records in, 50 out, 3 late, 1 skipped, 8 commits\n',
  );
  wait(60_000);
  expect(said()).toBe('');
});

test('a terminal has one line, of the last seconds, and other lines stand above it', () => {
  const { progress, said, set, tell, wait } = progressOf({ style: 'terminal', workers: 1 });
  wait(250);
  expect(said()).toBe('f: started on here, in 1 worker thread\n\r\x1b[Kf: starting');
  tell(RUNNING);
  expect(said()).toBe('\r\x1b[Kf: running 2 tasks\n');
  for (let at = 0; at < 40; at++) {
    set(metricsOf([{ in: at * 250, out: at * 25 }]));
    wait(250);
  }
  expect(progress.line()).toBe(
    'f: 1,000 records/s in, 100 records/s out  lag 1,204  time 2026-01-31 12:00:05  commit 4 ms',
  );
  said();
  tell({ kind: 'retrying', error: new MillraceError('ML_DISK_FULL', 'no space'), delayMs: 200 });
  expect(said()).toBe('\r\x1b[Kwarning: no space; it is tried again in 0.20 s\n');
});

test('what is restored is shown as a share, until all workers run', () => {
  const { progress, said, tell, events } = progressOf({ workers: 2 });
  said();
  const task = { stage: 1, partition: 0 };
  tell({ kind: 'restoring', task, store: 'totals', done: 10, total: 40 });
  expect(said()).toBe('f: restoring totals 25 %\n');
  tell({ kind: 'restoring', task, store: 'names', done: 35, total: 60 });
  expect(progress.line()).toBe('f: restoring totals, names 45 %');
  tell({ ...RUNNING, restoredRecords: 30 }, 0);
  expect(said()).toBe('');
  tell({ ...RUNNING, restoredRecords: 5 }, 1);
  expect(said()).toBe('f: running 4 tasks, after 35 records of state\n');
  expect(events).toEqual([]);
});

test('JSON has an event for each, not too many, and nothing else is written', () => {
  const { progress, said, set, tell, wait, events } = progressOf({ style: 'json' });
  const task = { stage: 1, partition: 0 };
  const data = {} as never;
  tell({ kind: 'assigned', generation: 3, tasks: [task], data });
  for (let done = 0; done <= 100; done += 10) {
    tell({ kind: 'restoring', task, store: 's', done, total: 100 });
    wait(200);
  }
  tell(RUNNING);
  tell({ kind: 'lost', error: new MillraceError('ML_GROUP_LOST', 'gone') });
  tell({ kind: 'purgeFailed', error: new Error('later') });
  set(metricsOf([{ in: 30_000 }]));
  wait(10_000);
  progress.stopped();
  expect(said()).toBe('');
  const ofRestoring = events.filter(({ event }) => event === 'restoring');
  expect(ofRestoring.map((event) => event['done'])).toEqual([0, 50, 100]);
  expect(events.filter(({ event }) => event !== 'restoring')).toMatchObject([
    { event: 'started', flow: 'f', log: 'here', workers: 0, time: '2026-01-31T12:00:05.250Z' },
    { event: 'assigned', worker: 0, generation: 3, tasks: ['1-0'] },
    { event: 'running', tasks: 2 },
    { event: 'lost', code: 'ML_GROUP_LOST', message: 'gone' },
    { event: 'purgeFailed', message: 'later' },
    { event: 'summary', recordsIn: 30_000, recordsInPerSecond: 3_000, lagRecords: 1_204 },
    { event: 'stopped', recordsIn: 30_000, watermark: '2026-01-31T12:00:05.250Z' },
  ]);
});

test('who wants nothing is told of what goes wrong alone', () => {
  const { progress, said, tell, wait } = progressOf({ style: 'quiet' });
  tell(RUNNING);
  wait(60_000);
  tell({ kind: 'retrying', error: new Error('no broker'), delayMs: 1_000 });
  progress.stopped();
  expect(said()).toBe('warning: no broker; it is tried again in 1.00 s\n');
});

test('tasks that come and go are counted once', () => {
  const tally = new StreamTally();
  tally.take(metricsOf([{ in: 10, out: 1 }, { in: 5 }], 2));
  tally.take(metricsOf([{ in: 12, out: 1 }], 3));
  // The second one is back, and counts from 0.
  tally.take(
    metricsOf(
      [
        { in: 12, out: 2 },
        { in: 4, late: 1 },
      ],
      4,
    ),
  );
  // The first one was opened anew.
  tally.take(metricsOf([{ in: 3 }, { in: 4, late: 1 }], 5));
  expect(tally.totals).toEqual({ recordsIn: 24, recordsOut: 2, late: 1, skipped: 0, commits: 5 });
});
