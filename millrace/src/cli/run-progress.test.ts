/** What is drawn while a job runs, on a clock that the test moves. */
import { expect, test } from 'vitest';
import type { Env } from '../core/env.ts';
import type { JobEvent } from '../engine/batch/job/job-events.ts';
import type { StageGraph, TaskResult } from '../engine/batch/stage.ts';
import { cutText, RunProgress, type ProgressOptions } from './run-progress.ts';

const GRAPH = {
  stages: [{ label: 'read a.log → hits' }, { label: 'hits → write out' }],
  exchanges: [],
} as unknown as StageGraph;
const PLANNED: JobEvent = {
  kind: 'planned',
  job: 'id',
  flow: 'f',
  graph: GRAPH,
  workers: 2,
  inputBytes: 1_000_000,
};

function progressOf(changes: Partial<ProgressOptions> = {}): {
  readonly progress: RunProgress;
  readonly written: string[];
  /** Moves the clock; timers that are due run once for each of their delays. */
  readonly wait: (ms: number) => void;
} {
  const written: string[] = [];
  let nowMs = 0;
  let due: { readonly atMs: number; readonly callback: () => void } | undefined;
  const env = {
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
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
  const progress = new RunProgress({
    env,
    write: (text) => written.push(text),
    isTerminal: true,
    hasColour: false,
    columns: () => 200,
    isQuiet: false,
    ...changes,
  });
  return {
    progress,
    written,
    wait: (ms) => {
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

const AT = { stage: 0, task: 0, attempt: 0 };

function done(task: number, bytesIn: number, recordsIn: number): JobEvent {
  const result = { metrics: { bytesIn, recordsIn } } as TaskResult;
  return { kind: 'taskDone', ...AT, task, result };
}

test('a line has bar, share, rates, what is left and the stage', () => {
  const { progress, written, wait } = progressOf();
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 4, bytes: 1_000_000 });
  progress.take(done(0, 250_000, 1_000));
  progress.take({ kind: 'taskProgress', ...AT, task: 1, bytesIn: 250_000, recordsIn: 1_000 });
  wait(2_000);
  expect(written.at(-1)).toBe(
    '\r\x1b[Kstage 1/2  ██████████░░░░░░░░░░   50 %  1,000 records/s  250.0 kB/s  2.00 s left  read a.log → hits',
  );
});

test('the share is that of the tasks where bytes are not known', () => {
  const { progress } = progressOf();
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 4, bytes: 0 });
  progress.take(done(0, 10, 1));
  expect(progress.line()).toContain(' 25 %');
});

test('an attempt that failed no longer counts', () => {
  const { progress, written } = progressOf();
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 1, bytes: 100 });
  progress.take({ kind: 'taskProgress', ...AT, bytesIn: 90, recordsIn: 1 });
  progress.take({ kind: 'taskFailed', ...AT, error: new Error('lost'), retries: true });
  expect(progress.line()).toContain('  0 %');
  expect(written).toEqual(["warning: task 0 of 'read a.log → hits' is tried again: lost\n"]);
});

test('it is drawn at most ten times a second, only when it has changed, and never wider than the terminal', () => {
  const { progress, written, wait } = progressOf({ columns: () => 30 });
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 10, bytes: 0 });
  wait(900);
  expect(written).toHaveLength(1);
  for (let task = 0; task < 10; task++) {
    progress.take(done(task, 1, 1));
    wait(50);
  }
  expect(written.length).toBeLessThanOrEqual(6);
  for (const text of written) expect(text.replace('\r\x1b[K', '').length).toBeLessThanOrEqual(29);
});

test('what else is said comes above the line, whole', () => {
  const { progress, written, wait } = progressOf();
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 1, bytes: 0 });
  wait(100);
  progress.take({ kind: 'output', worker: 2, line: 'hello' });
  expect(written.slice(1)).toEqual(['\r\x1b[K', '[worker 2] hello\n']);
  wait(100);
  expect(written.at(-1)).toMatch(/stage 1\/2/);
});

test('without a terminal it is a plain line every ten seconds', () => {
  const { progress, written, wait } = progressOf({ isTerminal: false });
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 4, bytes: 1_000_000 });
  progress.take(done(0, 250_000, 10_000));
  wait(9_999);
  expect(written).toEqual([]);
  wait(1);
  expect(written).toEqual([
    'stage 1/2 (read a.log → hits), task 1/4,  25 %, 1,000 records/s, 25.0 kB/s, 30.0 s left\n',
  ]);
});

test('colour is only in the bar, and only when it is wanted', () => {
  const { progress, written, wait } = progressOf({ hasColour: true });
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 2, bytes: 0 });
  progress.take(done(0, 1, 1));
  wait(100);
  expect(written.at(-1)).toContain('\x1b[32m██████████\x1b[39m░');
});

test('quiet, and after the end, nothing is drawn', () => {
  const { progress, written, wait } = progressOf({ isQuiet: true });
  progress.take(PLANNED);
  progress.take({ kind: 'stageStarted', stage: 0, tasks: 2, bytes: 0 });
  wait(20_000);
  expect(written).toEqual([]);
  const ended = progressOf();
  ended.progress.take(PLANNED);
  ended.progress.take({ kind: 'stageStarted', stage: 0, tasks: 2, bytes: 0 });
  ended.wait(100);
  ended.progress.stop();
  const before = ended.written.length;
  ended.wait(1_000);
  expect(ended.written).toHaveLength(before);
  expect(ended.written.at(-1)).toBe('\r\x1b[K');
});

test('text is cut between characters', () => {
  expect(cutText('abc', 3)).toBe('abc');
  expect(cutText('abcd', 3)).toBe('ab…');
  expect(cutText('😀😀😀', 2)).toBe('😀…');
  expect(cutText('abc', 0)).toBe('…');
});
