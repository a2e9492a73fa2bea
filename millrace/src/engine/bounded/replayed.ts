/**
 * A node that knows of time as a group: the records of all its inputs under a key, sorted by time, replayed through the operator of the
 * stream engine.
 *
 * Order: by time where an operator sorts by itself anyway (windows, joins of streams, patterns); else as a run without end comes to them,
 * the lowest timestamp at the head of a partition first, tables before streams. Of duplicates the first that comes counts, too.
 */
import { assert } from '../../core/errors.ts';
import type { PlanNode, ValueFunction } from '../../flow/plan.ts';
import type { StreamNode } from '../../flow/stream-nodes.ts';
import type { PlanWriter } from './plan-writer.ts';
import { type Arriving, type Leaving, Replay, type ReplaySpec } from './replay.ts';
import type { Timed } from './timed.ts';

/** Writes the groups that take the place of `node`. */
export function replayed(writer: PlanWriter, node: StreamNode): void {
  const inputs = writer.inputsOf(node);
  switch (node.kind) {
    case 'sideOutput':
      sideOutput(writer, node);
      return;
    case 'foreignJoin': {
      const [left = -1, right = -1] = inputs;
      const asked = main(writer, node, 'subscribe', [{ id: left, kind: 'stream' }]);
      const matched = main(writer, node, 'match', [
        { id: right, kind: 'table' },
        { id: asked, kind: 'stream' },
      ]);
      writer.become(node, main(writer, node, 'collect', [{ id: matched, kind: 'stream' }]));
      return;
    }
    case 'tableAggregate': {
      const regrouped = main(writer, node, 'regroup', [{ id: inputs[0] ?? -1, kind: 'stream' }]);
      writer.become(node, main(writer, node, 'aggregate', [{ id: regrouped, kind: 'stream' }]));
      return;
    }
    case 'tableJoin':
      writer.become(
        node,
        main(
          writer,
          node,
          undefined,
          node.inputs.map((id) => joinInput(writer, id)),
        ),
      );
      return;
    case 'windowAggregate':
    case 'windowJoin':
    case 'table':
    case 'process':
    case 'pattern':
    case 'dedupe':
      writer.become(
        node,
        main(
          writer,
          node,
          undefined,
          inputs.map((id) => ({ id, kind: 'stream' })),
        ),
      );
      return;
    case 'toStream':
    case 'globalJoin':
    case 'asyncMap':
      assert(false, `${node.name} is not replayed`);
  }
}

interface ReplayInput {
  readonly id: number;
  readonly kind: ReplaySpec['inputs'][number];
}

/** The group, and behind it its main output with the keys it gave. */
function main(
  writer: PlanWriter,
  node: StreamNode,
  role: ReplaySpec['role'],
  inputs: readonly ReplayInput[],
): number {
  const suffix = role === undefined ? '' : `-${role}`;
  const tagged = inputs.map(({ id }, index) =>
    writer.add(
      `${node.name}${suffix}-in-${index}`,
      { kind: 'map', fn: arriving(index, SORTED_BY_TIME.has(node.kind)), keepsKey: true },
      [id],
    ),
  );
  const [first = -1] = tagged;
  const all =
    tagged.length === 1 ? first : writer.add(`${node.name}${suffix}-in`, { kind: 'union' }, tagged);
  const together =
    node.kind === 'dedupe'
      ? writer.add(`${node.name}-by`, { kind: 'keyBy', fn: dedupeKey(node.by) }, [all])
      : all;
  // All of it is there: nothing comes too late to be told apart.
  const isTimeless = node.kind === 'dedupe';
  const spec = { node, role, inputs: inputs.map(({ kind }) => kind), isTimeless };
  const group = writer.add(
    `${node.name}${suffix}`,
    {
      kind: 'group',
      sortValuesBy: { by: orderOf(node, inputs), descending: false },
      combine: undefined,
      fn: replaying(spec),
    },
    [together],
  );
  const keyed = writer.add(`${node.name}${suffix}-key`, { kind: 'keyBy', fn: keyOf }, [group]);
  writer.outputs.set(node.id, keyed);
  if (node.kind !== 'pattern') return keyed;
  return writer.add(`${node.name}-main`, { kind: 'filter', fn: isOf('main') }, [keyed]);
}

