/**
 * Which offset is the latest for a key: what compaction builds over the dirty part of a log and asks for every record.
 *
 * Keys are not kept, only a 128-bit hash of each, so that memory has a bound that does not depend on the keys. The hash
 * is keyed with random bits that are new for every map: whoever chooses the keys of records cannot aim for two keys
 * that collide, which would make compaction drop one of them. By chance alone two of 2^32 keys collide with a
 * probability of 2^-65.
 *
 * Invariant: a slot is empty exactly when its offset is -1; there is always an empty slot, so a search ends.
 *
 * @hot
 * Source: HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein), twice, with independent keys.
 */
import type { Random } from '../core/env.ts';
import { assert } from '../core/errors.ts';

/** Four words of hash and an offset. */
const SLOT_BYTES = 24;
/** Above this share of full slots a search gets long. */
const LOAD_MAX = 0.75;
const SLOTS_MIN = 16;

export class OffsetMap {
  /** How many keys fit. */
  readonly capacityKeys: number;
  /** Keys in the map. */
  size = 0;
  /** The highest offset that was put; -1 at first. */
  latestOffset = -1;
  private readonly slotCount: number;
  private readonly hashes: Uint32Array;
  private readonly offsets: Float64Array;
  private readonly seeds: Uint32Array;
  /** The hash of the key that was looked at last: two calls of `halfSipHash` fill it. */
  private readonly hash = new Uint32Array(4);

  /** @param bytesMax memory that the map may take, at least 384 bytes */
  constructor(bytesMax: number, random: Random) {
    this.slotCount = Math.max(SLOTS_MIN, Math.floor(bytesMax / SLOT_BYTES));
    this.capacityKeys = Math.floor(this.slotCount * LOAD_MAX);
    this.hashes = new Uint32Array(this.slotCount * 4);
    this.offsets = new Float64Array(this.slotCount).fill(-1);
    const bits = random.bytes(16);
    this.seeds = Uint32Array.of(
      bits.readUInt32LE(0),
      bits.readUInt32LE(4),
      bits.readUInt32LE(8),
      bits.readUInt32LE(12),
    );
  }

  /** Memory for `keys` keys. */
  static bytesFor(keys: number): number {
    return Math.max(SLOTS_MIN, Math.ceil(keys / LOAD_MAX) + 1) * SLOT_BYTES;
  }

  /**
   * Notes that the key buffer[start, end) is at `offset`. Offsets must rise.
   * @returns false, and nothing is noted, when the key is new and the map is full
   */
  put(buffer: Uint8Array, start: number, end: number, offset: number): boolean {
    assert(offset > this.latestOffset, 'offsets are put in order');
    const slot = this.slotOf(buffer, start, end);
    if (this.offsets[slot] === -1) {
      if (this.size === this.capacityKeys) return false;
      this.size++;
      this.hashes.set(this.hash, slot * 4);
    }
    this.offsets[slot] = offset;
    this.latestOffset = offset;
    return true;
  }

  /** Notes that everything up to `offset` has been looked at, though nothing of it was put. */
  passed(offset: number): void {
    if (offset > this.latestOffset) this.latestOffset = offset;
  }

  /** The latest offset of the key buffer[start, end); -1 when it was not put. */
  get(buffer: Uint8Array, start: number, end: number): number {
    return this.offsets[this.slotOf(buffer, start, end)] ?? -1;
  }

  /** The slot of the key, or the empty one where it would go. Leaves its hash in `this.hash`. */
  private slotOf(buffer: Uint8Array, start: number, end: number): number {
    const { hash, seeds, hashes, offsets, slotCount } = this;
    halfSipHash(buffer, start, end, seeds[0] as number, seeds[1] as number, hash, 0);
    halfSipHash(buffer, start, end, seeds[2] as number, seeds[3] as number, hash, 2);
    const a = hash[0] as number;
    const b = hash[1] as number;
    const c = hash[2] as number;
    const d = hash[3] as number;
    for (let slot = a % slotCount; ; slot = slot + 1 === slotCount ? 0 : slot + 1) {
      if (offsets[slot] === -1) return slot;
      const at = slot * 4;
      if (hashes[at] === a && hashes[at + 1] === b && hashes[at + 2] === c && hashes[at + 3] === d)
        return slot;
    }
  }
}

/** Writes the two words of the 64-bit hash of buffer[start, end) to out[outAt] and out[outAt + 1]. */
export function halfSipHash(
  buffer: Uint8Array,
  start: number,
  end: number,
  key0: number,
  key1: number,
  out: Uint32Array,
  outAt: number,
): void {
  let v0 = key0 | 0;
  let v1 = (key1 ^ 0xee) | 0;
  let v2 = (0x6c796765 ^ key0) | 0;
  let v3 = (0x74656462 ^ key1) | 0;
  const length = end - start;
  const wholeEnd = end - (length & 3);
  // Words of the message, then the rest of it under its length, then two finishing words of nothing.
  let position = start;
  let phase = 0;
  for (;;) {
    let word = 0;
    let rounds = 2;
    if (position < wholeEnd) {
      word =
        (buffer[position] as number) |
        ((buffer[position + 1] as number) << 8) |
        ((buffer[position + 2] as number) << 16) |
        ((buffer[position + 3] as number) << 24);
      position += 4;
    } else if (phase === 0) {
      phase = 1;
      word = length << 24;
      for (let index = 0; index < (length & 3); index++)
        word |= (buffer[wholeEnd + index] as number) << (8 * index);
    } else if (phase === 1) {
      phase = 2;
      rounds = 4;
      v2 ^= 0xee;
    } else if (phase === 2) {
      phase = 3;
      out[outAt] = v1 ^ v3;
      rounds = 4;
      v1 ^= 0xdd;
    } else {
      out[outAt + 1] = v1 ^ v3;
      return;
    }
    v3 ^= word;
    for (let round = 0; round < rounds; round++) {
      v0 = (v0 + v1) | 0;
      v1 = (v1 << 5) | (v1 >>> 27);
      v1 ^= v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = (v3 << 8) | (v3 >>> 24);
      v3 ^= v2;
      v0 = (v0 + v3) | 0;
      v3 = (v3 << 7) | (v3 >>> 25);
      v3 ^= v0;
      v2 = (v2 + v1) | 0;
      v1 = (v1 << 13) | (v1 >>> 19);
      v1 ^= v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
  }
}
