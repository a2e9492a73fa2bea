/**
 * The memory of all queues together for what could be read again: when it is more than allowed, the queues that had a turn least recently
 * give theirs up.
 */
import { QUEUE_MEMORY_BYTES_MAX } from '../../core/queue-limits.ts';

export interface MemoryHolder {
  giveUpMemory(): void;
}

export class QueueMemory {
  private readonly bytesMax: number;
  /** Those that had a turn last come last. */
  private readonly holders = new Map<MemoryHolder, number>();
  bytes = 0;
  /** Who reported last. */
  private newest: MemoryHolder | undefined;

  constructor(bytesMax: number = QUEUE_MEMORY_BYTES_MAX) {
    this.bytesMax = bytesMax;
  }

  /** `holder` has so much now. */
  report(holder: MemoryHolder, bytes: number): void {
    const before = this.holders.get(holder);
    if (before === undefined && bytes === 0) return;
    this.bytes += bytes - (before ?? 0);
    // Whoever is the last one already keeps its place.
    if (holder !== this.newest || bytes === 0) this.holders.delete(holder);
    if (bytes > 0) this.holders.set(holder, bytes);
    this.newest = bytes > 0 ? holder : undefined;
    if (this.bytes > this.bytesMax) this.shrink(this.bytesMax, holder);
  }

  /** Makes all give up all of it, but for `except`, until no more than this is left. */
  shrink(bytesMax: number, except?: MemoryHolder): void {
    for (const [other, otherBytes] of this.holders) {
      if (other === except || this.bytes <= bytesMax) return;
      this.holders.delete(other);
      this.bytes -= otherBytes;
      other.giveUpMemory();
    }
  }
}
