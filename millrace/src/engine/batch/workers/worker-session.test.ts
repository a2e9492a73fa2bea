/** Both sides of the conversation, joined without a transport that could lose anything. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { encodeFrame, FrameDecoder, type FrameName } from './frames.ts';
import { errorFromMessage, errorToMessage, type DoneMessage } from './messages.ts';
import type { TaskSpec } from '../stage.ts';
import { WorkerLink } from './worker-link.ts';
import { WorkerSession, type SessionEngine } from './worker-session.ts';

const INIT = { program: { path: '/p.ts', settings: {} }, directory: '/', brokers: null };
const PLAN = {
  facts: { sourceBytes: {}, partitions: undefined, memoryBytes: 1 },
  fingerprint: 'f',
};
const DONE: DoneMessage = {
  result: {
    exchanges: [],
    writes: [],
    skipped: { records: 0, parts: [] },
    counters: { seen: 3 },
    metrics: {
      recordsIn: 1,
      bytesIn: 2,
      recordsOut: 3,
      bytesOut: 4,
      spills: 0,
      spilledBytes: 0,
      memoryBytesMax: 5,
      elapsedMs: 6,
    },
  },
  usage: { residentBytesMax: 1, cpuMs: 2 },
};
const SPEC: TaskSpec = {
  stage: 0,
  task: 0,
  attempt: 0,
  splits: [],
  reads: [],
  broadcasts: [],
  directory: '/a',
  writes: [],
  skippedDirectory: undefined,
  skippedRecordsMax: 0,
  memoryBytes: 1,
};

class FakeEngine implements SessionEngine {
  load: SessionEngine['load'] = () => Promise.resolve('f');
  prepare: SessionEngine['prepare'] = () => {};
  run: SessionEngine['run'] = () => Promise.resolve(DONE);
}

/** A driver and a worker; frames are cut into pieces of `pieceBytes`. */
function pair(
  engine: SessionEngine,
  pieceBytes = 1_000,
): {
  readonly link: WorkerLink;
  readonly session: WorkerSession;
  readonly broken: Error[];
  readonly failed: Error[];
  readonly logged: string[];
  readonly ready: Promise<void>;
} {
  const broken: Error[] = [];
  const failed: Error[] = [];
  const logged: string[] = [];
  let onReady: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const session: WorkerSession = new WorkerSession({
    engine,
    send: (frame) => {
      for (const piece of pieces(frame, pieceBytes)) link.receive(piece);
    },
    onBroken: (error) => {
      broken.push(error);
    },
  });
  const early: Uint8Array[] = [];
  const link: WorkerLink = new WorkerLink(
    {
      send: (frame) => {
        early.push(frame);
        queueMicrotask(() => {
          for (const each of early.splice(0))
            for (const piece of pieces(each, pieceBytes)) session.receive(piece);
        });
      },
      onReady,
      onFailed: (error) => {
        failed.push(error);
      },
      onLog: (line) => {
        logged.push(line);
      },
    },
    INIT,
  );
  return { link, session, broken, failed, logged, ready };
}

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) all.push(bytes.subarray(at, at + size));
  return all;
}

function none(): void {}

describe('a conversation', () => {
  test.each([1, 3, 1_000])('runs tasks one after the other, cut into %i bytes', async (size) => {
    const { link, ready, broken, failed } = pair(new FakeEngine(), size);
    link.prepare(PLAN);
    await ready;
    expect(link.fingerprint).toBe('f');
    expect(await link.run(SPEC, none)).toEqual(DONE);
    expect(await link.run({ ...SPEC, task: 1 }, none)).toEqual(DONE);
    expect([...broken, ...failed]).toEqual([]);
  });

  test('takes the plan and the first task before the program is loaded', async () => {
    const engine = new FakeEngine();
    const order: string[] = [];
    let loaded: (fingerprint: string) => void = none;
    engine.load = () =>
      new Promise((resolve) => {
        loaded = resolve;
      });
    engine.prepare = () => void order.push('prepare');
    engine.run = () => {
      order.push('run');
      return Promise.resolve(DONE);
    };
    const { link, ready } = pair(engine);
    link.prepare(PLAN);
    const done = link.run(SPEC, none);
    await Promise.resolve();
    await Promise.resolve();
    expect(order).toEqual([]);
    loaded('f');
    await ready;
    await done;
    expect(order).toEqual(['prepare', 'run']);
  });

  test('passes progress and lines on', async () => {
    const engine = new FakeEngine();
    engine.run = (_spec, onProgress) => {
      onProgress({ recordsIn: 10, bytesIn: 100 });
      return Promise.resolve(DONE);
    };
    const { link, session, logged } = pair(engine);
    link.prepare(PLAN);
    const seen: unknown[] = [];
    await link.run(SPEC, (progress) => seen.push(progress));
    session.log('hello');
    expect(seen).toEqual([{ recordsIn: 10, bytesIn: 100 }]);
    expect(logged).toEqual(['hello']);
  });

  test('goes on after a task that failed, and gives its error whole', async () => {
    const engine = new FakeEngine();
    const cause = new TypeError('x is undefined');
    cause.stack = 'TypeError: x is undefined\n    at parse (file:///p.ts:3:4)';
    const error = new MillraceError('ML_USER_FUNCTION', 'a.log:7: map threw', {
      cause,
      fields: { path: 'a.log', line: 7 },
    });
    engine.run = (spec) => (spec.task === 0 ? Promise.reject(error) : Promise.resolve(DONE));
    const { link } = pair(engine);
    link.prepare(PLAN);
    const failure: unknown = await link.run(SPEC, none).catch((each: unknown) => each);
    expect(failure).toBeInstanceOf(MillraceError);
    expect(failure).toMatchObject({
      code: 'ML_USER_FUNCTION',
      message: 'a.log:7: map threw',
      hint: error.hint,
      fields: { path: 'a.log', line: 7 },
      stack: error.stack,
      cause: { message: 'x is undefined', stack: cause.stack },
    });
    expect(await link.run({ ...SPEC, task: 1 }, none)).toEqual(DONE);
  });

  test('cancels the task that runs', async () => {
    const engine = new FakeEngine();
    engine.run = (_spec, _progress, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(new MillraceError('ML_ABORTED', 'cancelled'));
        });
      });
    const { link } = pair(engine);
    link.prepare(PLAN);
    const done = link.run(SPEC, none);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    link.cancel();
    await expect(done).rejects.toMatchObject({ code: 'ML_ABORTED' });
  });

  test('a cancel that comes too late changes nothing', async () => {
    const { link, broken } = pair(new FakeEngine());
    link.prepare(PLAN);
    await link.run(SPEC, none);
    link.cancel();
    expect(await link.run(SPEC, none)).toEqual(DONE);
    expect(broken).toEqual([]);
  });

  test('a worker that ends fails the task that it ran', async () => {
    const engine = new FakeEngine();
    engine.run = () => new Promise(none);
    const { link } = pair(engine);
    link.prepare(PLAN);
    const done = link.run(SPEC, none);
    link.end(new MillraceError('ML_WORKER_LOST', 'gone'));
    await expect(done).rejects.toMatchObject({ code: 'ML_WORKER_LOST' });
  });
});

