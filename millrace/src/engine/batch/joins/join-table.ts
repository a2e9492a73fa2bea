/**
 * The build side of a hash join: rows by key, in memory. A key's rows keep their order of arrival.
 *
 *     slots  hash → entry + 1 (open addressing)      entries  key bytes, first and last row      rows  next row, value bytes
 *
 * Keys and values stay encoded in an arena; a value is decoded when it is first asked for, and kept while there is room.
 *
 * @hot A probe allocates nothing.
 */
import { compareKeys, decodeKey } from '../../../core/key-codec.ts';
import { JOIN_TABLE_BYTES_MAX, JOIN_VALUE_OVERHEAD_BYTES } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import { ByteArena } from './byte-arena.ts';

/** Of an entry: hash, start and length of the key, first row, last row. */
const ENTRY_FIELDS = 5;
const HASH = 0;
const KEY_START = 1;
const KEY_BYTES = 2;
const FIRST_ROW = 3;
const LAST_ROW = 4;
/** Of a row: its entry, the next row of the entry (-1: none), start and length of the value. */
const ROW_FIELDS = 4;
const ENTRY = 0;
const NEXT_ROW = 1;
const VALUE_START = 2;
const VALUE_BYTES = 3;

/** A decoded value takes about so many bytes for each byte that it was encoded in. */
const DECODED_FACTOR = 2;

export class JoinTable {
  entries = 0;
  rows = 0;
  private readonly memoryBytes: number;
  private readonly arena = new ByteArena();
  private slots = new Int32Array(64);
  private entry = new Int32Array(32 * ENTRY_FIELDS);
  private row = new Int32Array(32 * ROW_FIELDS);
  private isMatched = new Uint8Array(32);
  private readonly keys: unknown[] = [];
  private readonly values: unknown[] = [];
  private decodedBytes = 0;

  constructor(memoryBytes: number) {
    this.memoryBytes = Math.min(memoryBytes, JOIN_TABLE_BYTES_MAX);
  }

  get heldBytes(): number {
    return (
      this.arena.heldBytes +
      this.isMatched.length +
      4 * (this.slots.length + this.entry.length + this.row.length) +
      8 * (this.entries + this.rows) +
      this.decodedBytes
    );
  }

  /** Takes a row. False, and nothing was taken, when it does not fit into the memory of the table. */
  add(
    buffer: Buffer,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    if (!this.reserve(keyEnd - keyStart + (valueEnd - valueStart))) return false;
    const entry = this.entryFor(buffer, keyStart, keyEnd);
    this.addRow(entry, this.arena.put(buffer, valueStart, valueEnd), valueEnd - valueStart);
    return true;
  }

  /** Takes a key without a value: for semi and anti joins. As `add`. */
  addKey(buffer: Buffer, keyStart: number, keyEnd: number): boolean {
    if (!this.reserve(keyEnd - keyStart)) return false;
    this.entryFor(buffer, keyStart, keyEnd);
    return true;
  }

  /** The entry of a key; -1 when there is none. Null keys are entries, too: do not ask for them. */
  find(buffer: Buffer, keyStart: number, keyEnd: number): number {
    if (this.entries === 0) return -1;
    const hash = hashBytes(buffer, keyStart, keyEnd);
    const slot = this.slotOf(hash, buffer, keyStart, keyEnd);
    return (this.slots[slot] ?? 0) - 1;
  }

  firstRow(entry: number): number {
    return this.entry[entry * ENTRY_FIELDS + FIRST_ROW] ?? -1;
  }

  /** The next row of the same key; -1 behind the last one. */
  nextRow(row: number): number {
    return this.row[row * ROW_FIELDS + NEXT_ROW] ?? -1;
  }

  setMatched(entry: number): void {
    this.isMatched[entry] = 1;
  }

  /** Some left row had the key of this row. */
  rowIsMatched(row: number): boolean {
    return this.isMatched[this.row[row * ROW_FIELDS + ENTRY] ?? 0] === 1;
  }

  /** The key of an entry, decoded. */
  key(entry: number): unknown {
    const known = this.keys[entry];
    if (known !== NOT_DECODED) return known;
    const at = entry * ENTRY_FIELDS;
    const position = this.entry[at + KEY_START] ?? 0;
    const bytes = this.entry[at + KEY_BYTES] ?? 0;
    const start = this.arena.placeOf(position);
    const key = decodeKey(this.arena.bufferOf(position), start, start + bytes);
    if (this.mayKeep(bytes)) this.keys[entry] = key;
    return key;
  }

  rowKey(row: number): unknown {
    return this.key(this.row[row * ROW_FIELDS + ENTRY] ?? 0);
  }

  /** The value of a row, decoded. */
  value(row: number): unknown {
    const known = this.values[row];
    if (known !== NOT_DECODED) return known;
    const at = row * ROW_FIELDS;
    const position = this.row[at + VALUE_START] ?? 0;
    const bytes = this.row[at + VALUE_BYTES] ?? 0;
    const start = this.arena.placeOf(position);
    const value = decodeValue(this.arena.bufferOf(position), start, start + bytes);
    if (this.mayKeep(bytes)) this.values[row] = value;
    return value;
  }

