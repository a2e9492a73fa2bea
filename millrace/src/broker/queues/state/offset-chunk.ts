/** What is known of the offsets of one chunk. */
import { QUEUE_CHUNK_OFFSETS } from '../../../core/queue-limits.ts';
import { ChunkSet } from './chunk-set.ts';

export class OffsetChunk {
  readonly number: number;
  settled = new ChunkSet();
  /** By position: how often it came back. */
  counts: Map<number, number> | undefined;
  /** By position: when it is due, of those that were given back for later. Milliseconds since 1970. */
  dues: Map<number, number> | undefined;
  marks: ChunkSet | undefined;
  /** It is in `dirty`. */
  isDirty = false;

  constructor(number: number) {
    this.number = number;
  }

  get isEmpty(): boolean {
    return (
      this.settled.size === 0 &&
      this.counts === undefined &&
      this.dues === undefined &&
      this.marks === undefined
    );
  }

  /** Changes with whatever is known of it, unless one thing takes the place of another. */
  get size(): number {
    const { settled, counts, dues, marks } = this;
    return settled.size + (counts?.size ?? 0) + (dues?.size ?? 0) + (marks?.size ?? 0);
  }

  /** Settled offsets of [from, to). */
  settledIn(from: number, to: number): number {
    const base = this.number * QUEUE_CHUNK_OFFSETS;
    return this.settled.countIn(Math.max(0, from - base), Math.min(QUEUE_CHUNK_OFFSETS, to - base));
  }

  /** Forgets that positions of [from, to) came back. @returns how many of them were due at a time */
  forgetReturns(from: number, to: number): number {
    const { counts, dues } = this;
    if (counts !== undefined) {
      forget(counts, from, to);
      if (counts.size === 0) this.counts = undefined;
    }
    if (dues === undefined) return 0;
    const { size } = dues;
    forget(dues, from, to);
    if (dues.size === 0) this.dues = undefined;
    return size - dues.size;
  }

  /** Takes back whatever is known of positions at or above. */
  cut(position: number): void {
    this.settled.removeFrom(position);
    this.forgetReturns(position, QUEUE_CHUNK_OFFSETS);
    this.marks?.removeFrom(position);
    if (this.marks?.size === 0) this.marks = undefined;
  }

  /** Roughly what it takes. */
  get memoryBytes(): number {
    const entries = (this.counts?.size ?? 0) + (this.dues?.size ?? 0);
    return 200 + this.settled.bytes + (this.marks?.bytes ?? 0) + entries * 56;
  }
}

export function chunkOf(offset: number): number {
  return Math.floor(offset / QUEUE_CHUNK_OFFSETS);
}

function forget(values: Map<number, number>, from: number, to: number): void {
  if (to - from < values.size) {
    for (let position = from; position < to; position++) values.delete(position);
  } else {
    for (const position of values.keys())
      if (position >= from && position < to) values.delete(position);
  }
}
