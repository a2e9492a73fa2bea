import { GroupOffsets } from './group-offsets.ts';
import type { GroupMetadata } from './group-types.ts';
import { Group } from './group.ts';
import type { GroupHost } from './rebalance.ts';
export interface GroupEntry {
  readonly group: Group;
  readonly offsets: GroupOffsets;
  /** The log has, or may have, a record of the group itself. */
  stored: boolean;
}
export declare class GroupTable {
  private readonly entries;
  private readonly host;
  constructor(host: GroupHost);
  get size(): number;
  get(groupId: string): GroupEntry | undefined;
  all(): Iterable<GroupEntry>;
  ids(): string[];
  /** undefined when there are too many groups. */
  getOrCreate(groupId: string): GroupEntry | undefined;
  /** While the log is replayed: what is there is there, however many. */
  require(groupId: string): GroupEntry;
  /** A group as the log has it, with the offsets that were replayed before. */
  restore(metadata: GroupMetadata): void;
  private put;
  delete(groupId: string): void;
  forgetIfIdle(groupId: string): void;
}
