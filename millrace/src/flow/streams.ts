/**
 * The streams of the language, as users see them. A stream is a description: its methods add an operator to the plan of the
 * flow that is being built and return the stream that comes out of it. Nothing is read until an engine runs the plan.
 *
 * Functions get one record at a time. Those of `map`, `flatMap`, `filter`, `tap`, `keyBy`, `groupBy`, `with`, of joins and of
 * `Grouped.reduce` may return a promise; one that does not is faster. Records are plain data, and must not be changed by who gets them.
 *
 * All methods throw ML_FLOW_INVALID, naming the operator, when they are given what cannot run: a stream of another flow, a name that is
 * used twice, a number out of its range. Names of stateful operators consist of letters, digits, `.`, `_` and `-`, and are unique.
 */
import type { SortKey } from '../core/key-order.ts';
import type { Duration } from './durations.ts';
import type { MatchedInPart, Matched, PatternEnd } from './pattern-types.ts';
import type { Writable } from './sink.ts';
import type {
  Aggregation,
  AsyncArguments,
  AsyncCall,
  Broadcast,
  Entry,
  GlobalTable,
  GroupFunction,
  JoinArguments,
  JoinFunction,
  KeyedPredicate,
  Lookup,
  MergedAggregation,
  Narrowed,
  Pairwise,
  Predicate,
  ProcessFunctions,
  SampleOptions,
  SemiJoinArguments,
  Several,
  TableAggregation,
  TableOptions,
  WindowArguments,
  WindowEmit,
} from './stream-options.ts';
import type {
  KeyedSink,
  KeyFits,
  KeyFunction,
  OwnKeyFits,
  SameKey,
  SelectedSink,
  SessionsNeedMerge,
  SortKeyFits,
  StreamSinkFits,
  TableSinkFits,
} from './type-errors.ts';
import type { SessionWindow } from './window-specs.ts';
import type { Windowed, WindowSpec } from './windows.ts';

/** What a stream consists of. */
type RecordOf<S> =
  S extends Stream<infer T> ? T : S extends KeyedStream<unknown, infer T> ? T : never;
