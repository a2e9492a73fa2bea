/**
 * The port of bounded sources: what the language and the engines know of a place where records come from. Implemented in
 * `connect/`. A source is frozen data plus functions; it holds nothing open.
 *
 * Work is cut into splits. A split is plain JSON, so that it can go to a worker process; reading the same split twice gives the
 * same records in the same order, whatever else was read.
 */
import type { Env } from '../core/env.ts';
import type { ColumnLayout } from './columns.ts';
import type { TopicPort } from './topic-port.ts';

// eslint-disable-next-line typescript/no-unused-vars -- Value and Key carry types only
export interface Source<Value = unknown, Key = unknown> {
  readonly kind: 'source';
  /** `lines`, `ndjson`, `csv`, `delimited`, `parquet`, `topic`… */
  readonly format: string;
  /** For people: `lines logs/*.log`. */
  readonly label: string;
  /** Carries the types; never set. */
  readonly types?: { readonly value: Value; readonly key: Key };
  /** Paths that are read, as the user wrote them: an output must not be among them. Empty where there are none. */
  readonly paths: readonly string[];
  /** How columns lie in the bytes, for engines that compute on bytes; undefined: records only. */
  readonly columns: ColumnLayout | undefined;
  /** Of topics: what a run without end reads. Absent: it has an end. */
  readonly topic?: TopicPort;
  /** The same records with their times, `{ t, m, v, o }` as `engine/bounded/timed.ts` says, one split per partition. Topics only. */
  timed?(): Source;
  /**
   * Lists what there is to read, in order. Called once per job, by the driver.
   * @throws {MillraceError} ML_INPUT_MISSING, ML_PERMISSION, … before anything is read
   */
  plan(context: PlanContext): Promise<SourcePlan>;
  /** Opens one split. */
  open(split: Split, context: ReadContext): SplitReader<Value, Key>;
  /** Queues: called once by the driver when the outputs of the job are committed: takes out what was read. */
  taken?(splits: readonly Split[], context: PlanContext): Promise<void>;
  /** Opens the bytes of one split, for engines that compute on bytes. There for every `columns` but `parquet`. */
  openBytes?(split: Split, context: ReadContext): ChunkReader;
}

/** What `f.read()` takes: a place that can be read, such as `files.lines('a.log')` or a topic. */
export interface Readable<Value = unknown, Key = unknown> {
  source(): Source<Value, Key>;
}

export interface PlanContext {
  readonly env: Env;
  /** Directory that relative paths start from. */
  readonly directory: string;
  /** Aim at splits of about this many bytes of input. */
  readonly splitBytes: number;
  /** `--brokers`, for sources that are topics. */
  readonly brokers: string | undefined;
  /** How far topics are read. Default: to their end. */
  readonly until?: Until | undefined;
  /** Exists, private to the job, removed with it, seen by all workers: what can be read only once (stdin) is copied here while the
   * source is planned. Without it such sources are refused. */
  readonly spoolDirectory?: string | undefined;
}

/** Where a bounded read of topics ends. */
export type Until =
  /** At the end that they have when the job begins. */
  | { readonly kind: 'now' }
  /** Before the first record of each partition whose timestamp is at least that: milliseconds since 1970. */
  | { readonly kind: 'time'; readonly ms: number }
  /** Before these offsets, by topic and partition; others at their end. */
  | {
      readonly kind: 'offsets';
      readonly offsets: Readonly<Record<string, Readonly<Record<number, number>>>>;
    };

export interface SourcePlan {
  readonly splits: readonly Split[];
  /** Absolute paths of the files behind the source (to refuse outputs that are inputs). */
  readonly files: readonly string[];
}

export interface Split {
  /** 0, 1, 2, … in the order of the source. */
  readonly index: number;
  /** Input bytes, about: for packing, progress and estimates. 0 when unknown (stdin). */
  readonly bytes: number;
  /** For people: `logs/a.log [0, 67108864)`. */
  readonly label: string;
  /** What the source needs to find it again: plain JSON. */
  readonly data: unknown;
}

export interface ReadContext {
  readonly env: Env;
  readonly directory: string;
  readonly brokers: string | undefined;
  /**
   * A record that cannot be decoded. Throws under `fail`; returns under `skip`, and the reader goes on with the next record.
   * @param raw its text, as far as it is known (cut to a bound)
   */
  malformed(error: Error, raw: string): void;
}

/**
 * Reads one split. Synchronous inside: `emit` is called once per record from one loop, without a promise per record.
 */
export interface SplitReader<Value = unknown, Key = unknown> {
  /**
   * Reads on and calls `emit` for each record until about one chunk is done, or `emit` returns false (pause: the record was
   * taken; the next call goes on behind it). Resolves to, or is, true when the split has been read to its end.
   * @throws {MillraceError} with file, line and column in message and fields
   */
  read(emit: (value: Value, key: Key) => boolean): boolean | Promise<boolean>;
  /** Bytes of input that were consumed so far, for progress: never more than the split's `bytes`, where that is known. */
  readonly consumedBytes: number;
  /** Where the record is that was emitted last (or is being decoded): `path:line` or `path@byte`. May be slow: for errors only. */
  position(): string;
  /** A number for the place of the record emitted last, for later: cheap. `locate` turns it into words. */
  mark(): number;
  locate(mark: number): string;
  close(): void | Promise<void>;
}

/**
 * The bytes of one split: decompressed, without the byte order mark of a file and without its CSV header, in chunks of whole rows.
 *
 * Every row of a chunk ends behind its LF (CRLF), but the last of a file may lack it. A row of `line` and `delimited` is a line; a row
 * of `csv` ends at an LF with an even number of quotes before it in the file. Rows may be longer than `lineBytesMax` when several fit
 * into a chunk: who computes on them checks that, as for everything inside a row; only a row that alone exceeds chunk and limit is
 * refused here.
 *
 * @example
 * for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next())
 *   scan(chunk.buffer, chunk.start, chunk.end);
 */
export interface ChunkReader {
  /**
   * The next chunk, never empty; undefined at the end. Its bytes, and the object itself, are valid until the next call. A promise only
   * where the reader has to wait (compressed files): test with `instanceof Promise`.
   * @throws {MillraceError} ML_LINE_TOO_LONG, ML_INPUT_MALFORMED, ML_INPUT_MISSING, ML_IO
   */
  next(): ByteChunk | undefined | Promise<ByteChunk | undefined>;
  /** csv with a header: the names of the file's columns, from the first call of `next` on; undefined otherwise. */
  readonly header: readonly string[] | undefined;
  /** As in SplitReader. */
  readonly consumedBytes: number;
  /** `path:line` of the byte at `at` in the buffer of the current chunk. May be slow: for errors only. */
  locate(at: number): string;
  /** A number for that place, which outlives the chunk: the mark that a `SplitReader` of the same split gives a row that begins there.
   * Cheap when asked for in ascending order. */
  mark(at: number): number;
  /** Turns it into words. */
  locateMark(mark: number): string;
  close(): void | Promise<void>;
}

export interface ByteChunk {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}
