/**
 * What is behind the streams of `streams.ts`: every method adds a node to the graph of the flow. The interfaces check the types of a
 * program; here a record is anything.
 */
import { TOP_RECORDS_MAX } from '../core/limits.ts';
import {
  addNode,
  type Draft,
  flowError,
  Handle,
  type NodeContent,
  type Operator,
} from './draft.ts';
import {
  identity,
  isPresent,
  isSomething,
  keepLeft,
  keepRight,
  keyOfRecord,
  madeOf,
  nothing,
  toEntry,
  valueOfEntry,
} from './functions.ts';
import { joinOf } from './join-builder.ts';
import {
  functionOf,
  OperatorBuilder,
  orderOf,
  type Predicates,
  requireInteger,
  requireTimes,
  sinkOf,
  type UserAggregation,
  type UserFunction,
} from './operator-builder.ts';
import { patternOf } from './pattern-builder.ts';
import type { GroupNode, JoinType, SortOrder, ValueFunction } from './plan.ts';
import type { ForeignJoinNode } from './stream-nodes.ts';
import type { Writable } from './sink.ts';
import type {
  AsyncOptions,
  Broadcast,
  Entry,
  GlobalTable,
  JoinOptions,
  SampleOptions,
  TableOptions,
  WindowEmit,
} from './stream-options.ts';
import type {
  Grouped,
  GroupedTable,
  KeyedStream,
  MatchedStream,
  Stream,
  Table,
  WindowedStream,
  WindowedTable,
} from './streams.ts';
import {
  asyncContent,
  callOfRecord,
  callOfValue,
  filled,
  processContent,
  tableAggregate,
  tableContent,
  tableCount,
  tableReduce,
  type UserProcess,
  type UserTableAggregation,
  windowAggregate,
  windowContent,
  windowCount,
  windowReduce,
} from './timed-operators.ts';
import type { WindowSpec } from './windows.ts';

/** All methods of an interface, whatever their types: the compiler gives up on comparing those with the generic ones of users. */
export type Surface<T> = { readonly [Name in keyof T]: unknown };

export class StreamBuilder extends OperatorBuilder implements Surface<Stream<never>> {
  readonly kind = 'stream';

  /** What has the same records, or fewer, or in another order: rows stay rows. */
  protected same(draft: Draft): StreamBuilder {
    return new StreamBuilder(draft);
  }

