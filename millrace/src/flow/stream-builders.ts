/**
 * What is behind the streams of `streams.ts`: every method adds a node to the graph of the flow. The interfaces check the types of a
 * program; here a record is anything.
 */
import { TOP_RECORDS_MAX } from '../core/limits.ts';
import { type Draft, flowError, Handle, type NodeContent, type Operator } from './draft.ts';
import { identity, isSomething, keepLeft, keyOfRecord, nothing } from './functions.ts';
import { joinOf } from './join-builder.ts';
import { KeyedOperators } from './keyed-operators.ts';
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
import type { Writable } from './sink.ts';
import type {
  AsyncOptions,
  Broadcast,
  GlobalTable,
  JoinOptions,
  SampleOptions,
  TableOptions,
} from './stream-options.ts';
import type {
  Grouped,
  GroupedTable,
  KeyedStream,
  MatchedStream,
  Stream,
  Table,
  WindowedTable,
} from './streams.ts';
import {
  entryOrder,
  joinForeign,
  latestOf,
  nearestName,
  refuseChanges,
  sideOf,
} from './table-nodes.ts';
import {
  asyncContent,
  callOfValue,
  filled,
  tableAggregate,
  tableContent,
  tableCount,
  tableReduce,
  type UserTableAggregation,
  windowContent,
} from './timed-operators.ts';
import { WindowedBuilder } from './windowed-builder.ts';

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

export class KeyedBuilder
  extends KeyedOperators<StreamBuilder, KeyedBuilder, TableBuilder>
  implements Surface<KeyedStream<never, never>>
{
  protected asStream(draft: Draft): StreamBuilder {
    return new StreamBuilder(draft);
  }

  protected asKeyed(draft: Draft): KeyedBuilder {
    return new KeyedBuilder(draft);
  }

  protected asTable(draft: Draft): TableBuilder {
    return new TableBuilder(draft);
  }

  protected same(draft: Draft): KeyedBuilder {
    return new KeyedBuilder(draft);
  }

  groupBy(fn: UserFunction): GroupedBuilder | GroupedTableBuilder {
    return new GroupedBuilder(this.addFunction('keyBy', 'groupBy', fn), undefined);
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

  window(window: unknown): WindowedBuilder<WindowedTableBuilder> {
    const operator = this.operator('window');
    requireTimes(operator, this.draft);
    const spec = windowContent(operator, window);
    return new WindowedBuilder(this.draft, spec, (draft) => new WindowedTableBuilder(draft));
  }

  toTable(name: string, options: TableOptions = {}): TableBuilder {
    const operator = this.operator('toTable', name);
    if (this.draft.isEndless)
      return new TableBuilder(
        this.addNamed(operator, tableContent(operator, 'partition', options)),
      );
    return new TableBuilder(latestOf(operator, this.draft, options));
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
    const areTables = this instanceof TableBuilder && sides.right instanceof TableBuilder;
    const isTable = areTables && (type === 'inner' || type === 'left' || type === 'outer');
    const draft = isSwapped
      ? new KeyedBuilder(right).addNamed(operator, content, [this.draft])
      : this.addNamed(operator, content, [right]);
    return isTable ? new TableBuilder(draft) : new KeyedBuilder(draft);
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
    return new GroupedTableBuilder(this.draft, functionOf(this.operator('groupBy'), fn));
  }

  override count(name: string): TableBuilder {
    if (this.draft.content.isTable !== true) return super.count(name);
    return new TableBuilder(this.addNamed(this.operator('count', name), tableCount(keyOfRecord)));
  }

  override reduce(name: string, fn: UserFunction): TableBuilder {
    refuseChanges(this.operator('reduce', name), this.draft);
    return super.reduce(name, fn);
  }

  override aggregate(name: string, aggregation: UserAggregation): TableBuilder {
    refuseChanges(this.operator('aggregate', name), this.draft);
    return super.aggregate(name, aggregation);
  }

  joinForeign(
    name: string,
    right: unknown,
    foreignKey: UserFunction,
    fn: UserFunction,
  ): TableBuilder {
    const operator = this.operator('joinForeign', name);
    return new TableBuilder(joinForeign(operator, 'inner', this.draft, { right, foreignKey, fn }));
  }

  leftJoinForeign(
    name: string,
    right: unknown,
    foreignKey: UserFunction,
    fn: UserFunction,
  ): TableBuilder {
    const operator = this.operator('leftJoinForeign', name);
    return new TableBuilder(joinForeign(operator, 'left', this.draft, { right, foreignKey, fn }));
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
}

export class WindowedTableBuilder
  extends TableBuilder
  implements Surface<WindowedTable<never, never, never>>
{
  late(to: Writable): this {
    new KeyedBuilder(sideOf(this.operator('late'), this.draft, 'late')).write(to);
    return this;
  }
}

export class MatchedBuilder
  extends KeyedBuilder
  implements Surface<MatchedStream<never, never, never, never>>
{
  late(to: Writable): this {
    new KeyedBuilder(sideOf(this.operator('late'), this.draft, 'late')).write(to);
    return this;
  }

  timedOut(first: unknown, second?: Writable): this {
    const operator = this.operator('timedOut');
    const side = new KeyedBuilder(sideOf(operator, this.draft, 'timedOut'));
    if (second === undefined) side.write(first as Writable);
    else side.mapValues(functionOf(operator, first)).write(second);
    return this;
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
