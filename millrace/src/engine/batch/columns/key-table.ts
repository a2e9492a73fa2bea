/**
 * The distinct keys of an aggregation, numbered from 0 in the order in which they came: the growing side of `group-kernel.ts`.
 * It grows until it has reached its budget; then `group` stops early, and its owner hands the groups on and clears it.
 *
 * @hot
 */
import { ENTRY_BYTES, KEY_BYTES, SLOT, SLOT_BYTES, TABLE } from './group-kernel.ts';
import type { KeyKernels } from './kernels.ts';
import type { LaneMemory, Region } from './lane-memory.ts';

const SLOT_NUMBERS = SLOT_BYTES / 4;
const SLOTS_MIN = 1024;
/** Smaller tables grow faster: keys are put into new slots less often. */
const SMALL_SLOTS = 32 * 1024;
const ARENA_BYTES_MIN = 16 * 1024;
/** Groups for each 8 slots. */
const GROUPS_PER_8_SLOTS = 6;

export interface KeyTableMemory {
  readonly control: number;
  readonly keys: number;
}

/** Room for what a table needs before all regions. @param rowsMax most rows that are grouped at once */
export function reserveKeyTable(memory: LaneMemory, rowsMax: number): KeyTableMemory {
  return { control: memory.reserve(TABLE.bytes), keys: memory.reserve(rowsMax * KEY_BYTES) };
}

export class KeyTable {
  /** How many groups there are. */
  groups = 0;
  /** Room for so many; what belongs to a group may be kept in arrays of this length. */
  groupsMax = 0;
  /** What belongs to a group elsewhere: it grows with the table, and counts. */
  readonly bytesPerGroup: number;
  private readonly memory: LaneMemory;
  private readonly kernels: KeyKernels;
  private readonly control: number;
  private readonly keys: number;
  private readonly slots: Region;
  private readonly entries: Region;
  private readonly arena: Region;
  private slotCount = 0;

  constructor(
    memory: LaneMemory,
    kernels: KeyKernels,
    fixed: KeyTableMemory,
    bytesPerGroup: number,
  ) {
    this.bytesPerGroup = bytesPerGroup;
    this.memory = memory;
    this.kernels = kernels;
    this.control = fixed.control;
    this.keys = fixed.keys;
    this.slots = memory.region();
    this.entries = memory.region();
    this.arena = memory.region();
    this.resizeSlots(SLOTS_MIN);
    memory.resize(this.arena, ARENA_BYTES_MIN);
    this.clear();
  }

  /**
   * Finds or adds the keys of rows [from, rows), whose ranges are at `ranges`, and writes their groups to `groups` (both addresses of
   * row 0). Returns the first row that was not done: less than `rows` when the table was full. The bytes of keys must be
   * before the regions of tables in memory, which may move.
   * @param bytesMax what all of the memory may become
   */
  group(ranges: number, groups: number, from: number, rows: number, bytesMax: number): number {
    const { control, keys, kernels, memory } = this;
    let done = from;
    this.writeControl();
    kernels.hash(control, rows - from, ranges + from * 8, keys);
    for (;;) {
      const keysLeft = keys + (done - from) * KEY_BYTES;
      done += kernels.group(control, rows - done, ranges + done * 8, keysLeft, groups + done * 4);
      this.groups = memory.i32[(control + TABLE.groups) >> 2] ?? 0;
      if (done === rows || !this.makeRoom(this.keyBytes(ranges, done), bytesMax)) return done;
      this.writeControl();
    }
  }

  /** Forgets all groups; the memory stays. */
  clear(): void {
    const { i32 } = this.memory;
    this.groups = 0;
    i32.fill(0, this.slots.start >> 2, (this.slots.start + this.slots.bytes) >> 2);
    i32[(this.control + TABLE.arena) >> 2] = 0;
  }

  /** Address of the bytes of a group's key. */
  keyStart(group: number): number {
    return this.arena.start + (this.memory.i32[(this.entries.start >> 2) + group * 2] ?? 0);
  }

  /** -1 for null. */
  keyLength(group: number): number {
    return this.memory.i32[(this.entries.start >> 2) + group * 2 + 1] ?? 0;
  }

  private keyBytes(keys: number, row: number): number {
    const at = (keys >> 2) + row * 2;
    const end = this.memory.i32[at + 1] ?? 0;
    return end === 0 ? 0 : end - (this.memory.i32[at] ?? 0);
  }

  /** False when it would exceed the budget. */
  private makeRoom(keyBytes: number, bytesMax: number): boolean {
    if (this.groups === this.groupsMax) {
      const factors = this.slotCount < SMALL_SLOTS ? [4, 2] : [2];
      const factor = factors.find((each) => this.memory.bytes + this.added(each) <= bytesMax);
      if (factor === undefined && this.groups > 0) return false;
      this.resizeSlots(this.slotCount * (factor ?? 2));
      return true;
    }
    const used = this.memory.i32[(this.control + TABLE.arena) >> 2] ?? 0;
    const needed = Math.max(this.arena.bytes * 2, used + keyBytes);
    if (this.groups > 0 && this.memory.bytes + needed - this.arena.bytes > bytesMax) return false;
    this.memory.resize(this.arena, needed);
    return true;
  }

  /** Bytes that growing by a factor takes: while slots are rebuilt a copy of the old ones exists, too. */
  private added(factor: number): number {
    const perGroup = ENTRY_BYTES + this.bytesPerGroup;
    return this.slotCount * SLOT_BYTES * factor + this.groupsMax * perGroup * (factor - 1);
  }

  private resizeSlots(count: number): void {
    const { memory, slots } = this;
    const old = memory.i32.slice(slots.start >> 2, (slots.start + slots.bytes) >> 2);
    memory.resize(slots, count * SLOT_BYTES);
    this.slotCount = count;
    this.groupsMax = (count / 8) * GROUPS_PER_8_SLOTS;
    memory.resize(this.entries, this.groupsMax * ENTRY_BYTES);
    const first = slots.start >> 2;
    memory.i32.fill(0, first, first + count * SLOT_NUMBERS);
    rebuild(old, memory.i32, first, count - 1);
  }

  private writeControl(): void {
    const { i32 } = this.memory;
    const at = this.control >> 2;
    i32[at + (TABLE.slots >> 2)] = this.slots.start;
    i32[at + (TABLE.mask >> 2)] = this.slotCount - 1;
    i32[at + (TABLE.entries >> 2)] = this.entries.start;
    i32[at + (TABLE.groups >> 2)] = this.groups;
    i32[at + (TABLE.groupsMax >> 2)] = this.groupsMax;
    i32[at + (TABLE.arenaStart >> 2)] = this.arena.start;
    i32[at + (TABLE.arenaBytes >> 2)] = this.arena.bytes;
  }
}

/** Puts the used ones of `old` slots into empty slots. */
function rebuild(old: Int32Array, slots: Int32Array, first: number, mask: number): void {
  for (let from = 0; from < old.length; from += SLOT_NUMBERS) {
    if (old[from + (SLOT.group >> 2)] === 0) continue;
    let slot = (old[from + (SLOT.hash >> 2)] ?? 0) & mask;
    while (slots[first + slot * SLOT_NUMBERS + (SLOT.group >> 2)] !== 0) slot = (slot + 1) & mask;
    const to = first + slot * SLOT_NUMBERS;
    for (let index = 0; index < SLOT_NUMBERS; index++) slots[to + index] = old[from + index] ?? 0;
  }
}
