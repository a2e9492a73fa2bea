/**
 * Compile-time refusals that read as sentences. Where a type argument does not fit, the parameter's type becomes a
 * `FlowTypeError` with the sentence in it: nothing can be assigned to that, and the compiler prints it.
 */
import type { Key, SortKey } from '../core/key-order.ts';
import type { OptionalKey, Writable } from './sink.ts';

/** Never exists: its type parameter says what is wrong with the program. */
export interface FlowTypeError<Sentence extends string> {
  readonly __flowTypeError: Sentence;
}

/** For what a function returns that gives keys. */
export type KeyFits<K> = [Awaited<K>] extends [Key]
  ? unknown
  : FlowTypeError<'A key is a string, number, bigint, boolean, Date, bytes, null, or an array of these'>;

/** A function that gives keys. */
export type KeyFunction<T, K, L> = (value: T, key: K) => L & KeyFits<L>;

/** For an aggregation of sessions that cannot put two accumulators into one. */
export type SessionsNeedMerge =
  FlowTypeError<'An aggregation over session windows needs merge: a late record may join two sessions'>;

/** For what a function returns that gives the order of records. */
export type SortKeyFits<K> = [K] extends [SortKey]
  ? unknown
  : FlowTypeError<'Records are ordered by a string, number, bigint, boolean, Date, bytes, null, or an array of these'>;

/** For values that are ordered, or told apart, by themselves when no function says by what. */
export type OwnKeyFits<T> = [T] extends [Key]
  ? unknown
  : FlowTypeError<'These values cannot be keys themselves: say by what with a function'>;

/** For the right side of a join. */
export type SameKey<K, RightK> = [RightK] extends [K]
  ? unknown
  : [K] extends [RightK]
    ? unknown
    : FlowTypeError<'The keys of the two sides of a join must have the same type'>;

/** Sinks that look at keys say of which type; others take any key, and ignore it. */
type TakesKeys<SinkKey> = [SinkKey] extends [never]
  ? false
  : unknown extends SinkKey
    ? false
    : true;
/** The keys that a sink takes. */
type KeyTaken<SinkKey> = SinkKey extends OptionalKey<infer K> ? K : SinkKey;

/** For a sink of a stream without keys. */
export type StreamSinkFits<T, Value, SinkKey> =
  TakesKeys<SinkKey> extends false
    ? ValueFits<T, Value>
    : SinkKey extends OptionalKey<infer _Key>
      ? ValueFits<T, Value>
      : FlowTypeError<'This sink needs keys: give the stream some with keyBy'>;

/** For a sink of rows: those of the one column `line` are lines, too. */
export type RowsSinkFits<R, Value, SinkKey> = [R] extends [{ readonly line: string }]
  ? [keyof R, string] extends ['line', Value]
    ? StreamSinkFits<string, Value, SinkKey>
    : StreamSinkFits<R, Value, SinkKey>
  : StreamSinkFits<R, Value, SinkKey>;

/** For a sink of a keyed stream: the value is written, and the key too if the sink takes keys. */
export type KeyedSinkFits<K, T, Value, SinkKey> =
  TakesKeys<SinkKey> extends false
    ? ValueFits<T, Value>
    : [K] extends [KeyTaken<SinkKey>]
      ? ValueFits<T, Value>
      : FlowTypeError<'The sink does not take keys of this type'>;

/** A place for the records of a keyed stream. */
export type KeyedSink<K, T, Value, SinkKey> = Writable<Value, SinkKey> &
  KeyedSinkFits<K, T, Value, SinkKey>;

/** The same for what a function gives: while the compiler does not know yet what that is, anything fits. */
export type SelectedSink<K, U, Value, SinkKey> = Writable<Value, SinkKey> &
  NoInfer<unknown extends U ? unknown : KeyedSinkFits<K, U, Value, SinkKey>>;

/** For a sink of a table: entries are written, or key and value if the sink takes keys. */
export type TableSinkFits<K, V, Value, SinkKey> =
  TakesKeys<SinkKey> extends true
    ? KeyedSinkFits<K, V, Value, SinkKey>
    : [{ readonly key: K; readonly value: V }] extends [Value]
      ? unknown
      : FlowTypeError<'The sink does not take entries { key, value }: map them to what it takes'>;

type ValueFits<T, Value> =
  IsAny<T> extends true
    ? unknown
    : [T] extends [Value]
      ? unknown
      : FlowTypeError<'The sink does not take records of this type'>;

/** `any` is compared with nothing. */
export type IsAny<T> = 0 extends 1 & T ? true : false;
