/** Runs as they are kept: the same from memory and from files, never wrong when they are damaged, and gone when they are not needed. */
import { expect, test } from 'vitest';
import type { Entry } from '../../../../test/exchange/exchange-harness.ts';
import {
  expected,
  expectRecords,
  memory,
  NO_STORAGE,
  readAll,
  readOf,
  writeAll,
} from '../../../../test/exchange/exchange-harness.ts';
import { MillraceError } from '../../../core/errors.ts';
import { SimMachine } from '../../../core/sim/sim-machine.ts';
import type { RunStorage } from '../exchange.ts';
import type { KeyRange } from '../stage.ts';
import { createMergeReader } from './merge-reader.ts';
import { fileStorage, memoryStorage } from './run-storage.ts';

const MEMORY_BYTES = 64 * 1024;

function manyEntries(records: number, keys: number): Entry[] {
  return Array.from({ length: records }, (_, index) => ({
    partition: index % 2,
    key: Buffer.from(`key-${((index * 7_919) % keys) + 1}`),
    value: Buffer.alloc(index % 90, String(index)),
  }));
}

function optionsOf(storage: RunStorage, memoryBytes = MEMORY_BYTES) {
  return { partitions: 2, isSorted: true, memoryBytes, storage, sampleRecords: 0 };
}

/** Counts what is created and removed. */
function counting(storage: RunStorage): RunStorage & { created: number; removed: number } {
  return {
    created: 0,
    removed: 0,
    create() {
      this.created++;
      return storage.create();
    },
    open: (path) => storage.open(path),
    remove(path) {
      this.removed++;
      storage.remove(path);
    },
  };
}

test('memory and files hold the same', () => {
  const entries = manyEntries(4_000, 500);
  const { fs } = new SimMachine(1).boot();
  fs.open('/data/run-2', 'create').close();
  const files = fileStorage(fs, '/data');
  const kinds = [
    memory(),
    files,
    // Overflows in the middle of the second run.
    memoryStorage(90_000, files),
    memoryStorage(0, files),
  ];
  for (const storage of kinds) {
    const output = writeAll(entries, optionsOf(storage));
    expect(output.runs.length).toBeGreaterThan(4);
    for (const partition of [0, 1]) {
      const read = readOf([output], partition);
      const reader = createMergeReader({ read, storage, memoryBytes: MEMORY_BYTES });
      expectRecords(readAll(reader), expected(entries, partition, true));
    }
  }
  expect(fs.stat('/data/run-2')?.sizeBytes).toBe(0);
});

test('memory that a run has left is there for the next one', () => {
  const storage = memoryStorage(200_000, NO_STORAGE);
  for (let round = 0; round < 5; round++) {
    const output = writeAll(manyEntries(2_000, 50), optionsOf(storage));
    expect(output.records).toBe(2_000);
    for (const run of output.runs) storage.remove(run.segments[0]?.path ?? '');
  }
});

test('more runs than there is memory for are merged in passes, whose runs are removed', () => {
  const entries = manyEntries(12_000, 3_000);
  const storage = counting(memory());
  const output = writeAll(entries, optionsOf(storage, 20_000));
  const runs = output.runs.length;
  expect(runs).toBeGreaterThan(20);
  expect(storage.created).toBe(runs);
  const read = readOf([output], 1);
  const reader = createMergeReader({ read, storage, memoryBytes: 5_000 });
  expect(storage.created).toBeGreaterThan(runs);
  expectRecords(readAll(reader), expected(entries, 1, true));
  reader.close();
  expect(storage.removed).toBe(storage.created - runs);
});