describe('what cannot go on', () => {
  test('a program that cannot be loaded', async () => {
    const engine = new FakeEngine();
    engine.load = () => Promise.reject(new MillraceError('ML_PROGRAM_INVALID', 'no flow'));
    const { failed, link } = pair(engine);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(failed).toMatchObject([{ code: 'ML_PROGRAM_INVALID', message: 'no flow' }]);
    expect(link.hasEnded).toBe(true);
  });

  test('another plan than the driver’s', async () => {
    const engine = new FakeEngine();
    engine.prepare = () => {
      throw new MillraceError('ML_PROGRAM_INVALID', 'another flow');
    };
    const { failed, link, ready } = pair(engine);
    link.prepare(PLAN);
    await ready;
    expect(failed).toMatchObject([{ code: 'ML_PROGRAM_INVALID', message: 'another flow' }]);
    await expect(link.run(SPEC, none)).rejects.toBe(failed[0]);
  });

  test.each<readonly [string, readonly FrameName[]]>([
    ['a task before everything', ['task']],
    ['a plan before everything', ['plan']],
    ['two beginnings', ['init', 'init', 'init', 'init']],
    ['a frame of the worker’s', ['ready']],
  ])('%s breaks the session', (_name, names) => {
    const broken: Error[] = [];
    const session = new WorkerSession({
      engine: { load: () => new Promise(none), prepare: none, run: () => Promise.resolve(DONE) },
      send: none,
      onBroken: (error) => broken.push(error),
    });
    for (const name of names) session.receive(encodeFrame(name, {}));
    expect(broken).toMatchObject([{ code: 'ML_WIRE_MALFORMED' }]);
  });

  test('a result that is too large for a frame fails the attempt', async () => {
    const engine = new FakeEngine();
    const counters = { ['x'.repeat(70_000_000)]: 1 };
    engine.run = () => Promise.resolve({ ...DONE, result: { ...DONE.result, counters } });
    const { link } = pair(engine);
    link.prepare(PLAN);
    await expect(link.run(SPEC, none)).rejects.toMatchObject({ code: 'ML_WIRE_UNREPRESENTABLE' });
  });

  test('any bytes end the session with one error, or not at all', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 6 }), (chunks) => {
        const broken: Error[] = [];
        const session = new WorkerSession({
          engine: new FakeEngine(),
          send: none,
          onBroken: (error) => broken.push(error),
        });
        for (const chunk of chunks) session.receive(chunk);
        expect(broken.length).toBeLessThanOrEqual(1);
        for (const error of broken) expect(error).toBeInstanceOf(MillraceError);
      }),
    );
  });
});

test('errors of any kind survive the way', () => {
  const bug = errorFromMessage(errorToMessage(new RangeError('a bug')));
  expect(bug).not.toBeInstanceOf(MillraceError);
  expect(bug.message).toBe('a bug');
  expect(errorFromMessage(errorToMessage('thrown text')).message).toBe('thrown text');
  expect(errorFromMessage(errorToMessage(undefined)).message).toBe('undefined');
  const retriable = Object.assign(new Error('busy'), { retriable: true });
  expect(errorFromMessage(errorToMessage(retriable))).toMatchObject({ retriable: true });
  const circular = new Error('around');
  circular.cause = circular;
  const frames = new FrameDecoder().push(encodeFrame('error', errorToMessage(circular)));
  expect(frames).toHaveLength(1);
});
