/**
 * The groups of a lane: the table of their keys and what is aggregated for them. When the table is full, and at the end, they go out as
 * records of the exchange, exactly as the aggregation of rows writes them: [by…] as key, the accumulators as value.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { decodeText } from '../../../core/text-escape.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { Accumulator } from './accumulators.ts';
import type { DistinctValues } from './distinct.ts';
import type { KeyTable } from './key-table.ts';
import { type ComposedKeys, decomposeKey } from './lane-keys.ts';
import type { LaneMemory } from './lane-memory.ts';
import type { TextVector } from './vectors.ts';

/** Takes a record of the exchange; the bytes are valid during the call. */
export type GroupOutput = (
  key: Buffer,
  keyStart: number,
  keyEnd: number,
  value: Buffer,
  valueStart: number,
  valueEnd: number,
) => void;

/** What the groups are of. */
export type GroupKey =
  /** All rows are one group. */
  | { readonly kind: 'none' }
  | { readonly kind: 'text'; readonly text: TextVector }
  | { readonly kind: 'composed'; readonly keys: ComposedKeys };

export interface LaneGroupsOptions {
  readonly memory: LaneMemory;
  readonly table: KeyTable;
  readonly key: GroupKey;
  /** Address of the groups of a batch's rows. */
  readonly groups: number;
  /** In the order of the aggregates. */
  readonly aggregates: readonly (Accumulator | DistinctValues)[];
}

export class LaneGroups {
  private readonly memory: LaneMemory;
  private readonly table: KeyTable;
  private readonly key: GroupKey;
  private readonly groupsAt: number;
  private readonly aggregates: readonly (Accumulator | DistinctValues)[];
  private readonly accumulators: readonly Accumulator[];
  private readonly distincts: readonly DistinctValues[];
  /** Groups that accumulators have room for. */
  private room = 0;
  private roomBytes = 0;
  private isOneThere = false;
  private readonly value = new ByteWriter();
  private readonly keyBytes = new ByteWriter();
  /** What encoded keys of one ASCII text begin and end with. */
  private readonly textKey = new TextKey();

  constructor({ memory, table, key, groups, aggregates }: LaneGroupsOptions) {
    this.memory = memory;
    this.table = table;
    this.key = key;
    this.groupsAt = groups;
    this.aggregates = aggregates;
    this.accumulators = aggregates.filter((each) => 'grow' in each);
    this.distincts = aggregates.filter((each) => 'collect' in each);
  }

  /** Besides the lane's memory. */
  get heldBytes(): number {
    return this.roomBytes + this.stateBytes();
  }

  /** Takes the rows of a batch. @param memoryBytes what the lane may hold before groups are handed on */
  add(rows: number, memoryBytes: number, output: GroupOutput): void {
    for (let row = 0; row < rows; ) {
      row = this.addSome(row, rows, memoryBytes - this.heldBytes);
      if (row < rows || this.stateBytes() > this.stateBytesMax(memoryBytes)) this.flush(output);
    }
  }

  /** Hands on all groups, and forgets them. */
  flush(output: GroupOutput): void {
    const { table, aggregates, value } = this;
    const count = this.key.kind === 'none' ? Number(this.isOneThere) : table.groups;
    for (const each of this.distincts) each.collect();
    const states: unknown[] = aggregates.map(() => undefined);
    for (let group = 0; group < count; group++) {
      for (let index = 0; index < aggregates.length; index++)
        states[index] = aggregates[index]?.state(group);
      value.clear();
      encodeValue(states, value);
      const key = this.encodeKeyOf(group);
      output(key.buffer, 0, key.length, value.buffer, 0, value.length);
    }
    for (const each of this.accumulators) each.clear(count);
    for (const each of this.distincts) each.clear();
    table.clear();
    this.isOneThere = false;
  }

  /** What is left for states by typed arrays, which stay, but something in any case. */
  private stateBytesMax(memoryBytes: number): number {
    const left = memoryBytes - this.memory.bytes - this.roomBytes;
    return Math.max(left, memoryBytes / STATE_SHARE);
  }

  private stateBytes(): number {
    let bytes = 0;
    for (const each of this.accumulators) bytes += each.heldBytes;
    return bytes;
  }

  /** Takes rows from `from` on. Returns the first that there was no room for. */
  private addSome(from: number, rows: number, bytesMax: number): number {
    const { memory, table, groupsAt } = this;
    let to = this.findGroups(from, rows, bytesMax);
    this.makeRoom(this.key.kind === 'none' ? 1 : table.groupsMax);
    // A value that one table had room for and another had not is counted again: it is the same one.
    for (const each of this.distincts) to = Math.min(to, each.add(groupsAt, from, to, bytesMax));
    for (const each of this.accumulators) each.prepare();
    for (const each of this.accumulators) each.add(memory.i32, groupsAt >> 2, from, to);
    return to;
  }

  private findGroups(from: number, rows: number, bytesMax: number): number {
    const { key, table, groupsAt, memory } = this;
    switch (key.kind) {
      case 'none':
        this.isOneThere = true;
        memory.i32.fill(0, (groupsAt >> 2) + from, (groupsAt >> 2) + rows);
        return rows;
      case 'text':
        key.text.prepare();
        return table.group(key.text.ranges, groupsAt, from, rows, bytesMax);
      case 'composed':
        key.keys.compose(from, rows, 0);
        return table.group(key.keys.ranges, groupsAt, from, rows, bytesMax);
    }
  }

  private makeRoom(groups: number): void {
    if (groups <= this.room) return;
    this.room = groups;
    this.roomBytes = groups * this.table.bytesPerGroup;
    for (const each of this.accumulators) each.grow(groups);
  }

  private encodeKeyOf(group: number): ByteWriter {
    const { key, keyBytes, memory, table } = this;
    keyBytes.clear();
    if (key.kind === 'none') {
      encodeKey(undefined, keyBytes);
      return keyBytes;
    }
    const start = table.keyStart(group);
    const end = start + table.keyLength(group);
    if (key.kind === 'text') this.textKey.write(memory.buffer, start, end, keyBytes);
    else encodeKey(decomposeKey(memory.buffer, start, end), keyBytes);
    return keyBytes;
  }
}

/** States that are objects may have this part of the memory, at least. */
const STATE_SHARE = 8;

/** Encodes keys that are an array of one text. */
class TextKey {
  private readonly head: Buffer;
  private readonly tail: Buffer;

  constructor() {
    const writer = new ByteWriter();
    encodeKey(['a'], writer);
    const at = writer.buffer.indexOf('a');
    this.head = Buffer.from(writer.buffer.subarray(0, at));
    this.tail = Buffer.from(writer.buffer.subarray(at + 1, writer.length));
  }

  /** @param end below `start` for null */
  write(buffer: Buffer, start: number, end: number, writer: ByteWriter): void {
    if (end < start) encodeKey([null], writer);
    else if (isPlain(buffer, start, end)) {
      const { head, tail } = this;
      writer.bytes(head, 0, head.length);
      writer.bytes(buffer, start, end);
      writer.bytes(tail, 0, tail.length);
    } else encodeKey([decodeText(buffer, start, end)], writer);
  }
}

/** ASCII without NUL: its encoding is itself. */
function isPlain(buffer: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = buffer[at] as number;
    if (byte === 0 || byte >= 0x80) return false;
  }
  return true;
}