/** One replay for each task: keys come one after the other. */
function replaying(
  spec: ReplaySpec,
): (key: unknown, values: Iterable<unknown>, emit: (value: unknown) => void) => void {
  let replay: Replay | undefined;
  return (_key, values, emit) => {
    // What a function has thrown in is not used again.
    const own = replay ?? new Replay(spec);
    replay = undefined;
    own.run(values, emit);
    replay = own;
  };
}

function sideOutput(writer: PlanWriter, node: StreamNode & { readonly kind: 'sideOutput' }): void {
  const [parent = -1] = node.inputs;
  const all = writer.outputs.get(parent) ?? writer.successor(parent);
  // Nothing is late where all records are there.
  const fn = node.output === 'timedOut' ? isOf('timedOut') : never;
  writer.become(node, writer.add(node.name, { kind: 'filter', fn }, [all]));
}

/** A table that is asked what was true at a time is fed with what was written, in whatever order. */
function joinInput(writer: PlanWriter, id: number): ReplayInput {
  if (writer.old(id).isTable !== true) return { id: writer.successor(id), kind: 'stream' };
  const versions = versionsOf(writer, id);
  return versions === undefined
    ? { id: writer.successor(id), kind: 'table' }
    : { id: versions, kind: 'history' };
}

/** What is written to a table with history, before it is one; undefined: it has none. */
function versionsOf(writer: PlanWriter, id: number): number | undefined {
  const node: PlanNode = writer.old(id);
  const [input = -1] = node.inputs;
  if (node.kind === 'table')
    return node.historyMs === undefined ? undefined : writer.successor(input);
  if (node.isTable !== true || (node.kind !== 'map' && node.kind !== 'filter')) return undefined;
  const before = versionsOf(writer, input);
  if (before === undefined) return undefined;
  const { fn } = node;
  const isMap = node.kind === 'map';
  const over: ValueFunction = (record, key) => {
    const { t, m, v } = record as Timed;
    if (v === undefined || v === null) return { t, m, v: undefined, o: undefined };
    const result = fn(v, key);
    return { t, m, v: isMap ? result : result ? v : undefined, o: undefined };
  };
  return writer.add(`${node.name}-versions`, { kind: 'map', fn: over, keepsKey: true }, [before]);
}

/** @param isByTime what is sorted by time comes at its time */
function arriving(i: number, isByTime: boolean): ValueFunction {
  return (record, k): Arriving => {
    const { t, m, v, o } = record as Timed;
    return { t, m: isByTime ? t : m, v, o, i, k };
  };
}

function orderOf(node: StreamNode, inputs: readonly ReplayInput[]): ValueFunction {
  if (SORTED_BY_TIME.has(node.kind)) return (record) => (record as Arriving).t;
  const ranks = inputs.map(({ kind }) => (kind === 'stream' ? 1 : 0));
  return (record) => {
    const { m, i } = record as Arriving;
    return [m, ranks[i] ?? 1];
  };
}

const SORTED_BY_TIME: ReadonlySet<StreamNode['kind']> = new Set([
  'windowAggregate',
  'windowJoin',
  'pattern',
]);

function dedupeKey(by: ValueFunction): ValueFunction {
  return (record) => {
    const { v, k } = record as Arriving;
    return [k, by(v, k)];
  };
}

function keyOf(record: unknown): unknown {
  return (record as Leaving).k;
}

function isOf(output: Leaving['s']): ValueFunction {
  return (record) => (record as Leaving).s === output;
}

function never(): boolean {
  return false;
}
