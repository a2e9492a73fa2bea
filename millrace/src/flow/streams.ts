/**
 * The streams of the language, as users see them. A stream is a description: its methods add an operator to the plan of the
 * flow that is being built and return the stream that comes out of it. Nothing is read until an engine runs the plan.
 *
 * Functions are called with one record at a time. Those of `map`, `flatMap`, `filter`, `tap`, `keyBy`, `groupBy`, `with`, of joins
 * and of `Grouped.reduce` may return a promise; a function that does not is the faster way. Records are plain data where they go
 * from task to task, and must not be changed by those who get them.
 *
 * All methods throw ML_FLOW_INVALID, naming the operator, when they are given what cannot run: a stream of another flow, a name
 * that is used twice, a number out of its range. The names of stateful operators consist of letters, digits, `.`, `_` and `-`, are
 * unique in the flow, and name the operator in the plan, in errors and in metrics.
 */
import type { SortKey } from '../core/key-order.ts';
import type { JoinStrategy } from './plan.ts';
import type { Writable } from './sink.ts';
import type {
  KeyedSinkFits,
  KeyFits,
  OwnKeyFits,
  SameKey,
  SortKeyFits,
  StreamSinkFits,
  TableSinkFits,
} from './type-errors.ts';

/** A record of a table. */
export interface Entry<K, V> {
  readonly key: K;
  readonly value: V;
}

/** An aggregation of the user: what `aggregate` takes. Its functions are synchronous. */
export interface Aggregation<T, K, A, R = A> {
  /** A new accumulator: plain data. */
  readonly init: () => A;
  /** Puts one value into it, in the order of the stream. May change the accumulator and return it. */
  readonly add: (accumulator: A, value: T, key: K) => A;
  /**
   * Puts two accumulators into one, `left` being of records that come before those of `right`. With it, records are
   * aggregated where they are read, and far less has to move. It must be associative.
   */
  readonly merge?: (left: A, right: A) => A;
  /** What the result is. Default: the accumulator. */
  readonly finish?: (accumulator: A, key: K) => R;
}

export interface SampleOptions {
  /** An integer, 0 to 4,294,967,295; other seeds choose other records. Default 0. */
  readonly seed?: number;
}

export interface JoinOptions {
  /** How to join. Default: the planner's choice, which `millrace plan` shows with its reason. */
  readonly strategy?: JoinStrategy;
  /** Whether a key with very many records may be shared between tasks; the result is the same. Default true. */
  readonly splitHotKeys?: boolean;
}

/** Side data in the memory of every task: what `f.broadcast` returns, and `with` takes. */
export interface Broadcast<Side> {
  readonly kind: 'broadcast';
  /** Carries the type; never set. */
  readonly types?: Side;
}

/** What a stream consists of. */
type RecordOf<S> =
  S extends Stream<infer T> ? T : S extends KeyedStream<unknown, infer T> ? T : never;
type Predicate<T> = (value: T) => boolean | PromiseLike<boolean>;
type KeyedPredicate<T, K> = (value: T, key: K) => boolean | PromiseLike<boolean>;
/** What a predicate leaves of a type: a type guard narrows it. */
type Narrowed<T, P> = P extends Guard<T, infer U> ? U : T;
type Guard<T, U extends T> = (value: T, ...rest: never[]) => value is U;

/** A stream of records of type T. */
export interface Stream<T> {
  readonly kind: 'stream';

  /**
   * Makes one record of each.
   * @example lines.map((line) => JSON.parse(line) as Order)
   */
  map<U>(fn: (value: T) => U): Stream<Awaited<U>>;

  /**
   * Makes zero or more records of each, in the order of the iterable.
   * @example lines.flatMap((line) => line.split(' '))
   */
  flatMap<U>(fn: (value: T) => Iterable<U> | PromiseLike<Iterable<U>>): Stream<U>;

  /**
   * Keeps the records for which `fn` is true; a type guard narrows the type.
   * @example hits.filter((hit) => hit.status >= 500)
   */
  filter<U extends T>(fn: (value: T) => value is U): Stream<U>;
  filter(fn: Predicate<T>): Stream<T>;