  map(fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addMapping('map', 'map', fn, false));
  }

  flatMap(fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addMapping('flatMap', 'flatMap', fn, false));
  }

  filter(fn: UserFunction): StreamBuilder {
    return this.same(this.addFunction('filter', 'filter', fn));
  }

  tap(fn: UserFunction): StreamBuilder {
    return this.same(this.addFunction('tap', 'tap', fn));
  }

  keyBy(fn: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addFunction('keyBy', 'keyBy', fn));
  }

  groupBy(fn: UserFunction): GroupedBuilder {
    return new GroupedBuilder(this.addFunction('keyBy', 'groupBy', fn), undefined);
  }

  distinct(name: string, by: UserFunction = identity): StreamBuilder {
    const operator = this.operator('distinct', name);
    const keyed = new StreamBuilder(this.addFunction('keyBy', 'distinct', by));
    const first = keyed.addNamed(operator, {
      kind: 'aggregate',
      init: nothing,
      add: keepLeft,
      merge: keepLeft,
      finish: undefined,
      builtin: undefined,
      isKeyed: true,
    });
    return this.same(new StreamBuilder(first).addMap(identity, false));
  }

  sort(name: string, by: UserFunction): StreamBuilder {
    return this.same(this.addSort(name, by));
  }

  top(name: string, n: number, by: UserFunction): StreamBuilder {
    const operator = this.operator('top', name);
    if (operator.name === undefined) throw flowError(operator, 'its first argument is its name');
    return this.same(this.addTop(operator, n, by));
  }

  /** @param operator may lack a name: one is made up */
  addTop(operator: Operator, n: unknown, by: UserFunction): Draft {
    requireInteger(operator, 'the number of records', n, 1, TOP_RECORDS_MAX);
    return this.add(operator, { kind: 'top', count: n, order: orderOf(operator, by, true) });
  }

  sample(fraction: number, options?: SampleOptions): StreamBuilder {
    return this.same(this.addSample(fraction, options));
  }

  union(...streams: readonly unknown[]): StreamBuilder {
    return new StreamBuilder(this.addUnion(streams));
  }

  branch(predicates: Predicates): Readonly<Record<string, StreamBuilder>> {
    const branches = [...this.addBranches(predicates)].map(
      ([name, draft]) => [name, new StreamBuilder(draft)] as const,
    );
    return Object.freeze(Object.fromEntries(branches));
  }

  with(broadcast: unknown, fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addWith(broadcast, fn, false));
  }

  dedupe(name: string, by: UserFunction, within: unknown): StreamBuilder {
    const operator = this.operator('dedupe', name);
    const keyed = new StreamBuilder(this.addFunction('keyBy', 'dedupe', by));
    const first = keyed.addDedupe(operator, keyOfRecord, within);
    return this.same(new StreamBuilder(first).addMap(identity, false));
  }

  mapAsync(name: string, fn: UserFunction, options?: AsyncOptions): StreamBuilder {
    const operator = this.operator('mapAsync', name);
    const call = callOfValue(functionOf(operator, fn));
    return new StreamBuilder(this.addNamed(operator, asyncContent(operator, call, false, options)));
  }

  joinGlobal(name: string, table: unknown, keyOf: UserFunction, fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addGlobalJoin('inner', name, table, { keyOf, fn }));
  }

  leftJoinGlobal(
    name: string,
    table: unknown,
    keyOf: UserFunction,
    fn: UserFunction,
  ): StreamBuilder {
    return new StreamBuilder(this.addGlobalJoin('left', name, table, { keyOf, fn }));
  }

  count(name: string): StreamBuilder {
    return new StreamBuilder(this.addCount(name, false));
  }

  reduce(name: string, fn: UserFunction): StreamBuilder {
    const reduced = new StreamBuilder(this.addReduce(name, fn, false));
    // A stream without records has no result, but the aggregation of a whole stream always gives one.
    return reduced.filter(isSomething);
  }

  aggregate(name: string, aggregation: UserAggregation): StreamBuilder {
    return new StreamBuilder(this.addAggregate(name, aggregation, false));
  }

  write(to: Writable): void {
    this.addWrite(to, false);
  }
}

export class KeyedBuilder extends OperatorBuilder implements Surface<KeyedStream<never, never>> {
  readonly kind = 'keyed';

  /** What keeps one value per key where there was one. */
  protected same(draft: Draft): KeyedBuilder {
    return new KeyedBuilder(draft);
  }

