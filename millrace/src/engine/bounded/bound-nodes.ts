/** What each node of a plan becomes when the plan is made bounded: see `bound-plan.ts`. */
import { isPresent, LATEST_OF_KEY, madeOf } from '../../flow/functions.ts';
import { isStreamNode, type PlanNode, type ValueFunction } from '../../flow/plan.ts';
import type { StreamNode } from '../../flow/stream-nodes.ts';
import { batchNode } from '../batch/planning/batch-node.ts';
import { retried } from './bound-async.ts';
import type { PlanWriter } from './plan-writer.ts';
import { replayed } from './replayed.ts';
import { NO_TIME, type Timed, timed, valueOf, withValue } from './timed.ts';
import { windowed } from './windowed.ts';

/** Whether a plan with this node has to know of time. */
export function isTimedNode(node: PlanNode): boolean {
  if (node.kind === 'write') return node.sink.topic !== undefined;
  return isStreamNode(node) && node.kind !== 'table';
}

/** Writes what takes the place of `node`. */
export function boundNode(writer: PlanWriter, node: PlanNode): void {
  if (isStreamNode(node)) boundStreamNode(writer, node);
  else boundBatchNode(writer, node);
}

function boundBatchNode(writer: PlanWriter, given: PlanNode): void {
  const node = batchNode(given);
  const inputs = writer.inputsOf(node);
  const become = (content: Parameters<PlanWriter['add']>[1]): void => {
    writer.become(node, writer.add(node.name, content, inputs));
  };
  switch (node.kind) {
    case 'source':
      source(writer, node);
      return;
    case 'map':
      if (node.isTable === true) become({ ...node, fn: overChange(node.fn) });
      else if (isTable(writer, node.inputs[0])) finalTable(writer, node);
      else become({ ...node, fn: overValue(node.fn) });
      return;
    case 'flatMap':
      become({ ...node, fn: flatOverValue(node.fn) });
      return;
    case 'filter':
      if (node.isTable === true)
        become({ kind: 'flatMap', fn: filteredChange(node.fn), keepsKey: true });
      else become({ ...node, fn: ofValue(node.fn) });
      return;
    case 'tap':
    case 'keyBy':
      become({ ...node, fn: ofValue(node.fn) });
      return;
    case 'union':
      writer.copy(node);
      return;
    case 'sort':
    case 'top':
      become({ ...node, order: { ...node.order, by: ofValue(node.order.by) } });
      return;
    case 'aggregate':
      become(timedAggregate(node));
      return;
    case 'join':
      become({
        ...node,
        fn: (left: unknown, right: unknown, key: unknown) => {
          const [l, r] = [left as Timed | undefined, right as Timed | undefined];
          const time = Math.max(l?.t ?? NO_TIME, r?.t ?? NO_TIME);
          return withValue(timed(time, time, undefined, undefined), node.fn(l?.v, r?.v, key));
        },
      });
      return;
    case 'group':
      become({
        ...node,
        sortValuesBy:
          node.sortValuesBy === undefined
            ? undefined
            : { ...node.sortValuesBy, by: ofValue(node.sortValuesBy.by) },
        combine: undefined,
        fn: (key: unknown, values: Iterable<unknown>, emit: (value: unknown) => void) =>
          node.fn(key, valuesOf(values), (value) =>
            emit(timed(NO_TIME, NO_TIME, value, undefined)),
          ),
      });
      return;
    case 'with':
      become({
        ...node,
        fn: (record: unknown, side: unknown, key: unknown) =>
          withValue(record as Timed, node.fn((record as Timed).v, side, key)),
      });
      return;
    case 'broadcast':
    case 'write':
      stripped(writer, node);
      return;
    case 'sample':
    case 'where':
    case 'select':
    case 'explode':
    case 'columnAggregate':
    case 'iterate':
    case 'iterationInput':
      untimed(writer, node);
      return;
  }
}

