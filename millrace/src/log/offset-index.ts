/**
 * The sparse offset index of one segment: for one batch in every few kilobytes, its last offset (relative to the
 * segment's base) and where it begins in the file. Kafka's `.index` format: 8 bytes an entry, two big-endian u32.
 *
 * Invariant: both columns are strictly increasing. The index may lack entries at the end of the segment, and is disposable.
 */

export const OFFSET_INDEX_ENTRY_BYTES = 8;

export class OffsetIndex {
  count = 0;
  private relativeOffsets: Uint32Array;
  private positions: Uint32Array;

  constructor(capacity = 16) {
    this.relativeOffsets = new Uint32Array(capacity);
    this.positions = new Uint32Array(capacity);
  }

  /** Memory held. */
  get bytes(): number {
    return this.relativeOffsets.byteLength + this.positions.byteLength;
  }

  /** Adds an entry behind the others; one that is not behind the last is ignored. */
  append(relativeOffset: number, position: number): void {
    const { count } = this;
    if (count > 0 && relativeOffset <= (this.relativeOffsets[count - 1] as number)) return;
    if (count === this.relativeOffsets.length) this.grow();
    this.relativeOffsets[count] = relativeOffset;
    this.positions[count] = position;
    this.count = count + 1;
  }

  /** The number of the last entry whose batch ends at or before `relativeOffset`; -1 when there is none. */
  floor(relativeOffset: number): number {
    return floorOf(this.relativeOffsets, this.count, relativeOffset);
  }

  /** The number of the first entry that begins behind `position`; `count` when there is none. */
  firstAfterPosition(position: number): number {
    return floorOf(this.positions, this.count, position) + 1;
  }

  relativeOffset(entry: number): number {
    return this.relativeOffsets[entry] as number;
  }

  position(entry: number): number {
    return this.positions[entry] as number;
  }

  /** Drops the entries of batches that begin at or behind `position`. */
  truncate(position: number): void {
    this.count = floorOf(this.positions, this.count, position - 1) + 1;
  }

  /** Entries from number `from` on, as they are in the file. */
  encode(from: number): Buffer {
    const bytes = Buffer.allocUnsafe((this.count - from) * OFFSET_INDEX_ENTRY_BYTES);
    for (let entry = from, at = 0; entry < this.count; entry++, at += OFFSET_INDEX_ENTRY_BYTES) {
      bytes.writeUInt32BE(this.relativeOffsets[entry] as number, at);
      bytes.writeUInt32BE(this.positions[entry] as number, at + 4);
    }
    return bytes;
  }

  /** undefined when the bytes cannot be the index of a segment of `segmentBytes`. */
  static decode(bytes: Buffer, segmentBytes: number): OffsetIndex | undefined {
    if (bytes.length % OFFSET_INDEX_ENTRY_BYTES !== 0) return undefined;
    const count = bytes.length / OFFSET_INDEX_ENTRY_BYTES;
    const index = new OffsetIndex(Math.max(16, count));
    for (let entry = 0; entry < count; entry++) {
      const at = entry * OFFSET_INDEX_ENTRY_BYTES;
      const relativeOffset = bytes.readUInt32BE(at);
      const position = bytes.readUInt32BE(at + 4);
      if (position >= segmentBytes) return undefined;
      if (entry > 0) {
        if (relativeOffset <= index.relativeOffset(entry - 1)) return undefined;
        if (position <= index.position(entry - 1)) return undefined;
      }
      index.append(relativeOffset, position);
    }
    return index;
  }

  private grow(): void {
    this.relativeOffsets = grown(this.relativeOffsets);
    this.positions = grown(this.positions);
  }
}

function grown(array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** The number of the last of `count` increasing values that is at most `value`; -1 when all are larger. */
export function floorOf(values: Uint32Array | Float64Array, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
