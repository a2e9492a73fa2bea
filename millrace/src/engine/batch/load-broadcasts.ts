/** Side data of a task: read whole before the first record. */
import { assert } from '../../core/errors.ts';
import type { Plan } from '../../flow/plan.ts';
import { createMergeReader } from './exchange/merge-reader.ts';
import type { RunStorage } from './exchange.ts';
import { type BroadcastSide, loadBroadcastSide } from './joins/broadcast-side.ts';
import { BroadcastTable } from './joins/broadcast-table.ts';
import type { ExchangeRead, StageGraph } from './stage.ts';

export interface LoadedBroadcasts {
  /** By exchange: arrays and Maps for `with`, tables for joins. */
  readonly sides: ReadonlyMap<number, BroadcastSide | BroadcastTable>;
  readonly heldBytes: number;
}

/**
 * Reads them all.
 * @param options.memoryBytes for each of them
 * @throws {MillraceError} ML_BROADCAST_TOO_LARGE
 */
export function loadBroadcasts(
  plan: Plan,
  graph: StageGraph,
  reads: readonly ExchangeRead[],
  options: { readonly storage: RunStorage; readonly memoryBytes: number },
): LoadedBroadcasts {
  const { storage, memoryBytes } = options;
  const sides = new Map<number, BroadcastSide | BroadcastTable>();
  let heldBytes = 0;
  for (const read of reads) {
    const node = plan.nodes[graph.exchanges[read.exchange]?.node ?? -1];
    const reader = createMergeReader({ read, storage, memoryBytes: READ_BYTES });
    if (node?.kind === 'join') {
      const { name, type } = node;
      const table = new BroadcastTable(reader, { name, type, memoryBytes });
      sides.set(read.exchange, table);
      heldBytes += table.heldBytes;
    } else {
      assert(node?.kind === 'broadcast', `exchange ${read.exchange} is no broadcast`);
      const loaded = loadBroadcastSide(reader, { node, memoryBytes });
      sides.set(read.exchange, loaded.side);
      heldBytes += loaded.heldBytes;
    }
  }
  return { sides, heldBytes };
}

/** Broadcasts are read one after the other, and small. */
const READ_BYTES = 256 * 1024;
