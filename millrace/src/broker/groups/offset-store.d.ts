/**
 * Writes committed offsets: commits, those of transactions, deletions, expiry. What a group's offsets are changes when
 * the records are durable; checks happen when the request comes.
 *
 * Source: KIP-98 and KIP-447 (transactional commits), KIP-211 (expiry), KIP-496 (OffsetDelete); behaviour of Kafka 4.
 */
import type { Clock } from '../../core/env.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalProducer } from '../internal-log.ts';
import type { GroupLog } from './group-log.ts';
import { type PartitionKey } from './group-records.ts';
import type { GroupTable } from './group-table.ts';
import type {
  CommitRequest,
  GroupSettings,
  TopicNames,
  TransactionalCommitRequest,
} from './group-types.ts';
export interface OffsetStoreOptions {
  readonly clock: Clock;
  readonly settings: GroupSettings;
  readonly log: GroupLog;
  readonly table: GroupTable;
  readonly topics: TopicNames;
}
export declare class OffsetStore {
  private readonly clock;
  private readonly settings;
  private readonly log;
  private readonly table;
  private readonly topics;
  private readonly open;
  /** Ends that are on their way to the log: a repeated call waits for the first. */
  private readonly ending;
  private sequence;
  constructor(options: OffsetStoreOptions);
  nextSequence(): number;
  /** One error per offset, in their order, once those that were taken are durable. */
  commit(request: CommitRequest): Promise<readonly ErrorName[]>;
  /** As `commit`; the offsets count once the producer's transaction commits. */
  commitInTransaction(request: TransactionalCommitRequest): Promise<readonly ErrorName[]>;
  /** Finds, or for a commit from outside of any membership creates, the group; or says why not. */
  private entryFor;
  private write;
  openTransactions(): InternalProducer[];
  /** Also called by the replay. */
  noteOpen(producer: InternalProducer, groupId: string): void;
  /** The replay saw the end of a transaction. */
  noteEnd(producer: InternalProducer, committed: boolean): void;
  /** Resolves when the marker is durable; at once when the producer has nothing open here. */
  end(producer: InternalProducer, committed: boolean, coordinatorEpoch: number): Promise<void>;
  private applyEnd;
  /** Deletes a group and all its offsets; only one without members. */
  deleteGroup(groupId: string): Promise<ErrorName>;
  private removeGroup;
  /** Deletes single offsets (KIP-496): NONE also for those that are not there. */
  deleteOffsets(
    groupId: string,
    keys: readonly PartitionKey[],
  ): Promise<{
    readonly error: ErrorName;
    readonly partitions: readonly ErrorName[];
  }>;
  /** The topics are gone: nobody can use offsets about them. */
  deleteTopics(
    deleted: readonly {
      readonly id: string;
      readonly name: string;
    }[],
  ): Promise<void>;
  /** Drops what is about topics that do not exist (any more): the process may have stopped between a topic's deletion
   * and that of its offsets. */
  dropOrphans(): Promise<void>;
  /** Whether the topic of that name is the one the offset was committed for. */
  isAbout(topic: string, topicId: string): boolean;
  private removeOffsets;
  private removeKeys;
  /** Forgets what nobody came back for, and the group when nothing is left of it (KIP-211). */
  expire(groupId: string): Promise<void>;
  private isExpired;
}
