/**
 * Where each leader epoch begins in a log. The epoch of a store rises by one at each start, so a consumer that remembers
 * the epoch of its last record can tell whether the log lost records since (KIP-101, KIP-320).
 *
 * Invariant: epochs and start offsets are strictly increasing; an epoch is here only if a batch was appended under it.
 */

export interface EpochEntry {
  readonly epoch: number;
  readonly startOffset: number;
}

export const UNKNOWN_EPOCH = { leaderEpoch: -1, endOffset: -1 } as const;

export class EpochCache {
  private entries: EpochEntry[];

  constructor(entries: readonly EpochEntry[] = []) {
    this.entries = [...entries];
  }

  all(): readonly EpochEntry[] {
    return this.entries;
  }

  /** The epoch of the last batch; -1 when the log never had one. */
  get latest(): number {
    return this.entries.at(-1)?.epoch ?? -1;
  }

  /** A batch of this epoch begins at `offset`. Older epochs than the latest are ignored. */
  assign(epoch: number, offset: number): void {
    const last = this.entries.at(-1);
    if (last !== undefined && epoch <= last.epoch) return;
    // Epochs that begin where this one does never got a record.
    while ((this.entries.at(-1)?.startOffset ?? -1) >= offset) this.entries.pop();
    this.entries.push({ epoch, startOffset: offset });
  }

  /** The epoch of the record at `offset`; -1 when it is older than all we know. */
  epochAt(offset: number): number {
    for (let index = this.entries.length - 1; index >= 0; index--) {
      const entry = this.entries[index] as EpochEntry;
      if (entry.startOffset <= offset) return entry.epoch;
    }
    return -1;
  }

  /** The largest epoch at or below `epoch`, and the offset where the next one begins, or `endOffset`. */
  endOffsetFor(epoch: number, endOffset: number): { leaderEpoch: number; endOffset: number } {
    if (epoch < 0 || epoch > this.latest) return UNKNOWN_EPOCH;
    const next = this.entries.findIndex((entry) => entry.epoch > epoch);
    if (next === -1) return { leaderEpoch: this.latest, endOffset };
    const higher = this.entries[next] as EpochEntry;
    const floor = this.entries[next - 1];
    // Nothing at or below it: all that it can have written ends where the first epoch begins.
    return { leaderEpoch: floor?.epoch ?? epoch, endOffset: higher.startOffset };
  }

  /** The log begins at `offset` now: what ended before is forgotten. */
  truncateStart(offset: number): void {
    let first = 0;
    for (let next = this.entries[1]; next !== undefined && next.startOffset <= offset; ) {
      first++;
      next = this.entries[first + 1];
    }
    const head = this.entries[first];
    if (head === undefined || head.startOffset >= offset) return;
    this.entries = [{ epoch: head.epoch, startOffset: offset }, ...this.entries.slice(first + 1)];
  }
}
