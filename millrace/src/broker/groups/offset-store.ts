/**
 * Writes committed offsets: commits, those of transactions, deletions, expiry. What a group's offsets are changes when
 * the records are durable; checks happen when the request comes.
 *
 * Source: KIP-98 and KIP-447 (transactional commits), KIP-211 (expiry), KIP-496 (OffsetDelete); behaviour of Kafka 4.
 */
import type { Clock } from '../../core/env.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalProducer, InternalRecord } from '../internal-log.ts';
import type { GroupLog } from './group-log.ts';
import {
  groupTombstone,
  offsetRecord,
  offsetTombstone,
  type OffsetValue,
  type PartitionKey,
} from './group-records.ts';
import type { GroupEntry, GroupTable } from './group-table.ts';
import type {
  CommitRequest,
  GroupSettings,
  OffsetToCommit,
  TopicNames,
  TransactionalCommitRequest,
} from './group-types.ts';

const MINUTE_MS = 60_000;

/** A producer's open transaction, as far as offsets are concerned. */
interface OpenTransaction {
  readonly producer: InternalProducer;
  readonly groupIds: Set<string>;
}

interface Write {
  readonly key: PartitionKey;
  readonly value: OffsetValue;
  readonly sequence: number;
}

export interface OffsetStoreOptions {
  readonly clock: Clock;
  readonly settings: GroupSettings;
  readonly log: GroupLog;
  readonly table: GroupTable;
  readonly topics: TopicNames;
}

export class OffsetStore {
  private readonly clock: Clock;
  private readonly settings: GroupSettings;
  private readonly log: GroupLog;
  private readonly table: GroupTable;
  private readonly topics: TopicNames;
  private readonly open = new Map<number, OpenTransaction>();
  /** Ends that are on their way to the log: a repeated call waits for the first. */
  private readonly ending = new Map<number, Promise<void>>();
  private sequence = 0;

  constructor(options: OffsetStoreOptions) {
    this.clock = options.clock;
    this.settings = options.settings;
    this.log = options.log;
    this.table = options.table;
    this.topics = options.topics;
  }

  nextSequence(): number {
    this.sequence += 1;
    return this.sequence;
  }

  // Commits ----------------------------------------------------------------------------------------------------

  /** One error per offset, in their order, once those that were taken are durable. */
  commit(request: CommitRequest): Promise<readonly ErrorName[]> {
    const entry = this.entryFor(request, false);
    if (typeof entry === 'string') return Promise.resolve(request.offsets.map(() => entry));
    const nowMs = this.clock.nowMs();
    const expireTimestampMs = request.retentionMs >= 0 ? nowMs + request.retentionMs : -1;
    return this.write(entry, request.offsets, { commitTimestampMs: nowMs, expireTimestampMs });
  }

  /** As `commit`; the offsets count once the producer's transaction commits. */
  commitInTransaction(request: TransactionalCommitRequest): Promise<readonly ErrorName[]> {
    const { producerId, producerEpoch } = request;
    const known = this.open.get(producerId);
    if (known !== undefined && known.producer.producerEpoch > producerEpoch) {
      return Promise.resolve(request.offsets.map(() => 'INVALID_PRODUCER_EPOCH'));
    }
    const entry = this.entryFor(request, true);
    if (typeof entry === 'string') return Promise.resolve(request.offsets.map(() => entry));
    const producer = { producerId, producerEpoch };
    this.noteOpen(producer, request.groupId);
    return this.write(entry, request.offsets, {
      commitTimestampMs: this.clock.nowMs(),
      expireTimestampMs: -1,
      producer,
    });
  }

  /** Finds, or for a commit from outside of any membership creates, the group; or says why not. */
  private entryFor(
    request: CommitRequest | TransactionalCommitRequest,
    transactional: boolean,
  ): GroupEntry | ErrorName {
    const existing = this.table.get(request.groupId);
    if (existing === undefined && request.generation >= 0) return 'ILLEGAL_GENERATION';
    const entry = existing ?? this.table.getOrCreate(request.groupId);
    if (entry === undefined) return 'POLICY_VIOLATION';
    const error = entry.group.checkCommit(request, transactional);
    if (error === 'NONE') return entry;
    this.table.forgetIfIdle(request.groupId);
    return error;
  }

