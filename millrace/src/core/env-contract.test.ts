/** What every `Env` promises, asked of the real machine and of the simulated one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Env, File } from './env.ts';
import type { ErrorCode } from './errors.ts';
import { MillraceError } from './errors.ts';
import {
  readFully,
  readFullyAsync,
  readWholeFile,
  replaceFile,
  writeFully,
  writeManyFully,
  writeManyFullyAsync,
} from './files.ts';
import { realEnv } from './real-env.ts';
import { SimMachine } from './sim/sim-machine.ts';

interface Bench {
  readonly env: Env;
  /** An empty directory. */
  readonly root: string;
}

interface Machine {
  readonly name: string;
  /** Runs a test body on a fresh machine to its end. */
  readonly run: <T>(body: (bench: Bench) => Promise<T>) => Promise<T>;
}

const real: Machine = {
  name: 'real',
  run: async (body) => {
    const root = mkdtempSync(join(tmpdir(), 'millrace-env-'));
    try {
      return await body({ env: realEnv(), root });
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  },
};

const simulated: Machine = {
  name: 'simulated',
  run: (body) => {
    const machine = new SimMachine(1);
    return machine.run(body({ env: machine.boot(), root: '/data' }));
  },
};

/** The most hostile settings under which the contract still holds. */
const hostile: Machine = {
  name: 'hostile simulated',
  run: (body) => {
    const machine = new SimMachine(2);
    machine.faults.shortWriteProbability = 0.5;
    machine.faults.shortReadProbability = 0.5;
    machine.faults.slowSyncProbability = 0.5;
    machine.faults.writeBackProbability = 1;
    return machine.run(body({ env: machine.boot(), root: '/data' }));
  },
};

async function errorOf(work: () => unknown): Promise<MillraceError | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return undefined;
}

async function codeOf(work: () => unknown): Promise<ErrorCode | undefined> {
  return (await errorOf(work))?.code;
}

function text(env: Env, path: string): string {
  return readWholeFile(env.fs, path).toString();
}

function put(file: File, content: string, position = 0): void {
  const bytes = Buffer.from(content);
  writeFully(file, bytes, 0, bytes.length, position);
}

function create(env: Env, path: string, content: string): void {
  const file = env.fs.open(path, 'create');
  put(file, content);
  file.close();
}

