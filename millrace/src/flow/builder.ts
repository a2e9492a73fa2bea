/** What the function that builds a flow gets: where streams begin. */
import type { PlanCounter } from './plan.ts';
import type { Readable } from './source.ts';
import type { ReadStream } from './rows.ts';
import type { Broadcast, GlobalTable, TableOptions } from './stream-options.ts';
import type { KeyedStream, Stream, Table } from './streams.ts';

/** A counter of the program. Only what attempts counted that were committed is reported at the end of a job. */
export interface Counter {
  readonly name: string;
  /** @param n what to add, may be negative; default 1 */
  add(n?: number): void;
}

export interface IterateOptions<T> {
  /** At most so many rounds: an integer, 1 to 1,000,000. */
  readonly rounds: number;
  /** Stop when a round changes nothing. Default false. */
  readonly fixpoint?: boolean;
  /** Called after each round with its input and its output; true stops. All their values are in memory for it. */
  readonly until?: (previous: readonly T[], next: readonly T[], round: number) => boolean;
}

type Widened<T> = T extends string ? string : T extends number ? number : boolean;

export interface FlowBuilder {
  /**
   * A stream of the records of a source. What has columns (CSV, TSV, delimited text, Parquet) gives `Rows`: `where`, `select`,
   * `groupBy(…).agg(…)` and others run on them without a function per record. Lines give `Lines`, whose `rows()` does the same.
   * @throws {MillraceError} ML_FLOW_INVALID
   * @example f.read(files.lines('logs/*.log')).filter((line) => line.includes(' 500 '))
   */
  read<T, K>(from: Readable<T, K>): ReadStream<T>;

  /**
   * A stream of the records of a source under their keys, such as those of a topic. Records of equal keys are in one partition of a topic
   * if those who wrote it saw to that, as producers do by themselves: nothing is moved.
   * @throws {MillraceError} ML_FLOW_INVALID
   * @example f.readKeyed(topic('orders', { value: json<Order>() })).count('orders-per-customer')
   */
  readKeyed<T, K>(from: Readable<T, K>): KeyedStream<K, T>;

  /**
   * The latest value of each key of a source that has keys; keys whose latest value is null are left out. That of a topic is called
   * after it, and is kept as records come.
   * @throws {MillraceError} ML_FLOW_INVALID
   * @example f.table(topic('customers', { value: json<Customer>() }), { history: '1 day' })
   */
  table<T, K>(from: Readable<T, K>, options?: TableOptions): Table<K, NonNullable<T>>;

  /**
   * The latest value of each key of a topic, all of it in every task, for `joinGlobal`: for small tables, looked up by any key. It is
   * complete before the first record is processed.
   * @throws {MillraceError} ML_FLOW_INVALID
   * @example orders.joinGlobal('with-rate', f.globalTable(rates), (order) => order.currency, (order, rate) => order.total * rate)
   */
  globalTable<T, K>(
    from: Readable<T, K>,
    options?: Pick<TableOptions, 'name'>,
  ): GlobalTable<K, NonNullable<T>>;

  /**
   * A parameter of the program: what `--set name=value` says, else the default, whose type it has.
   * @throws {MillraceError} ML_PARAMETER_INVALID when it is set to what is not of its type
   * @example const days = f.param('days', 7);
   */
  param<T extends string | number | boolean>(name: string, fallback: T): Widened<T>;

  /**
   * A counter that functions of the program may add to; its sum is shown when the job has ended.
   * @example
   * const broken = f.counter('broken');
   * lines.tap((line) => { if (line === '') broken.add(); });
   */
  counter(name: string): Counter;

  /**
   * Puts a stream, or a table, into the memory of every task, for `with`. A table becomes a map from key to value.
   * @throws {MillraceError} ML_FLOW_INVALID; ML_BROADCAST_TOO_LARGE when the job runs
   * @example hits.with(f.broadcast('countries', countries), (hit, names) => ({ ...hit, country: names.get(hit.code) }))
   */
  broadcast<K, V>(name: string, side: KeyedStream<K, V>): Broadcast<ReadonlyMap<K, V>>;
  broadcast<T>(name: string, side: Stream<T>): Broadcast<readonly T[]>;

  /**
   * Runs a piece of the flow again and again, each time on what came out the last time. Streams from outside may be used in it; nothing
   * can be written in it.
   * @param body makes the next state from the current one
   * @throws {MillraceError} ML_FLOW_INVALID
   * @example
   * f.iterate('ranks', start, { rounds: 20, fixpoint: true }, (ranks) =>
   *   ranks
   *     .join('links', links, (rank, pages) => pages.map((page) => ({ page, share: rank / pages.length })))
   *     .flatMap((shares) => shares)
   *     .keyBy((given) => given.page)
   *     .aggregate('rank', { init: () => 0, add: (sum, given) => sum + given.share, merge: (a, b) => a + b }));
   */
  iterate<K, V>(
    name: string,
    start: Table<K, V>,
    options: IterateOptions<V>,
    body: (current: Table<K, V>) => KeyedStream<K, V>,
  ): Table<K, V>;
  iterate<T>(
    name: string,
    start: Stream<T>,
    options: IterateOptions<T>,
    body: (current: Stream<T>) => Stream<T>,
  ): Stream<T>;
}

/** The counter behind `Counter`: the plan and the functions of the program share it. */
export class UserCounter implements Counter, PlanCounter {
  readonly name: string;
  value = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(n = 1): void {
    this.value += n;
  }
}
