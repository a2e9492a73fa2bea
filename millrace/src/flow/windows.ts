/**
 * Windows over event time, as plain data. Times are milliseconds since 1970. A window is [start, end), but for sliding and session
 * windows, whose `end` is the time of their last record: [start, end].
 *
 * Source: Akidau et al., "The Dataflow Model" (2015); the boundaries of Kafka Streams (KIP-328, KIP-450).
 */

export type { Windowed } from '../core/key-order.ts';

export type WindowSpec =
  /** [n * size, (n + 1) * size), from 1970 on. */
  | { readonly kind: 'tumbling'; readonly sizeMs: number; readonly graceMs: number }
  /** Windows of `sizeMs` that begin every `everyMs`: a record is in up to size / every of them. */
  | {
      readonly kind: 'hopping';
      readonly sizeMs: number;
      readonly everyMs: number;
      readonly graceMs: number;
    }
  /** One window for each distinct set of records that are at most `sizeMs` apart: both ends are inclusive (KIP-450). */
  | { readonly kind: 'sliding'; readonly sizeMs: number; readonly graceMs: number }
  /** From the first record to the last of a run whose gaps are at most `gapMs`. */
  | { readonly kind: 'session'; readonly gapMs: number; readonly graceMs: number };

/** When an aggregate says what it has. */
export type EmitPolicy =
  /** Once, when no record can change it any more. */
  | { readonly kind: 'close' }
  /** At every change. */
  | { readonly kind: 'changes' }
  /** The latest of each key that changed, every so often by the wall clock. */
  | { readonly kind: 'every'; readonly everyMs: number };

/** What becomes of time in a topic. */
export interface TimeSpec {
  /** Event time of a record, milliseconds since 1970 or a Date; undefined: the timestamp of the record. */
  readonly of: ((value: unknown, key: unknown) => unknown) | undefined;
  /** How much later than the latest one a record may come and still be in time. Milliseconds, default 0. */
  readonly outOfOrderMs: number;
  /** A partition without records for so long (wall clock) no longer holds up time, and when all are silent time goes on with the
   * clock; undefined: time waits for every partition that has had a record. */
  readonly idleMs: number | undefined;
}