  map(fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addMapping('map', 'map', fn, false));
  }

  mapValues(fn: UserFunction): KeyedBuilder {
    return this.same(this.addMapping('map', 'mapValues', fn, true));
  }

  flatMap(fn: UserFunction): StreamBuilder {
    return new StreamBuilder(this.addMapping('flatMap', 'flatMap', fn, false));
  }

  flatMapValues(fn: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addMapping('flatMap', 'flatMapValues', fn, true));
  }

  filter(fn: UserFunction): KeyedBuilder {
    return this.same(this.addFunction('filter', 'filter', fn));
  }

  tap(fn: UserFunction): KeyedBuilder {
    return this.same(this.addFunction('tap', 'tap', fn));
  }

  keyBy(fn: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addFunction('keyBy', 'keyBy', fn));
  }

  groupBy(fn: UserFunction): GroupedBuilder | GroupedTableBuilder {
    return new GroupedBuilder(this.addFunction('keyBy', 'groupBy', fn), undefined);
  }

  sort(name: string, by: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addSort(name, by));
  }

  sample(fraction: number, options?: SampleOptions): KeyedBuilder {
    return new KeyedBuilder(this.addSample(fraction, options));
  }

  union(...streams: readonly unknown[]): KeyedBuilder {
    return new KeyedBuilder(this.addUnion(streams));
  }

  branch(predicates: Predicates): Readonly<Record<string, KeyedBuilder>> {
    const branches = [...this.addBranches(predicates)].map(
      ([name, draft]) => [name, new KeyedBuilder(draft)] as const,
    );
    return Object.freeze(Object.fromEntries(branches));
  }

  with(broadcast: unknown, fn: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addWith(broadcast, fn, true));
  }

  values(): StreamBuilder {
    return new StreamBuilder(this.addMap(identity, false));
  }

  entries(): StreamBuilder {
    return new StreamBuilder(this.addMap(toEntry, false));
  }

  count(name: string): TableBuilder {
    return new TableBuilder(this.addCount(name, true));
  }

  reduce(name: string, fn: UserFunction): TableBuilder {
    return new TableBuilder(this.addReduce(name, fn, true));
  }

  aggregate(name: string, aggregation: UserAggregation): TableBuilder {
    return new TableBuilder(this.addAggregate(name, aggregation, true));
  }

  join(name: string, right: unknown, fn: UserFunction, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('join', 'inner', name, { right, fn, options });
  }

  leftJoin(name: string, right: unknown, fn: UserFunction, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('leftJoin', 'left', name, { right, fn, options });
  }

  rightJoin(name: string, right: unknown, fn: UserFunction, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('rightJoin', 'right', name, { right, fn, options });
  }

  outerJoin(name: string, right: unknown, fn: UserFunction, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('outerJoin', 'outer', name, { right, fn, options });
  }

  semiJoin(name: string, right: unknown, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('semiJoin', 'semi', name, { right, fn: identity, options });
  }

  antiJoin(name: string, right: unknown, options?: JoinOptions): KeyedBuilder {
    return this.addJoin('antiJoin', 'anti', name, { right, fn: identity, options });
  }

  joinGlobal(name: string, table: unknown, keyOf: UserFunction, fn: UserFunction): KeyedBuilder {
    return new KeyedBuilder(this.addGlobalJoin('inner', name, table, { keyOf, fn }));
  }

  leftJoinGlobal(
    name: string,
    table: unknown,
    keyOf: UserFunction,
    fn: UserFunction,
  ): KeyedBuilder {
    return new KeyedBuilder(this.addGlobalJoin('left', name, table, { keyOf, fn }));
  }

  dedupe(name: string, by: UserFunction, within: unknown): KeyedBuilder {
    const operator = this.operator('dedupe', name);
    return new KeyedBuilder(this.addDedupe(operator, functionOf(operator, by), within));
  }

  mapValuesAsync(name: string, fn: UserFunction, options?: AsyncOptions): KeyedBuilder {
    const operator = this.operator('mapValuesAsync', name);
    const call = callOfRecord(functionOf(operator, fn));
    return new KeyedBuilder(this.addNamed(operator, asyncContent(operator, call, true, options)));
  }

  window(window: unknown): WindowedBuilder {
    const operator = this.operator('window');
    requireTimes(operator, this.draft);
    const spec = windowContent(operator, window);
    return new WindowedBuilder(this.draft, spec);
  }

  toTable(name: string, options: TableOptions = {}): TableBuilder {
    const operator = this.operator('toTable', name);
    if (this.draft.isEndless)
      return new TableBuilder(
        this.addNamed(operator, tableContent(operator, 'partition', options)),
      );
    return new TableBuilder(latestOf(operator, this.draft, options));
  }

  process(name: string, functions: UserProcess): KeyedBuilder {
    const operator = this.operator('process', name);
    requireTimes(operator, this.draft);
    return new KeyedBuilder(this.addNamed(operator, processContent(operator, functions)));
  }

  match(name: string, pattern: unknown, select: UserFunction): MatchedBuilder {
    const operator = this.operator('match', name);
    requireTimes(operator, this.draft);
    const spec = patternOf(operator, pattern);
    const content: NodeContent = {
      kind: 'pattern',
      pattern: spec,
      select: filled(spec, functionOf(operator, select)),
      selectTimedOut: filled(spec, identity),
    };
    return new MatchedBuilder(this.addNamed(operator, content));
  }

  write(to: Writable): void {
    this.addWrite(to, true);
  }

  /** Two tables give a table. */
  protected addJoin(
    method: string,
    type: JoinType,
    name: string,
    sides: {
      readonly right: unknown;
      readonly fn: UserFunction;
      readonly options: JoinOptions | undefined;
    },
  ): KeyedBuilder {
    const operator = this.operator(method, name);
    const right = Handle.draftOf(operator, sides.right, 'keyed');
    const fn = functionOf(operator, sides.fn);
    const { options = {} } = sides;
    const { content, isSwapped } = joinOf({ operator, type, left: this.draft, right, fn, options });
    const isTable =
      this instanceof TableBuilder && sides.right instanceof TableBuilder && type !== 'right';
    const draft = isSwapped
      ? new KeyedBuilder(right).addNamed(operator, content, [this.draft])
      : this.addNamed(operator, content, [right]);
    return isTable || content.isTable === true ? new TableBuilder(draft) : new KeyedBuilder(draft);
  }
}

