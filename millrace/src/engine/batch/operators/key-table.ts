/**
 * Keys that were seen, numbered from 0. A key that is found costs one look into a Map; a new one is encoded, and what the Map
 * keeps of a long string is a copy of its own: a piece of a chunk of input would keep the chunk.
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';

/** What a key takes besides its bytes: its places in Map and arrays, the head of its string. */
const KEY_OVERHEAD_BYTES = 112;
/** V8 copies shorter pieces of a string anyway. */
const PIECE_CHARACTERS_MIN = 13;

export class KeyTable {
  size = 0;
  /** The encoded keys, one after the other: key i is bytes[starts[i], starts[i + 1]). */
  readonly bytes = new ByteWriter(1024);
  private starts = new Int32Array(64);
  private readonly primitives = new Map<unknown, number>();
  /** Keys that are objects, by their encoding as latin1. */
  private readonly others = new Map<string, number>();
  private readonly scratch = new ByteWriter(64);

  get heldBytes(): number {
    return this.size * KEY_OVERHEAD_BYTES + this.bytes.length * 2;
  }

  /**
   * The number of a key: `size` before the call when it is new.
   * @throws {MillraceError} ML_KEY_INVALID; nothing was taken
   */
  indexOf(key: unknown): number {
    if (typeof key === 'object' && key !== null) return this.indexOfObject(key);
    const found = this.primitives.get(key);
    if (found !== undefined) return found;
    const start = this.bytes.length;
    try {
      encodeKey(key, this.bytes);
    } catch (error) {
      this.bytes.length = start;
      throw error;
    }
    const kept =
      typeof key === 'string' && key.length >= PIECE_CHARACTERS_MIN
        ? decodeKey(this.bytes.buffer, start, this.bytes.length)
        : key;
    this.primitives.set(kept, this.size);
    return this.added();
  }

  start(index: number): number {
    return this.starts[index] ?? 0;
  }

  end(index: number): number {
    return this.starts[index + 1] ?? 0;
  }

  clear(): void {
    this.size = 0;
    this.bytes.clear();
    this.primitives.clear();
    this.others.clear();
  }

  private indexOfObject(key: object): number {
    const { scratch } = this;
    scratch.clear();
    encodeKey(key, scratch);
    const text = scratch.buffer.latin1Slice(0, scratch.length);
    const found = this.others.get(text);
    if (found !== undefined) return found;
    this.bytes.bytes(scratch.buffer, 0, scratch.length);
    this.others.set(text, this.size);
    return this.added();
  }

  private added(): number {
    const index = this.size++;
    if (index + 1 >= this.starts.length) {
      const grown = new Int32Array(this.starts.length * 2);
      grown.set(this.starts);
      this.starts = grown;
    }
    this.starts[index + 1] = this.bytes.length;
    return index;
  }
}
