/** What joins read in tests: records in memory, encoded, sorted or as they come. */
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { encodeKey } from '../../src/core/key-codec.ts';
import { encodeValue } from '../../src/core/value-codec.ts';
import type { MergeReader, RunStorage } from '../../src/engine/batch/exchange.ts';
import type { OracleRecord } from './oracle.ts';

export interface JoinInput {
  readonly records: readonly OracleRecord[];
  readonly open: () => MergeReader;
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
  return { records, open: () => new ListReader(encoded) };
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