export class TableBuilder extends KeyedBuilder implements Surface<Table<never, never>> {
  readonly isTable = true;

  protected override same(draft: Draft): TableBuilder {
    return new TableBuilder(draft);
  }

  override mapValues(fn: UserFunction): TableBuilder {
    return this.same(this.addMapping('map', 'mapValues', fn, true));
  }

  override filter(fn: UserFunction): TableBuilder {
    return this.same(this.addFunction('filter', 'filter', fn));
  }

  override tap(fn: UserFunction): TableBuilder {
    return this.same(this.addFunction('tap', 'tap', fn));
  }

  override groupBy(fn: UserFunction): GroupedTableBuilder {
    const operator = this.operator('groupBy');
    const by = functionOf(operator, fn);
    return new GroupedTableBuilder(this.draft, by);
  }

  override count(name: string): TableBuilder {
    if (this.draft.content.isTable !== true) return super.count(name);
    return new TableBuilder(this.addNamed(this.operator('count', name), tableCount(keyOfRecord)));
  }

  override reduce(name: string, fn: UserFunction): TableBuilder {
    this.refuseChanges('reduce', name);
    return super.reduce(name, fn);
  }

  override aggregate(name: string, aggregation: UserAggregation): TableBuilder {
    this.refuseChanges('aggregate', name);
    return super.aggregate(name, aggregation);
  }

  joinForeign(
    name: string,
    right: unknown,
    foreignKey: UserFunction,
    fn: UserFunction,
  ): TableBuilder {
    return this.addForeignJoin('inner', name, right, { foreignKey, fn });
  }

  leftJoinForeign(
    name: string,
    right: unknown,
    foreignKey: UserFunction,
    fn: UserFunction,
  ): TableBuilder {
    return this.addForeignJoin('left', name, right, { foreignKey, fn });
  }

  toStream(): KeyedBuilder {
    if (this.draft.content.isTable !== true) return new KeyedBuilder(this.draft);
    return new KeyedBuilder(this.add(this.operator('toStream'), { kind: 'toStream' }));
  }

  top(...given: readonly unknown[]): StreamBuilder {
    const isNamed = typeof given[0] === 'string';
    const upstream = nearestName(this.draft);
    const name = isNamed ? given[0] : upstream === undefined ? undefined : `${upstream}-top`;
    const operator = this.operator('top', name);
    const [n, second] = isNamed ? given.slice(1) : given;
    const by = isNamed ? second : (second as { readonly by?: unknown } | undefined)?.by;
    const ofEntry = entryOrder(by === undefined ? identity : functionOf(operator, by));
    return new StreamBuilder(this.entries().addTop(operator, n, ofEntry));
  }

  override write(to: Writable): void {
    const sink = sinkOf(this.operator('write'), to);
    if (sink.arrangement === 'by-key' || sink.topic !== undefined) this.addWrite(to, true);
    else this.entries().write(to);
  }