test('a range of a large partition reads little', () => {
  const entries = manyEntries(60_000, 30_000);
  const { fs } = new SimMachine(1).boot();
  const files = fileStorage(fs, '/data');
  const output = writeAll(entries, { ...optionsOf(files, 2 ** 24), partitions: 2 });
  let bytes = 0;
  const storage: RunStorage = {
    create: () => files.create(),
    remove: (path) => files.remove(path),
    open: (path) => {
      const source = files.open(path);
      return {
        read(buffer, start, length, position) {
          bytes += length;
          source.read(buffer, start, length, position);
        },
        close: () => source.close(),
      };
    },
  };
  const range: KeyRange = { from: base64('key-17000'), to: base64('key-17010'), slice: undefined };
  const read = readOf([output], 1, range);
  const got = readAll(createMergeReader({ read, storage, memoryBytes: 70_000 }));
  const all = expected(entries, 1, true);
  const wanted = all.filter(
    ({ key }) =>
      key.compare(Buffer.from('key-17000')) >= 0 && key.compare(Buffer.from('key-17010')) < 0,
  );
  expect(got.map(({ value }) => value)).toEqual(wanted.map(({ value }) => value));
  expect(wanted.length).toBeGreaterThan(5);
  const segment = read.runs[0];
  expect(bytes).toBeLessThan((segment?.bytes ?? 0) / 2);
});

test('slices of one key are the records of the key', () => {
  const entries = manyEntries(6_000, 2);
  const storage = memory();
  const output = writeAll(entries, optionsOf(storage));
  const wanted = expected(entries, 1, true).filter(({ key }) => key.equals(Buffer.from('key-2')));
  expect(wanted.length).toBeGreaterThan(1_000);
  const slices = Array.from({ length: 7 }, (_, index) => {
    const slice = { index, count: 7 };
    const range = { from: base64('key-2'), to: base64('key-2\0'), slice };
    const read = readOf([output], 1, range);
    return readAll(createMergeReader({ read, storage, memoryBytes: 1_000 }));
  });
  expect(slices.flat().map(({ value }) => value)).toEqual(wanted.map(({ value }) => value));
  for (const slice of slices) {
    expect(slice[0]?.isSameKey).toBe(false);
    expect(slice.slice(1).every(({ isSameKey }) => isSameKey)).toBe(true);
  }
});

test('a run that is damaged anywhere gives an error, or what was written', () => {
  const entries = manyEntries(700, 90);
  const { fs } = new SimMachine(1).boot();
  const storage = fileStorage(fs, '/data');
  const output = writeAll(entries, optionsOf(storage, 2 ** 20));
  const path = output.runs[0]?.segments[0]?.path ?? '';
  const size = fs.stat(path)?.sizeBytes ?? 0;
  const read = () =>
    [0, 1].map((partition) => {
      const options = { read: readOf([output], partition), storage, memoryBytes: 2 ** 20 };
      return readAll(createMergeReader(options));
    });
  const wanted = read();
  let errors = 0;
  const tries = 200;
  const byte = Buffer.alloc(1);
  for (let index = 0; index < tries; index++) {
    const position = Math.floor((index * size) / tries);
    const file = fs.open(path, 'write');
    file.read(byte, 0, 1, position);
    byte[0] = (byte[0] ?? 0) ^ (1 << (index % 8));
    file.write(byte, 0, 1, position);
    try {
      expect(read()).toEqual(wanted);
    } catch (error) {
      expect(error).toBeInstanceOf(MillraceError);
      expect(error).toMatchObject({ code: 'ML_IO', fields: { path } });
      errors++;
    }
    byte[0] = (byte[0] ?? 0) ^ (1 << (index % 8));
    file.write(byte, 0, 1, position);
    file.close();
  }
  expect(errors).toBe(tries);
  expect(read()).toEqual(wanted);
});

test('a run that was cut anywhere gives an error', () => {
  const entries = manyEntries(700, 90);
  const { fs } = new SimMachine(1).boot();
  const storage = fileStorage(fs, '/data');
  const output = writeAll(entries, optionsOf(storage, 2 ** 20));
  const path = output.runs[0]?.segments[0]?.path ?? '';
  const size = fs.stat(path)?.sizeBytes ?? 0;
  for (const left of [size - 1, size - 4, size - 100, Math.floor(size / 2), 1, 0]) {
    const file = fs.open(path, 'write');
    file.truncate(left);
    file.close();
    const options = { read: readOf([output], 1), storage, memoryBytes: 2 ** 20 };
    expect(() => readAll(createMergeReader(options))).toThrow(
      expect.objectContaining({ code: 'ML_IO' }),
    );
  }
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