  private write(
    entry: GroupEntry,
    offsets: readonly OffsetToCommit[],
    common: {
      readonly commitTimestampMs: number;
      readonly expireTimestampMs: number;
      readonly producer?: InternalProducer;
    },
  ): Promise<readonly ErrorName[]> {
    const { commitTimestampMs, expireTimestampMs, producer } = common;
    const transactional = producer !== undefined;
    const { groupId } = entry.group;
    const writes: Write[] = [];
    const records: InternalRecord[] = [];
    const errors = offsets.map((offset): ErrorName => {
      const metadata = offset.metadata ?? '';
      if (Buffer.byteLength(metadata) > this.settings.offsetMetadataMaxBytes) {
        return 'OFFSET_METADATA_TOO_LARGE';
      }
      const key = { topic: offset.topic, partition: offset.partition };
      const value = {
        offset: offset.offset,
        leaderEpoch: offset.leaderEpoch,
        metadata,
        commitTimestampMs,
        expireTimestampMs,
        topicId: this.topics.idOf(offset.topic) ?? '',
      };
      records.push(offsetRecord(groupId, key, value));
      writes.push({ key, value, sequence: this.nextSequence() });
      return 'NONE';
    });
    if (writes.length === 0) {
      this.table.forgetIfIdle(groupId);
      return Promise.resolve(errors);
    }
    for (const { key } of writes) entry.offsets.takeOff(key, transactional);
    return new Promise((resolve) => {
      const done = (error: ErrorName): void => {
        for (const { key, value, sequence } of writes) {
          if (error === 'NONE') {
            entry.offsets.apply(key, { value, sequence }, producer?.producerId);
          }
          entry.offsets.land(key, transactional);
        }
        this.table.forgetIfIdle(groupId);
        resolve(errors.map((each) => (each === 'NONE' ? error : each)));
      };
      this.log.append(records, done, producer);
    });
  }

  // Transactions -----------------------------------------------------------------------------------------------

  openTransactions(): InternalProducer[] {
    return [...this.open.values()].map(({ producer }) => producer);
  }

  /** Also called by the replay. */
  noteOpen(producer: InternalProducer, groupId: string): void {
    const known = this.open.get(producer.producerId);
    const groupIds = known?.groupIds ?? new Set<string>();
    groupIds.add(groupId);
    if (known === undefined || known.producer.producerEpoch < producer.producerEpoch) {
      this.open.set(producer.producerId, { producer, groupIds });
    }
  }

  /** The replay saw the end of a transaction. */
  noteEnd(producer: InternalProducer, committed: boolean): void {
    const transaction = this.open.get(producer.producerId);
    this.open.delete(producer.producerId);
    if (transaction !== undefined) this.applyEnd(transaction, committed);
  }

  /** Resolves when the marker is durable; at once when the producer has nothing open here. */
  end(producer: InternalProducer, committed: boolean, coordinatorEpoch: number): Promise<void> {
    const { producerId, producerEpoch } = producer;
    const ending = this.ending.get(producerId);
    if (ending !== undefined) return ending;
    const transaction = this.open.get(producerId);
    if (transaction === undefined || transaction.producer.producerEpoch > producerEpoch) {
      return Promise.resolve();
    }
    // What the producer commits from here on belongs to its next transaction.
    this.open.delete(producerId);
    const promise = new Promise<void>((resolve, reject) => {
      this.log.marker({ producer, committed, coordinatorEpoch }, (error, cause) => {
        this.ending.delete(producerId);
        if (error === 'NONE') {
          this.applyEnd(transaction, committed);
          resolve();
        } else {
          for (const groupId of transaction.groupIds) this.noteOpen(transaction.producer, groupId);
          reject(cause);
        }
      });
    });
    this.ending.set(producerId, promise);
    return promise;
  }

  private applyEnd(transaction: OpenTransaction, committed: boolean): void {
    for (const groupId of transaction.groupIds) {
      this.table.get(groupId)?.offsets.complete(transaction.producer.producerId, committed);
      this.table.forgetIfIdle(groupId);
    }
  }

  // Deletions --------------------------------------------------------------------------------------------------

  /** Deletes a group and all its offsets; only one without members. */
  deleteGroup(groupId: string): Promise<ErrorName> {
    const entry = this.table.get(groupId);
    if (entry === undefined || entry.group.state === 'Dead') {
      return Promise.resolve('GROUP_ID_NOT_FOUND');
    }
    if (entry.group.state !== 'Empty') return Promise.resolve('NON_EMPTY_GROUP');
    return this.removeGroup(entry);
  }

  private removeGroup(entry: GroupEntry): Promise<ErrorName> {
    const { group, offsets } = entry;
    group.retire();
    const keys = offsets.keys();
    const records = keys.map((key) => offsetTombstone(group.groupId, key));
    records.push(groupTombstone(group.groupId));
    return this.removeKeys(entry, keys, records).then((error) => {
      if (error === 'NONE') this.table.delete(group.groupId);
      else group.revive();
      return error;
    });
  }

