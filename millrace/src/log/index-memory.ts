/** Bounds the memory of loaded indexes of sealed segments: those that were not used for longest are unloaded. */
import type { Segment } from './segment.ts';

export class IndexMemory {
  private readonly bytesMax: number;
  private readonly bytesOf = new Map<Segment, number>();
  private bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** A sealed segment's indexes were used. */
  used(segment: Segment): void {
    const before = this.bytesOf.get(segment) ?? 0;
    this.bytesOf.delete(segment);
    this.bytesOf.set(segment, segment.indexes.bytes);
    this.bytes += segment.indexes.bytes - before;
    for (const [oldest, bytes] of this.bytesOf) {
      if (this.bytes <= this.bytesMax || oldest === segment) return;
      oldest.indexes.unload();
      this.bytesOf.delete(oldest);
      this.bytes -= bytes;
    }
  }

  forget(segment: Segment): void {
    this.bytes -= this.bytesOf.get(segment) ?? 0;
    this.bytesOf.delete(segment);
  }
}
