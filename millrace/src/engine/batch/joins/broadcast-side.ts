/** Side data of `with`: a whole stream as an array or a Map, in the memory of every task that uses it. */
import { decodeKey } from '../../../core/key-codec.ts';
import { JOIN_VALUE_OVERHEAD_BYTES } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { BroadcastNode } from '../../../flow/plan.ts';
import type { MergeReader } from '../exchange.ts';
import { tooLarge } from './broadcast-table.ts';

/** Decoded, a record takes about so many bytes for each byte that it was encoded in. */
const HELD_FACTOR = 3;

export type BroadcastSide = readonly unknown[] | ReadonlyMap<unknown, unknown>;

/**
 * Reads all of `reader` and closes it. In a Map the last value of a key wins, at the place where the key came first; keys that are
 * arrays, dates or bytes can be gone through, but not asked for, as in every Map.
 * @throws {MillraceError} ML_BROADCAST_TOO_LARGE
 */
export function loadBroadcastSide(
  reader: MergeReader,
  options: {
    readonly node: Pick<BroadcastNode, 'name' | 'form'>;
    readonly memoryBytes: number;
  },
): { readonly side: BroadcastSide; readonly heldBytes: number } {
  const { node, memoryBytes } = options;
  const array: unknown[] = [];
  const map = new Map<unknown, unknown>();
  const isMap = node.form === 'map';
  let heldBytes = 0;
  try {
    while (reader.next()) {
      const { buffer, keyStart, keyEnd, valueStart, valueEnd } = reader;
      const bytes = valueEnd - valueStart + (isMap ? keyEnd - keyStart : 0);
      heldBytes += bytes * HELD_FACTOR + JOIN_VALUE_OVERHEAD_BYTES;
      if (heldBytes > memoryBytes)
        throw tooLarge(`broadcast ${node.name}`, reader, { name: node.name, memoryBytes });
      const value = decodeValue(buffer, valueStart, valueEnd);
      if (isMap) map.set(decodeKey(buffer, keyStart, keyEnd), value);
      else array.push(value);
    }
  } finally {
    reader.close();
  }
  return { side: isMap ? map : array, heldBytes };
}
