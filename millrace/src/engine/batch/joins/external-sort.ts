/** Sorts records by key bytes, in memory and, beyond a budget, through runs of the storage; equal keys keep their order. */
import type { ByteWriter } from '../../../core/byte-writer.ts';
import { JOIN_SORT_BYTES_MIN } from '../../../core/limits.ts';
import { createExchangeWriter } from '../exchange/exchange-writer.ts';
import { createMergeReader } from '../exchange/merge-reader.ts';
import type { ExchangeWriter, MergeReader, RunStorage } from '../exchange.ts';
import type { RunSegment } from '../stage.ts';

export class ExternalSort {
  /** Runs that were written because the memory was used up, and the bytes of all runs: known once there is a reader. */
  spills = 0;
  spilledBytes = 0;
  private readonly storage: RunStorage;
  private readonly memoryBytes: number;
  /** Made for the first record: an arena is not small. */
  private writer: ExchangeWriter | undefined;
  private runs: RunSegment[] = [];

  constructor(storage: RunStorage, memoryBytes: number) {
    this.storage = storage;
    this.memoryBytes = Math.max(memoryBytes, JOIN_SORT_BYTES_MIN);
  }

  /** Takes a record: the value is what was written to `value`. */
  append(key: Buffer, keyStart: number, keyEnd: number, value: ByteWriter): void {
    this.writer ??= this.open();
    this.writer.append(0, key, keyStart, keyEnd, value.buffer, 0, value.length);
  }

  /** Takes a record: the first `keyBytes` bytes of it are the key, the others the value. */
  appendSplit(record: ByteWriter, keyBytes: number): void {
    this.writer ??= this.open();
    const { buffer, length } = record;
    this.writer.append(0, buffer, 0, keyBytes, buffer, keyBytes, length);
  }

  /** All records in order. Nothing more can be taken. */
  reader(memoryBytes: number): MergeReader {
    this.finish();
    return createMergeReader({
      read: { exchange: 0, partition: 0, runs: this.runs, range: undefined },
      storage: this.storage,
      memoryBytes: Math.max(memoryBytes, JOIN_SORT_BYTES_MIN),
    });
  }

  /**
   * Removes the runs. Idempotent. A writer that is not done is left as it is: its runs belong to a task that has failed, and go
   * with the directory of its attempt.
   */
  close(): void {
    this.writer = undefined;
    for (const path of new Set(this.runs.map((run) => run.path))) this.storage.remove(path);
    this.runs = [];
  }

  private open(): ExchangeWriter {
    return createExchangeWriter({
      exchange: 0,
      partitions: 1,
      isSorted: true,
      sampleRecords: 0,
      memoryBytes: this.memoryBytes,
      storage: this.storage,
    });
  }

  private finish(): void {
    const { writer } = this;
    if (writer === undefined) return;
    this.writer = undefined;
    const { runs } = writer.finish();
    this.runs = runs.flatMap(({ segments }) => segments);
    this.spills = writer.spills;
    this.spilledBytes = writer.spilledBytes;
  }
}
