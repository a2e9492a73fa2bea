/**
 * The build side of a hash join: rows by key, in memory. A key's rows keep their order of arrival.
 *
 *     slots  hash → entry + 1 (open addressing)      entries  key bytes, first and last row      rows  next row, value bytes
 *
 * Keys and values stay encoded in one arena; a value is decoded when it is first asked for, and once.
 *
 * @hot A probe allocates nothing.
 */
import { JOIN_TABLE_BYTES_MAX, JOIN_VALUE_OVERHEAD_BYTES } from '../../../core/limits.ts';
import { compareBytes } from './group-walk.ts';
import type { JoinCodec } from './join-options.ts';

/** Of an entry: hash, start and length of the key, first row, last row. */
const ENTRY_FIELDS = 5;
const HASH = 0;
const KEY_START = 1;
const KEY_BYTES = 2;
const FIRST_ROW = 3;
const LAST_ROW = 4;
/** Of a row: its entry (-1: none, a null key), the next row of the entry (-1: none), start and end of key and value. */
const ROW_FIELDS = 4;
const ENTRY = 0;
const NEXT_ROW = 1;
const VALUE_START = 2;
const VALUE_END = 3;

/** A decoded value takes about so many bytes for each byte that it was encoded in. */
const DECODED_FACTOR = 2;

export class JoinTable {
  entries = 0;
  rows = 0;
  private readonly codec: JoinCodec;
  private readonly memoryBytes: number;
  private arena: Buffer = Buffer.allocUnsafeSlow(4096);
  private arenaBytes = 0;
  private slots = new Int32Array(64);
  private entry = new Int32Array(32 * ENTRY_FIELDS);
  private row = new Int32Array(32 * ROW_FIELDS);
  private isMatched = new Uint8Array(32);
  private readonly keys: unknown[] = [];
  private readonly values: unknown[] = [];
  private decodedBytes = 0;

  constructor(codec: JoinCodec, memoryBytes: number) {
    this.codec = codec;
    this.memoryBytes = Math.min(memoryBytes, JOIN_TABLE_BYTES_MAX);
  }

  get heldBytes(): number {
    return (
      this.arena.length +
      this.isMatched.length +
      4 * (this.slots.length + this.entry.length + this.row.length) +
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
    const isNull = this.codec.isNull(buffer, keyStart, keyEnd);
    const entry = isNull ? -1 : this.entryFor(buffer, keyStart, keyEnd);
    // A null key is kept with its row: it has no entry, since nothing finds it.
    const valueAt = isNull ? this.copy(buffer, keyStart, keyEnd) : this.arenaBytes;
    this.copy(buffer, valueStart, valueEnd);
    this.addRow(entry, isNull ? valueAt + (keyEnd - keyStart) : valueAt);
    this.values.push(NOT_DECODED);
    return true;
  }

  /** Takes a key without a value: for semi and anti joins. As `add`. */
  addKey(buffer: Buffer, keyStart: number, keyEnd: number): boolean {
    if (this.codec.isNull(buffer, keyStart, keyEnd)) return true;
    if (!this.reserve(keyEnd - keyStart)) return false;
    this.entryFor(buffer, keyStart, keyEnd);
    return true;
  }

  /** The entry of a key; -1 when there is none. Null keys have none. */
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
    const entry = this.row[row * ROW_FIELDS + ENTRY] ?? -1;
    return entry >= 0 && this.isMatched[entry] === 1;
  }

  /** The key of an entry, decoded. */
  key(entry: number): unknown {
    const known = this.keys[entry];
    if (known !== NOT_DECODED) return known;
    const at = entry * ENTRY_FIELDS;
    const start = this.entry[at + KEY_START] ?? 0;
    const key = this.codec.key(this.arena, start, start + (this.entry[at + KEY_BYTES] ?? 0));
    this.keys[entry] = key;
    return key;
  }

  /** The key of a row; null for one that has no entry. */
  rowKey(row: number): unknown {
    const entry = this.row[row * ROW_FIELDS + ENTRY] ?? -1;
    return entry >= 0 ? this.key(entry) : this.nullKey(row);
  }

  /** The value of a row, decoded. */
  value(row: number): unknown {
    const known = this.values[row];
    if (known !== NOT_DECODED) return known;
    const at = row * ROW_FIELDS;
    const value = this.codec.value(
      this.arena,
      this.row[at + VALUE_START] ?? 0,
      this.row[at + VALUE_END] ?? 0,
    );
    this.values[row] = value;
    return value;
  }

  clear(): void {
    this.entries = 0;
    this.rows = 0;
    this.arenaBytes = 0;
    this.decodedBytes = 0;
    this.keys.length = 0;
    this.values.length = 0;
    this.arena = Buffer.alloc(0);
    this.slots = new Int32Array(1);
    this.entry = new Int32Array(0);
    this.row = new Int32Array(0);
    this.isMatched = new Uint8Array(0);
  }

  /** The key bytes of a row without entry stand before its value: behind the value of the row before, or at the beginning. */
  private nullKey(row: number): unknown {
    const end = this.row[row * ROW_FIELDS + VALUE_START] ?? 0;
    let start = end - 1;
    // Null keys are the shortest there are; the longest suffix that is one is the key.
    while (start > 0 && !this.codec.isNull(this.arena, start, end)) start--;
    return this.codec.key(this.arena, start, end);
  }
}

const NOT_DECODED = Symbol('not decoded');
