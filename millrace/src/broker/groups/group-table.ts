/**
 * All groups of the broker, each with its offsets. A group that was only touched (no member, no offset, nothing in the
 * log) is forgotten at once; any other until it is deleted or its offsets expire.
 */
import { GROUPS_MAX } from '../../core/limits.ts';
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

export class GroupTable {
  private readonly entries = new Map<string, GroupEntry>();
  private readonly host: GroupHost;

  constructor(host: GroupHost) {
    this.host = host;
  }

  get size(): number {
    return this.entries.size;
  }

  get(groupId: string): GroupEntry | undefined {
    return this.entries.get(groupId);
  }

  all(): Iterable<GroupEntry> {
    return this.entries.values();
  }

  ids(): string[] {
    return [...this.entries.keys()];
  }

  /** undefined when there are too many groups. */
  getOrCreate(groupId: string): GroupEntry | undefined {
    if (!this.entries.has(groupId) && this.entries.size >= GROUPS_MAX) return undefined;
    return this.require(groupId);
  }

  /** While the log is replayed: what is there is there, however many. */
  require(groupId: string): GroupEntry {
    return this.entries.get(groupId) ?? this.put(new Group(groupId, this.host), false);
  }

  /** A group as the log has it, with the offsets that were replayed before. */
  restore(metadata: GroupMetadata): void {
    const offsets = this.entries.get(metadata.groupId)?.offsets;
    this.put(Group.restored(metadata, this.host), true, offsets);
  }

  private put(group: Group, stored: boolean, offsets = new GroupOffsets()): GroupEntry {
    const entry = { group, offsets, stored };
    this.entries.set(group.groupId, entry);
    return entry;
  }

  delete(groupId: string): void {
    this.entries.delete(groupId);
  }

  forgetIfIdle(groupId: string): void {
    const entry = this.entries.get(groupId);
    if (entry !== undefined && !entry.stored && entry.group.vacant && entry.offsets.isEmpty) {
      this.entries.delete(groupId);
    }
  }
}
