/** Workers as processes that do what the test says: replaced, given up, cancelled. */
import { describe, expect, test } from 'vitest';
import type { ChildHandlers, ProcessLauncher } from '../../../core/child-process.ts';
import type { Timers } from '../../../core/env.ts';
import { WORKER_START_FAILURES_MAX, WORKER_START_KILLS_MAX } from '../../../core/limits.ts';
import { encodeFrame, FrameDecoder, type FrameName } from './frames.ts';
import type { JobEvent } from '../job/job-events.ts';
import type { TaskSpec } from '../stage.ts';
import { WorkerPool } from './worker-pool.ts';

class FakeProcess {
  readonly pid: number;
  readonly got: FrameName[] = [];
  isKilled = false;
  readonly #handlers: ChildHandlers;
  readonly #decoder = new FrameDecoder();

  constructor(pid: number, handlers: ChildHandlers) {
    this.pid = pid;
    this.#handlers = handlers;
  }

  take(chunk: Uint8Array): void {
    this.got.push(...this.#decoder.push(chunk).map(({ name }) => name));
  }

  say(name: FrameName, body: unknown = {}): void {
    this.#handlers.data(encodeFrame(name, body));
  }

  print(text: string): void {
    this.#handlers.output('stderr', Buffer.from(text));
  }

  end(code: number | undefined, signal?: string): void {
    this.#handlers.closed({ code, signal, error: undefined });
  }
}

interface Timeout {
  readonly delayMs: number;
  readonly callback: () => void;
}

function poolOf(size: number): {
  readonly pool: WorkerPool;
  readonly processes: FakeProcess[];
  readonly events: JobEvent[];
  readonly exited: number[];
  readonly timeouts: Timeout[];
} {
  const processes: FakeProcess[] = [];
  const events: JobEvent[] = [];
  const exited: number[] = [];
  const timeouts: Timeout[] = [];
  const launcher: ProcessLauncher = {
    launch: (_options, handlers) => {
      const process = new FakeProcess(100 + processes.length, handlers);
      processes.push(process);
      return {
        pid: process.pid,
        write: (chunk) => {
          process.take(chunk);
        },
        interrupt: () => {},
        kill: () => {
          process.isKilled = true;
        },
      };
    },
  };
  const timers: Timers = {
    after: (delayMs, callback) => {
      timeouts.push({ delayMs, callback });
      return { cancel: () => {} };
    },
    sleep: () => new Promise(() => {}),
    immediate: () => {},
  };
  const pool = new WorkerPool({
    launcher,
    timers,
    command: ['node'],
    directory: '/',
    environment: {},
    init: { program: { path: '/p.ts', settings: {} }, directory: '/', brokers: null },
    size,
    onEvent: (event) => {
      events.push(event);
    },
    onExit: (pid) => {
      exited.push(pid);
    },
  });
  pool.prepare({
    facts: { sourceBytes: {}, partitions: undefined, memoryBytes: 1 },
    fingerprint: 'f',
  });
  return { pool, processes, events, exited, timeouts };
}

const SPEC = { stage: 0, task: 0, attempt: 0 } as unknown as TaskSpec;
const DONE = { result: { counters: {} }, usage: { residentBytesMax: 5, cpuMs: 7 } };
const HOOKS = { started: () => {}, progress: () => {} };

function run(pool: WorkerPool): Promise<unknown> {
  return pool.run(SPEC, HOOKS);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test('all workers are started at once, and told program and plan', () => {
  const { processes, events } = poolOf(3);
  expect(processes.map(({ got }) => got)).toEqual([
    ['init', 'plan'],
    ['init', 'plan'],
    ['init', 'plan'],
  ]);
  expect(events).toEqual([
    { kind: 'workerStarted', worker: 1, pid: 100 },
    { kind: 'workerStarted', worker: 2, pid: 101 },
    { kind: 'workerStarted', worker: 3, pid: 102 },
  ]);
});

test('a task goes to the first worker that is ready, and what that took is counted', async () => {
  const { pool, processes } = poolOf(2);
  const done = run(pool);
  processes[1]?.say('ready', { fingerprint: 'f' });
  await turn();
  expect(processes[1]?.got).toEqual(['init', 'plan', 'task']);
  processes[1]?.say('done', DONE);
  expect(await done).toEqual(DONE.result);
  expect(pool.usage).toEqual([DONE.usage]);
});

describe('a worker that ends', () => {
  test('fails its task, and is replaced when there is work', async () => {
    const { pool, processes, events } = poolOf(1);
    const first = run(pool);
    processes[0]?.say('ready', { fingerprint: 'f' });
    await turn();
    processes[0]?.end(undefined, 'SIGKILL');
    await expect(first).rejects.toMatchObject({
      code: 'ML_WORKER_LOST',
      message: 'worker 1 (process 100) was ended by SIGKILL',
      retriable: true,
    });
    expect(processes).toHaveLength(1);
    const second = run(pool);
    expect(processes).toHaveLength(2);
    expect(processes[1]?.got).toEqual(['init', 'plan']);
    processes[1]?.say('ready', { fingerprint: 'f' });
    await turn();
    processes[1]?.say('done', DONE);
    await second;
    expect(events.map(({ kind }) => kind)).toEqual([
      'workerStarted',
      'workerLost',
      'workerStarted',
    ]);
  });

  test('says what it wrote last, and that its memory was full without the words of V8', async () => {
    const { pool, processes, events } = poolOf(1);
    const done = run(pool);
    processes[0]?.say('ready', { fingerprint: 'f' });
    await turn();
    processes[0]?.print('hello\n<--- Last few GCs --->\nMark-Compact\n');
    processes[0]?.print('FATAL ERROR: JavaScript heap out of memory\n');
    processes[0]?.end(undefined, 'SIGABRT');
    await expect(done).rejects.toMatchObject({
      message: 'worker 1 (process 100) ran out of memory',
      hint: expect.stringContaining('--memory') as string,
      cause: { message: expect.stringContaining('hello') as string },
    });
    expect(events).toContainEqual({ kind: 'output', worker: 1, line: 'hello' });
    expect(events.filter(({ kind }) => kind === 'output')).toHaveLength(1);
  });

  test('before it was ready is tried again, but not for ever', async () => {
    const { pool, processes } = poolOf(1);
    const done = run(pool);
    for (let count = 0; count < WORKER_START_FAILURES_MAX; count++) {
      expect(processes).toHaveLength(count + 1);
      processes[count]?.end(7);
    }
    await expect(done).rejects.toMatchObject({
      message: `worker ${WORKER_START_FAILURES_MAX} (process ${99 + WORKER_START_FAILURES_MAX}) ended with exit code 7 before it was ready`,
      retriable: false,
    });
    await expect(run(pool)).rejects.toMatchObject({ code: 'ML_WORKER_LOST' });
  });
});

test('workers that somebody ends before they are ready are replaced, many times but not for ever', async () => {
  const { pool, processes } = poolOf(1);
  const waiting = run(pool);
  for (let count = 1; count < WORKER_START_KILLS_MAX; count++)
    processes[count - 1]?.end(undefined, 'SIGKILL');
  processes.at(-1)?.say('ready', { fingerprint: 'f' });
  await turn();
  processes.at(-1)?.say('done', DONE);
  expect(await waiting).toEqual(DONE.result);
  const { pool: other, processes: killed } = poolOf(1);
  const lost = run(other);
  for (let count = 0; count < WORKER_START_KILLS_MAX; count++)
    killed[count]?.end(undefined, 'SIGKILL');
  await expect(lost).rejects.toMatchObject({ code: 'ML_WORKER_LOST' });
});

test('only workers in a row that cannot start count: one that did begins anew', async () => {
  const { pool, processes } = poolOf(1);
  const waiting = run(pool);
  let at = 0;
  const die = (): void => processes[at++]?.end(7);
  for (let count = 1; count < WORKER_START_FAILURES_MAX; count++) die();
  processes[at]?.say('ready', { fingerprint: 'f' });
  await turn();
  die();
  await expect(waiting).rejects.toMatchObject({ retriable: true });
  const again = run(pool);
  for (let count = 1; count < WORKER_START_FAILURES_MAX; count++) die();
  processes[at]?.say('ready', { fingerprint: 'f' });
  await turn();
  processes[at]?.say('done', DONE);
  expect(await again).toEqual(DONE.result);
});

test('a program that cannot be loaded fails every task, and starts no further worker', async () => {
  const { pool, processes } = poolOf(2);
  const waiting = run(pool);
  processes[0]?.say('error', {
    code: 'ML_PROGRAM_INVALID',
    message: 'no flow',
    hint: '',
    retriable: false,
    stack: '',
    fields: {},
    cause: null,
  });
  await expect(waiting).rejects.toMatchObject({ code: 'ML_PROGRAM_INVALID' });
  await expect(run(pool)).rejects.toMatchObject({ code: 'ML_PROGRAM_INVALID' });
  expect(processes[0]?.isKilled).toBe(true);
  processes[0]?.end(undefined, 'SIGKILL');
  expect(processes).toHaveLength(2);
});

test('garbage in the pipe of a worker ends it, not the driver', async () => {
  const { pool, processes } = poolOf(1);
  const waiting = run(pool);
  processes[0]?.say('done', DONE);
  await expect(waiting).rejects.toMatchObject({ code: 'ML_WIRE_MALFORMED' });
  expect(processes[0]?.isKilled).toBe(true);
});

test('cancel asks those that work and kills those that wait, and after a while all', async () => {
  const { pool, processes, timeouts } = poolOf(2);
  const working = run(pool);
  processes[0]?.say('ready', { fingerprint: 'f' });
  processes[1]?.say('ready', { fingerprint: 'f' });
  await turn();
  pool.cancel();
  expect(processes[0]?.got.at(-1)).toBe('cancel');
  expect(processes.map(({ isKilled }) => isKilled)).toEqual([false, true]);
  timeouts[0]?.callback();
  expect(processes[0]?.isKilled).toBe(true);
  processes[0]?.end(undefined, 'SIGKILL');
  await expect(working).rejects.toMatchObject({ code: 'ML_WORKER_LOST' });
});

test('cancel ends those who wait for a worker', async () => {
  const { pool, processes } = poolOf(1);
  const waiting = run(pool);
  pool.cancel();
  await expect(waiting).rejects.toMatchObject({ code: 'ML_ABORTED' });
  processes[0]?.end(undefined, 'SIGKILL');
  expect(processes).toHaveLength(1);
});

test('close waits until all have ended', async () => {
  const { pool, processes, exited } = poolOf(2);
  let isClosed = false;
  const closed = pool.close().then(() => {
    isClosed = true;
  });
  expect(processes.every(({ isKilled }) => isKilled)).toBe(true);
  processes[0]?.end(undefined, 'SIGKILL');
  await turn();
  expect(isClosed).toBe(false);
  processes[1]?.end(undefined, 'SIGKILL');
  await closed;
  expect(exited).toEqual([100, 101]);
});