/** The right side of a join. */
type RightStream<K, L, U> = KeyedStream<L, U> & SameKey<K, L>;
type RightTable<K, L, U> = Table<L, U> & SameKey<K, L>;

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
  flatMap<U>(fn: (value: T) => Several<U>): Stream<U>;

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

  /** The records of this stream, then those of the others; of topics: by time, as they come. */
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

  /**
   * The first record of each key within a time, by event time; others that come within it are dropped.
   * @example orders.dedupe('once', (order) => order.id, '1 hour')
   */
  dedupe<const K>(name: string, by: (value: T) => K & KeyFits<K>, within: Duration): Stream<T>;

  /**
   * Makes one record of each by a call that waits, of a service for example: several at a time, results in the order of the records.
   * @example orders.mapAsync('rates', async (order, { signal }) => fetchRate(order.currency, signal), { concurrency: 32, timeout: '2s' })
   */
  mapAsync<U>(...given: AsyncArguments<(value: T, call: AsyncCall) => U>): Stream<Awaited<U>>;

  /**
   * Each record with the value that a key has in a global table; those without one are dropped.
   * @example orders.joinGlobal('with-rate', f.globalTable(rates), (order) => order.currency, (order, rate) => order.total * rate)
   */
  joinGlobal<L, U, R>(
    ...given: Lookup<GlobalTable<L, U>, T, undefined, L, (value: T, found: U) => R>
  ): Stream<Awaited<R>>;

  /** Like `joinGlobal`, and each record without a match, with undefined. */
  leftJoinGlobal<L, U, R>(
    ...given: Lookup<GlobalTable<L, U>, T, undefined, L, (value: T, found: U | undefined) => R>
  ): Stream<Awaited<R>>;

  /** The number of records, as one record: 0 for an empty stream. */
  count(name: string): Stream<number>;

  /**
   * All records put into one, two at a time: one record, or none when the stream is empty. `undefined` counts as no value.
   * @param fn associative and synchronous; `left` comes before `right`
   * @example totals.reduce('sum', (left, right) => left + right)
   */
  reduce(name: string, fn: Pairwise<T>): Stream<T>;

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
  flatMap<U>(fn: (value: T, key: K) => Several<U>): Stream<U>;

  /** Makes zero or more values of each; the key stays. */
  flatMapValues<U>(fn: (value: T, key: K) => Several<U>): KeyedStream<K, U>;

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

  /** The records of this stream, then those of the others; of topics: by time, as they come. */
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
  reduce(name: string, fn: Pairwise<T>): Table<K, T>;

  /**
   * The values of each key in one accumulator.
   * @example orders.keyBy((o) => o.tier).aggregate('revenue', { init: () => 0, add: (sum, o) => sum + o.total, merge: (a, b) => a + b })
   */
  aggregate<A, R = A>(name: string, aggregation: Aggregation<T, K, A, R>): Table<K, NoInfer<R>>;

  /**
   * Every pair of a record of this stream and one of `right` with the same key. A key of null matches nothing, as in SQL. Of two
   * streams of topics: whose times are near (`within`). A table of a topic gives the value that the key has when the record comes.
   * @example orders.keyBy((o) => o.customerId).join('with-customer', customers, (order, customer) => ({ ...order, tier: customer.tier }))
   */
  join<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<T, U, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of this stream without a match once, with `right` undefined. */
  leftJoin<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<T, U | undefined, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of `right` without a match once, with `left` undefined. */
  rightJoin<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<T | undefined, U, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /** Like `join`, and each record of either side without a match once. */
  outerJoin<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<T | undefined, U | undefined, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /** The records of this stream whose key `right` has, each once. */
  semiJoin<L, U>(...given: SemiJoinArguments<RightStream<K, L, U>>): KeyedStream<K, T>;

  /** The records of this stream whose key `right` does not have; those with a key of null are among them. */
  antiJoin<L, U>(...given: SemiJoinArguments<RightStream<K, L, U>>): KeyedStream<K, T>;

  /** As on streams; the key stays. */
  joinGlobal<L, U, R>(
    ...given: Lookup<GlobalTable<L, U>, T, K, L, JoinFunction<T, U, K, R>>
  ): KeyedStream<K, Awaited<R>>;
  leftJoinGlobal<L, U, R>(
    ...given: Lookup<GlobalTable<L, U>, T, K, L, JoinFunction<T, U | undefined, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /** The first record of each key and of what `by` gives within a time, by event time. The key stays. */
  dedupe<const L>(name: string, by: KeyFunction<T, K, L>, within: Duration): KeyedStream<K, T>;

  /** As `mapAsync` of a stream; the key stays. */
  mapValuesAsync<U>(
    ...given: AsyncArguments<(value: T, key: K, call: AsyncCall) => U>
  ): KeyedStream<K, Awaited<U>>;

  /**
   * Windows over event time, for what is aggregated behind it.
   * @example bids.keyBy((bid) => bid.item).window(tumbling('1 minute', { grace: '10s' })).count('bids-per-minute')
   */
  window(window: SessionWindow): SessionWindowedStream<K, T>;
  window(window: WindowSpec): WindowedStream<K, T>;

  /** The latest value of each key as a table; null and undefined delete. */
  toTable(name: string, options?: Omit<TableOptions, 'name'>): Table<K, NonNullable<T>>;

  /**
   * State and timers of your own, per key. Say what they are: the types follow from that of the context.
   * @example
   * payments.process('silence', {
   *   onRecord: (payment, context: ProcessContext<number, string>) => context.setTimer(context.time + 60_000),
   *   onTimer: (context, key) => context.emit(`${key} is silent`),
   * });
   */
  process<S, R>(name: string, functions: ProcessFunctions<T, K, S, R>): KeyedStream<K, R>;

  /**
   * Matches of a pattern among the records of a key, in the order of their event times.
   * @param select makes a record of the records of a match, by step
   * @example
   * const small = pattern('small', (p: Payment) => p.amount < 1).next('large', (p) => p.amount > 500).within('1 minute');
   * payments.match('fraud', small, ({ small: [first], large: [then] }) => ({ first, then }));
   */
  match<P extends T, Steps, R>(
    name: string,
    pattern: PatternEnd<P, Steps>,
    select: (matched: Matched<Steps>, key: K) => R,
  ): MatchedStream<K, T, R, Steps>;

  /** Writes the values, and the keys too where the sink takes them, as `files.table` and topics do. */
  write<Value, SinkKey>(to: KeyedSink<K, T, Value, SinkKey>): void;
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
   * @param n how many: an integer, 1 to 1,000,000. @param options `by`: what to order by instead of the value
   * @example hits.keyBy((hit) => hit.path).count('hits').top(10) // the operator is named after the one before: `hits-top`
   * @example latencies.top('slowest', 10, (stats) => stats.latencyMs)
   */
  top(n: number & OwnKeyFits<V>): Stream<Entry<K, V>>;
  top(n: number, options: { readonly by: (value: V, key: K) => SortKey }): Stream<Entry<K, V>>;
  top(name: string & OwnKeyFits<V>, n: number): Stream<Entry<K, V>>;
  top(name: string, n: number, by: (value: V, key: K) => SortKey): Stream<Entry<K, V>>;

  /** The table of the pairs of values with the same key. */
  join<L, U, R>(
    ...given: JoinArguments<RightTable<K, L, U>, JoinFunction<V, U, K, R>>
  ): Table<K, Awaited<R>>;
  join<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<V, U, K, R>>
  ): KeyedStream<K, Awaited<R>>;
  leftJoin<L, U, R>(
    ...given: JoinArguments<RightTable<K, L, U>, JoinFunction<V, U | undefined, K, R>>
  ): Table<K, Awaited<R>>;
  leftJoin<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<V, U | undefined, K, R>>
  ): KeyedStream<K, Awaited<R>>;
  outerJoin<L, U, R>(
    ...given: JoinArguments<RightTable<K, L, U>, JoinFunction<V | undefined, U | undefined, K, R>>
  ): Table<K, Awaited<R>>;
  outerJoin<L, U, R>(
    ...given: JoinArguments<RightStream<K, L, U>, JoinFunction<V | undefined, U | undefined, K, R>>
  ): KeyedStream<K, Awaited<R>>;

  /**
   * The table of each value with the one that it refers to in another table. Changes of either side change the result.
   * @param foreignKey the key in `right`; null or undefined: none
   * @example latestOrders.joinForeign('with-customer', customers, (order) => order.customerId, (order, customer) => ({ ...order, customer }))
   */
  joinForeign<L, U, R>(
    ...given: Lookup<Table<L, U>, V, K, L, JoinFunction<V, U, K, R>>
  ): Table<K, Awaited<R>>;
  /** Like `joinForeign`, and each value that refers to nothing, with `right` undefined. */
  leftJoinForeign<L, U, R>(
    ...given: Lookup<Table<L, U>, V, K, L, JoinFunction<V, U | undefined, K, R>>
  ): Table<K, Awaited<R>>;

  /** The values under another key, together: what is aggregated of them follows their changes. */
  groupBy<const L>(fn: (value: V, key: K) => L & KeyFits<L>): GroupedTable<Awaited<L>, V>;

  /** The changes of the table: the new values, and undefined where a key was deleted. */
  toStream(): KeyedStream<K, V | undefined>;

  /** Not for calling: makes a table a keyed stream for the compiler, although it is written in another way. */
  write<Value, SinkKey>(this: never, to: KeyedSink<K, V, Value, SinkKey>): void;
  /** Writes entries `{ key, value }`; a sink that takes keys, as `files.table` and topics do, gets key and value as they are. */
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
  reduce<R>(name: string, fn: GroupFunction<K, T, R>): Stream<R>;

  /** The number of records of each key. */
  count(name: string): Table<K, number>;
}

