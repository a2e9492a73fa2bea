/** Nodes of operators that know of time, from what the user gave: checked, with defaults filled in. */
import {
  ASYNC_ATTEMPTS,
  ASYNC_ATTEMPTS_MAX,
  ASYNC_CALL_MS,
  ASYNC_CALLS,
  ASYNC_CALLS_MAX,
} from '../core/limits.ts';
import { flowError, type Operator } from './draft.ts';
import { increment, madeOf, nothing, plus, reducer, unreducer, zero } from './functions.ts';
import {
  described,
  durationOf,
  functionOf,
  requireInteger,
  type UserAggregation,
  type UserFunction,
} from './operator-builder.ts';
import type { ValueFunction } from './plan.ts';
import type { AsyncOptions, TableOptions, WindowEmit } from './stream-options.ts';
import type {
  AsyncMapNode,
  ProcessNode,
  TableAggregateNode,
  TableNode,
  WindowAggregateNode,
} from './stream-nodes.ts';
import type { PatternSpec } from './patterns.ts';
import type { EmitPolicy, WindowSpec } from './windows.ts';

type Content<Node> = Omit<Node, 'id' | 'name' | 'inputs'>;

export function tableContent(
  operator: Operator,
  scope: TableNode['scope'],
  options: TableOptions,
): Content<TableNode> {
  const { history, ttl } = options;
  return {
    kind: 'table',
    scope,
    historyMs: history === undefined ? undefined : durationOf(operator, 'the history', history, 1),
    ttlMs: ttlOf(operator, ttl),
    isTable: true,
  };
}

function ttlOf(operator: Operator, ttl: unknown): number | undefined {
  return ttl === undefined ? undefined : durationOf(operator, 'the ttl', ttl, 1);
}

export function windowContent(operator: Operator, given: unknown): WindowSpec {
  const isWindow =
    typeof given === 'object' && given !== null && 'kind' in given && 'graceMs' in given;
  if (isWindow) return given as WindowSpec;
  throw flowError(
    operator,
    `what it is given is no window, but ${described(given)}`,
    "Give it one, such as tumbling('1 minute')",
  );
}

export function windowCount(
  operator: Operator,
  window: WindowSpec,
  options: WindowEmit,
): Content<WindowAggregateNode> {
  return {
    kind: 'windowAggregate',
    window,
    init: zero,
    add: increment,
    merge: plus,
    finish: undefined,
    builtin: 'count',
    emit: emitOf(operator, options),
    isTable: true,
  };
}

export function windowReduce(
  operator: Operator,
  window: WindowSpec,
  fn: UserFunction,
  options: WindowEmit,
): Content<WindowAggregateNode> {
  const add = reducer(functionOf(operator, fn));
  return {
    ...windowCount(operator, window, options),
    init: nothing,
    add,
    merge: add,
    builtin: undefined,
  };
}

export function windowAggregate(
  operator: Operator,
  window: WindowSpec,
  aggregation: UserAggregation,
  options: WindowEmit,
): Content<WindowAggregateNode> {
  const { init, add, merge, finish } = aggregation;
  if (merge === undefined && window.kind === 'session') {
    throw flowError(
      operator,
      'an aggregation over session windows needs merge: a late record may join two sessions',
      'Give it merge: (left, right) => …, which makes one accumulator of two',
    );
  }
  return {
    ...windowCount(operator, window, options),
    init: functionOf(operator, init, 'init') as () => unknown,
    add: functionOf(operator, add, 'add'),
    merge: merge === undefined ? undefined : functionOf(operator, merge, 'merge'),
    finish: finish === undefined ? undefined : functionOf(operator, finish, 'finish'),
    builtin: undefined,
  };
}

function emitOf(operator: Operator, options: WindowEmit): EmitPolicy {
  const { emit = 'close' } = options;
  if (emit === 'close' || emit === 'changes') return Object.freeze({ kind: emit });
  if (typeof emit === 'object' && emit !== null && 'every' in emit) {
    const everyMs = durationOf(operator, '`emit.every`', emit.every, 1);
    return Object.freeze({ kind: 'every', everyMs });
  }
  throw flowError(
    operator,
    `\`emit\` must be 'close', 'changes' or { every: '1 minute' }, and is ${described(emit)}`,
  );
}

