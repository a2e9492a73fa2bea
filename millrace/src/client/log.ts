/**
 * The Log port: what engines, connectors and programs know of a log. `openEmbedded` (a broker in this process, without sockets) and
 * `connectKafka` (the network: Apache Kafka, or another Millrace) make one; both speak Kafka's protocol to what is behind them, so that
 * there is one implementation with several ways to carry its bytes, and one contract suite.
 *
 * Batches cross it, records do not: what is read are whole record batches, what is appended goes into batches that are being filled.
 *
 * Source: KIP-98 (transactions), KIP-447 (offsets of a group in a transaction, fenced by its generation), KIP-345 (static members).
 */
import type { Env } from '../core/env.ts';
import type { RecordBytes, RecordHeader } from '../wire/kafka/records/record-batch-builder.ts';

export type { RecordBytes, RecordHeader } from '../wire/kafka/records/record-batch-builder.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface TopicDescription {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
}

export interface TopicSpec {
  readonly name: string;
  /** undefined: what the broker does by itself. */
  readonly partitions: number | undefined;
  readonly configs: Readonly<Record<string, string>>;
}

export interface Log {
  readonly env: Env;
  /** For people: `127.0.0.1:9092`, `./data`. */
  readonly label: string;
  /** Topics that exist, by name. @param names undefined: all that are not internal */
  topics(names?: readonly string[]): Promise<ReadonlyMap<string, TopicDescription>>;
  /** Creates those that do not exist, and leaves alone those that do. Resolves when all can be written. */
  createTopics(topics: readonly TopicSpec[]): Promise<void>;
  /** @throws {MillraceError} ML_TOPIC_MISSING */
  deleteTopics(names: readonly string[]): Promise<void>;
  /** The settings of a topic. @throws {MillraceError} ML_TOPIC_MISSING */
  topicConfig(name: string): Promise<ReadonlyMap<string, string>>;
  /** Deletes records before the offset of each partition. */
  deleteRecords(before: readonly (TopicPartition & { readonly offset: number })[]): Promise<void>;
  /**
   * An offset for each partition: of its first record; one past its last one; one past the last that readers of committed records see;
   * of the first record with at least that timestamp (undefined: there is none).
   * @throws {MillraceError} ML_TOPIC_MISSING
   */
  offsets(
    partitions: readonly TopicPartition[],
    at: 'beginning' | 'end' | 'stable' | { readonly timestamp: number },
  ): Promise<readonly (number | undefined)[]>;
  /** What a group has committed; waits for transactions that are about to commit (KIP-447). */
  committed(
    group: string,
    partitions: readonly TopicPartition[],
  ): Promise<readonly (CommittedOffset | undefined)[]>;
  /** Sets the offsets of a group that has no members. Without an offset: forgets it. */
  setCommitted(
    group: string,
    offsets: readonly (TopicPartition & { readonly offset: number | undefined })[],
  ): Promise<void>;
  /** Forgets a group that has no members. */
  deleteGroup(group: string): Promise<void>;
  reader(options: ReaderOptions): LogReader;
  producer(options: ProducerOptions): Promise<LogProducer>;
  member(options: MemberOptions): GroupMembership;
  /** Closes its readers, producers and members, too. Idempotent. */
  close(): Promise<void>;
}

export interface CommittedOffset {
  readonly offset: number;
  readonly metadata: string;
}

export interface ReaderOptions {
  /** Also what transactions that are open, or were aborted, have written. */
  readonly uncommitted: boolean;
  /** Bytes of one answer, and of one partition in it. Defaults 8 MiB and 1 MiB. */
  readonly bytesMax?: number;
  readonly partitionBytesMax?: number;
}

/** Records of one partition; `visibleBatches` goes through them. */
export interface LogRecords extends TopicPartition {
  readonly from: number;
  readonly next: number;
  readonly bytes: Buffer;
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
  /** One past the last record that this reader could see when the broker answered: `next === end` means caught up. */
  readonly end: number;
}

export interface LogReader {
  /** Reads these partitions, too, from these offsets on; what is read already jumps there. */
  assign(positions: readonly (TopicPartition & { readonly offset: number })[]): void;
  /** Reads them no more; what of them is under way is dropped. */
  unassign(partitions: readonly TopicPartition[]): void;
  /** Does not ask for them until `resume`; what of them is under way still comes. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /**
   * What has arrived, of any partition; empty after `waitMs`, or at `wake`. An entry without records says that a partition was found to
   * be at its end. The next request is under way when it returns.
   * @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE, ML_TOPIC_MISSING (with topic and partition in `fields`), ML_CONNECTION_LOST, …
   */
  poll(waitMs: number): Promise<readonly LogRecords[]>;
  wake(): void;
  close(): void;
}