function boundStreamNode(writer: PlanWriter, node: StreamNode): void {
  switch (node.kind) {
    case 'toStream':
      writer.become(node, writer.successor(node.inputs[0] ?? -1));
      return;
    case 'windowAggregate':
      windowed(writer, node);
      return;
    case 'asyncMap':
      writer.become(
        node,
        writer.add(
          node.name,
          { kind: 'map', fn: overValue(retried(node)), keepsKey: node.keepsKey },
          writer.inputsOf(node),
        ),
      );
      return;
    case 'globalJoin':
      globalJoin(writer, node);
      return;
    case 'table':
    case 'tableAggregate':
    case 'windowJoin':
    case 'tableJoin':
    case 'foreignJoin':
    case 'process':
    case 'pattern':
    case 'dedupe':
    case 'sideOutput':
      replayed(writer, node);
      return;
  }
}

/** A topic gives times by itself; what a file holds has none. */
function source(writer: PlanWriter, node: PlanNode & { readonly kind: 'source' }): void {
  const withTime = node.source.timed?.();
  if (withTime !== undefined) {
    writer.become(node, writer.add(node.name, { kind: 'source', source: withTime }, []));
    return;
  }
  const read = writer.add(node.name, { kind: 'source', source: node.source }, []);
  const fn: ValueFunction = (value) => timed(NO_TIME, NO_TIME, value, undefined);
  writer.become(
    node,
    writer.add(`${node.name}-timed`, { kind: 'map', fn, keepsKey: true }, [read]),
  );
}

/** Nodes that take values as they are: their input loses its time, and their output has none. */
function untimed(writer: PlanWriter, node: PlanNode): void {
  const inputs = writer.inputsOf(node).map((input) => strip(writer, node, input));
  const { id: _id, name, inputs: _inputs, ...content } = node;
  const inner = writer.add(name, content, inputs);
  const fn: ValueFunction = (value) => timed(NO_TIME, NO_TIME, value, undefined);
  writer.become(node, writer.add(`${name}-timed`, { kind: 'map', fn, keepsKey: true }, [inner]));
}

function strip(writer: PlanWriter, node: PlanNode, input: number): number {
  return writer.add(`${node.name}-values`, { kind: 'map', fn: valueOf, keepsKey: true }, [input]);
}

function stripped(
  writer: PlanWriter,
  node: PlanNode & { readonly kind: 'broadcast' | 'write' },
): void {
  const [input = -1] = writer.inputsOf(node);
  if (node.kind === 'write') {
    const sink = node.sink.timed?.();
    const content = { kind: 'write', sink: sink ?? node.sink } as const;
    const from = sink === undefined ? strip(writer, node, input) : input;
    writer.become(node, writer.add(node.name, content, [from]));
    return;
  }
  const present = writer.add(`${node.name}-present`, { kind: 'filter', fn: isPresent }, [
    strip(writer, node, isTable(writer, node.inputs[0]) ? latest(writer, node, input) : input),
  ]);
  writer.become(node, writer.add(node.name, { kind: 'broadcast', form: node.form }, [present]));
}

/** Whoever leaves a table for records without keys wants what it comes to, not how it came there. */
function finalTable(writer: PlanWriter, node: PlanNode & { readonly kind: 'map' }): void {
  const [input = -1] = writer.inputsOf(node);
  const present = writer.add(`${node.name}-present`, { kind: 'filter', fn: ofValue(isPresent) }, [
    latest(writer, node, input),
  ]);
  writer.become(
    node,
    writer.add(node.name, { kind: 'map', fn: overValue(node.fn), keepsKey: node.keepsKey }, [
      present,
    ]),
  );
}

/** The last change of each key. */
export function latest(writer: PlanWriter, node: PlanNode, input: number): number {
  return writer.add(`${node.name}-latest`, LATEST_OF_KEY, [input]);
}

