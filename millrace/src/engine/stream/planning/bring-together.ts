/**
 * Brings the inputs of a node into one stage: those that are where they have to be are put together with it, all others come through an
 * exchange. One exchange serves all that want the same records partitioned in the same way.
 */
import { assert } from '../../../core/errors.ts';
import type { TableNode } from '../../../flow/stream-nodes.ts';
import type { Partitioner, StageNode } from '../topology.ts';
import { isSamePartitioner } from './schemes.ts';
import type { ExchangeDraft, Placed, StageGraph, StageGroup } from './stage-graph.ts';

/** An input of a node. */
export interface Wanted {
  readonly from: Placed;
  /** Which input of the node it is. */
  readonly input: number;
  /** It is where it has to be, and may stay there when the stages can be put together. */
  readonly mayStay: boolean;
  /** How, when it moves. */
  readonly partitioner: Partitioner;
  /** When it moves: the name of a new exchange, and the table that is asked for its values. */
  readonly name: string;
  readonly table: TableNode | undefined;
}

/** @returns the stage of the node, in which all inputs meet, of `partitions` partitions */
export function bringTogether(
  graph: StageGraph,
  to: StageNode,
  inputs: readonly Wanted[],
  partitions: number,
): StageGroup {
  let { staying, base } = putTogether(graph, inputs);
  const mayFeed = (reader: StageGroup): boolean =>
    inputs.every((input) => staying.includes(input) || graph.canFeed(input.from.group, reader));
  if (base !== undefined && !mayFeed(base)) {
    staying = [];
    base = undefined;
  }
  base ??= knownReader(graph, inputs, partitions, mayFeed) ?? graph.group(partitions);
  assert(base.partitions === partitions, 'inputs of a stage have equally many partitions');
  for (const wanted of inputs)
    if (!staying.includes(wanted)) connect(graph, to, wanted, { base, mayFeed });
  return base;
}

/** Of those that may stay as many as can be one stage: behind the others, where records go from one to the other. */
function putTogether(
  graph: StageGraph,
  inputs: readonly Wanted[],
): { staying: readonly Wanted[]; base: StageGroup | undefined } {
  let staying: Wanted[] = [];
  let base: StageGroup | undefined;
  for (const wanted of inputs) {
    if (!wanted.mayStay) continue;
    const { group } = wanted.from;
    if (base === undefined || graph.canMerge(base, group)) {
      staying.push(wanted);
    } else if (base.partitions === group.partitions && graph.reaches(base, group)) {
      staying = [wanted];
      base = undefined;
    } else continue;
    if (base !== undefined) graph.merge(base, group);
    base ??= group;
  }
  return { staying, base };
}

/** The stage that reads one of these records already, in the way that is wanted. */
function knownReader(
  graph: StageGraph,
  inputs: readonly Wanted[],
  partitions: number,
  mayFeed: (reader: StageGroup) => boolean,
): StageGroup | undefined {
  for (const wanted of inputs)
    for (const draft of graph.exchanges)
      if (carries(draft, wanted, partitions) && mayFeed(draft.reader)) return draft.reader;
  return undefined;
}

interface Reader {
  readonly base: StageGroup;
  /** Whether all that moves may move there. */
  readonly mayFeed: (reader: StageGroup) => boolean;
}

function carries(draft: ExchangeDraft, wanted: Wanted, partitions: number): boolean {
  const { node, role } = draft.from.at;
  return (
    node === wanted.from.at.node &&
    role === wanted.from.at.role &&
    draft.reader.partitions === partitions &&
    isSamePartitioner(draft.partitioner, wanted.partitioner)
  );
}

function connect(
  graph: StageGraph,
  to: StageNode,
  wanted: Wanted,
  { base: reader, mayFeed }: Reader,
): void {
  let draft = graph.exchanges.find(
    (known) =>
      carries(known, wanted, reader.partitions) &&
      graph.canMerge(known.reader, reader) &&
      mayFeed(known.reader),
  );
  if (draft === undefined) {
    const { from, partitioner } = wanted;
    const name = freeName(graph, wanted.name);
    draft = { name, from, to: [], partitioner, reader, table: undefined };
    graph.exchanges.push(draft);
  } else graph.merge(reader, draft.reader);
  draft.to.push({ ...to, input: wanted.input });
  draft.table ??=
    wanted.table === undefined ? undefined : { ...wanted.table, name: `${draft.name}-copy` };
}

function freeName(graph: StageGraph, wanted: string): string {
  let name = wanted;
  for (let n = 2; graph.exchanges.some((draft) => draft.name === name); n++)
    name = `${wanted}-${n}`;
  return name;
}