describe.each([real, simulated, hostile])('files of a $name machine', ({ run }) => {
  test('each mode opens what it says', () =>
    run(async ({ env, root }) => {
      const path = `${root}/a`;
      expect(await codeOf(() => env.fs.open(path, 'read'))).toBe('ML_FILE_NOT_FOUND');
      expect(await codeOf(() => env.fs.open(path, 'write'))).toBe('ML_FILE_NOT_FOUND');
      create(env, path, 'one');
      expect(await codeOf(() => env.fs.open(path, 'create'))).toBe('ML_FILE_EXISTS');
      const again = env.fs.open(path, 'open');
      expect(again.size()).toBe(3);
      put(again, 'two');
      again.close();
      expect(text(env, path)).toBe('two');
      env.fs.open(`${root}/b`, 'open').close();
      expect(env.fs.list(root)).toEqual(['a', 'b']);
      expect(await codeOf(() => env.fs.open(`${root}/none/c`, 'create'))).toBe('ML_FILE_NOT_FOUND');
    }));

  test('an error names what was done and where', () =>
    run(async ({ env, root }) => {
      const error = await errorOf(() => env.fs.open(`${root}/none`, 'read'));
      expect(error?.message).toContain(`open ${root}/none`);
      expect(error?.fields).toMatchObject({ errno: 'ENOENT', path: `${root}/none` });
      expect(error?.cause).toBeInstanceOf(Error);
    }));

  test('a file opened for reading refuses writes', () =>
    run(async ({ env, root }) => {
      create(env, `${root}/a`, 'kept');
      const file = env.fs.open(`${root}/a`, 'read');
      expect(await codeOf(() => file.write(Buffer.from('x'), 0, 1, 0))).toBe('ML_IO');
      file.close();
      expect(text(env, `${root}/a`)).toBe('kept');
    }));

  test('bytes are read back from where they were written, and holes are zeros', () =>
    run(async ({ env, root }) => {
      const file = env.fs.open(`${root}/a`, 'create');
      put(file, 'tail', 10_000);
      put(file, 'head');
      expect(file.size()).toBe(10_004);
      const bytes = Buffer.alloc(10_010, 0xff);
      expect(readFully(file, bytes, 0, 10_010, 0)).toBe(10_004);
      expect(bytes.toString('latin1', 0, 4)).toBe('head');
      expect(bytes.subarray(4, 10_000).every((byte) => byte === 0)).toBe(true);
      expect(bytes.toString('latin1', 10_000, 10_004)).toBe('tail');
      expect(bytes[10_004]).toBe(0xff);
      expect(file.read(bytes, 0, 10, 10_004)).toBe(0);
      expect(await file.readAsync(bytes, 0, 10, 20_000)).toBe(0);
      expect(file.write(bytes, 5, 5, 50_000)).toBe(0);
      file.close();
    }));

  test('only the range of the buffer that is named is used', () =>
    run(async ({ env, root }) => {
      const file = env.fs.open(`${root}/a`, 'create');
      writeFully(file, Buffer.from('abcdef'), 2, 4, 0);
      const into = Buffer.from('......');
      expect(readFully(file, into, 1, 3, 0)).toBe(2);
      expect(into.toString()).toBe('.cd...');
      expect(await readFullyAsync(file, into, 4, 6, 0)).toBe(2);
      expect(into.toString()).toBe('.cd.cd');
      file.close();
    }));

  test('many buffers are written in order, however many and however small', () =>
    run(async ({ env, root }) => {
      const buffers = Array.from({ length: 2_500 }, (_, index) =>
        Buffer.from(index % 7 === 0 ? '' : `${index},`),
      );
      const expected = Buffer.concat(buffers);
      const file = env.fs.open(`${root}/a`, 'create');
      expect(writeManyFully(file, buffers, 0)).toBe(expected.length);
      expect(await writeManyFullyAsync(file, buffers, expected.length)).toBe(expected.length);
      expect(writeManyFully(file, [Buffer.alloc(0)], 0)).toBe(0);
      file.close();
      const found = readWholeFile(env.fs, `${root}/a`);
      expect(found.equals(Buffer.concat([expected, expected]))).toBe(true);
    }));

  test('truncate cuts, and extends with zeros', () =>
    run(async ({ env, root }) => {
      const file = env.fs.open(`${root}/a`, 'create');
      put(file, 'x'.repeat(9_000));
      file.truncate(5_000);
      expect(file.size()).toBe(5_000);
      file.truncate(8_000);
      const bytes = Buffer.alloc(8_000);
      expect(readFully(file, bytes, 0, 8_000, 0)).toBe(8_000);
      expect(bytes.indexOf(0)).toBe(5_000);
      expect(bytes.subarray(5_000).every((byte) => byte === 0)).toBe(true);
      file.close();
    }));

  test('a closed file refuses everything but closing', () =>
    run(async ({ env, root }) => {
      const file = env.fs.open(`${root}/a`, 'create');
      const byte = Buffer.alloc(1);
      file.close();
      file.close();
      const calls = [
        () => file.size(),
        () => file.write(byte, 0, 1, 0),
        () => file.writeMany([byte], 0),
        () => file.writeManyAsync([byte], 0),
        () => file.read(byte, 0, 1, 0),
        () => file.readAsync(byte, 0, 1, 0),
        () => file.truncate(0),
        () => file.sync(),
      ];
      for (const call of calls) expect(await codeOf(call)).toBe('ML_FILE_CLOSED');
    }));

  test('closing lets calls under way finish, in their own file', () =>
    run(async ({ env, root }) => {
      const content = Buffer.alloc(300_000, 'a');
      const file = env.fs.open(`${root}/a`, 'create');
      const writing = file.writeManyAsync([content], 0);
      const syncing = file.sync();
      file.close();
      const other = env.fs.open(`${root}/b`, 'create');
      put(other, 'other');
      const count = await writing;
      await syncing;
      expect(count).toBeGreaterThan(0);
      expect(env.fs.stat(`${root}/a`)?.sizeBytes).toBe(count);
      expect(text(env, `${root}/b`)).toBe('other');
      other.close();
    }));

  test('sync resolves, also for several calls at once', () =>
    run(async ({ env, root }) => {
      const file = env.fs.open(`${root}/a`, 'create');
      put(file, 'x');
      await Promise.all([file.sync(), file.sync(), env.fs.syncDirectory(root)]);
      file.close();
      expect(await codeOf(() => env.fs.syncDirectory(`${root}/none`))).toBe('ML_FILE_NOT_FOUND');
    }));

  test('stat and list tell what is there', () =>
    run(async ({ env, root }) => {
      env.fs.makeDirectory(`${root}/d/e/f`);
      env.fs.makeDirectory(`${root}/d/e/f`);
      for (const name of ['b', 'a', 'B', 'c']) create(env, `${root}/d/${name}`, name);
      expect(env.fs.list(`${root}/d`)).toEqual(['B', 'a', 'b', 'c', 'e']);
      expect(env.fs.list(`${root}/none`)).toEqual([]);
      expect(env.fs.stat(`${root}/none`)).toBeUndefined();
      expect(env.fs.stat(`${root}/d/a/below`)).toBeUndefined();
      expect(env.fs.stat(`${root}/d/e`)?.kind).toBe('directory');
      const stat = env.fs.stat(`${root}/d/a`);
      expect(stat).toMatchObject({ kind: 'file', sizeBytes: 1 });
      expect(Math.abs((stat?.modifiedMs ?? 0) - env.clock.nowMs())).toBeLessThan(60_000);
      expect(await codeOf(() => env.fs.makeDirectory(`${root}/d/a`))).toBe('ML_FILE_EXISTS');
    }));

  test('rename replaces its target, and open files follow the file', () =>
    run(async ({ env, root }) => {
      create(env, `${root}/a`, 'new');
      create(env, `${root}/b`, 'old');
      const old = env.fs.open(`${root}/b`, 'read');
      const moved = env.fs.open(`${root}/a`, 'write');
      env.fs.rename(`${root}/a`, `${root}/b`);
      expect(env.fs.list(root)).toEqual(['b']);
      put(moved, 'NEW');
      expect(text(env, `${root}/b`)).toBe('NEW');
      const bytes = Buffer.alloc(3);
      readFully(old, bytes, 0, 3, 0);
      expect(bytes.toString()).toBe('old');
      old.close();
      moved.close();
      expect(await codeOf(() => env.fs.rename(`${root}/none`, `${root}/b`))).toBe(
        'ML_FILE_NOT_FOUND',
      );
      env.fs.makeDirectory(`${root}/d/e`);
      create(env, `${root}/d/e/f`, 'deep');
      env.fs.rename(`${root}/d`, `${root}/c`);
      expect(text(env, `${root}/c/e/f`)).toBe('deep');
    }));

  test('remove takes files, removeDirectory takes trees, and neither minds absence', () =>
    run(async ({ env, root }) => {
      create(env, `${root}/a`, 'a');
      const open = env.fs.open(`${root}/a`, 'read');
      await env.fs.remove(`${root}/a`);
      await env.fs.remove(`${root}/a`);
      const byte = Buffer.alloc(1);
      expect(open.read(byte, 0, 1, 0)).toBe(1);
      open.close();
      env.fs.makeDirectory(`${root}/d/e`);
      create(env, `${root}/d/x`, 'x');
      create(env, `${root}/d/e/y`, 'y');
      expect(await codeOf(() => env.fs.remove(`${root}/d`))).toMatch(/ML_IO|ML_PERMISSION/);
      await env.fs.removeDirectory(`${root}/d`);
      await env.fs.removeDirectory(`${root}/d`);
      expect(env.fs.list(root)).toEqual([]);
    }));

  test('removeIfEmpty takes directories that hold nothing, and minds no others', () =>
    run(async ({ env, root }) => {
      env.fs.makeDirectory(`${root}/d/e`);
      await env.fs.removeIfEmpty(`${root}/d`);
      expect(env.fs.list(`${root}/d`)).toEqual(['e']);
      await env.fs.removeIfEmpty(`${root}/d/e`);
      await env.fs.removeIfEmpty(`${root}/d/e`);
      await env.fs.removeIfEmpty(`${root}/d`);
      expect(env.fs.list(root)).toEqual([]);
      create(env, `${root}/a`, 'a');
      expect(await codeOf(() => env.fs.removeIfEmpty(`${root}/a`))).toBe('ML_IO');
      expect(text(env, `${root}/a`)).toBe('a');
    }));

  test('a symbolic link leads on, from where it is and through others', () =>
    run(async ({ env, root }) => {
      const { fs } = env;
      fs.makeDirectory(`${root}/d/e`);
      create(env, `${root}/d/e/f`, 'deep');
      fs.symlink('d/e', `${root}/to-e`);
      fs.symlink('to-e', `${root}/again`);
      fs.symlink(`${fs.realPath(root)}/d/e/f`, `${root}/to-f`);
      fs.symlink('../.././d', `${root}/d/e/up`);
      expect(text(env, `${root}/again/f`)).toBe('deep');
      expect(text(env, `${root}/to-f`)).toBe('deep');
      expect(text(env, `${root}/to-e/up/e/f`)).toBe('deep');
      expect(fs.list(`${root}/again`)).toEqual(['f', 'up']);
      expect(fs.list(root)).toEqual(['again', 'd', 'to-e', 'to-f']);
      expect(fs.stat(`${root}/again`)?.kind).toBe('directory');
      expect(fs.stat(`${root}/to-f`)).toMatchObject({ kind: 'file', sizeBytes: 4 });
      expect(fs.readLink(`${root}/again`)).toBe('to-e');
      expect(fs.readLink(`${root}/d/e`)).toBeUndefined();
      expect(fs.readLink(`${root}/d/e/f`)).toBeUndefined();
      expect(fs.readLink(`${root}/none`)).toBeUndefined();
      expect(fs.readLink(`${root}/d/e/f/none`)).toBeUndefined();
      expect(fs.realPath(`${root}/again/up/e/f`)).toBe(`${fs.realPath(root)}/d/e/f`);
      expect(await codeOf(() => fs.realPath(`${root}/none`))).toBe('ML_FILE_NOT_FOUND');
      expect(await codeOf(() => fs.symlink('d', `${root}/to-e`))).toBe('ML_FILE_EXISTS');
      expect(await codeOf(() => fs.symlink('d', `${root}/d`))).toBe('ML_FILE_EXISTS');
      create(env, `${root}/again/new`, 'through a link');
      fs.makeDirectory(`${root}/to-e/g/h`);
      expect(fs.list(`${root}/d/e`)).toEqual(['f', 'g', 'new', 'up']);
      await fs.syncDirectory(`${root}/again`);
    }));

  test('a link that leads nowhere is nothing, but in the way', () =>
    run(async ({ env, root }) => {
      const { fs } = env;
      fs.symlink('none', `${root}/a`);
      fs.symlink('b', `${root}/b`);
      expect(fs.stat(`${root}/a`)).toBeUndefined();
      expect(fs.readLink(`${root}/a`)).toBe('none');
      expect(await codeOf(() => fs.open(`${root}/a`, 'read'))).toBe('ML_FILE_NOT_FOUND');
      expect(await codeOf(() => fs.open(`${root}/a`, 'create'))).toBe('ML_FILE_EXISTS');
      expect(await codeOf(() => fs.makeDirectory(`${root}/a`))).toMatch(/ML_FILE_EXISTS|_FOUND/);
      expect(await codeOf(() => fs.open(`${root}/b`, 'read'))).toBe('ML_IO');
      fs.open(`${root}/a`, 'open').close();
      expect(fs.list(root)).toEqual(['a', 'b', 'none']);
    }));

  test('rename and remove mean the link, not what it leads to', () =>
    run(async ({ env, root }) => {
      const { fs } = env;
      for (const name of ['v1', 'v2']) {
        fs.makeDirectory(`${root}/${name}`);
        create(env, `${root}/${name}/f`, name);
      }
      fs.symlink('v1', `${root}/out`);
      fs.symlink('v2', `${root}/next`);
      fs.rename(`${root}/next`, `${root}/out`);
      expect(text(env, `${root}/out/f`)).toBe('v2');
      create(env, `${root}/file`, 'a file');
      expect(await codeOf(() => fs.rename(`${root}/out`, `${root}/v1`))).toBe('ML_IO');
      expect(await codeOf(() => fs.rename(`${root}/v1`, `${root}/out`))).toBe('ML_IO');
      fs.rename(`${root}/out`, `${root}/file`);
      expect(text(env, `${root}/file/f`)).toBe('v2');
      create(env, `${root}/other`, 'other');
      fs.rename(`${root}/other`, `${root}/file`);
      expect(text(env, `${root}/file`)).toBe('other');
      fs.symlink('v1', `${root}/v2/link`);
      fs.symlink('../v1', `${root}/v2/up`);
      await fs.remove(`${root}/v2/link`);
      await fs.removeDirectory(`${root}/v2`);
      fs.symlink('v1', `${root}/last`);
      await fs.removeDirectory(`${root}/last`);
      expect(fs.list(root)).toEqual(['file', 'v1']);
      expect(text(env, `${root}/v1/f`)).toBe('v1');
    }));

  test('device and inode tell whether two paths lead to the same thing', () =>
    run(async ({ env, root }) => {
      const { fs } = env;
      fs.makeDirectory(`${root}/d`);
      create(env, `${root}/d/f`, 'f');
      create(env, `${root}/d/g`, 'g');
      fs.symlink('d', `${root}/link`);
      const [d, f, g, link, through] = ['d', 'd/f', 'd/g', 'link', 'link/f'].map((name) => {
        const { device = -1, inode = -1 } = fs.stat(`${root}/${name}`) ?? {};
        return `${device}:${inode}`;
      });
      expect(link).toBe(d);
      expect(through).toBe(f);
      expect(new Set([d, f, g]).size).toBe(3);
      expect(fs.stat(`${root}/d`)?.device).toBe(fs.stat(root)?.device);
    }));

  test('there is room on the device', () =>
    run(async ({ env, root }) => {
      expect(await env.fs.freeBytes(root)).toBeGreaterThan(0);
      expect(await codeOf(() => env.fs.freeBytes(`${root}/none`))).toBe('ML_FILE_NOT_FOUND');
    }));

  test('replaceFile replaces whole contents, and readWholeFile has a limit', () =>
    run(async ({ env, root }) => {
      const path = `${root}/a`;
      create(env, `${path}.new`, 'a longer rest of an attempt that did not end');
      await replaceFile(env.fs, path, Buffer.from('first'));
      expect(text(env, path)).toBe('first');
      await replaceFile(env.fs, path, Buffer.from('2'));
      expect(text(env, path)).toBe('2');
      expect(env.fs.list(root)).toEqual(['a']);
      await replaceFile(env.fs, path, Buffer.alloc(11));
      expect(await codeOf(() => readWholeFile(env.fs, path, 10))).toBe('ML_FILE_TOO_LARGE');
      expect(readWholeFile(env.fs, path, 11)).toHaveLength(11);
    }));

  test('a directory is locked once, and the error names the holder', () =>
    run(async ({ env, root }) => {
      const lock = env.fs.lock(root);
      const error = await errorOf(() => env.fs.lock(root));
      expect(error?.code).toBe('ML_DIR_LOCKED');
      const { pid, host } = error?.fields ?? {};
      expect(error?.message).toContain(`${root} is in use by process ${pid} on ${host}`);
      expect(error?.hint).toContain(`kill ${pid}`);
      env.fs.makeDirectory(`${root}/other`);
      env.fs.lock(`${root}/other`).release();
      lock.release();
      lock.release();
      const again = env.fs.lock(root);
      expect(await codeOf(() => env.fs.lock(root))).toBe('ML_DIR_LOCKED');
      again.release();
      expect(env.fs.list(root)).not.toContain('lock.json');
      expect(await codeOf(() => env.fs.lock(`${root}/none`))).toBe('ML_FILE_NOT_FOUND');
    }));

  test('any sequence of writes, truncations and reads agrees with an array of bytes', () =>
    run(async ({ env, root }) => {
      const position = fc.integer({ min: 0, max: 12_000 });
      const operation = fc.oneof(
        fc.record({ kind: fc.constant('write'), position, length: fc.nat(9_000) }),
        fc.record({ kind: fc.constant('many'), position, length: fc.nat(9_000) }),
        fc.record({ kind: fc.constant('truncate'), position, length: fc.constant(0) }),
      );
      let number = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 12 }), async (operations) => {
          const path = `${root}/f${number++}`;
          const file = env.fs.open(path, 'create');
          let model = Buffer.alloc(0);
          for (const { kind, position: at, length } of operations) {
            const bytes = Buffer.alloc(length, number + at + 1);
            const end = kind === 'truncate' ? at : length === 0 ? 0 : at + length;
            const grown = Buffer.alloc(kind === 'truncate' ? at : Math.max(model.length, end));
            model.copy(grown);
            model = grown;
            if (kind === 'truncate') {
              file.truncate(at);
              continue;
            }
            bytes.copy(model, at);
            if (kind === 'write') writeFully(file, bytes, 0, length, at);
            else await writeManyFullyAsync(file, [bytes.subarray(0, 10), bytes.subarray(10)], at);
          }
          await file.sync();
          file.close();
          expect(readWholeFile(env.fs, path).equals(model)).toBe(true);
        }),
        { numRuns: 50 },
      );
    }));
});