function globalJoin(writer: PlanWriter, node: StreamNode & { readonly kind: 'globalJoin' }): void {
  const [stream = -1, table = -1] = writer.inputsOf(node);
  const present = writer.add(`${node.name}-present`, { kind: 'filter', fn: isPresent }, [
    strip(writer, node, latest(writer, node, table)),
  ]);
  const side = writer.add(`${node.name}-table`, { kind: 'broadcast', form: 'map' }, [present]);
  const absent = Object.freeze({});
  const fn = (record: unknown, map: unknown, key: unknown): unknown => {
    const { v } = record as Timed;
    const found = (map as ReadonlyMap<unknown, unknown>).get(node.lookupKey(v, key));
    if (found === undefined && node.type === 'inner') return absent;
    return withValue(record as Timed, node.fn(v, found, key));
  };
  const joined = writer.add(node.name, { kind: 'with', fn, keepsKey: true }, [stream, side]);
  const isThere: ValueFunction = (value) => (value as Partial<Timed>).t !== undefined;
  writer.become(node, writer.add(`${node.name}-found`, { kind: 'filter', fn: isThere }, [joined]));
}

function timedAggregate(
  node: PlanNode & { readonly kind: 'aggregate' },
): Parameters<PlanWriter['add']>[1] {
  interface Accumulator {
    a: unknown;
    t: number;
  }
  const { merge, finish } = node;
  return {
    kind: 'aggregate',
    isKeyed: node.isKeyed,
    builtin: undefined,
    init: (): Accumulator => ({ a: node.init(), t: NO_TIME }),
    add: (accumulator, record, key) => {
      const into = accumulator as Accumulator;
      const { t, v } = record as Timed;
      into.a = node.add(into.a, v, key);
      if (t > into.t) into.t = t;
      return into;
    },
    merge:
      merge === undefined
        ? undefined
        : (left, right) => {
            const [l, r] = [left as Accumulator, right as Accumulator];
            return { a: merge(l.a, r.a), t: Math.max(l.t, r.t) } satisfies Accumulator;
          },
    finish: (accumulator, key) => {
      const { a, t } = accumulator as Accumulator;
      return timed(t, t, finish === undefined ? a : finish(a, key), undefined);
    },
  };
}

function isTable(writer: PlanWriter, id: number | undefined): boolean {
  return id !== undefined && writer.old(id).isTable === true;
}

function overValue(fn: ValueFunction): ValueFunction {
  return madeOf([fn], (record: unknown, key: unknown) =>
    withValue(record as Timed, fn((record as Timed).v, key)),
  );
}

/** Both values of a change of a table. Functions over tables are synchronous. */
function overChange(fn: ValueFunction): ValueFunction {
  return madeOf([fn], (record: unknown, key: unknown) => {
    const { t, m, v, o } = record as Timed;
    return timed(
      t,
      m,
      v === undefined ? undefined : fn(v, key),
      o === undefined ? undefined : fn(o, key),
    );
  });
}

/** A row that no longer fits is deleted. */
function filteredChange(fn: ValueFunction): ValueFunction {
  return madeOf([fn], (record: unknown, key: unknown) => {
    const { t, m, v, o } = record as Timed;
    const value = v !== undefined && Boolean(fn(v, key)) ? v : undefined;
    const old = o !== undefined && Boolean(fn(o, key)) ? o : undefined;
    return value === undefined && old === undefined ? [] : [timed(t, m, value, old)];
  });
}

function ofValue(fn: ValueFunction): ValueFunction {
  return madeOf([fn], (record: unknown, key: unknown) => fn((record as Timed).v, key));
}

function flatOverValue(fn: ValueFunction): ValueFunction {
  const all = (record: Timed, values: Iterable<unknown>): Timed[] =>
    Array.from(values, (value) => timed(record.t, record.m, value, undefined));
  return madeOf([fn], (record: unknown, key: unknown) => {
    const values = fn((record as Timed).v, key);
    return values instanceof Promise
      ? values.then((settled) => all(record as Timed, settled as Iterable<unknown>))
      : all(record as Timed, values as Iterable<unknown>);
  });
}

function* valuesOf(records: Iterable<unknown>): Generator {
  for (const record of records) yield valueOf(record);
}
