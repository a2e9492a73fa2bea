/** Every way in which the simulated disk may lose, tear or bring back data, and that it does no worse. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Env, File } from '../env.ts';
import type { MillraceError } from '../errors.ts';
import { readWholeFile, writeFully } from '../files.ts';
import { PAGE_BYTES, SECTOR_BYTES } from './sim-inode.ts';
import { SimMachine } from './sim-machine.ts';

const SEEDS = Array.from({ length: 200 }, (_, index) => index);
const PATH = '/data/a';

function fill(file: File, content: string, count: number, position: number): void {
  writeFully(file, Buffer.alloc(count, content), 0, count, position);
}

function textOf(env: Env, path = PATH): string | undefined {
  return env.fs.stat(path) === undefined ? undefined : readWholeFile(env.fs, path).toString();
}

async function durable(env: Env, content: string, count: number): Promise<File> {
  const file = env.fs.open(PATH, 'create');
  fill(file, content, count, 0);
  await file.sync();
  await env.fs.syncDirectory('/data');
  return file;
}

/** What each seed leaves on the disk when the power goes after `work`. */
async function afterCuts<T>(
  work: (env: Env, machine: SimMachine) => Promise<void> | void,
  look: (env: Env, machine: SimMachine) => T,
): Promise<T[]> {
  const found: T[] = [];
  for (const seed of SEEDS) {
    const machine = new SimMachine(seed);
    const env = machine.boot();
    await machine.run(Promise.resolve(work(env, machine)));
    found.push(look(machine.reboot(), machine));
  }
  return found;
}

function runs(text: string): string {
  return text.replaceAll('\0', '0').replaceAll(/(.)\1*/g, '$1');
}

describe('bytes', () => {
  test('what was synced survives every power cut', async () => {
    const found = await afterCuts(
      async (env) => (await durable(env, 'x', 10_000)).close(),
      (env) => textOf(env),
    );
    expect(new Set(found)).toEqual(new Set(['x'.repeat(10_000)]));
  });

  test('what was not synced survives at times, in part at others, or not', async () => {
    const found = await afterCuts(
      async (env) => fill(await durable(env, 'x', 1_000), 'y', 50_000, 1_000),
      (env) => textOf(env) ?? '',
    );
    expect(found.every((text) => text.startsWith('x'.repeat(1_000)))).toBe(true);
    const tails = found.map((text) => text.slice(1_000));
    expect(tails).toContain('');
    expect(tails).toContain('y'.repeat(50_000));
    const partial = tails.filter((tail) => tail.length > 0 && tail !== 'y'.repeat(50_000));
    expect(partial.length).toBeGreaterThan(20);
    // The size may be there without the data, before or after data that is.
    expect(partial.some((tail) => /^\0+$/.test(tail))).toBe(true);
    expect(partial.some((tail) => /^y+$/.test(tail))).toBe(true);
    expect(partial.some((tail) => runs(tail).includes('y0y'))).toBe(true);
  });

  test('an overwrite is torn at the borders of sectors, also inside a page', async () => {
    const size = 4 * PAGE_BYTES;
    const found = await afterCuts(
      async (env) => fill(await durable(env, 'o', size), 'n', size, 0),
      (env) => textOf(env) ?? '',
    );
    expect(found).toContain('o'.repeat(size));
    expect(found).toContain('n'.repeat(size));
    expect(found.every((text) => text.length === size)).toBe(true);
    const borders = found.flatMap((text) =>
      [...text.matchAll(/on|no/g)].map((match) => match.index + 1),
    );
    expect(borders.every((border) => border % SECTOR_BYTES === 0)).toBe(true);
    expect(borders.some((border) => border % PAGE_BYTES !== 0)).toBe(true);
    expect(borders.some((border) => border % PAGE_BYTES === 0)).toBe(true);
  });

  test('bytes above the size that survived never come back', async () => {
    const found = await afterCuts(
      async (env) => fill(await durable(env, 'x', 10), 'y', 500, 10),
      (env) => {
        const file = env.fs.open(PATH, 'write');
        if (file.size() > 10) return undefined;
        file.truncate(510);
        return textOf(env);
      },
    );
    const grown = new Set(found.filter((text) => text !== undefined));
    expect(grown).toEqual(new Set([`${'x'.repeat(10)}${'\0'.repeat(500)}`]));
  });

  test('a truncation that was not synced may be undone, or the file be half cut', async () => {
    const found = await afterCuts(
      async (env) => {
        const file = await durable(env, 'x', 9_000);
        file.truncate(100);
        fill(file, 'y', 100, 100);
      },
      (env) => textOf(env) ?? '',
    );
    expect(found).toContain('x'.repeat(9_000));
    expect(found).toContain(`${'x'.repeat(100)}${'y'.repeat(100)}`);
    for (const text of found) expect(text).toMatch(/^x{100}[xy\0]{0,100}[x\0]*$/);
  });

  test('a sync promises what was written before it began, not after', async () => {
    const found = await afterCuts(
      async (env) => {
        const file = await durable(env, 'x', 10);
        fill(file, 'b', 10, 10);
        const syncing = file.sync();
        fill(file, 'a', 5_000, 20);
        await syncing;
      },
      (env) => textOf(env) ?? '',
    );
    expect(found.every((text) => text.startsWith(`${'x'.repeat(10)}${'b'.repeat(10)}`))).toBe(true);
    const lengths = new Set(found.map((text) => text.length));
    expect(lengths).toContain(20);
    expect(lengths).toContain(5_020);
  });

  test('each sector holds a version it has had since the last sync', async () => {
    const step = fc.record({
      kind: fc.constantFrom('write', 'write', 'write', 'sync', 'late sync', 'truncate'),
      start: fc.nat(24),
      sectors: fc.integer({ min: 1, max: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 15 }),
        fc.nat(),
        async (steps, seed) => {
          const machine = new SimMachine(seed);
          const env = machine.boot();
          const file = env.fs.open(PATH, 'create');
          await machine.run(env.fs.syncDirectory('/data'));
          const model = new SectorModel();
          for (const { kind, start, sectors } of steps) {
            const position = start * SECTOR_BYTES;
            if (kind === 'write') {
              const version = model.write(start, sectors);
              fill(file, version, sectors * SECTOR_BYTES, position);
            } else if (kind === 'truncate') {
              file.truncate(Math.min(file.size(), position));
              model.truncate(start);
            } else if (kind === 'sync') {
              await machine.run(file.sync());
              model.sync();
            } else {
              // Never ends before the cut, or before a later sync: it promises nothing.
              void file.sync().catch(() => {});
            }
          }
          const after = machine.reboot();
          const content = readWholeFile(after.fs, PATH);
          expect(model.problem(content)).toBeUndefined();
          // What did not survive is gone for good.
          after.fs.open(PATH, 'write').truncate(content.length + 10_000);
          const grown = readWholeFile(after.fs, PATH);
          expect(grown.equals(Buffer.concat([content, Buffer.alloc(10_000)]))).toBe(true);
        },
      ),
      { numRuns: 400 },
    );
  });
});