  /**
   * Calls `fn` for its effect and passes the record on. Tasks may be tried again, so that it may see a record more than once.
   * @example
   * const refunds = f.counter('refunds');
   * orders.tap((order) => { if (order.total < 0) refunds.add(); });
   */
  tap(fn: (value: T) => unknown): Stream<T>;

  /**
   * Gives each record a key. Nothing moves by this alone: the operator behind it that needs equal keys together does.
   * @param fn returns a string, number, bigint, boolean, Date, bytes, null, or an array of these
   * @example hits.keyBy((hit) => hit.path)
   */
  keyBy<const K>(fn: (value: T) => K & KeyFits<K>): KeyedStream<Awaited<K>, T>;

  /**
   * Puts records of equal keys together, for functions that need all of them at once. Prefer `keyBy(…).aggregate(…)`
   * where an accumulator will do: it moves less.
   * @example visits.groupBy((visit) => visit.user).sortValuesBy((visit) => visit.time).reduce('sessions', toSessions)
   */
  groupBy<const K>(fn: (value: T) => K & KeyFits<K>): Grouped<Awaited<K>, T>;

  /**
   * Keeps the first record of each key.
   * @param by what to compare; default: the value itself, where it can be a key
   * @example terms.distinct('vocabulary')
   */
  distinct<const K>(name: string, by: (value: T) => K & KeyFits<K>): Stream<T>;
  distinct(name: string & OwnKeyFits<T>): Stream<T>;

  /**
   * Puts all records in order, from small to large; equal ones keep their order. `desc` turns a component around.
   * @param by returns a key, or an array of keys to compare one after the other
   * @example hits.sort('by-day', (hit) => [desc(hit.day), hit.path])
   */
  sort<const K>(name: string, by: (value: T) => K & SortKeyFits<K>): Stream<T>;

  /**
   * The first records of the order from large to small, without sorting all; among equals those that come first.
   * @param n how many: an integer, 1 to 1,000,000
   * @example orders.top('largest', 10, (order) => order.total)
   */
  top<const K>(name: string, n: number, by: (value: T) => K & SortKeyFits<K>): Stream<T>;

  /**
   * Keeps about a fraction of the records, chosen by their content: the same ones in every run.
   * @param fraction 0 to 1
   * @example hits.sample(0.01, { seed: 7 })
   */
  sample(fraction: number, options?: SampleOptions): Stream<T>;

  /** The records of this stream, then those of the others. */
  union<const S extends readonly Stream<unknown>[]>(...streams: S): Stream<T | RecordOf<S[number]>>;

  /**
   * Splits the stream: each record goes to the first branch whose function is true, and to `rest` when none is.
   * @example const { errors, rest } = hits.branch({ errors: (hit) => hit.status >= 500 });
   */
  branch<P extends Readonly<Record<string, Predicate<T>>>>(
    predicates: P,
  ): { readonly [Name in keyof P]: Stream<Narrowed<T, P[Name]>> } & { readonly rest: Stream<T> };

  /**
   * Makes one record of each and of side data.
   * @example hits.with(f.broadcast('countries', countries), (hit, byCode) => ({ ...hit, country: byCode.get(hit.code) }))
   */
  with<Side, U>(broadcast: Broadcast<Side>, fn: (value: T, side: Side) => U): Stream<Awaited<U>>;

  /** The number of records, as one record: 0 for an empty stream. */
  count(name: string): Stream<number>;

  /**
   * All records put into one, two at a time: one record, or none when the stream is empty. `undefined` counts as no value.
   * @param fn associative and synchronous; `left` comes before `right`
   * @example totals.reduce('sum', (left, right) => left + right)
   */
  reduce(name: string, fn: (left: T, right: T) => T): Stream<T>;

  /** All records in one accumulator: exactly one record, also when the stream is empty. */
  aggregate<A, R = A>(name: string, aggregation: Aggregation<T, undefined, A, R>): Stream<R>;

  /**
   * Writes the records. A stream may be written to several places; the outputs of a job appear together or not at all.
   * @example hits.write(files.ndjson('out/hits'))
   */
  write<Value, SinkKey>(to: Writable<Value, SinkKey> & StreamSinkFits<T, Value, SinkKey>): void;
}

