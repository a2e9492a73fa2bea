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
export declare class GroupOffsets {
  private readonly committed;
  /** By producer id: what its open transaction will commit. */
  private readonly pending;
  /** Writes on their way to the log, and how many of them belong to transactions. */
  private readonly flying;
  private readonly flyingTransactional;
  /** Nothing is kept, pending or on its way. */
  get isEmpty(): boolean;
  /** The durable one. */
  get(key: PartitionKey): OffsetValue | undefined;
  /** Whether an open transaction may still change it. */
  isUnstable(key: PartitionKey): boolean;
  /** A write is on its way that will change it. */
  isFlying(key: PartitionKey): boolean;
  all(): Iterable<[PartitionKey, SequencedOffset]>;
  /** Everything that the log may hold of the group, also what is not durable yet, each key once. */
  keys(): PartitionKey[];
  has(key: PartitionKey): boolean;
  takeOff(key: PartitionKey, transactional: boolean): void;
  land(key: PartitionKey, transactional: boolean): void;
  /** A durable commit; with a producer id one that its transaction has to confirm. */
  apply(key: PartitionKey, offset: SequencedOffset, producerId?: number): void;
  /** A durable tombstone, which also takes back what open transactions wrote before it. */
  remove(key: PartitionKey): void;
  /** The producer's transaction has ended. */
  complete(producerId: number, committed: boolean): void;
  private pendingOf;
}
