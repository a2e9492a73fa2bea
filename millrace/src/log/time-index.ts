/**
 * The sparse time index of one segment. An entry (timestamp, offset) says: up to and including the batch that ends at
 * this offset (relative to the segment's base), the largest timestamp is this one, and that batch has it. Kafka's
 * `.timeindex` format: 12 bytes an entry, big-endian i64 and u32.
 *
 * Invariant: timestamps are strictly increasing, offsets too. Disposable, as the offset index is.
 */
import { readInt64, writeInt64 } from '../wire/kafka/records/record-batch.ts';
import { floorOf } from './offset-index.ts';

export const TIME_INDEX_ENTRY_BYTES = 12;

export class TimeIndex {
  count = 0;
  private timestamps: Float64Array;
  private relativeOffsets: Uint32Array;

  constructor(capacity = 8) {
    this.timestamps = new Float64Array(capacity);
    this.relativeOffsets = new Uint32Array(capacity);
  }

  /** Memory held. */
  get bytes(): number {
    return this.timestamps.byteLength + this.relativeOffsets.byteLength;
  }

  /** Adds an entry; ignored unless both its values are larger than those of the last. */
  append(timestampMs: number, relativeOffset: number): void {
    const { count } = this;
    if (count > 0) {
      if (timestampMs <= (this.timestamps[count - 1] as number)) return;
      if (relativeOffset <= (this.relativeOffsets[count - 1] as number)) return;
    }
    if (count === this.timestamps.length) this.grow();
    this.timestamps[count] = timestampMs;
    this.relativeOffsets[count] = relativeOffset;
    this.count = count + 1;
  }

  /** The number of the last entry whose timestamp is below `timestampMs`; -1 when there is none. */
  lastBefore(timestampMs: number): number {
    // Timestamps are whole milliseconds, so "below" is "at most one less".
    return floorOf(this.timestamps, this.count, timestampMs - 1);
  }

  timestampMs(entry: number): number {
    return this.timestamps[entry] as number;
  }

  relativeOffset(entry: number): number {
    return this.relativeOffsets[entry] as number;
  }

  /** Drops the entries at or behind `relativeOffset`. */
  truncate(relativeOffset: number): void {
    this.count = floorOf(this.relativeOffsets, this.count, relativeOffset - 1) + 1;
  }

  /** Entries from number `from` on, as they are in the file. */
  encode(from: number): Buffer {
    const bytes = Buffer.allocUnsafe((this.count - from) * TIME_INDEX_ENTRY_BYTES);
    for (let entry = from, at = 0; entry < this.count; entry++, at += TIME_INDEX_ENTRY_BYTES) {
      writeInt64(bytes, at, this.timestamps[entry] as number);
      bytes.writeUInt32BE(this.relativeOffsets[entry] as number, at + 8);
    }
    return bytes;
  }

  /** undefined when the bytes cannot be a time index. */
  static decode(bytes: Buffer): TimeIndex | undefined {
    if (bytes.length % TIME_INDEX_ENTRY_BYTES !== 0) return undefined;
    const count = bytes.length / TIME_INDEX_ENTRY_BYTES;
    const index = new TimeIndex(Math.max(8, count));
    for (let entry = 0; entry < count; entry++) {
      const at = entry * TIME_INDEX_ENTRY_BYTES;
      const timestampMs = readInt64(bytes, at);
      if (!Number.isSafeInteger(timestampMs)) return undefined;
      index.append(timestampMs, bytes.readUInt32BE(at + 8));
      if (index.count !== entry + 1) return undefined;
    }
    return index;
  }

  private grow(): void {
    const timestamps = new Float64Array(this.timestamps.length * 2);
    timestamps.set(this.timestamps);
    this.timestamps = timestamps;
    const relativeOffsets = new Uint32Array(this.relativeOffsets.length * 2);
    relativeOffsets.set(this.relativeOffsets);
    this.relativeOffsets = relativeOffsets;
  }
}