/** A stream of records that have keys. Functions get the value, then the key. */
export interface KeyedStream<K, T> {
  readonly kind: 'keyed';

  /** Makes one record of each; what comes out has no key. */
  map<U>(fn: (value: T, key: K) => U): Stream<Awaited<U>>;

  /** Makes a new value of each; the key stays. */
  mapValues<U>(fn: (value: T, key: K) => U): KeyedStream<K, Awaited<U>>;

  /** Makes zero or more records of each; what comes out has no key. */
  flatMap<U>(fn: (value: T, key: K) => Iterable<U> | PromiseLike<Iterable<U>>): Stream<U>;

  /** Makes zero or more values of each; the key stays. */
  flatMapValues<U>(
    fn: (value: T, key: K) => Iterable<U> | PromiseLike<Iterable<U>>,
  ): KeyedStream<K, U>;

  /** Keeps the records for which `fn` is true; a type guard narrows the type of the value. */
  filter<U extends T>(fn: (value: T, key: K) => value is U): KeyedStream<K, U>;
  filter(fn: KeyedPredicate<T, K>): KeyedStream<K, T>;

  /** Calls `fn` for its effect and passes the record on. */
  tap(fn: (value: T, key: K) => unknown): KeyedStream<K, T>;

  /** Gives each record another key. */
  keyBy<const L>(fn: (value: T, key: K) => L & KeyFits<L>): KeyedStream<Awaited<L>, T>;

  /** Puts records of equal keys together under another key; `groupBy((value, key) => key)` keeps the key. */
  groupBy<const L>(fn: (value: T, key: K) => L & KeyFits<L>): Grouped<Awaited<L>, T>;

  /** Puts all records in order, from small to large; equal ones keep their order. The key stays. */
  sort<const L>(name: string, by: (value: T, key: K) => L & SortKeyFits<L>): KeyedStream<K, T>;

  /** Keeps about a fraction (0 to 1) of the records, chosen by their content: the same ones in every run. */
  sample(fraction: number, options?: SampleOptions): KeyedStream<K, T>;

  /** The records of this stream, then those of the others. */
  union<const S extends readonly KeyedStream<K, unknown>[]>(
    ...streams: S
  ): KeyedStream<K, T | RecordOf<S[number]>>;

  /** Each record goes to the first branch whose function is true, and to `rest` when none is. */
  branch<P extends Readonly<Record<string, KeyedPredicate<T, K>>>>(
    predicates: P,
  ): { readonly [Name in keyof P]: KeyedStream<K, Narrowed<T, P[Name]>> } & {
    readonly rest: KeyedStream<K, T>;
  };

  /** Makes a new value of each and of side data; the key stays. */
  with<Side, U>(
    broadcast: Broadcast<Side>,
    fn: (value: T, side: Side, key: K) => U,
  ): KeyedStream<K, Awaited<U>>;

  /** The values alone. */
  values(): Stream<T>;

  /** Keys and values as records `{ key, value }`. */
  entries(): Stream<Entry<K, T>>;

  /**
   * The number of records of each key.
   * @example hits.keyBy((hit) => hit.path).count('hits')
   */
  count(name: string): Table<K, number>;

  /**
   * The values of each key put into one, two at a time. `undefined` counts as no value.
   * @param fn associative and synchronous; `left` comes before `right`
   */
  reduce(name: string, fn: (left: T, right: T) => T): Table<K, T>;

  /**
   * The values of each key in one accumulator.
   * @example orders.keyBy((o) => o.tier).aggregate('revenue', { init: () => 0, add: (sum, o) => sum + o.total, merge: (a, b) => a + b })
   */
  aggregate<A, R = A>(name: string, aggregation: Aggregation<T, K, A, R>): Table<K, R>;