  /** Deletes single offsets (KIP-496): NONE also for those that are not there. */
  async deleteOffsets(
    groupId: string,
    keys: readonly PartitionKey[],
  ): Promise<{ readonly error: ErrorName; readonly partitions: readonly ErrorName[] }> {
    const entry = this.table.get(groupId);
    const refused = entry?.group.checkOffsetDelete() ?? 'GROUP_ID_NOT_FOUND';
    if (entry === undefined || refused !== 'NONE') return { error: refused, partitions: [] };
    const errors = keys.map(
      ({ topic }): ErrorName =>
        entry.group.consumes(topic) ? 'GROUP_SUBSCRIBED_TO_TOPIC' : 'NONE',
    );
    const free = keys.filter((key, index) => errors[index] === 'NONE' && entry.offsets.has(key));
    const error = await this.removeOffsets(entry, free);
    return { error: 'NONE', partitions: errors.map((each) => (each === 'NONE' ? error : each)) };
  }

  /** The topics are gone: nobody can use offsets about them. What cannot be written now is out of sight because of the
   * topic's id, and goes at the next start. */
  async deleteTopics(
    deleted: readonly { readonly id: string; readonly name: string }[],
  ): Promise<void> {
    const ids = new Map(deleted.map(({ id, name }) => [name, id]));
    const removals: Promise<ErrorName>[] = [];
    for (const entry of this.table.all()) {
      const keys = entry.offsets.keys().filter((key) => {
        const id = ids.get(key.topic);
        // A topic of that name that was created since has its own offsets.
        const topicId = entry.offsets.get(key)?.topicId ?? '';
        return id !== undefined && (topicId === '' || topicId === id);
      });
      if (keys.length > 0) removals.push(this.removeOffsets(entry, keys));
    }
    await Promise.all(removals);
  }

  /** Drops what is about topics that do not exist (any more): the process may have stopped between a topic's deletion
   * and that of its offsets. */
  async dropOrphans(): Promise<void> {
    const removals: Promise<ErrorName>[] = [];
    for (const entry of this.table.all()) {
      const keys = [...entry.offsets.all()]
        .filter(([key, { value }]) => !this.isAbout(key.topic, value.topicId))
        .map(([key]) => key);
      if (keys.length > 0) removals.push(this.removeOffsets(entry, keys));
    }
    await Promise.all(removals);
  }

  /** Whether the topic of that name is the one the offset was committed for. */
  isAbout(topic: string, topicId: string): boolean {
    const id = this.topics.idOf(topic);
    return id !== undefined && (topicId === '' || topicId === id);
  }

  private removeOffsets(entry: GroupEntry, keys: readonly PartitionKey[]): Promise<ErrorName> {
    const records = keys.map((key) => offsetTombstone(entry.group.groupId, key));
    return this.removeKeys(entry, keys, records);
  }

  private removeKeys(
    entry: GroupEntry,
    keys: readonly PartitionKey[],
    records: readonly InternalRecord[],
  ): Promise<ErrorName> {
    if (records.length === 0) return Promise.resolve('NONE');
    return new Promise((resolve) => {
      this.log.append(records, (error) => {
        if (error === 'NONE') {
          for (const key of keys) entry.offsets.remove(key);
        }
        this.table.forgetIfIdle(entry.group.groupId);
        resolve(error);
      });
    });
  }

  // Expiry -----------------------------------------------------------------------------------------------------

  /** Forgets what nobody came back for, and the group when nothing is left of it (KIP-211). */
  async expire(groupId: string): Promise<void> {
    const entry = this.table.get(groupId);
    if (entry === undefined || entry.group.state === 'Dead') return;
    const expired: PartitionKey[] = [];
    let kept = 0;
    for (const [key, { value }] of entry.offsets.all()) {
      if (this.isExpired(entry, key, value)) expired.push(key);
      else kept += 1;
    }
    const all = kept === 0 && expired.length === entry.offsets.keys().length;
    if (all && entry.group.vacant) await this.removeGroup(entry);
    else if (expired.length > 0) await this.removeOffsets(entry, expired);
  }

  private isExpired(
    { group, offsets }: GroupEntry,
    key: PartitionKey,
    value: OffsetValue,
  ): boolean {
    if (group.consumes(key.topic) || offsets.isUnstable(key) || offsets.isFlying(key)) return false;
    // With members that are not plainly consumers of topics we cannot know what is in use.
    const simple = group.protocolType === null;
    const idle = group.state === 'Empty';
    if (!simple && !idle && !(group.state === 'Stable' && group.protocolType === 'consumer')) {
      return false;
    }
    const nowMs = this.clock.nowMs();
    if (value.expireTimestampMs >= 0) return nowMs >= value.expireTimestampMs;
    const sinceMs =
      !simple && idle && group.changedMs >= 0 ? group.changedMs : value.commitTimestampMs;
    return nowMs - sinceMs >= this.settings.offsetsRetentionMinutes * MINUTE_MS;
  }
}
