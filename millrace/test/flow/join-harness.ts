/** What joins read in tests: records in memory, encoded, sorted or as they come. */
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { encodeKey } from '../../src/core/key-codec.ts';
import { SAMPLE_RECORDS } from '../../src/core/limits.ts';
import { encodeValue } from '../../src/core/value-codec.ts';
import { createExchangeWriter } from '../../src/engine/batch/exchange/exchange-writer.ts';
import { createMergeReader } from '../../src/engine/batch/exchange/merge-reader.ts';
import type { MergeReader, RunStorage } from '../../src/engine/batch/exchange.ts';
import type { ExchangeOutput, KeyRange } from '../../src/engine/batch/stage.ts';
import type { OracleRecord } from './oracle.ts';

export interface JoinInput {
  readonly records: readonly OracleRecord[];
  readonly open: (range?: KeyRange) => MergeReader;
  /** Of the tasks that wrote it, into one partition. */
  readonly outputs: readonly ExchangeOutput[];
}

interface Bytes {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A side of a join that is read from memory, one buffer for every record. */
export function joinInput(records: readonly OracleRecord[], isSorted: boolean): JoinInput {
  const encoded = records.map(({ key, value }) => ({
    key: bytesOf(key, encodeKey),
    value: bytesOf(value, encodeValue),
  }));
  if (isSorted) encoded.sort((a, b) => Buffer.compare(a.key, b.key));
  const bytes = encoded.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  const segment = { path: '', position: 0, bytes, indexPosition: 0, indexBytes: 0 };
  return {
    records,
    open: (range) => new ListReader(range === undefined ? encoded : inRange(encoded, range)),
    outputs: [
      {
        exchange: 0,
        lane: 0,
        runs: [{ segments: [{ ...segment, records: records.length }] }],
        records: records.length,
        bytes,
        sample: encoded.map(({ key }, hash) => ({ hash, key: key.toString('base64') })),
      },
    ],
  };
}

/** The same through the exchange of the engine: a writer with runs as small as they can be, and a reader that merges them. */
export function exchangeInput(
  records: readonly OracleRecord[],
  isSorted: boolean,
): JoinInput & { readonly storage: RunStorage } {
  const storage = joinStorage();
  const writers = [0, 1].map(() =>
    createExchangeWriter({
      exchange: 0,
      partitions: 1,
      isSorted,
      sampleRecords: SAMPLE_RECORDS,
      memoryBytes: 16 * 1024,
      storage,
    }),
  );
  // As if two tasks had written it, the first one the first half.
  for (const [at, { key, value }] of records.entries()) {
    const keyBytes = bytesOf(key, encodeKey);
    const valueBytes = bytesOf(value, encodeValue);
    const writer = writers[2 * at < records.length ? 0 : 1];
    writer?.append(0, keyBytes, 0, keyBytes.length, valueBytes, 0, valueBytes.length);
  }
  const outputs = writers.map((writer) => writer.finish());
  const runs = outputs.flatMap((output) => output.runs.flatMap(({ segments }) => segments));
  return {
    records,
    open: (range) =>
      createMergeReader({
        read: { exchange: 0, partition: 0, runs, range },
        storage,
        memoryBytes: 256 * 1024,
      }),
    outputs,
    storage,
  };
}

function inRange(list: readonly Bytes[], range: KeyRange): Bytes[] {
  const bound = (text: string | undefined): Buffer | undefined =>
    text === undefined ? undefined : Buffer.from(text, 'base64');
  const from = bound(range.from);
  const to = bound(range.to);
  const found = list.filter(
    ({ key }) =>
      (from === undefined || Buffer.compare(key, from) >= 0) &&
      (to === undefined || Buffer.compare(key, to) < 0),
  );
  if (range.slice === undefined) return found;
  const { index, count } = range.slice;
  const cut = (at: number): number => Math.floor((at * found.length) / count);
  return found.slice(cut(index), cut(index + 1));
}

function bytesOf(value: unknown, encode: (value: unknown, writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  encode(value, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** Gives every record in the same buffer, which the next one overwrites: as little as a reader has to promise. */
class ListReader implements MergeReader {
  buffer = Buffer.alloc(16);
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  isSameKey = false;
  records = 0;
  bytes = 0;
  private readonly list: readonly Bytes[];

  constructor(list: readonly Bytes[]) {
    this.list = list;
  }

  next(): boolean {
    const record = this.list[this.records];
    this.buffer.fill(0xee);
    if (record === undefined) return false;
    this.isSameKey = this.list[this.records - 1]?.key.equals(record.key) ?? false;
    this.records++;
    const { key, value } = record;
    if (this.buffer.length < key.length + value.length)
      this.buffer = Buffer.alloc(2 * (key.length + value.length));
    this.buffer.set(key, 0);
    this.buffer.set(value, key.length);
    this.keyEnd = key.length;
    this.valueStart = key.length;
    this.valueEnd = key.length + value.length;
    this.bytes += this.valueEnd;
    return true;
  }

  close(): void {
    this.buffer.fill(0xee);
  }
}

/** Runs in memory, and how many there are. */
export function joinStorage(): RunStorage & { readonly openRuns: number } {
  const runs = new Map<string, Buffer[]>();
  let made = 0;
  return {
    get openRuns() {
      return runs.size;
    },
    create() {
      const path = `run-${made++}`;
      const pieces: Buffer[] = [];
      runs.set(path, pieces);
      return {
        path,
        write: (buffer, start, end) => {
          pieces.push(Buffer.from(buffer.subarray(start, end)));
        },
        close: () => undefined,
      };
    },
    open(path) {
      const pieces = runs.get(path);
      if (pieces === undefined) throw new Error(`no run ${path}`);
      const whole = Buffer.concat(pieces);
      return {
        read: (buffer, start, length, position) => {
          if (position + length > whole.length) throw new Error(`${path} is shorter`);
          whole.copy(buffer, start, position, position + length);
        },
        close: () => undefined,
      };
    },
    remove(path) {
      if (!runs.delete(path)) throw new Error(`${path} was removed before`);
    },
  };
}