  clear(): void {
    this.entries = 0;
    this.rows = 0;
    this.decodedBytes = 0;
    this.keys.length = 0;
    this.values.length = 0;
    this.arena.clear();
    this.slots = new Int32Array(1);
    this.entry = new Int32Array(0);
    this.row = new Int32Array(0);
    this.isMatched = new Uint8Array(0);
  }

  /** Counts a decoded value if there is room to keep it; without room it is decoded again the next time. */
  private mayKeep(encodedBytes: number): boolean {
    const bytes = encodedBytes * DECODED_FACTOR + JOIN_VALUE_OVERHEAD_BYTES;
    if (this.heldBytes + bytes > this.memoryBytes) return false;
    this.decodedBytes += bytes;
    return true;
  }

  /** Makes room for one more row of `bytes` bytes, if the budget allows. */
  private reserve(bytes: number): boolean {
    const areSlotsFull = 2 * (this.entries + 1) > this.slots.length;
    const isEntryFull = (this.entries + 1) * ENTRY_FIELDS > this.entry.length;
    const isRowFull = (this.rows + 1) * ROW_FIELDS > this.row.length;
    // Arrays are doubled, and held twice while they are copied.
    let grown = this.arena.growth(bytes);
    if (areSlotsFull) grown += 8 * this.slots.length;
    if (isEntryFull) grown += 8 * this.entry.length + 2 * this.isMatched.length;
    if (isRowFull) grown += 8 * this.row.length;
    if (this.heldBytes + grown > this.memoryBytes) return false;
    this.arena.reserve(bytes);
    if (areSlotsFull) this.growSlots();
    if (isEntryFull) {
      this.entry = doubled(this.entry);
      const isMatched = new Uint8Array(2 * this.isMatched.length);
      isMatched.set(this.isMatched);
      this.isMatched = isMatched;
    }
    if (isRowFull) this.row = doubled(this.row);
    return true;
  }

  private growSlots(): void {
    const slots = new Int32Array(2 * this.slots.length);
    const mask = slots.length - 1;
    for (let entry = 0; entry < this.entries; entry++) {
      let slot = (this.entry[entry * ENTRY_FIELDS + HASH] ?? 0) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry + 1;
    }
    this.slots = slots;
  }

  /** Where the key is, or would be. */
  private slotOf(hash: number, buffer: Buffer, keyStart: number, keyEnd: number): number {
    const { slots, entry } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const found = (slots[slot] ?? 0) - 1;
      if (found < 0) return slot;
      const at = found * ENTRY_FIELDS;
      if (entry[at + HASH] === hash && this.hasKey(at, buffer, keyStart, keyEnd)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private hasKey(at: number, buffer: Buffer, keyStart: number, keyEnd: number): boolean {
    const bytes = keyEnd - keyStart;
    if (this.entry[at + KEY_BYTES] !== bytes) return false;
    const position = this.entry[at + KEY_START] ?? 0;
    const other = this.arena.bufferOf(position);
    const start = this.arena.placeOf(position);
    return compareKeys(buffer, keyStart, keyEnd, other, start, start + bytes) === 0;
  }

  private entryFor(buffer: Buffer, keyStart: number, keyEnd: number): number {
    const hash = hashBytes(buffer, keyStart, keyEnd);
    const slot = this.slotOf(hash, buffer, keyStart, keyEnd);
    const found = (this.slots[slot] ?? 0) - 1;
    if (found >= 0) return found;
    const entry = this.entries++;
    const at = entry * ENTRY_FIELDS;
    this.slots[slot] = entry + 1;
    this.entry[at + HASH] = hash;
    this.entry[at + KEY_START] = this.arena.put(buffer, keyStart, keyEnd);
    this.entry[at + KEY_BYTES] = keyEnd - keyStart;
    this.entry[at + FIRST_ROW] = -1;
    this.entry[at + LAST_ROW] = -1;
    this.keys.push(NOT_DECODED);
    return entry;
  }

  private addRow(entry: number, valueStart: number, valueBytes: number): void {
    const row = this.rows++;
    const at = row * ROW_FIELDS;
    this.row[at + ENTRY] = entry;
    this.row[at + NEXT_ROW] = -1;
    this.row[at + VALUE_START] = valueStart;
    this.row[at + VALUE_BYTES] = valueBytes;
    const last = this.entry[entry * ENTRY_FIELDS + LAST_ROW] ?? -1;
    if (last < 0) this.entry[entry * ENTRY_FIELDS + FIRST_ROW] = row;
    else this.row[last * ROW_FIELDS + NEXT_ROW] = row;
    this.entry[entry * ENTRY_FIELDS + LAST_ROW] = row;
    this.values.push(NOT_DECODED);
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(2 * array.length);
  grown.set(array);
  return grown;
}

/** FNV-1a with the finish of murmur3. Not the hash that chose the partition: within one that has fewer different bits. */
function hashBytes(buffer: Buffer, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (buffer[at] ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

const NOT_DECODED = Symbol('not decoded');
