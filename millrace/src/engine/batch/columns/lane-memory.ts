/**
 * The memory that the kernels work on: fixed vectors, then a window for the bytes that are scanned, then regions that grow. It only grows;
 * when a region does, those behind it move up, and their owners are told.
 *
 * ```
 * [null][masks][vectors…][window][scratch][slots][entries][arena]…
 * ```
 *
 * A range is two 32-bit numbers: start and end. The range of null is [1, 0]: nothing ends at address 0, and its length is -1.
 */
import { assert } from '../../../core/errors.ts';
import { createWasmMemory } from './wasm-host.ts';

/** The range of null. */
export const NULL_START = 1;
export const NULL_END = 0;
/** Longest text that is a key by itself: see `group-kernel.ts`. */
export const INLINE_BYTES = 16;
/** For lengths 0 to INLINE_BYTES: which bits of the first and of the second 8 bytes of a text belong to it. */
export const MASKS_ADDRESS = 64;
const MASKS_BYTES = (INLINE_BYTES + 1) * 16;
const PAGE_BYTES = 65_536;
/** Behind each region: kernels read up to 64 bytes beyond an address and write 8 bytes at a time. */
export const PADDING_BYTES = 128;
const ALIGNMENT = 16;

export class Region {
  /** Address of its first byte. Changes when a region before it grows. */
  start = 0;
  bytes = 0;
}

/** Views of the whole memory. They are replaced when it grows: read the fields anew after whatever may grow a region. */
export class LaneMemory {
  readonly memory = createWasmMemory();
  buffer = Buffer.from(this.memory.buffer);
  i32 = new Int32Array(this.memory.buffer);
  private fixedEnd = MASKS_ADDRESS + MASKS_BYTES;
  private readonly regions: Region[] = [];

  constructor() {
    const bits = (bytes: number): bigint => (1n << BigInt(bytes * 8)) - 1n;
    for (let length = 0; length <= INLINE_BYTES; length++) {
      const at = MASKS_ADDRESS + length * 16;
      this.buffer.writeBigUInt64LE(bits(Math.min(length, 8)), at);
      this.buffer.writeBigUInt64LE(bits(Math.max(length - 8, 0)), at + 8);
    }
  }

  /** The address of `bytes` that stay where they are. Only before the first region. */
  reserve(bytes: number): number {
    assert(this.regions.length === 0, 'vectors come before regions');
    const address = this.fixedEnd;
    this.fixedEnd = align(address + bytes);
    this.grow(this.fixedEnd);
    return address;
  }

  /** Puts an empty region behind all others. */
  region(region: Region = new Region()): Region {
    region.start = this.end();
    this.regions.push(region);
    return region;
  }

  /** Gives a region at least `bytes`; what is in it stays. True when other regions have moved. */
  resize(region: Region, bytes: number): boolean {
    if (bytes <= region.bytes) return false;
    const added = align(bytes) - region.bytes;
    const index = this.regions.indexOf(region);
    const next = this.regions[index + 1];
    const end = this.end();
    // A region that is empty so far has no padding of its own behind it.
    const moved = region.bytes === 0 ? added + PADDING_BYTES : added;
    this.grow(end + moved);
    region.bytes += added;
    if (next === undefined) return false;
    this.buffer.copyWithin(next.start + moved, next.start, end);
    for (let later = index + 1; later < this.regions.length; later++)
      (this.regions[later] ?? region).start += moved;
    return true;
  }

  /** All of it, in bytes. */
  get bytes(): number {
    return this.buffer.length;
  }

  private end(): number {
    const last = this.regions.at(-1);
    if (last === undefined) return this.fixedEnd;
    return last.bytes === 0 ? last.start : last.start + last.bytes + PADDING_BYTES;
  }

  private grow(bytes: number): void {
    const missing = bytes - this.buffer.length;
    if (missing <= 0) return;
    this.memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.buffer = Buffer.from(this.memory.buffer);
    this.i32 = new Int32Array(this.memory.buffer);
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
