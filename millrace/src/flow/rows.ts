/** Streams of rows, as users see them: what has columns can be filtered, grouped and sorted by them without functions. */
import type { Descending } from '../core/key-order.ts';
import type { AnyUse, ColumnsFit, EqualsFit, Flat, KnownColumn, Resolved } from './column-types.ts';
import type { ColumnValue } from './columns.ts';
import type { AggregateExpression, ColumnExpression, WordsExpression } from './expressions.ts';
import type { Writable } from './sink.ts';
import type { SampleOptions } from './stream-options.ts';
import type { Grouped, Stream } from './streams.ts';
import type {
  IsAny,
  KeyFits,
  OwnKeyFits,
  RowsSinkFits,
  SortKeyFits,
  StreamSinkFits,
} from './type-errors.ts';

/** What `f.read` gives for a source of T. */
export type ReadStream<T> =
  IsAny<T> extends true
    ? Stream<T>
    : unknown extends T
      ? Stream<T>
      : [T] extends [string]
        ? Lines
        : [T] extends [NotRows]
          ? Stream<T>
          : [T] extends [object]
            ? Rows<T>
            : Stream<T>;

type NotRows =
  | readonly unknown[]
  | Uint8Array
  | Date
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>;

/** A stream of text, one record a line. */
export interface Lines extends Stream<string> {
  filter<U extends string>(fn: (line: string) => line is U): Stream<U>;
  filter(fn: (line: string) => boolean | PromiseLike<boolean>): Lines;
  tap(fn: (line: string) => unknown): Lines;
  sample(fraction: number, options?: SampleOptions): Lines;

  /**
   * The lines as rows of one column, `line`.
   * @example lines.rows().explode('word', words('line')).groupBy('word').agg({ uses: count() })
   */
  rows(): Rows<{ readonly line: string }>;
}

type WhereFits<R, C> = C extends ColumnExpression<infer U> ? ColumnsFit<R, U> : EqualsFit<R, C>;
type Columns<S> = {
  [N in keyof S]: S[N] extends ColumnExpression<AnyUse, infer V> ? V : never;
};
type SelectFit<R, S> = {
  readonly [N in keyof S]: S[N] extends ColumnExpression<infer U> ? ColumnsFit<R, U> : unknown;
};
type AggregateFit<R, A> = {
  readonly [N in keyof A]: A[N] extends AggregateExpression<infer U> ? ColumnsFit<R, U> : unknown;
};
type Aggregates<R, A> = {
  [N in keyof A]: A[N] extends AggregateExpression<AnyUse, infer V> ? Resolved<R, V> : never;
};

type WholeAggregates<R, A> = {
  [N in keyof A]: A[N] extends AggregateExpression<AnyUse, infer V>
    ? Resolved<R, V> | (V extends number ? never : null)
    : never;
};

/**
 * A stream of rows of type R: all that a stream can do, and operators on columns. These are data, not functions: engines run them on the
 * bytes of a file where they can.
 *
 * A column that rows do not have is a compile-time error, else ML_COLUMN_UNKNOWN; where rows are of no fixed form, as in NDJSON, it is
 * null.
 */
export interface Rows<R> extends Stream<R> {
  /**
   * Keeps the rows for which the condition holds; an object asks for columns that equal its members (null: that are null).
   * @example rows.where(col('status').ge(500)).where({ method: 'GET' })
   */
  where<const C extends ColumnExpression | Readonly<Record<string, ColumnValue>>>(
    condition: C & WhereFits<R, C>,
  ): Rows<R>;

  /**
   * Rows of these columns alone: named, or computed under new names.
   * @example rows.select('path', 'bytes')
   * @example rows.select({ path: col('path').before('?'), kib: col('bytes').dividedBy(1024) })
   */
  select<const N extends string>(
    ...columns: readonly (N & KnownColumn<R, N>)[]
  ): Rows<Flat<{ readonly [C in N]: Resolved<R, { readonly columnOf: C }> }>>;
  select<const S extends Readonly<Record<string, ColumnExpression>>>(
    columns: S & SelectFit<R, S>,
  ): Rows<Flat<{ readonly [N in keyof S]: Resolved<R, Columns<S>[N]> }>>;

  // As on any stream; what comes out are rows still.
  filter<U extends R>(fn: (row: R) => row is U): Rows<U>;
  filter(fn: (row: R) => boolean | PromiseLike<boolean>): Rows<R>;
  tap(fn: (row: R) => unknown): Rows<R>;
  sample(fraction: number, options?: SampleOptions): Rows<R>;
  sort<const K>(name: string, by: (row: R) => K & SortKeyFits<K>): Rows<R>;
  top<const K>(name: string, n: number, by: (row: R) => K & SortKeyFits<K>): Rows<R>;
  distinct<const K>(name: string, by: (row: R) => K & KeyFits<K>): Rows<R>;
  distinct(name: string & OwnKeyFits<R>): Rows<R>;

  /**
   * Puts rows together that are equal in these columns, for `agg`; or, with a function, as on any stream.
   * @example rows.groupBy('path').agg({ hits: count(), bytes: sum('bytes') })
   */
  groupBy<const K>(fn: (value: R) => K & KeyFits<K>): Grouped<Awaited<K>, R>;
  groupBy<const N extends string>(...columns: readonly (N & KnownColumn<R, N>)[]): RowGroups<R, N>;

  /**
   * One row with aggregates over all rows, also when there are none: then counts are 0 and all else is null.
   * @example rows.agg({ hits: count(), paths: countDistinct('path') })
   */
  agg<const A extends Readonly<Record<string, AggregateExpression>>>(
    aggregates: A & AggregateFit<R, A>,
  ): Rows<Flat<Readonly<WholeAggregates<R, A>>>>;

  /**
   * Puts all rows in the order of these columns, the first first; from small to large, or turned around by `desc`. Null comes first.
   * @example rows.sortBy(desc('bytes'), 'path')
   */
  sortBy<const N extends string>(
    ...columns: readonly ((N & KnownColumn<R, N>) | Descending<N & KnownColumn<R, N>>)[]
  ): Rows<R>;

  /**
   * One row, of one column, for each word of a text.
   * @example lines.rows().explode('word', words('line'))
   */
  explode<const N extends string, U extends AnyUse>(
    name: N,
    elements: WordsExpression<U> & ColumnsFit<R, U>,
  ): Rows<{ readonly [C in N]: string }>;

  /** Not for calling: makes rows a stream for the compiler, although they are written in more ways. */
  write<Value, SinkKey>(
    this: never,
    to: Writable<Value, SinkKey> & StreamSinkFits<R, Value, SinkKey>,
  ): void;
  /** Writes the rows; those of the one column `line` are written as lines where the sink takes lines. */
  write<Value, SinkKey>(to: Writable<Value, SinkKey> & RowsSinkFits<R, Value, SinkKey>): void;
}

/** Rows that are equal in the columns N, together. */
export interface RowGroups<R, N extends string> {
  readonly kind: 'rowGroups';

  /**
   * One row for each group: its columns, then the aggregates.
   * @example rows.groupBy('path', 'day').agg({ hits: count(), users: countDistinct('user'), slowest: max('ms') })
   */
  agg<const A extends Readonly<Record<string, AggregateExpression>>>(
    aggregates: A & AggregateFit<R, A>,
  ): Rows<
    Flat<{ readonly [C in N]: Resolved<R, { readonly columnOf: C }> } & Readonly<Aggregates<R, A>>>
  >;
}
