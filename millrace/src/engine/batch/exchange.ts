/**
 * What operators know of an exchange: records go in as encoded key and value bytes and come out sorted (or in stream order), through
 * memory and spill runs, under a byte budget. Implemented in `exchange-writer.ts`, `merge-reader.ts`, `run-*.ts`.
 *
 * @hot Records are (buffer, start, end) triples: nothing is allocated per record.
 */
import type { ExchangeOutput, ExchangeRead } from './stage.ts';

export interface ExchangeWriterOptions {
  readonly exchange: number;
  /** Of the operator that it is for, for errors. */
  readonly name?: string;
  /** Default 0. */
  readonly lane?: number;
  readonly partitions: number;
  /** Runs are sorted by (partition, key bytes, arrival); otherwise by (partition, arrival). */
  readonly isSorted: boolean;
  /** Records to sample (SAMPLE_RECORDS), 0 for none. */
  readonly sampleRecords: number;
  /** What may be held before a run is written. */
  readonly memoryBytes: number;
  readonly storage: RunStorage;
}

export interface ExchangeWriter {
  /**
   * Copies one record. Key bytes are an order-preserving encoding (`core/key-codec.ts`).
   * With valueStart -1 the value is the bytes of the key, which are then stored once: sorting whole lines, distinct.
   * @throws {MillraceError} ML_MEMORY_TOO_SMALL when the record alone exceeds the budget; ML_DISK_FULL
   */
  append(
    partition: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void;
  readonly records: number;
  readonly bytes: number;
  /** Runs that were written because the memory was used up; the last one, that of `finish`, is none of them. */
  readonly spills: number;
  /** Bytes of all runs, the last one included. */
  readonly spilledBytes: number;
  /** Bytes held in memory now. */
  readonly heldBytes: number;
  /** Writes the last run. The writer must not be used afterwards. */
  finish(): ExchangeOutput;
}

/** Where runs are kept: files of a directory, or memory up to a bound and files beyond (iterate, small jobs in process). */
export interface RunStorage {
  /** Begins a run; one at a time. */
  create(): RunFile;
  /** Opens what `RunSegment.path` names. */
  open(path: string): RunSource;
  /** Forgets a run (iterate: the last round's). */
  remove(path: string): void;
}

export interface RunFile {
  readonly path: string;
  /** Appends; the bytes may be reused when it returns. */
  write(buffer: Uint8Array, start: number, end: number): void;
  close(): void;
}

export interface RunSource {
  /** Reads exactly [position, position + length) into buffer at `start`. @throws {MillraceError} ML_IO when the run is shorter */
  read(buffer: Uint8Array, start: number, length: number, position: number): void;
  close(): void;
}

/**
 * The records of one ExchangeRead: sorted reads merge their runs by key (equal keys in run order); unsorted ones follow one
 * another in run order. Usage: `while (reader.next()) … reader.buffer, keyStart, keyEnd, valueStart, valueEnd`.
 * The bytes are valid until the next call of `next`.
 */
export interface MergeReader {
  next(): boolean;
  readonly buffer: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  /** The current record has the key of the one before (false for the first). */
  readonly isSameKey: boolean;
  readonly records: number;
  readonly bytes: number;
  close(): void;
}

export interface MergeReaderOptions {
  readonly read: ExchangeRead;
  readonly storage: RunStorage;
  /** For the buffers of all runs together; more runs than it has room for are merged in several passes. The largest records of two
   * runs are held at once in any case. */
  readonly memoryBytes: number;
}