  private refuseChanges(method: string, name: string): void {
    if (this.draft.content.isTable !== true) return;
    throw flowError(
      this.operator(method, name),
      'a table changes, and what has changed would be counted again',
      'Say groupBy before it, and give it a function that subtracts; or take its changes as a stream with toStream',
    );
  }

  private addForeignJoin(
    type: 'inner' | 'left',
    name: string,
    right: unknown,
    given: { readonly foreignKey: UserFunction; readonly fn: UserFunction },
  ): TableBuilder {
    const operator = this.operator(type === 'left' ? 'leftJoinForeign' : 'joinForeign', name);
    const other = Handle.draftOf(operator, right, 'keyed');
    const foreignKey = functionOf(operator, given.foreignKey, 'the foreign key');
    const fn = functionOf(operator, given.fn) as unknown as ForeignJoinNode['fn'];
    if (this.draft.content.isTable === true && other.content.isTable === true) {
      const content = { kind: 'foreignJoin', type, foreignKey, fn, isTable: true } as const;
      return new TableBuilder(this.addNamed(operator, content, [other]));
    }
    throw flowError(operator, 'it joins tables of topics, and one of its sides is none');
  }
}

export class WindowedTableBuilder
  extends TableBuilder
  implements Surface<WindowedTable<never, never, never>>
{
  late(to: Writable): this {
    writeSide(this.operator('late'), this.draft, 'late', to);
    return this;
  }
}

export class MatchedBuilder
  extends KeyedBuilder
  implements Surface<MatchedStream<never, never, never, never>>
{
  late(to: Writable): this {
    writeSide(this.operator('late'), this.draft, 'late', to);
    return this;
  }

  timedOut(first: unknown, second?: Writable): this {
    const operator = this.operator('timedOut');
    if (second === undefined) writeSide(operator, this.draft, 'timedOut', first as Writable);
    else writeSide(operator, this.draft, 'timedOut', second, functionOf(operator, first));
    return this;
  }
}

/** Writes what a node gives besides its result. */
function writeSide(
  operator: Operator,
  draft: Draft,
  output: 'late' | 'timedOut',
  to: Writable,
  select?: ValueFunction,
): void {
  const side = new KeyedBuilder(addNode(operator, { kind: 'sideOutput', output }, [draft]));
  (select === undefined ? side : side.mapValues(select)).write(to);
}

export class WindowedBuilder
  extends OperatorBuilder
  implements Surface<WindowedStream<never, never>>
{
  readonly kind = 'windowed';
  readonly #window: WindowSpec;

  constructor(draft: Draft, window: WindowSpec) {
    super(draft);
    this.#window = window;
  }

  count(name: string, options: WindowEmit = {}): WindowedTableBuilder {
    const operator = this.operator('count', name);
    return this.#table(operator, windowCount(operator, this.#window, options));
  }

  reduce(name: string, fn: UserFunction, options: WindowEmit = {}): WindowedTableBuilder {
    const operator = this.operator('reduce', name);
    return this.#table(operator, windowReduce(operator, this.#window, fn, options));
  }

  aggregate(
    name: string,
    aggregation: UserAggregation,
    options: WindowEmit = {},
  ): WindowedTableBuilder {
    const operator = this.operator('aggregate', name);
    return this.#table(operator, windowAggregate(operator, this.#window, aggregation, options));
  }

  #table(operator: Operator, content: NodeContent): WindowedTableBuilder {
    return new WindowedTableBuilder(this.addNamed(operator, content));
  }
}

export class GroupedBuilder extends OperatorBuilder implements Surface<Grouped<never, never>> {
  readonly kind = 'grouped';
  readonly #valueOrder: SortOrder | undefined;

  constructor(draft: Draft, valueOrder: SortOrder | undefined) {
    super(draft);
    this.#valueOrder = valueOrder;
  }

  sortValuesBy(by: UserFunction): GroupedBuilder {
    return new GroupedBuilder(this.draft, orderOf(this.operator('sortValuesBy'), by, false));
  }

