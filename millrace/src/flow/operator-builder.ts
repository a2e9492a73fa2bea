/** What streams and keyed streams have in common: adding nodes to the graph of a flow, and checking what the user gave. */
import {
  addNode,
  type Draft,
  flowError,
  Handle,
  type NodeContent,
  type Operator,
} from './draft.ts';
import { DURATION_FORMS, durationText, millisecondsOf } from './durations.ts';
import { branchFilters, identity, increment, nothing, plus, reducer, zero } from './functions.ts';
import type { SortOrder, ValueFunction } from './plan.ts';
import type { Sink, Writable } from './sink.ts';
import type { GlobalJoinNode } from './stream-nodes.ts';
import type { SampleOptions } from './stream-options.ts';

/** A function of the user, whatever it takes. */
export type UserFunction = (...values: never[]) => unknown;
export interface UserAggregation {
  readonly init: UserFunction;
  readonly add: UserFunction;
  readonly merge?: UserFunction;
  readonly finish?: UserFunction;
}
export type Predicates = Readonly<Record<string, UserFunction>>;

export abstract class OperatorBuilder extends Handle {
  protected operator(method: string, name?: unknown): Operator {
    const flow = this.draft.scope.flow.flowName;
    return { method, name: typeof name === 'string' ? name : undefined, flow };
  }

  /** Adds a node behind this one. */
  protected add(operator: Operator, content: NodeContent, others: readonly Draft[] = []): Draft {
    return addNode(operator, content, [this.draft, ...others], operator.name);
  }

  /** Adds a node of an operator that must be named. */
  protected addNamed(
    operator: Operator,
    content: NodeContent,
    others: readonly Draft[] = [],
  ): Draft {
    if (operator.name === undefined) throw flowError(operator, 'its first argument is its name');
    return this.add(operator, content, others);
  }

  protected addMap(fn: ValueFunction, keepsKey: boolean): Draft {
    return this.add(this.operator('map'), { kind: 'map', fn, keepsKey });
  }

  protected addFunction(kind: 'filter' | 'tap' | 'keyBy', method: string, fn: UserFunction): Draft {
    const operator = this.operator(method);
    return this.add(operator, { kind, fn: functionOf(operator, fn), ...this.tableFlag(kind) });
  }

  /** Set on what keeps a table of topics a table. */
  private tableFlag(kind: 'filter' | 'tap' | 'keyBy'): { readonly isTable?: true } {
    return this.draft.content.isTable === true && kind !== 'keyBy' ? { isTable: true } : {};
  }

  protected addMapping(
    kind: 'map' | 'flatMap',
    method: string,
    fn: UserFunction,
    keepsKey: boolean,
  ): Draft {
    const operator = this.operator(method);
    const isTable = this.draft.content.isTable === true && kind === 'map' && keepsKey;
    const content = { kind, fn: functionOf(operator, fn), keepsKey };
    return this.add(operator, isTable ? { ...content, isTable } : content);
  }

  protected addDedupe(operator: Operator, by: ValueFunction, within: unknown): Draft {
    requireTimes(operator, this.draft);
    const withinMs = durationOf(operator, 'the time', within, 1);
    return this.addNamed(operator, { kind: 'dedupe', by, withinMs });
  }

  protected addGlobalJoin(
    type: 'inner' | 'left',
    name: string,
    table: unknown,
    given: { readonly keyOf: UserFunction; readonly fn: UserFunction },
  ): Draft {
    const operator = this.operator(type === 'left' ? 'leftJoinGlobal' : 'joinGlobal', name);
    const right = Handle.draftOf(operator, table, 'global');
    const lookupKey = functionOf(operator, given.keyOf, 'the function that gives the key');
    const fn = functionOf(operator, given.fn) as unknown as GlobalJoinNode['fn'];
    return this.addNamed(operator, { kind: 'globalJoin', type, lookupKey, fn }, [right]);
  }

  protected addSample(fraction: number, options: SampleOptions = {}): Draft {
    const operator = this.operator('sample');
    const seed = options.seed ?? 0;
    if (typeof fraction !== 'number' || !(fraction >= 0 && fraction <= 1)) {
      throw flowError(operator, `the fraction must be from 0 to 1, and is ${String(fraction)}`);
    }
    requireInteger(operator, 'the seed', seed, 0, 4_294_967_295);
    return this.add(operator, { kind: 'sample', fraction, seed });
  }

  protected addSort(name: string, by: UserFunction): Draft {
    const operator = this.operator('sort', name);
    const order = orderOf(operator, by, false);
    return this.addNamed(operator, { kind: 'sort', order, column: undefined });
  }

  protected addUnion(others: readonly unknown[]): Draft {
    const operator = this.operator('union');
    const drafts = others.map((other) => Handle.draftOf(operator, other, this.kind));
    return this.add(operator, { kind: 'union' }, drafts);
  }

  protected addBranches(predicates: Predicates): Map<string, Draft> {
    const operator = this.operator('branch');
    const names = Object.keys(predicates);
    if (names.length === 0) throw flowError(operator, 'it has no branches');
    if (names.includes('rest')) {
      throw flowError(operator, 'a branch cannot be called "rest": that is what no branch takes');
    }
    const fns = names.map((name) => functionOf(operator, predicates[name]));
    const filters = branchFilters(fns).map((fn) => this.add(operator, { kind: 'filter', fn }));
    return new Map(filters.map((draft, index) => [names[index] ?? 'rest', draft]));
  }