export interface ProducerOptions {
  /** Fences whoever used it before, and aborts what that has open. undefined: idempotent, without transactions. */
  readonly transactionalId?: string;
  /** The broker aborts a transaction that lasts longer. Default 60,000. */
  readonly transactionTimeoutMs?: number;
  /** Default 'none'. */
  readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
}

export interface LogProducer {
  /**
   * Takes a record into the batch of its partition; full batches are sent at once, others at `flush`. Synchronous, copies the bytes. A
   * transaction begins by itself with the first record.
   * @param timestamp milliseconds since 1970
   * @throws {MillraceError} ML_RECORDS_TOO_LARGE, and what a batch before it has failed with
   */
  append(
    topic: string,
    partition: number,
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers?: readonly RecordHeader[],
  ): void;
  /** Bytes that are not acknowledged. Who produces fast waits for `flush`, or `drained`, above a bound of its own. */
  readonly unsentBytes: number;
  /** Resolves when at most `bytes` are not acknowledged. */
  drained(bytes: number): Promise<void>;
  /** Sends all, and waits until all is acknowledged. @throws {MillraceError} ML_PRODUCER_FENCED, ML_TOPIC_MISSING, ML_DISK_FULL… */
  flush(): Promise<void>;
  /** One past the last record of this producer in a partition that was acknowledged; undefined: none was. */
  nextOffset(topic: string, partition: number): number | undefined;
  /**
   * Flushes, adds the offsets, ends the transaction: all or nothing. Resolved: all of it is durable and visible (with Apache Kafka a
   * moment later: who takes over the transactional id, or asks for `committed`, waits for that). Without records and offsets it does
   * nothing. After a failure only `abort` helps.
   * @throws {MillraceError} ML_PRODUCER_FENCED (somebody else has the id), ML_GROUP_LOST (the group has gone on without this member):
   * nothing of it counts. When it is not known how it ended it goes on asking.
   */
  commit(offsets?: TransactionOffsets): Promise<void>;
  /** Drops what was appended since the last commit. */
  abort(): Promise<void>;
  /** Aborts what is open. Idempotent. */
  close(): Promise<void>;
}

export interface TransactionOffsets {
  readonly group: GroupIdentity;
  readonly offsets: readonly (TopicPartition & {
    readonly offset: number;
    readonly metadata: string;
  })[];
}

/** A member in a generation of its group: what fences it. */
export interface GroupIdentity {
  readonly group: string;
  readonly generation: number;
  readonly memberId: string;
  readonly instanceId: string | undefined;
}

export interface MemberOptions {
  readonly group: string;
  /** A static member: who comes back under it within the session has its partitions at once (KIP-345). */
  readonly instanceId?: string;
  /** Default 10,000. */
  readonly sessionMs?: number;
  /** Names of assignment protocols, the preferred first: the group takes one that all members know. */
  readonly protocols: readonly string[];
  /** What this member reads. */
  readonly topics: () => readonly string[];
  /** What the leader is told of this member. */
  readonly userData: () => Uint8Array;
  /** Called on the member that leads the group: what each of the members is given. */
  readonly assign: (
    members: readonly MemberSubscription[],
    protocol: string,
  ) => Promise<ReadonlyMap<string, MemberAssignment>>;
  /** The group deals out anew: commit, then `join`. Or it cannot be reached: `join` says why. */
  readonly onRebalance: () => void;
}

export interface MemberSubscription {
  readonly memberId: string;
  readonly topics: readonly string[];
  readonly userData: Buffer;
}

export interface MemberAssignment {
  readonly partitions: readonly TopicPartition[];
  readonly userData: Uint8Array;
}

export interface GroupMembership {
  /** Joins, or joins again, and waits for the other members. @throws {MillraceError} ML_GROUP_FENCED: another process has this instance id */
  join(): Promise<{
    readonly partitions: readonly TopicPartition[];
    readonly userData: Buffer;
    readonly isLeader: boolean;
  }>;
  readonly identity: GroupIdentity;
  readonly isRebalancing: boolean;
  /** Commits offsets without a transaction. @throws {MillraceError} ML_GROUP_LOST: nothing of it counts */
  commit(offsets: TransactionOffsets['offsets']): Promise<void>;
  /** Leaves, so that the others need not wait for the end of the session. A static member that will be back says `keep`. Never rejects. */
  leave(how?: 'keep'): Promise<void>;
}