/** The oracle: for each sector of a file the letters that a power cut may leave there, '0' for zeros. */
class SectorModel {
  private sectors: Set<string>[] = [];
  private current: string[] = [];
  private sizes = new Set([0]);
  private nextVersion = 0;

  write(start: number, count: number): string {
    const version = String.fromCharCode(65 + (this.nextVersion++ % 26));
    for (let index = start; index < start + count; index++) this.set(index, version);
    for (let index = 0; index < start; index++) this.current[index] ??= '0';
    this.addSize();
    return version;
  }

  truncate(start: number): void {
    for (let index = start; index < this.current.length; index++) this.at(index).add('0');
    this.current.length = Math.min(this.current.length, start);
    this.addSize();
  }

  sync(): void {
    this.sectors = this.current.map((version) => new Set([version]));
    this.sizes = new Set([this.current.length]);
  }

  /** What is there but may not be; undefined when all is well. */
  problem(found: Buffer): string | undefined {
    const count = found.length / SECTOR_BYTES;
    if (count < Math.min(...this.sizes) || count > Math.max(...this.sizes))
      return `${count} sectors, not ${[...this.sizes].join(' or ')}`;
    for (let index = 0; index < count; index++) {
      const sector = found.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES);
      const letters = new Set([...sector].map((byte) => String.fromCharCode(byte || 48)));
      const [letter = ''] = letters;
      const allowed = this.at(index);
      if (letters.size !== 1 || !allowed.has(letter))
        return `sector ${index}: ${[...letters].join('')}, not ${[...allowed].join(' or ')}`;
    }
    return undefined;
  }

  private set(index: number, version: string): void {
    this.at(index).add(version);
    this.current[index] = version;
  }

  private at(index: number): Set<string> {
    // Above what was synced a file that has grown may show zeros.
    this.sectors[index] ??= new Set(['0']);
    return this.sectors[index];
  }

  private addSize(): void {
    this.sizes.add(this.current.length);
  }
}