  protected addWith(broadcast: unknown, fn: UserFunction, keepsKey: boolean): Draft {
    const operator = this.operator('with');
    const side = Handle.draftOf(operator, broadcast, 'broadcast');
    return this.add(operator, { kind: 'with', fn: functionOf(operator, fn), keepsKey }, [side]);
  }

  /** Set on aggregates per key that change as records come. */
  private keptFlag(isKeyed: boolean): { readonly isTable?: true } {
    return isKeyed && this.draft.isEndless ? { isTable: true } : {};
  }

  protected addCount(name: string, isKeyed: boolean): Draft {
    return this.addNamed(this.operator('count', name), {
      kind: 'aggregate',
      init: zero,
      add: increment,
      merge: plus,
      finish: undefined,
      builtin: 'count',
      isKeyed,
      ...this.keptFlag(isKeyed),
    });
  }

  protected addReduce(name: string, fn: UserFunction, isKeyed: boolean): Draft {
    const operator = this.operator('reduce', name);
    const add = reducer(functionOf(operator, fn));
    return this.addNamed(operator, {
      kind: 'aggregate',
      init: nothing,
      add,
      merge: add,
      finish: undefined,
      builtin: undefined,
      isKeyed,
      ...this.keptFlag(isKeyed),
    });
  }

  protected addAggregate(name: string, aggregation: UserAggregation, isKeyed: boolean): Draft {
    const operator = this.operator('aggregate', name);
    const { init, add, merge, finish } = aggregation;
    return this.addNamed(operator, {
      kind: 'aggregate',
      init: functionOf(operator, init, 'init') as () => unknown,
      add: functionOf(operator, add, 'add'),
      merge: merge === undefined ? undefined : functionOf(operator, merge, 'merge'),
      finish: finish === undefined ? undefined : functionOf(operator, finish, 'finish'),
      builtin: undefined,
      isKeyed,
      ...this.keptFlag(isKeyed),
    });
  }

  /** Records of a source may have keys that a stream without keys does not show. */
  private withoutKey(): Draft {
    const { content } = this.draft;
    const hasNone = (content.kind === 'map' || content.kind === 'flatMap') && !content.keepsKey;
    return hasNone ? this.draft : this.addMap(identity, false);
  }

  protected addWrite(to: Writable, isKeyed: boolean): void {
    const operator = this.operator('write');
    const sink = sinkOf(operator, to);
    if (sink.arrangement === 'by-key' && !isKeyed) {
      throw flowError(operator, `${sink.label} needs keys: give the stream some with keyBy`);
    }
    const from = sink.topic === undefined || isKeyed ? this.draft : this.withoutKey();
    const draft = addNode(operator, { kind: 'write', sink }, [from]);
    if (draft.scope.parent !== undefined) {
      throw flowError(
        operator,
        `the body of ${draft.scope.label} cannot write: write what the iterate returns`,
      );
    }
    draft.scope.flow.writes.push(draft);
  }
}

/** What a program gave as a function, as the plan keeps it. */
export function functionOf(
  operator: Operator,
  fn: unknown,
  what = 'what it is given',
): ValueFunction {
  if (typeof fn === 'function') return fn as ValueFunction;
  throw flowError(operator, `${what} must be a function, and is ${described(fn)}`);
}

export function orderOf(operator: Operator, by: unknown, descending: boolean): SortOrder {
  return Object.freeze({ by: functionOf(operator, by, 'what to order by'), descending });
}

export function requireInteger(
  operator: Operator,
  what: string,
  value: unknown,
  min: number,
  max: number,
): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return;
  throw flowError(
    operator,
    `${what} must be an integer from ${min} to ${max}, and is ${described(value)}`,
  );
}

/** Only records of topics have a time. */
export function requireTimes(operator: Operator, draft: Draft): void {
  if (draft.isEndless) return;
  throw flowError(
    operator,
    'the records that it is given have no times: none of them comes from a topic',
    'Read them from a topic',
  );
}

/** The milliseconds of a length of time that a program gave. */
export function durationOf(operator: Operator, what: string, given: unknown, min: number): number {
  const ms = millisecondsOf(given);
  if (ms === undefined) {
    throw flowError(operator, `${what} must be ${DURATION_FORMS}, and is ${described(given)}`);
  }
  if (ms >= min) return ms;
  throw flowError(
    operator,
    `${what} must be at least ${durationText(min)}, and is ${described(given)}`,
  );
}

/** The sink behind what a program gave to be written to. */
export function sinkOf(operator: Operator, to: unknown): Sink {
  if (typeof to === 'object' && to !== null && 'sink' in to && typeof to.sink === 'function') {
    return (to as Writable).sink();
  }
  throw flowError(
    operator,
    `what it is given cannot be written to: it is ${described(to)}`,
    "Give it a place, such as files.ndjson('out')",
  );
}

/** A value in an error message. */
export function described(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
