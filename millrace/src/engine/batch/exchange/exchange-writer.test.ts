import { expect, test } from 'vitest';
import type { Entry } from '../../../../test/exchange/exchange-harness.ts';
import {
  expected,
  expectRecords,
  memory,
  readAll,
  readOf,
  writeAll,
} from '../../../../test/exchange/exchange-harness.ts';
import { SimMachine } from '../../../core/sim/sim-machine.ts';
import { createExchangeWriter } from './exchange-writer.ts';
import { createMergeReader } from './merge-reader.ts';
import { fileStorage } from './run-storage.ts';

const MEMORY_BYTES = 256 * 1024;

function entriesOf(keys: readonly string[], valueBytes = 100): Entry[] {
  return keys.map((key, index) => ({
    partition: 0,
    key: Buffer.from(key),
    value: Buffer.alloc(valueBytes, String(index)),
  }));
}

function sorted(storage = memory()) {
  return { partitions: 1, isSorted: true, memoryBytes: MEMORY_BYTES, storage, sampleRecords: 0 };
}

test('an exchange that nothing was written to has no runs', () => {
  const output = createExchangeWriter({ ...sorted(), exchange: 3 }).finish();
  expect(output).toEqual({ exchange: 3, lane: 0, runs: [], records: 0, bytes: 0, sample: [] });
});

test('a small job takes little memory, whatever it may take', () => {
  const writer = createExchangeWriter({ ...sorted(), exchange: 1, memoryBytes: 2 ** 30 });
  const key = Buffer.from('key');
  for (let index = 0; index < 100; index++) writer.append(0, key, 0, 3, key, 0, 3);
  expect(writer.heldBytes).toBeLessThanOrEqual(64 * 1024);
});

test('records that nearly fill the budget go through, larger ones are refused before anything is lost', () => {
  const storage = memory();
  const nearly = MEMORY_BYTES - MEMORY_BYTES / 16 - 1_000;
  const entries: Entry[] = [
    ...entriesOf(['b', 'a']),
    ...entriesOf(['c', 'a', 'b'], nearly),
    ...entriesOf(['a']),
  ];
  const output = writeAll(entries, sorted(storage));
  const reader = createMergeReader({
    read: readOf([output], 0),
    storage,
    memoryBytes: MEMORY_BYTES,
  });
  expectRecords(readAll(reader), expected(entries, 0, true));

  const writer = createExchangeWriter({ ...sorted(storage), exchange: 1 });
  const large = Buffer.alloc(MEMORY_BYTES);
  writer.append(0, large, 0, 1, large, 0, 10);
  expect(() => writer.append(0, large, 0, 1, large, 0, MEMORY_BYTES)).toThrow(
    expect.objectContaining({ code: 'ML_MEMORY_TOO_SMALL' }),
  );
  expect(writer.finish().records).toBe(1);
});

test('a budget that is next to nothing is refused', () => {
  const options = { ...sorted(), exchange: 1, memoryBytes: 1_000 };
  expect(() => createExchangeWriter(options)).toThrow(
    expect.objectContaining({ code: 'ML_MEMORY_TOO_SMALL' }),
  );
});

test('counts records, bytes, spills and what was written', () => {
  const writer = createExchangeWriter({ ...sorted(), exchange: 1 });
  const value = Buffer.alloc(1_000);
  for (let index = 0; index < 1_000; index++) writer.append(0, value, 0, 10, value, 0, 1_000);
  const output = writer.finish();
  expect(output).toMatchObject({ records: 1_000, bytes: 1_010_000 });
  expect(writer.spills).toBe(output.runs.length - 1);
  expect(writer.spills).toBeGreaterThan(3);
  const segments = output.runs.flatMap((run) => run.segments);
  const written = segments.reduce((sum, { bytes, indexBytes }) => sum + bytes + indexBytes, 0);
  expect(writer.spilledBytes).toBe(written);
  expect(written).toBeGreaterThan(1_010_000);
  expect(written).toBeLessThan(1_050_000);
});

test('a value that is the key is stored once', () => {
  const storage = memory();
  const key = Buffer.alloc(900, 'k');
  const bytesOf = (valueStart: number): number => {
    const writer = createExchangeWriter({ ...sorted(storage), exchange: 1 });
    for (let index = 0; index < 50; index++) writer.append(0, key, 0, 900, key, valueStart, 900);
    writer.finish();
    return writer.spilledBytes;
  };
  expect(bytesOf(-1)).toBeLessThan(bytesOf(0) * 0.55);
});

test('keys that fill blocks are told, with how many records they have at least', () => {
  const entries = [
    ...entriesOf(['a', 'z']),
    ...entriesOf(Array.from({ length: 5_000 }, () => 'hot')),
  ];
  const output = writeAll(entries, sorted());
  const [heavy, ...others] = output.heavy ?? [];
  expect(others).toEqual([]);
  expect(heavy).toMatchObject({ partition: 0, key: Buffer.from('hot').toString('base64') });
  expect(heavy?.records).toBeLessThanOrEqual(5_000);
  expect(heavy?.records).toBeGreaterThan(3_500);
  expect(writeAll(entries.slice(0, 50), sorted()).heavy).toBeUndefined();
});

test('a disk that is full is an error, and the run that did not fit is gone', async () => {
  const machine = new SimMachine(1, { capacityBytes: 1_200_000 });
  const { fs, timers } = machine.boot();
  const writer = createExchangeWriter({ ...sorted(fileStorage(fs, '/data')), exchange: 1 });
  const value = Buffer.alloc(1_000);
  const fill = (): void => {
    for (let index = 0; index < 2_000; index++) writer.append(0, value, 0, 10, value, 0, 1_000);
  };
  expect(fill).toThrow(expect.objectContaining({ code: 'ML_DISK_FULL' }));
  await machine.run(timers.sleep(1_000));
  expect(writer.spills).toBeGreaterThan(2);
  expect(fs.list('/data')).toHaveLength(writer.spills);
});