describe('names', () => {
  test('a new name survives for sure only after its directory was synced', async () => {
    const create = async (env: Env, isSynced: boolean): Promise<void> => {
      const file = env.fs.open(PATH, 'create');
      fill(file, 'x', 5, 0);
      await file.sync();
      if (isSynced) await env.fs.syncDirectory('/data');
    };
    const synced = await afterCuts(
      (env) => create(env, true),
      (env) => textOf(env),
    );
    expect(new Set(synced)).toEqual(new Set(['xxxxx']));
    const unsynced = await afterCuts(
      (env) => create(env, false),
      (env) => textOf(env),
    );
    expect(new Set(unsynced)).toEqual(new Set(['xxxxx', undefined]));
  });

  test('a name says nothing of the content', async () => {
    const found = await afterCuts(
      async (env) => {
        fill(env.fs.open(PATH, 'create'), 'x', 5, 0);
        await env.fs.syncDirectory('/data');
      },
      (env) => textOf(env),
    );
    expect(new Set(found)).toEqual(new Set(['xxxxx', '', '\0\0\0\0\0']));
  });

  test('a rename happens whole or not at all', async () => {
    const found = await afterCuts(
      async (env) => {
        for (const [path, content] of [
          [PATH, 'old'],
          ['/data/b', 'new'],
        ] as const) {
          const file = env.fs.open(path, 'create');
          writeFully(file, Buffer.from(content), 0, 3, 0);
          await file.sync();
        }
        await env.fs.syncDirectory('/data');
        env.fs.rename('/data/b', PATH);
      },
      (env) => `${textOf(env)} ${textOf(env, '/data/b')}`,
    );
    expect(new Set(found)).toEqual(new Set(['old new', 'new undefined']));
  });

  test('what was removed may come back until its directory is synced', async () => {
    const remove = async (env: Env, isSynced: boolean): Promise<void> => {
      (await durable(env, 'x', 5)).close();
      await env.fs.remove(PATH);
      if (isSynced) await env.fs.syncDirectory('/data');
    };
    const unsynced = await afterCuts(
      (env) => remove(env, false),
      (env) => textOf(env),
    );
    expect(new Set(unsynced)).toEqual(new Set(['xxxxx', undefined]));
    const synced = await afterCuts(
      (env) => remove(env, true),
      (env) => textOf(env),
    );
    expect(new Set(synced)).toEqual(new Set([undefined]));
  });

  test('changes survive in any order of time', async () => {
    const found = await afterCuts(
      (env) => {
        for (const name of ['1', '2', '3']) env.fs.open(`/data/${name}`, 'create').close();
      },
      (env) => env.fs.list('/data').join(''),
    );
    expect(new Set(found)).toEqual(new Set(['', '1', '2', '3', '12', '13', '23', '123']));
  });

  test('a directory is lost with all in it until its own name is synced', async () => {
    const make = async (env: Env): Promise<void> => {
      env.fs.makeDirectory('/data/d');
      const file = env.fs.open('/data/d/x', 'create');
      await file.sync();
      await env.fs.syncDirectory('/data/d');
    };
    const found = await afterCuts(make, (env) => env.fs.list('/data/d').join());
    expect(new Set(found)).toEqual(new Set(['', 'x']));
    const both = await afterCuts(
      async (env) => {
        await make(env);
        await env.fs.syncDirectory('/data');
      },
      (env) => env.fs.list('/data/d').join(),
    );
    expect(new Set(both)).toEqual(new Set(['x']));
  });

  test('removing a directory may stop half way', async () => {
    const found: string[] = [];
    for (const seed of SEEDS.slice(0, 60)) {
      const machine = new SimMachine(seed);
      const env = machine.boot();
      env.fs.makeDirectory('/data/d');
      for (const name of ['1', '2']) env.fs.open(`/data/d/${name}`, 'create').close();
      await machine.run(env.fs.syncDirectory('/data/d'));
      await machine.run(env.fs.syncDirectory('/data'));
      machine.cutAtStep(machine.stepCount + 1 + (seed % 8));
      await machine.run(env.fs.removeDirectory('/data/d')).catch(() => {});
      const after = machine.reboot();
      found.push(
        after.fs.stat('/data/d') === undefined ? 'gone' : after.fs.list('/data/d').join(''),
      );
    }
    expect(new Set(found)).toEqual(new Set(['12', '1', '2', '', 'gone']));
  });

  test.each(['from', 'to'])(
    'syncing the directory a rename goes %s makes it durable, with what it builds on',
    async (name) => {
      const found = await afterCuts(
        async (env) => {
          env.fs.makeDirectory('/data/from');
          env.fs.makeDirectory('/data/to');
          await env.fs.syncDirectory('/data');
          for (const path of ['/data/to/x', '/data/from/y']) env.fs.open(path, 'create').close();
          env.fs.rename('/data/from/y', '/data/to/x');
          await env.fs.syncDirectory(`/data/${name}`);
        },
        (env) => `${env.fs.list('/data/from').join()}|${env.fs.list('/data/to').join()}`,
      );
      expect(new Set(found)).toEqual(new Set(['|x']));
    },
  );
});