/** Values of a table under other keys, together. */
export interface GroupedTable<K, V> extends Grouped<K, V> {
  /** @param subtract takes a value out of the result again, which `add` has put in */
  reduce(name: string, add: Pairwise<V>, subtract: Pairwise<V>): Table<K, V>;
  reduce<R>(name: string, fn: GroupFunction<K, V, R>): Stream<R>;

  /**
   * The values of each group in one accumulator, from which old values are taken again.
   * @example profiles.groupBy((p) => p.region).aggregate('ages', { init: () => 0, add: (n, p) => n + p.age, subtract: (n, p) => n - p.age })
   */
  aggregate<A, R = A>(name: string, how: TableAggregation<V, K, A, R>): Table<K, NoInfer<R>>;
}

type Windows<K, R, T> = WindowedTable<K, NoInfer<R>, T>;

/** Records of each key in windows over event time. */
export interface WindowedStream<K, T> {
  readonly kind: 'windowed';
  /** The number of records of each key and window. */
  count(name: string, options?: WindowEmit): WindowedTable<K, number, T>;
  /** The values of each key and window put into one. @param fn associative and synchronous; `left` comes before `right` */
  reduce(name: string, fn: Pairwise<T>, options?: WindowEmit): WindowedTable<K, T, T>;
  /** The values of each key and window in one accumulator. */
  aggregate<A, R = A>(...given: WindowArguments<Aggregation<T, K, A, R>>): Windows<K, R, T>;
}

/** The same in sessions, whose accumulators must be mergeable: a late record may join two sessions. */
export interface SessionWindowedStream<K, T> extends WindowedStream<K, T> {
  aggregate<A, R = A>(...given: WindowArguments<MergedAggregation<T, K, A, R>>): Windows<K, R, T>;
  aggregate<A, R = A>(
    ...given: WindowArguments<Aggregation<T, K, A, R> & SessionsNeedMerge>
  ): Windows<K, R, T>;
}

/** One value per key and window, from records of type T. */
export interface WindowedTable<K, V, T> extends Table<Windowed<K>, V> {
  /** Writes the records that came after their windows were closed; without it they are counted and dropped. */
  late<Value, SinkKey>(to: KeyedSink<K, T, Value, SinkKey>): this;
}

/** The matches of a pattern among records of type T. */
export interface MatchedStream<K, T, R, Steps> extends KeyedStream<K, R> {
  /** Writes the matches that ran out of time: as records by step, or as what `select` makes of them. */
  timedOut<Value, SinkKey>(to: KeyedSink<K, MatchedInPart<T, Steps>, Value, SinkKey>): this;
  timedOut<U, Value, SinkKey>(
    select: (matched: MatchedInPart<T, Steps>, key: K) => U,
    to: SelectedSink<K, U, Value, SinkKey>,
  ): this;
  /** Writes the records that came too late to be matched; without it they are counted and dropped. */
  late<Value, SinkKey>(to: KeyedSink<K, T, Value, SinkKey>): this;
}