describe.each([real, simulated])(
  'clock, timers and random numbers of a $name machine',
  ({ run }) => {
    test('a timer fires after its delay and not before, by the monotonic clock', () =>
      run(async ({ env }) => {
        for (const delayMs of [0, 0.3, 1, 1.7, 5, 12.5]) {
          const startMs = env.clock.monotonicMs();
          await env.timers.sleep(delayMs);
          expect(env.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs);
        }
      }));

    test('timers fire in the order of their delays', () =>
      run(async ({ env }) => {
        const fired: number[] = [];
        await new Promise<void>((resolve) => {
          env.timers.after(60, resolve);
          for (const delayMs of [40, 0, 20]) env.timers.after(delayMs, () => fired.push(delayMs));
        });
        expect(fired).toEqual([0, 20, 40]);
      }));

    test('a cancelled timer never fires', () =>
      run(async ({ env }) => {
        let count = 0;
        const timer = env.timers.after(1, () => count++);
        timer.cancel();
        timer.cancel();
        const late = env.timers.after(0, () => count++);
        await env.timers.sleep(10);
        late.cancel();
        expect(count).toBe(1);
      }));

    test('sleep ends with its signal', () =>
      run(async ({ env }) => {
        expect(await codeOf(() => env.timers.sleep(60_000, AbortSignal.abort()))).toBe(
          'ML_ABORTED',
        );
        const controller = new AbortController();
        const sleeping = codeOf(() => env.timers.sleep(60_000, controller.signal));
        env.timers.after(1, () => controller.abort());
        expect(await sleeping).toBe('ML_ABORTED');
        await env.timers.sleep(1, new AbortController().signal);
      }));

    test('immediate runs after what promises have made ready, in order', () =>
      run(async ({ env }) => {
        const order: string[] = [];
        await new Promise<void>((resolve) => {
          env.timers.immediate(() => order.push('first'));
          env.timers.immediate(() => {
            order.push('second');
            resolve();
          });
          void Promise.resolve().then(() => order.push('promise'));
          order.push('now');
        });
        expect(order).toEqual(['now', 'promise', 'first', 'second']);
      }));

    test('impossible delays are refused', () =>
      run(async ({ env }) => {
        for (const delayMs of [-1, 2 ** 31, Number.NaN])
          expect(await codeOf(() => env.timers.after(delayMs, () => {}))).toBe('ML_ASSERT');
      }));

    test('the monotonic clock never goes back and the wall clock shows a date', () =>
      run(async ({ env }) => {
        let last = env.clock.monotonicMs();
        for (let round = 0; round < 20; round++) {
          if (round % 5 === 0) await env.timers.sleep(1);
          const now = env.clock.monotonicMs();
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
        expect(env.clock.nowMs()).toBeGreaterThan(Date.UTC(2025, 0, 1));
        expect(Number.isInteger(env.clock.nowMs())).toBe(true);
      }));

    test('random numbers, bytes and ids have their shapes', () =>
      run(async ({ env }) => {
        const numbers = Array.from({ length: 2_000 }, () => env.random.next());
        expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
        const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
        expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
        expect(env.random.bytes(0)).toHaveLength(0);
        expect(new Set(env.random.bytes(4_096)).size).toBeGreaterThan(200);
        const ids = Array.from({ length: 100 }, () => env.random.uuid());
        expect(new Set(ids).size).toBe(100);
        for (const id of ids)
          expect(id).toMatch(
            /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
          );
      }));
  },
);