  reduce(name: string, fn: UserFunction): StreamBuilder {
    return this.addGroup(name, fn, undefined);
  }

  /** @param combine MapReduce's combiner */
  addGroup(name: string, fn: UserFunction, combine: GroupNode['combine']): StreamBuilder {
    const operator = this.operator('reduce', name);
    const content: NodeContent = {
      kind: 'group',
      sortValuesBy: this.#valueOrder,
      fn: functionOf(operator, fn) as unknown as GroupNode['fn'],
      combine,
    };
    return new StreamBuilder(this.addNamed(operator, content));
  }

  count(name: string): TableBuilder {
    return new TableBuilder(this.addCount(name, true));
  }
}

/** Values of a table under other keys: of a table that does not change, a group as any other. */
export class GroupedTableBuilder
  extends OperatorBuilder
  implements Surface<GroupedTable<never, never>>
{
  readonly kind = 'grouped';
  readonly #by: ValueFunction;

  constructor(draft: Draft, by: ValueFunction) {
    super(draft);
    this.#by = by;
  }

  sortValuesBy(by: UserFunction): GroupedBuilder {
    return this.#values().sortValuesBy(by);
  }

  count(name: string): TableBuilder {
    const operator = this.operator('count', name);
    if (this.#isFixed) return this.#keyed().count(name);
    return new TableBuilder(this.addNamed(operator, tableCount(this.#by)));
  }

  reduce(name: string, first: UserFunction, subtract?: UserFunction): StreamBuilder | TableBuilder {
    if (subtract === undefined) return this.#values().reduce(name, first);
    const operator = this.operator('reduce', name);
    const content = tableReduce(operator, this.#by, first, subtract);
    if (this.#isFixed) return this.#keyed().reduce(name, first);
    return new TableBuilder(this.addNamed(operator, content));
  }

  aggregate(name: string, aggregation: UserTableAggregation): TableBuilder {
    const operator = this.operator('aggregate', name);
    const content = tableAggregate(operator, this.#by, aggregation);
    if (this.#isFixed) return this.#keyed().aggregate(name, aggregation);
    return new TableBuilder(this.addNamed(operator, content));
  }

  /** A table that has an end: its values are just records. */
  get #isFixed(): boolean {
    return this.draft.content.isTable !== true;
  }

  #keyed(): KeyedBuilder {
    return new KeyedBuilder(this.draft).keyBy(this.#by);
  }

  #values(): GroupedBuilder {
    return new GroupedBuilder(this.addFunction('keyBy', 'groupBy', this.#by), undefined);
  }
}

export class GlobalTableBuilder extends Handle implements Surface<GlobalTable<never, never>> {
  readonly kind = 'global';
}

export class BroadcastBuilder extends Handle implements Surface<Broadcast<never>> {
  readonly kind = 'broadcast';
}

/** The name that the user gave to the operator that made a table, or to one before it. */
function nearestName(from: Draft): string | undefined {
  for (let draft: Draft | undefined = from; draft !== undefined; draft = draft.inputs[0]) {
    if (draft.name !== undefined) return draft.name;
  }
  return undefined;
}

/** The latest value of each key of what has an end; null deletes. */
export function latestOf(operator: Operator, draft: Draft, options: TableOptions): Draft {
  if (options.history !== undefined || options.ttl !== undefined) {
    throw flowError(
      operator,
      '`history` and `ttl` are for tables of topics, whose records have times',
    );
  }
  const content: NodeContent = {
    kind: 'aggregate',
    init: nothing,
    add: keepRight,
    merge: keepRight,
    finish: undefined,
    builtin: undefined,
    isKeyed: true,
  };
  const latest = addNode(operator, content, [draft], operator.name);
  return addNode(operator, { kind: 'filter', fn: isPresent }, [latest]);
}

function entryOrder(by: ValueFunction): (entry: Entry<unknown, unknown>) => unknown {
  if (by === identity) return valueOfEntry;
  return madeOf([by], (entry: Entry<unknown, unknown>) => by(entry.value, entry.key));
}
