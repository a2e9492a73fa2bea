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
 * Reads all of `reader` and closes it. In a Map the last value of a key wins, at the place where the key came first. Keys that are
 * arrays, dates or bytes are there once each and can be gone through, but not asked for, as in every Map.
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
  const objects = new Map<string, object>();
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
      if (!isMap) {
        array.push(value);
        continue;
      }
      let key = decodeKey(buffer, keyStart, keyEnd);
      if (typeof key === 'object' && key !== null) {
        // To a Map two arrays are two keys; by their bytes they are one.
        const text = buffer.latin1Slice(keyStart, keyEnd);
        const known = objects.get(text);
        if (known === undefined) objects.set(text, key);
        else key = known;
      }
      map.set(key, value);
    }
  } finally {
    reader.close();
  }
  return { side: isMap ? map : array, heldBytes };
}
