/**
 * The port of sinks: where the records of a bounded run go. Implemented in `connect/`.
 *
 * A task writes its records into a part of its own, in a directory that nobody else sees; the parts of the attempts that won
 * become the output in one step (`engine/batch/commit/commit.ts`). A sink therefore never touches its target path itself.
 */
import type { Env } from '../core/env.ts';
import type { Envelope, TopicPort } from './topic-port.ts';

// eslint-disable-next-line typescript/no-unused-vars -- Value and Key carry types only
export interface Sink<Value = never, Key = never> {
  readonly kind: 'sink';
  /** `lines`, `ndjson`, `csv`, `parquet`, `table`, `stdout`… */
  readonly format: string;
  readonly label: string;
  /** Carries the types; never called. */
  readonly types?: (value: Value, key: Key) => void;
  readonly target: SinkTarget;
  /** Of topics: what a run without end writes. */
  readonly topic?: TopicPort;
  /** The same place for records with their times, `{ t, m, v, o }` as `engine/bounded/timed.ts` says. Topics only. */
  timed?(): Sink;
  /** How records must be arranged before they are written. `any`: as they come. `single`: one part holds all of them.
   * `by-key`: hash partitions over the raw key, each sorted by key (a table). */
  readonly arrangement: 'any' | 'single' | 'by-key';
  /** `by-key`: how many partitions; undefined: the engine chooses. */
  readonly partitions?: number | undefined;
  /** A part is closed and the next one begun when it has about so many bytes; undefined: one part per task. */
  readonly partBytes: number | undefined;
  /** Opens the writer of one task. */
  open(context: WriteContext): SinkWriter<Value, Key>;
  /**
   * Called once by the driver, before the commit, when all parts are in `directory` under their final names: may add files
   * that describe them, such as the index of a table. Not called for stdout.
   */
  complete?(context: CompleteContext): Promise<void>;
  /** Topics: called once by the driver with all parts, in order: appends their records. Those of all sinks are one transaction. */
  publish?(env: Env, context: PublishContext): Promise<void>;
}

/**
 * What `.write()` takes: a place that can be written, such as `files.ndjson('out')` or a topic. `Key` unknown, or never: it ignores keys,
 * and gets tables as entries; OptionalKey: it takes keys of a type where records have some; any other type: it needs keys of that type.
 */
export interface Writable<Value = never, Key = never> {
  sink(): Sink<Value, Key>;
}

/** As the key of a Writable: keys of type K are written where there are some, and records without a key as well. */
export interface OptionalKey<K> {
  /** Carries the type; never set. */
  readonly optionalKey: (key: K) => void;
}

export type SinkTarget =
  /** One file: parts are concatenated in order, so their bytes must allow that (or the arrangement is `single`). */
  | { readonly kind: 'file'; readonly path: string }
  /** A directory of parts. `extension`: `.ndjson`, `.csv.gz`… */
  | { readonly kind: 'directory'; readonly path: string; readonly extension: string }
  | { readonly kind: 'stdout' }
  | { readonly kind: 'topic'; readonly topic: string };

export interface WriteContext {
  readonly env: Env;
  /** Where parts go: exists, empty, private to the attempt. */
  readonly directory: string;
  /** Number of the task among those that write to this sink, in the order of the output. Parts of a file target are
   * concatenated in that order; headers but the first are left out (`Part.head`). */
  readonly task: number;
}

export interface SinkWriter<Value = never, Key = never> {
  /** Takes one record. May buffer; a buffer is bounded by SINK_BUFFER_BYTES. Synchronous writes to the page cache are fine. */
  write(value: Value, key: Key): void;
  /** The same for a record that is the text buffer[start, end) (a line): only where the sink says so by having it. */
  writeBytes?(buffer: Uint8Array, start: number, end: number): void;
  /** Work that has to be awaited now and then (compression, Parquet row groups): the engine awaits it when `isBusy`. */
  readonly isBusy: boolean;
  drain(): Promise<void>;
  /** Writes what is left and names the parts in order. Those of a directory are synced to the disk (the commit syncs the one file
   * that others become, and nobody what goes to stdout). Empty when nothing was written and the format
   * needs no header: still one (empty) part for a file target. */
  finish(): Promise<readonly Part[]>;
  /** Closes without finishing; files may stay: the directory is removed by its owner. Idempotent, also after finish. */
  abort(): Promise<void>;
}

/** A file that a task has written: plain JSON. */
export interface Part {
  readonly path: string;
  readonly bytes: number;
  readonly records: number;
  /** What stands at its beginning and may be there only once in a file, such as the header of a CSV file: when parts are
   * concatenated only the first one keeps its head. `key` must be equal in all parts of an output. */
  readonly head?: { readonly bytes: number; readonly key: string };
  /** What `complete` needs to know of it. */
  readonly extra?: unknown;
}

export interface PublishContext {
  readonly parts: readonly Part[];
  /** Of the topic. */
  readonly partitions: number;
  append(
    partition: number,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: Envelope['headers'],
  ): void;
  /** A promise when the broker is behind: to be awaited. */
  drained(): Promise<void> | undefined;
}

export interface CompleteContext {
  readonly env: Env;
  readonly directory: string;
  /** With their final names, in order. */
  readonly parts: readonly Part[];
}
