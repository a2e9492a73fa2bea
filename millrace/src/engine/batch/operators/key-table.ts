/**
 * Keys that were seen, numbered from 0. Kept are the encoded keys, one after the other, and no string of the input: a piece of a chunk
 * would keep the chunk. Short ASCII strings are found by an own table of hashes, which compares four characters at a time; V8's Map takes twice as long for
 * strings that were just cut out of a line. All other keys go through a Map.
 *
 * @hot A short string that is known costs a walk over its characters.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';

/** What a key takes besides its bytes: its places in tables and arrays. */
const KEY_OVERHEAD_BYTES = 40;
/** What it takes in a Map, besides its bytes. */
const MAP_OVERHEAD_BYTES = 80;
/** Longer strings are hashed faster by V8. */
const SHORT_CHARACTERS_MAX = 64;
const FIRST_KEYS = 64;

export class KeyTable {
  size = 0;
  /** The encoded keys: key i is bytes[start(i), end(i)). */
  readonly bytes = new ByteWriter(1024);
  private starts = new Int32Array(FIRST_KEYS + 1);
  /** Of short strings. */
  private hashes = new Int32Array(FIRST_KEYS);
  /** Number + 1 of a short string, by its hash; open addressing, never more than half full. */
  private slots = new Int32Array(FIRST_KEYS * 2);
  /** All other keys: primitive ones as they are, objects and long strings by their encoding as latin1. */
  private readonly others = new Map<unknown, number>();
  private readonly encodings = new Map<string, number>();
  private readonly scratch = new ByteWriter(SHORT_CHARACTERS_MAX * 4);
  /** The characters of the short string that is looked up, four to a word. */
  private readonly words = new Int32Array(SHORT_CHARACTERS_MAX / 4);
  /** Over `bytes`. */
  private view = viewOf(this.bytes);

  get heldBytes(): number {
    const mapped = this.others.size + this.encodings.size;
    return this.size * KEY_OVERHEAD_BYTES + this.bytes.length * 2 + mapped * MAP_OVERHEAD_BYTES;
  }

  /**
   * The number of a key: `size` before the call when it is new.
   * @throws {MillraceError} ML_KEY_INVALID; nothing was taken
   */
  indexOf(key: unknown): number {
    if (typeof key === 'string') return this.indexOfText(key);
    if (typeof key === 'object' && key !== null) return this.indexOfEncoded(key);
    const found = this.others.get(key);
    if (found !== undefined) return found;
    const { scratch } = this;
    scratch.clear();
    encodeKey(key, scratch);
    this.others.set(key, this.size);
    return this.added(0);
  }

  start(index: number): number {
    return this.starts[index] as number;
  }

  end(index: number): number {
    return this.starts[index + 1] as number;
  }

  key(index: number): unknown {
    return decodeKey(this.bytes.buffer, this.start(index), this.end(index));
  }

  clear(): void {
    this.size = 0;
    this.bytes.clear();
    this.slots.fill(0);
    this.others.clear();
    this.encodings.clear();
  }

  private indexOfText(key: string): number {
    const { length } = key;
    if (length > SHORT_CHARACTERS_MAX) return this.indexOfEncoded(key);
    const { words } = this;
    let seen = 0;
    let hash = length;
    let from = 0;
    let count = 0;
    for (; from + 4 <= length; from += 4) {
      const a = key.charCodeAt(from);
      const b = key.charCodeAt(from + 1);
      const c = key.charCodeAt(from + 2);
      const d = key.charCodeAt(from + 3);
      seen |= a | b | c | d;
      const word = a | (b << 8) | (c << 16) | (d << 24);
      words[count++] = word;
      hash = mixed(hash ^ word);
    }
    let rest = 0;
    for (let shift = 0; from < length; from++, shift += 8) {
      const character = key.charCodeAt(from);
      seen |= character;
      rest |= character << shift;
    }
    if (seen > 0x7f) return this.indexOfEncoded(key);
    hash = mixed(hash ^ rest);
    const { slots, hashes, starts } = this;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = (slots[slot] as number) - 1;
      if (index < 0) return this.addText(key, hash, slot);
      if (hashes[index] !== hash) continue;
      // Before the characters stands the tag of strings.
      const start = (starts[index] as number) + 1;
      const end = starts[index + 1] as number;
      if (end - start === length && this.isAt(start, end, count, rest)) return index;
    }
  }

  /** Bytes [start, end) are the first `count` words, and behind them the up to three characters in `rest`. */
  private isAt(start: number, end: number, count: number, rest: number): boolean {
    const { words, view } = this;
    let at = start;
    for (let index = 0; index < count; index++, at += 4)
      if (view.getInt32(at, true) !== words[index]) return false;
    let last = 0;
    for (let shift = 0; at < end; at++, shift += 8) last |= view.getUint8(at) << shift;
    return last === rest;
  }

  private addText(key: string, hash: number, slot: number): number {
    const { scratch } = this;
    scratch.clear();
    encodeKey(key, scratch);
    this.slots[slot] = this.size + 1;
    return this.added(hash);
  }

  private indexOfEncoded(key: unknown): number {
    const { scratch } = this;
    scratch.clear();
    encodeKey(key, scratch);
    const text = scratch.buffer.latin1Slice(0, scratch.length);
    const found = this.encodings.get(text);
    if (found !== undefined) return found;
    this.encodings.set(text, this.size);
    return this.added(0);
  }

  /** Takes the key in `scratch`. */
  private added(hash: number): number {
    const { scratch } = this;
    const index = this.size++;
    this.bytes.bytes(scratch.buffer, 0, scratch.length);
    if (this.view.buffer !== this.bytes.buffer.buffer) this.view = viewOf(this.bytes);
    this.hashes[index] = hash;
    this.starts[index + 1] = this.bytes.length;
    if (this.size === this.hashes.length) this.grow();
    return index;
  }

  private grow(): void {
    const keys = this.hashes.length * 2;
    const hashes = new Int32Array(keys);
    hashes.set(this.hashes);
    const starts = new Int32Array(keys + 1);
    starts.set(this.starts);
    const slots = new Int32Array(keys * 2);
    const mask = slots.length - 1;
    for (const entry of this.slots) {
      if (entry === 0) continue;
      let slot = (hashes[entry - 1] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.hashes = hashes;
    this.starts = starts;
    this.slots = slots;
  }
}

function mixed(hash: number): number {
  let result = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  result ^= result >>> 13;
  return result;
}

function viewOf({ buffer }: ByteWriter): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
