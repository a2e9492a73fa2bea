/** Writes records into an exchange and reads them back, and the oracle of what must come out: an array and its stable sort. */
import { expect } from 'vitest';
import { createExchangeWriter } from '../../src/engine/batch/exchange/exchange-writer.ts';
import { memoryStorage } from '../../src/engine/batch/exchange/run-storage.ts';
import type {
  ExchangeWriterOptions,
  MergeReader,
  RunStorage,
} from '../../src/engine/batch/exchange.ts';
import type { ExchangeOutput, ExchangeRead, KeyRange } from '../../src/engine/batch/stage.ts';

/** One record; a value of undefined is the key. */
export interface Entry {
  readonly partition: number;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

export interface Got {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly isSameKey: boolean;
}

export const NO_STORAGE: RunStorage = {
  create: () => {
    throw new Error('nothing may come here');
  },
  open: (path) => {
    throw new Error(`no run ${path}`);
  },
  remove: (path) => {
    throw new Error(`no run ${path}`);
  },
};

export function memory(): RunStorage {
  return memoryStorage(Number.POSITIVE_INFINITY, NO_STORAGE);
}

export function writeAll(
  entries: readonly Entry[],
  options: Omit<ExchangeWriterOptions, 'exchange'>,
): ExchangeOutput {
  const writer = createExchangeWriter({ ...options, exchange: 7 });
  let heldBytesMax = 0;
  for (const { partition, key, value } of entries) {
    // At odd places of a larger buffer, as records come.
    const bytes = Buffer.concat([
      Buffer.from('#'),
      key,
      value ?? Buffer.alloc(0),
      Buffer.from('#'),
    ]);
    const keyEnd = 1 + key.length;
    if (value === undefined) writer.append(partition, bytes, 1, keyEnd, bytes, -1, -1);
    else writer.append(partition, bytes, 1, keyEnd, bytes, keyEnd, keyEnd + value.length);
    heldBytesMax = Math.max(heldBytesMax, writer.heldBytes);
  }
  expect(heldBytesMax).toBeLessThanOrEqual(options.memoryBytes);
  return writer.finish();
}

export function readOf(
  outputs: readonly ExchangeOutput[],
  partition: number,
  range?: KeyRange,
): ExchangeRead {
  const runs = outputs.flatMap((output) =>
    output.runs.map((run) => {
      const segment = run.segments[partition];
      if (segment === undefined) throw new Error('a run lacks a segment');
      return segment;
    }),
  );
  return { exchange: 7, partition, runs, range };
}

export function readAll(reader: MergeReader): Got[] {
  const got: Got[] = [];
  while (reader.next()) {
    const { buffer, keyStart, keyEnd, valueStart, valueEnd, isSameKey } = reader;
    got.push({
      key: Buffer.from(buffer.subarray(keyStart, keyEnd)),
      value: Buffer.from(buffer.subarray(valueStart, valueEnd)),
      isSameKey,
    });
  }
  expect(reader.records).toBe(got.length);
  reader.close();
  return got;
}

/** The oracle: an array, and its stable sort. */
export function expected(entries: readonly Entry[], partition: number, isSorted: boolean): Got[] {
  const mine = entries.filter((entry) => entry.partition === partition);
  if (isSorted) mine.sort((a, b) => Buffer.compare(a.key, b.key));
  return mine.map(({ key, value }, index) => ({
    key,
    value: value ?? key,
    isSameKey: mine[index - 1]?.key.equals(key) ?? false,
  }));
}

/** As `toEqual`, for thousands of records. */
export function expectRecords(got: readonly Got[], wanted: readonly Got[]): void {
  const isSame =
    got.length === wanted.length &&
    got.every(({ key, value, isSameKey }, index) => {
      const other = wanted[index];
      return (
        other !== undefined &&
        key.equals(other.key) &&
        value.equals(other.value) &&
        isSameKey === other.isSameKey
      );
    });
  if (!isSame) expect(got).toEqual(wanted);
  expect(isSame).toBe(true);
}
