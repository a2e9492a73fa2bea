/** Side data of a task: read whole before the first record. */
import { assert } from '../../../core/errors.ts';
import type { Plan } from '../../../flow/plan.ts';
import { createMergeReader } from '../exchange/merge-reader.ts';
import type { RunStorage } from '../exchange.ts';
import { type BroadcastSide, loadBroadcastSide } from '../joins/broadcast-side.ts';
import { BroadcastTable } from '../joins/broadcast-table.ts';
import type { ExchangeRead, StageGraph } from '../stage.ts';

export interface LoadedBroadcasts {
  /** By exchange: arrays and Maps for `with`, tables for joins. */
  readonly sides: ReadonlyMap<number, BroadcastSide | BroadcastTable>;
  readonly heldBytes: number;
}

/**
 * Reads them all. What the task before has read, in this process and for the same graph, is not read again: the tasks of a stage have the
 * same side data. What it had besides is forgotten.
 * @param options.memoryBytes for each of them
 * @throws {MillraceError} ML_BROADCAST_TOO_LARGE
 */
export function loadBroadcasts(
  plan: Plan,
  graph: StageGraph,
  reads: readonly ExchangeRead[],
  options: LoadOptions,
): LoadedBroadcasts {
  const before = kept.get(graph);
  const loaded = new Map<string, Loaded>();
  const sides = new Map<number, BroadcastSide | BroadcastTable>();
  let heldBytes = 0;
  // Before anything is read: what is not needed any more makes room.
  const ids = reads.map((read) => idOf(read, options.memoryBytes));
  for (const id of before?.keys() ?? []) if (!ids.includes(id)) before?.delete(id);
  kept.set(graph, loaded);
  for (const [index, read] of reads.entries()) {
    const id = ids[index] ?? '';
    const one = before?.get(id) ?? load(plan, graph, read, options);
    loaded.set(id, one);
    sides.set(read.exchange, one.side);
    heldBytes += one.heldBytes;
  }
  return { sides, heldBytes };
}

interface LoadOptions {
  readonly storage: RunStorage;
  readonly memoryBytes: number;
}

interface Loaded {
  readonly side: BroadcastSide | BroadcastTable;
  readonly heldBytes: number;
}

/** What the last task of a graph had. A graph belongs to one job: its runs are never written twice. */
const kept = new WeakMap<StageGraph, Map<string, Loaded>>();

/** Which runs a side is made of, and what it may hold. */
function idOf(read: ExchangeRead, memoryBytes: number): string {
  const runs = read.runs.map(({ path, position }) => [path, position]);
  return JSON.stringify([read.exchange, memoryBytes, runs]);
}

function load(
  plan: Plan,
  graph: StageGraph,
  read: ExchangeRead,
  { storage, memoryBytes }: LoadOptions,
): Loaded {
  const node = plan.nodes[graph.exchanges[read.exchange]?.node ?? -1];
  const reader = createMergeReader({ read, storage, memoryBytes: READ_BYTES });
  if (node?.kind === 'join') {
    const { name, type } = node;
    const table = new BroadcastTable(reader, { name, type, memoryBytes });
    return { side: table, heldBytes: table.heldBytes };
  }
  assert(node?.kind === 'broadcast', `exchange ${read.exchange} is no broadcast`);
  return loadBroadcastSide(reader, { node, memoryBytes });
}

/** Broadcasts are read one after the other, and small. */
const READ_BYTES = 256 * 1024;