export function tableCount(by: ValueFunction): Content<TableAggregateNode> {
  return {
    kind: 'tableAggregate',
    by,
    init: zero,
    add: increment,
    subtract: decrement,
    finish: undefined,
    builtin: 'count',
    isTable: true,
  };
}

function decrement(count: unknown): number {
  return (count as number) - 1;
}

export function tableReduce(
  operator: Operator,
  by: ValueFunction,
  add: unknown,
  subtract: unknown,
): Content<TableAggregateNode> {
  return {
    ...tableCount(by),
    init: nothing,
    add: reducer(functionOf(operator, add, 'add')),
    subtract: unreducer(functionOf(operator, subtract, 'subtract')),
    builtin: undefined,
  };
}

export interface UserTableAggregation extends UserAggregation {
  readonly subtract: UserFunction;
}

export function tableAggregate(
  operator: Operator,
  by: ValueFunction,
  aggregation: UserTableAggregation,
): Content<TableAggregateNode> {
  const { init, add, subtract, finish } = aggregation;
  return {
    ...tableCount(by),
    init: functionOf(operator, init, 'init') as () => unknown,
    add: functionOf(operator, add, 'add'),
    subtract: functionOf(operator, subtract, 'subtract'),
    finish: finish === undefined ? undefined : functionOf(operator, finish, 'finish'),
    builtin: undefined,
  };
}

/** @param call puts the arguments in the order in which the user's function takes them */
export function asyncContent(
  operator: Operator,
  fn: AsyncMapNode['fn'],
  keepsKey: boolean,
  options: AsyncOptions = {},
): Content<AsyncMapNode> {
  const { concurrency = ASYNC_CALLS, timeout = ASYNC_CALL_MS, attempts = ASYNC_ATTEMPTS } = options;
  requireInteger(operator, 'the concurrency', concurrency, 1, ASYNC_CALLS_MAX);
  requireInteger(operator, 'the attempts', attempts, 1, ASYNC_ATTEMPTS_MAX);
  const timeoutMs = durationOf(operator, 'the timeout', timeout, 1);
  return { kind: 'asyncMap', fn, concurrency, timeoutMs, attempts, keepsKey };
}

/** `fn(value, call)` of a stream. */
export function callOfValue(fn: ValueFunction): AsyncMapNode['fn'] {
  const call = fn as (value: unknown, call: { signal: AbortSignal }) => unknown;
  return madeOf([fn], (value: unknown, _key: unknown, signal: AbortSignal) =>
    call(value, { signal }),
  );
}

/** `fn(value, key, call)` of a keyed stream. */
export function callOfRecord(fn: ValueFunction): AsyncMapNode['fn'] {
  const call = fn as (value: unknown, key: unknown, call: { signal: AbortSignal }) => unknown;
  return madeOf([fn], (value: unknown, key: unknown, signal: AbortSignal) =>
    call(value, key, { signal }),
  );
}

export interface UserProcess {
  readonly onRecord: UserFunction;
  readonly onTimer?: UserFunction;
  readonly ttl?: unknown;
}

export function processContent(operator: Operator, given: UserProcess): Content<ProcessNode> {
  const { onRecord, onTimer, ttl } = given;
  return {
    kind: 'process',
    onRecord: functionOf(operator, onRecord, 'onRecord'),
    onTimer: onTimer === undefined ? undefined : functionOf(operator, onTimer, 'onTimer'),
    ttlMs: ttlOf(operator, ttl),
  };
}

type Matched = Readonly<Record<string, readonly unknown[]>>;

/** `select` of a pattern: steps that did not occur are there, and empty. */
export function filled(
  pattern: PatternSpec,
  select: ValueFunction,
): (matched: Matched, key: unknown) => unknown {
  const names = pattern.steps.filter(({ isNegated }) => !isNegated).map(({ name }) => name);
  return madeOf([select], (matched: Matched, key: unknown) => {
    const lacks = names.some((name) => matched[name] === undefined);
    if (!lacks) return select(matched, key);
    return select(Object.fromEntries(names.map((name) => [name, matched[name] ?? []])), key);
  });
}
