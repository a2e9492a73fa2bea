/**
 * Keys that were seen, numbered from 0. Kept are the encoded keys, one after the other, and no string of the input: a piece of a chunk
 * would keep the chunk. Short ASCII strings are found by an own table of hashes, which compares bytes; V8's Map takes twice as long for
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
    const characters = this.scratch.buffer;
    let hash = length;
    let from = 0;
    for (; from + 4 <= length; from += 4) {
      const a = key.charCodeAt(from);
      const b = key.charCodeAt(from + 1);
      const c = key.charCodeAt(from + 2);
      const d = key.charCodeAt(from + 3);
      if ((a | b | c | d) > 0x7f) return this.indexOfEncoded(key);
      characters[from] = a;
      characters[from + 1] = b;
      characters[from + 2] = c;
      characters[from + 3] = d;
      hash = mixed(hash ^ (a | (b << 8) | (c << 16) | (d << 24)));
    }
    for (; from < length; from++) {
      const character = key.charCodeAt(from);
      if (character > 0x7f) return this.indexOfEncoded(key);
      characters[from] = character;
      hash = mixed(hash ^ character);
    }
    const { slots, hashes, starts } = this;
    const { buffer } = this.bytes;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = (slots[slot] as number) - 1;
      if (index < 0) return this.addText(key, hash, slot);
      if (hashes[index] !== hash) continue;
      // Before the characters stands the tag of strings.
      const start = (starts[index] as number) + 1;
      if ((starts[index + 1] as number) - start !== length) continue;
      let at = 0;
      while (at < length && buffer[start + at] === characters[at]) at++;
      if (at === length) return index;
    }
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
