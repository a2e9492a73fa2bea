/**
 * The committed offsets of one group: what is durable, what an open transaction would make of it, and what is on its way
 * to the log. Plain state; `offset-store.ts` writes it.
 *
 * Invariant: changes are applied in the order of the log, and a value has the sequence number of its place there: the
 * latest write of a partition wins, and an older transactional one does not undo it when its transaction commits.
 */
import type { OffsetValue, PartitionKey } from './group-records.ts';

export interface SequencedOffset {
  readonly value: OffsetValue;
  /** Grows with every write of this process and of the log that it replayed. */
  readonly sequence: number;
}

/** Values by topic and partition. */
class PartitionMap<Value> {
  private readonly topics = new Map<string, Map<number, Value>>();

  get isEmpty(): boolean {
    return this.topics.size === 0;
  }

  get(key: PartitionKey): Value | undefined {
    return this.topics.get(key.topic)?.get(key.partition);
  }

  set(key: PartitionKey, value: Value): void {
    let partitions = this.topics.get(key.topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.topics.set(key.topic, partitions);
    }
    partitions.set(key.partition, value);
  }

  delete(key: PartitionKey): void {
    const partitions = this.topics.get(key.topic);
    if (partitions?.delete(key.partition) === true && partitions.size === 0) {
      this.topics.delete(key.topic);
    }
  }

  *entries(): Generator<[PartitionKey, Value]> {
    for (const [topic, partitions] of this.topics) {
      for (const [partition, value] of partitions) yield [{ topic, partition }, value];
    }
  }
}

export class GroupOffsets {
  private readonly committed = new PartitionMap<SequencedOffset>();
  /** By producer id: what its open transaction will commit. */
  private readonly pending = new Map<number, PartitionMap<SequencedOffset>>();
  /** Writes on their way to the log, and how many of them belong to transactions. */
  private readonly flying = new PartitionMap<number>();
  private readonly flyingTransactional = new PartitionMap<number>();

  /** Nothing is kept, pending or on its way. */
  get isEmpty(): boolean {
    return this.committed.isEmpty && this.pending.size === 0 && this.flying.isEmpty;
  }

  /** The durable one. */
  get(key: PartitionKey): OffsetValue | undefined {
    return this.committed.get(key)?.value;
  }

  /** Whether an open transaction may still change it. */
  isUnstable(key: PartitionKey): boolean {
    if (this.flyingTransactional.get(key) !== undefined) return true;
    for (const offsets of this.pending.values()) {
      if (offsets.get(key) !== undefined) return true;
    }
    return false;
  }

  /** A write is on its way that will change it. */
  isFlying(key: PartitionKey): boolean {
    return this.flying.get(key) !== undefined;
  }

  all(): Iterable<[PartitionKey, SequencedOffset]> {
    return this.committed.entries();
  }

  /** Everything that the log may hold of the group, also what is not durable yet, each key once. */
  keys(): PartitionKey[] {
    const keys = new PartitionMap<true>();
    for (const [key] of this.committed.entries()) keys.set(key, true);
    for (const [key] of this.flying.entries()) keys.set(key, true);
    for (const offsets of this.pending.values()) {
      for (const [key] of offsets.entries()) keys.set(key, true);
    }
    return [...keys.entries()].map(([key]) => key);
  }

  has(key: PartitionKey): boolean {
    return this.get(key) !== undefined || this.isFlying(key) || this.isUnstable(key);
  }

  takeOff(key: PartitionKey, transactional: boolean): void {
    count(this.flying, key, 1);
    if (transactional) count(this.flyingTransactional, key, 1);
  }

  land(key: PartitionKey, transactional: boolean): void {
    count(this.flying, key, -1);
    if (transactional) count(this.flyingTransactional, key, -1);
  }

  /** A durable commit; with a producer id one that its transaction has to confirm. */
  apply(key: PartitionKey, offset: SequencedOffset, producerId?: number): void {
    const offsets = producerId === undefined ? this.committed : this.pendingOf(producerId);
    const existing = offsets.get(key);
    if (existing === undefined || existing.sequence < offset.sequence) offsets.set(key, offset);
  }

  /** A durable tombstone, which also takes back what open transactions wrote before it. */
  remove(key: PartitionKey): void {
    this.committed.delete(key);
    for (const [producerId, offsets] of this.pending) {
      offsets.delete(key);
      if (offsets.isEmpty) this.pending.delete(producerId);
    }
  }

  /** The producer's transaction has ended. */
  complete(producerId: number, committed: boolean): void {
    const offsets = this.pending.get(producerId);
    this.pending.delete(producerId);
    if (offsets === undefined || !committed) return;
    for (const [key, offset] of offsets.entries()) this.apply(key, offset);
  }

  private pendingOf(producerId: number): PartitionMap<SequencedOffset> {
    let offsets = this.pending.get(producerId);
    if (offsets === undefined) {
      offsets = new PartitionMap();
      this.pending.set(producerId, offsets);
    }
    return offsets;
  }
}

function count(counts: PartitionMap<number>, key: PartitionKey, by: 1 | -1): void {
  const total = (counts.get(key) ?? 0) + by;
  if (total === 0) counts.delete(key);
  else counts.set(key, total);
}