  /**
   * Every pair of a record of this stream and one of `right` with the same key. A key of null matches nothing, as in SQL.
   * @example orders.keyBy((o) => o.customerId).join('with-customer', customers, (order, customer) => ({ ...order, tier: customer.tier }))
   */
  join<L, U, R>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    fn: (left: T, right: U, key: K) => R,
    options?: JoinOptions,
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of this stream without a match once, with `right` undefined. */
  leftJoin<L, U, R>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    fn: (left: T, right: U | undefined, key: K) => R,
    options?: JoinOptions,
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of `right` without a match once, with `left` undefined. */
  rightJoin<L, U, R>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    fn: (left: T | undefined, right: U, key: K) => R,
    options?: JoinOptions,
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of either side without a match once. */
  outerJoin<L, U, R>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    fn: (left: T | undefined, right: U | undefined, key: K) => R,
    options?: JoinOptions,
  ): KeyedStream<K, Awaited<R>>;

  /** The records of this stream whose key `right` has, each once. */
  semiJoin<L, U>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    options?: JoinOptions,
  ): KeyedStream<K, T>;

  /** The records of this stream whose key `right` does not have; those with a key of null are among them. */
  antiJoin<L, U>(
    name: string,
    right: KeyedStream<L, U> & SameKey<K, L>,
    options?: JoinOptions,
  ): KeyedStream<K, T>;

  /** Writes the values, and the keys too where the sink takes them, as `files.table` does. */
  write<Value, SinkKey>(to: Writable<Value, SinkKey> & KeyedSinkFits<K, T, Value, SinkKey>): void;
}

/** One value per key. */
export interface Table<K, V> extends KeyedStream<K, V> {
  /** Tells a table from a stream that may have several values per key. */
  readonly isTable: true;

  mapValues<U>(fn: (value: V, key: K) => U): Table<K, Awaited<U>>;
  filter<U extends V>(fn: (value: V, key: K) => value is U): Table<K, U>;
  filter(fn: KeyedPredicate<V, K>): Table<K, V>;
  tap(fn: (value: V, key: K) => unknown): Table<K, V>;

  /**
   * The entries with the largest values, largest first; among equals those that come first.
   * @param n how many: an integer, 1 to 1,000,000
   * @param options `by`: what to order by instead of the value
   * @example hits.keyBy((hit) => hit.path).count('hits').top(10) // the operator is named after the one before: `hits-top`
   * @example latencies.top('slowest', 10, (stats) => stats.latencyMs)
   */
  top(n: number & OwnKeyFits<V>): Stream<Entry<K, V>>;
  top(n: number, options: { readonly by: (value: V, key: K) => SortKey }): Stream<Entry<K, V>>;
  top(name: string & OwnKeyFits<V>, n: number): Stream<Entry<K, V>>;
  top(name: string, n: number, by: (value: V, key: K) => SortKey): Stream<Entry<K, V>>;

  /** Not for calling: makes a table a keyed stream for the compiler, although it is written in another way. */
  write<Value, SinkKey>(
    this: never,
    to: Writable<Value, SinkKey> & KeyedSinkFits<K, V, Value, SinkKey>,
  ): void;
  /** Writes entries `{ key, value }`; a sink that takes keys, as `files.table` does, gets key and value as they are. */
  write<Value, SinkKey>(to: Writable<Value, SinkKey> & TableSinkFits<K, V, Value, SinkKey>): void;
}

/** Records of equal keys, together. */
export interface Grouped<K, T> {
  readonly kind: 'grouped';

  /**
   * The order in which `reduce` gets the values of a key, from small to large (`desc` turns it around). Default: the order of
   * the stream.
   * @example visits.groupBy((visit) => visit.user).sortValuesBy((visit) => visit.time)
   */
  sortValuesBy<const L>(by: (value: T, key: K) => L & SortKeyFits<L>): Grouped<K, T>;

  /**
   * Calls `fn` once for each key with all its values, which may be more than fit into memory: the iterator reads them as it goes and
   * can be run through once. What it emits has no key.
   * @example
   * grouped.reduce('longest', (user, visits, emit: Emit<Visit>) => {
   *   for (const visit of visits) if (visit.ms > 60_000) emit(visit);
   * });
   */
  reduce<R>(
    name: string,
    fn: (key: K, values: Iterable<T>, emit: Emit<R>) => void | Promise<void>,
  ): Stream<R>;

  /** The number of records of each key. */
  count(name: string): Table<K, number>;
}

/** Puts out one record. */
export type Emit<R> = (value: R) => void;