describe('faults', () => {
  test('a failed sync marks the pages clean: the next one succeeds, and the data is not on the disk', async () => {
    const found = await afterCuts(
      async (env, machine) => {
        const file = await durable(env, 'o', 8_000);
        fill(file, 'n', 16_000, 0);
        machine.faults.failSyncAtStep(machine.stepCount + 1);
        const failure = await file.sync().then(
          () => undefined,
          (error: MillraceError) => error,
        );
        expect(failure).toMatchObject({ code: 'ML_FSYNC_FAILED', retriable: false });
        await file.sync();
        expect(textOf(env)).toBe('n'.repeat(16_000));
      },
      (env) => runs(textOf(env) ?? ''),
    );
    // Old bytes where there were some, zeros where the file grew.
    expect(found).toContain('o0');
    expect(found.filter((text) => text === 'n').length).toBeLessThan(SEEDS.length / 4);
  });

  test('a failed directory sync promises nothing', async () => {
    const found = await afterCuts(
      async (env, machine) => {
        env.fs.open(PATH, 'create').close();
        machine.faults.failSyncAtStep(1);
        await expect(env.fs.syncDirectory('/data')).rejects.toMatchObject({
          code: 'ML_FSYNC_FAILED',
        });
      },
      (env) => env.fs.list('/data').join(),
    );
    expect(new Set(found)).toEqual(new Set(['', 'a']));
  });

  test('syncs fail by chance when they are told to', async () => {
    const machine = new SimMachine(1);
    machine.faults.syncErrorProbability = 0.5;
    const file = machine.boot().fs.open(PATH, 'create');
    const results: string[] = [];
    for (let round = 0; round < 40; round++)
      await machine.run(file.sync()).then(
        () => results.push('synced'),
        (error: MillraceError) => results.push(error.code),
      );
    expect(new Set(results)).toEqual(new Set(['synced', 'ML_FSYNC_FAILED']));
  });

  test('a short write takes a part, and the loop writes the rest', async () => {
    const machine = new SimMachine(1);
    machine.faults.shortWriteProbability = 1;
    machine.faults.shortReadProbability = 1;
    const env = machine.boot();
    const file = env.fs.open(PATH, 'create');
    const bytes = Buffer.from('0123456789');
    for (let round = 0; round < 50; round++) {
      const count = file.write(bytes, 0, 10, 0);
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThan(10);
      const many = file.writeMany([bytes, bytes], 0);
      expect(many).toBeLessThan(20);
      expect(file.read(Buffer.alloc(5), 0, 5, 0)).toBeLessThan(5);
    }
    expect(await machine.run(file.writeManyAsync([bytes], 0))).toBeLessThan(10);
    writeFully(file, bytes, 0, 10, 0);
    expect(textOf(env)?.slice(0, 10)).toBe('0123456789');
  });

  test('a full disk takes what fits, then refuses, and heals when there is room', async () => {
    const machine = new SimMachine(1, { capacityBytes: 10 * PAGE_BYTES });
    const env = machine.boot();
    const file = env.fs.open(PATH, 'create');
    const bytes = Buffer.alloc(16 * PAGE_BYTES, 'x');
    expect(file.write(bytes, 0, 100, 0)).toBe(100);
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(9 * PAGE_BYTES);
    expect(file.write(bytes, 0, bytes.length, 100)).toBe(10 * PAGE_BYTES - 100);
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(0);
    const full: unknown = expect.objectContaining({ code: 'ML_DISK_FULL', retriable: true });
    expect(() => file.write(bytes, 0, 1, 10 * PAGE_BYTES)).toThrow(full);
    // Overwriting needs no room; a hole made by truncate has none reserved.
    expect(file.write(bytes, 0, 1_000, 500)).toBe(1_000);
    file.truncate(20 * PAGE_BYTES);
    await expect(machine.run(file.writeManyAsync([bytes], 12 * PAGE_BYTES))).rejects.toEqual(full);
    // The room of a removed file comes back when nobody has it open.
    const other = env.fs.open(PATH, 'read');
    await machine.run(env.fs.remove(PATH));
    file.close();
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(0);
    other.close();
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(10 * PAGE_BYTES);
    // A call under way keeps the file open.
    const third = env.fs.open('/data/b', 'create');
    await machine.run(env.fs.remove('/data/b'));
    const writing = third.writeManyAsync([bytes.subarray(0, 10)], 0);
    third.close();
    await machine.run(writing);
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(10 * PAGE_BYTES);
    machine.setCapacity(20 * PAGE_BYTES);
    expect(await machine.run(env.fs.freeBytes('/data'))).toBe(20 * PAGE_BYTES);
  });

  test('unreadable bytes fail reads that touch them, and only those', async () => {
    const machine = new SimMachine(1);
    const env = machine.boot();
    const file = await machine.run(durable(env, 'x', 3_000));
    machine.failReads(PATH, 1_000, 1_001);
    const into = Buffer.alloc(3_000);
    const failed: unknown = expect.objectContaining({ code: 'ML_IO', retriable: false });
    expect(() => file.read(into, 0, 3_000, 0)).toThrow(failed);
    await expect(machine.run(file.readAsync(into, 0, 1, 1_000))).rejects.toEqual(failed);
    expect(file.read(into, 0, 1_000, 0)).toBe(1_000);
    expect(file.read(into, 0, 1_000, 1_001)).toBe(1_000);
    machine.faults.heal();
    expect(file.read(into, 0, 3_000, 0)).toBe(3_000);
    machine.faults.readErrorProbability = 1;
    expect(() => file.read(into, 0, 1, 0)).toThrow(failed);
  });

  test('a flipped bit is read at once and after a power cut', async () => {
    const machine = new SimMachine(1);
    const env = machine.boot();
    await machine.run(durable(env, 'a', 5_000));
    machine.flipBit(PATH, 4_500 * 8 + 1);
    const expected = `${'a'.repeat(4_500)}c${'a'.repeat(499)}`;
    expect(textOf(env)).toBe(expected);
    expect(textOf(machine.reboot())).toBe(expected);
  });

  test('a slow sync takes its time', async () => {
    const machine = new SimMachine(1);
    machine.faults.slowSyncProbability = 1;
    const env = machine.boot();
    const file = env.fs.open(PATH, 'create');
    const startMs = env.clock.monotonicMs();
    await machine.run(file.sync());
    expect(env.clock.monotonicMs() - startMs).toBe(machine.faults.slowSyncMs);
  });

  test('calls beside the event loop end in any order', async () => {
    const orders = new Set<string>();
    for (const seed of SEEDS.slice(0, 40)) {
      const machine = new SimMachine(seed);
      const env = machine.boot();
      const file = env.fs.open(PATH, 'create');
      const order: string[] = [];
      const note = (name: string) => (): void => void order.push(name);
      const byte = Buffer.alloc(1);
      await machine.run(
        Promise.all([
          file.sync().then(note('1')),
          file.sync().then(note('2')),
          file.writeManyAsync([byte], 0).then(note('3')),
        ]),
      );
      orders.add(order.join(''));
    }
    expect(orders).toEqual(new Set(['123', '132', '213', '231', '312', '321']));
  });

  test('buffers that change before an asynchronous write has ended are found out', async () => {
    const found = new Set<string>();
    for (const seed of SEEDS.slice(0, 20)) {
      const machine = new SimMachine(seed);
      const env = machine.boot();
      const file = env.fs.open(PATH, 'create');
      const bytes = Buffer.from('right');
      const writing = file.writeManyAsync([bytes], 0);
      bytes.write('wrong');
      await machine.run(writing);
      found.add(textOf(env) ?? '');
    }
    expect(found).toEqual(new Set(['right', 'wrong']));
  });
});
