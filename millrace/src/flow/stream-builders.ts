/**
 * What is behind the streams of `streams.ts`: every method adds a node to the graph of the flow. The interfaces check the types of a
 * program; here a record is anything.
 */
import { TOP_RECORDS_MAX } from '../core/limits.ts';
import { type Draft, flowError, Handle, type NodeContent, type Operator } from './draft.ts';
import {
  identity,
  isSomething,
  keepLeft,
  madeOf,
  nothing,
  toEntry,
  valueOfEntry,
} from './functions.ts';
import {
  functionOf,
  joinOptions,
  OperatorBuilder,
  orderOf,
  type Predicates,
  requireInteger,
  sinkOf,
  type UserAggregation,
  type UserFunction,
} from './operator-builder.ts';
import type { GroupNode, JoinType, SortOrder, ValueFunction } from './plan.ts';
import type { Writable } from './sink.ts';
import type {
  Broadcast,
  Entry,
  Grouped,
  JoinOptions,
  KeyedStream,
  SampleOptions,
  Stream,
  Table,
} from './streams.ts';

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

  groupBy(fn: UserFunction): GroupedBuilder {
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

  write(to: Writable): void {
    this.addWrite(to, true);
  }

  private addJoin(
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
    const content: NodeContent = {
      kind: 'join',
      type,
      ...joinOptions(operator, sides.options),
      fn: functionOf(operator, sides.fn),
    };
    const right = Handle.draftOf(operator, sides.right, 'keyed');
    return new KeyedBuilder(this.addNamed(operator, content, [right]));
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
    if (sink.arrangement === 'by-key') this.addWrite(to, true);
    else this.entries().write(to);
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

function entryOrder(by: ValueFunction): (entry: Entry<unknown, unknown>) => unknown {
  if (by === identity) return valueOfEntry;
  return madeOf([by], (entry: Entry<unknown, unknown>) => by(entry.value, entry.key));
}
