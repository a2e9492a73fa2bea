/** countDistinct: pairs of group and value, in a hash table of their own. */
import type { ColumnValue } from '../../../flow/columns.ts';
import type { KeyTable } from './key-table.ts';
import { type ComposedKeys, decomposeKey } from './lane-keys.ts';
import type { LaneMemory } from './lane-memory.ts';

const GROUP_BYTES = 4;

export class DistinctValues {
  private readonly memory: LaneMemory;
  private readonly table: KeyTable;
  private readonly keys: ComposedKeys;
  /** Address of the numbers of pairs, which nobody needs. */
  private readonly pairs: number;
  /** While groups are handed on: their values, by group. */
  private byGroup: (Set<ColumnValue> | undefined)[] = [];

  constructor(memory: LaneMemory, table: KeyTable, keys: ComposedKeys, pairs: number) {
    this.memory = memory;
    this.table = table;
    this.keys = keys;
    this.pairs = pairs;
  }

  /** Takes rows [from, to), of the groups at `groups`. Returns the first that the table had no room for. */
  add(groups: number, from: number, to: number, bytesMax: number): number {
    this.keys.compose(from, to, groups);
    return this.table.group(this.keys.ranges, this.pairs, from, to, bytesMax);
  }

  /** Before `state` is asked for. */
  collect(): void {
    const { memory, table } = this;
    for (let pair = 0; pair < table.groups; pair++) {
      const start = table.keyStart(pair);
      const end = start + table.keyLength(pair);
      const [value] = decomposeKey(memory.buffer, start + GROUP_BYTES, end);
      if (value === undefined || value === null) continue;
      const group = memory.buffer.readInt32LE(start);
      let values = this.byGroup[group];
      if (values === undefined) {
        values = new Set();
        this.byGroup[group] = values;
      }
      values.add(value);
    }
  }

  state(group: number): unknown {
    return this.byGroup[group] ?? new Set();
  }

  clear(): void {
    this.byGroup = [];
    this.table.clear();
  }
}
