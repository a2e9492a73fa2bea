/**
 * The group coordinator: consumer groups and their committed offsets, kept in `__consumer_offsets` (one partition,
 * Kafka's record schemas), replayed at start.
 *
 * Invariant: what is answered as done is durable. Group ids are the clients' words; nothing of them reaches a path.
 *
 * Source: Kafka's classic group protocol as in Apache Kafka 4 (see `group.ts`, `rebalance.ts`, `offset-store.ts`).
 */
import { Background } from '../../core/background.ts';
import type { Env, Timer } from '../../core/env.ts';
import {
  CLOCK_JUMP_HOLD_MS,
  CLOCK_JUMP_MS_MAX,
  GROUP_EXPIRY_SLICE,
  MEMBER_METADATA_BYTES_MAX,
} from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalLog, InternalProducer } from '../internal-log.ts';
import { refusedJoin, refusedSync } from './answers.ts';
import { GroupLog } from './group-log.ts';
import { groupRecord, type PartitionKey } from './group-records.ts';
import { replayGroups } from './group-replay.ts';
import { GroupTable } from './group-table.ts';
import type {
  CommitRequest,
  CommittedOffset,
  GroupDescription,
  GroupListing,
  GroupMetadata,
  GroupSettings,
  HeartbeatRequest,
  JoinRequest,
  JoinResult,
  LeaveResult,
  LeavingMember,
  SyncRequest,
  SyncResult,
  TopicNames,
  TransactionalCommitRequest,
} from './group-types.ts';
import { OffsetStore } from './offset-store.ts';

/** Every method answers with Kafka's error names; none throws because of what a client sent. */
export interface GroupCoordinator {
  /**
   * Resolves when the rebalance is over, at the latest after the group's rebalance timeout, or five minutes for a new
   * member. Buffers of the request are copied.
   * @param signal fires when the client's connection is gone
   */
  join(groupId: string, request: JoinRequest, signal: AbortSignal): Promise<JoinResult>;
  /** Resolves when the leader's assignments are durable, or another rebalance has begun. */
  sync(groupId: string, request: SyncRequest): Promise<SyncResult>;
  heartbeat(groupId: string, request: HeartbeatRequest): ErrorName;
  leave(groupId: string, members: readonly LeavingMember[]): Promise<LeaveResult>;

  /** One error per offset, in their order, once they are durable. The caller has checked that the topics exist. */
  commitOffsets(request: CommitRequest): Promise<readonly ErrorName[]>;
  /** As `commitOffsets`; the offsets count once the producer's transaction commits. The caller has checked the
   * producer's id, epoch and transaction in the same turn of the event loop. */
  commitTransactionalOffsets(request: TransactionalCommitRequest): Promise<readonly ErrorName[]>;
  /**
   * Writes the end of the producer's transaction to `__consumer_offsets` and makes its offsets count, or drops them.
   * Resolves when that is durable; at once when the producer has nothing open here, so it may be repeated.
   * @throws {MillraceError} as `InternalLog.appendMarker`; the transaction stays open
   */
  completeTransaction(
    producer: InternalProducer,
    committed: boolean,
    coordinatorEpoch: number,
  ): Promise<void>;
  /** Producers with offsets in an open transaction. */
  openTransactions(): InternalProducer[];

  /** The durable offset, unless its topic is gone. */
  committedOffset(groupId: string, key: PartitionKey): CommittedOffset | undefined;
  /** Whether an open transaction may still change the offset (KIP-447). */
  isUnstable(groupId: string, key: PartitionKey): boolean;
  /** Partitions that the group has an offset for. */
  partitionsWithOffsets(groupId: string): PartitionKey[];
  deleteOffsets(
    groupId: string,
    keys: readonly PartitionKey[],
  ): Promise<{ readonly error: ErrorName; readonly partitions: readonly ErrorName[] }>;
  /** To be called when topics have been deleted; resolves when their offsets are, durably. */
  onTopicsDeleted(topics: readonly { readonly id: string; readonly name: string }[]): Promise<void>;

  /** undefined when there is no such group. */
  describe(groupId: string): GroupDescription | undefined;
  list(): GroupListing[];
  /** NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, or NONE once the group and its offsets are gone, durably. */
  deleteGroup(groupId: string): Promise<ErrorName>;

  /** Forgets the offsets that are due; also runs by itself (offsets.retention.check.interval.ms). */
  expireOffsets(): Promise<void>;
  /** Answers what waits with NOT_COORDINATOR and waits for the log. Idempotent. */
  close(): Promise<void>;
}

export interface GroupCoordinatorOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  /** `__consumer_offsets`. */
  readonly log: InternalLog;
  readonly topics: TopicNames;
}

/** Replays the log; the topics must be known by then. Restored members have a full session from now on. */
export async function openGroupCoordinator(
  options: GroupCoordinatorOptions,
): Promise<GroupCoordinator> {
  const coordinator = new Coordinator(options);
  await coordinator.open(options.log);
  return coordinator;
}

class Coordinator implements GroupCoordinator {
  private readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  private readonly logger: Logger;
  private readonly settings: GroupSettings;
  private readonly log: GroupLog;
  private readonly table: GroupTable;
  private readonly store: OffsetStore;
  private readonly background: Background;
  private expiryTimer: Timer | undefined = undefined;
  private closed = false;
  /** Difference of the clocks at the last look; a jump of the wall clock shows in it. */
  private clockOffsetMs: number;
  private expiryHeldUntilMs = 0;

  constructor({ env, logger, settings, log, topics }: GroupCoordinatorOptions) {
    this.env = env;
    this.logger = logger;
    this.settings = settings;
    this.log = new GroupLog(log, logger);
    this.table = new GroupTable({
      clock: env.clock,
      timers: env.timers,
      logger,
      settings,
      newUuid: () => env.random.uuid(),
      store: (metadata, done) => this.storeGroup(metadata, done),
      idle: (groupId) => this.table.forgetIfIdle(groupId),
    });
    this.store = new OffsetStore({
      clock: env.clock,
      settings,
      log: this.log,
      table: this.table,
      topics,
    });
    this.background = new Background((error, name) => {
      logger.error('Work on consumer groups failed', { error, name });
    });
    this.clockOffsetMs = this.clockOffset();
  }

  async open(log: InternalLog): Promise<void> {
    await replayGroups(log, { table: this.table, store: this.store, logger: this.logger });
    await this.store.dropOrphans();
    for (const { group } of this.table.all()) group.resume();
    this.scheduleExpiry();
  }

  join(groupId: string, request: JoinRequest, signal: AbortSignal): Promise<JoinResult> {
    const refused = this.joinRefusal(groupId, request);
    if (refused !== 'NONE') return Promise.resolve(refusedJoin(refused, request.memberId));
    const entry = this.table.getOrCreate(groupId);
    if (entry === undefined) {
      return Promise.resolve(refusedJoin('POLICY_VIOLATION', request.memberId));
    }
    const protocols = request.protocols.map(({ name, metadata }) => ({
      name,
      metadata: Buffer.from(metadata),
    }));
    return new Promise((resolve) => {
      const gone = (): void => {
        if (parked !== undefined) {
          entry.group.abandonJoin(parked, reply, request.mustKnowId || request.memberId !== '');
        }
      };
      const reply = (result: JoinResult): void => {
        signal.removeEventListener('abort', gone);
        resolve(result);
      };
      const parked = entry.group.join({ ...request, protocols }, reply);
      this.table.forgetIfIdle(groupId);
      if (parked === undefined) return;
      if (signal.aborted) gone();
      else signal.addEventListener('abort', gone, { once: true });
    });
  }

  sync(groupId: string, request: SyncRequest): Promise<SyncResult> {
    const group = this.table.get(groupId)?.group;
    const refused = this.refusal(groupId);
    if (refused !== 'NONE') return Promise.resolve(refusedSync(refused));
    if (group === undefined) return Promise.resolve(refusedSync('UNKNOWN_MEMBER_ID'));
    return new Promise((resolve) => group.sync(request, resolve));
  }

  heartbeat(groupId: string, request: HeartbeatRequest): ErrorName {
    const refused = this.refusal(groupId);
    if (refused !== 'NONE') return refused;
    return this.table.get(groupId)?.group.heartbeat(request) ?? 'UNKNOWN_MEMBER_ID';
  }

  leave(groupId: string, leaving: readonly LeavingMember[]): Promise<LeaveResult> {
    const refused = this.refusal(groupId);
    if (refused !== 'NONE') return Promise.resolve({ error: refused, members: [] });
    const group = this.table.get(groupId)?.group;
    if (group === undefined) {
      const members = leaving.map(({ memberId, instanceId }) => ({
        memberId,
        instanceId,
        error: 'UNKNOWN_MEMBER_ID' as const,
      }));
      return Promise.resolve({ error: 'NONE', members });
    }
    return new Promise((resolve) => group.leave(leaving, resolve));
  }

  commitOffsets(request: CommitRequest): Promise<readonly ErrorName[]> {
    if (this.closed) return Promise.resolve(request.offsets.map(() => 'NOT_COORDINATOR'));
    return this.store.commit(request);
  }

  commitTransactionalOffsets(request: TransactionalCommitRequest): Promise<readonly ErrorName[]> {
    if (this.closed) return Promise.resolve(request.offsets.map(() => 'NOT_COORDINATOR'));
    return this.store.commitInTransaction(request);
  }

  completeTransaction(
    producer: InternalProducer,
    committed: boolean,
    coordinatorEpoch: number,
  ): Promise<void> {
    return this.store.end(producer, committed, coordinatorEpoch);
  }

  openTransactions(): InternalProducer[] {
    return this.store.openTransactions();
  }

  committedOffset(groupId: string, key: PartitionKey): CommittedOffset | undefined {
    const value = this.table.get(groupId)?.offsets.get(key);
    return value !== undefined && this.store.isAbout(key.topic, value.topicId) ? value : undefined;
  }

  isUnstable(groupId: string, key: PartitionKey): boolean {
    return this.table.get(groupId)?.offsets.isUnstable(key) ?? false;
  }

  partitionsWithOffsets(groupId: string): PartitionKey[] {
    const offsets = this.table.get(groupId)?.offsets.all() ?? [];
    return [...offsets]
      .filter(([key, { value }]) => this.store.isAbout(key.topic, value.topicId))
      .map(([key]) => key);
  }

  deleteOffsets(
    groupId: string,
    keys: readonly PartitionKey[],
  ): Promise<{ readonly error: ErrorName; readonly partitions: readonly ErrorName[] }> {
    if (this.closed) return Promise.resolve({ error: 'NOT_COORDINATOR', partitions: [] });
    return this.store.deleteOffsets(groupId, keys);
  }

  onTopicsDeleted(
    topics: readonly { readonly id: string; readonly name: string }[],
  ): Promise<void> {
    // After a close the next start drops what is about topics that are gone.
    return this.closed ? Promise.resolve() : this.store.deleteTopics(topics);
  }

  describe(groupId: string): GroupDescription | undefined {
    return this.table.get(groupId)?.group.describe();
  }

  list(): GroupListing[] {
    return [...this.table.all()].map(({ group }) => group.listing());
  }

  deleteGroup(groupId: string): Promise<ErrorName> {
    if (this.closed) return Promise.resolve('NOT_COORDINATOR');
    return this.store.deleteGroup(groupId);
  }

  async expireOffsets(): Promise<void> {
    if (this.isClockSuspect()) return;
    const groupIds = this.table.ids();
    for (let index = 0; index < groupIds.length && !this.closed; index += GROUP_EXPIRY_SLICE) {
      const slice = groupIds.slice(index, index + GROUP_EXPIRY_SLICE);
      await Promise.all(slice.map((groupId) => this.store.expire(groupId)));
      await new Promise<void>((resolve) => this.env.timers.immediate(resolve));
    }
  }

  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      this.expiryTimer?.cancel();
      for (const { group } of this.table.all()) group.stop('NOT_COORDINATOR');
    }
    await this.background.settled();
    await this.log.settled();
  }

  private joinRefusal(groupId: string, request: JoinRequest): ErrorName {
    const { groupMinSessionTimeoutMs, groupMaxSessionTimeoutMs } = this.settings;
    const refused = this.refusal(groupId);
    if (refused !== 'NONE') return refused;
    if (
      request.sessionTimeoutMs < groupMinSessionTimeoutMs ||
      request.sessionTimeoutMs > groupMaxSessionTimeoutMs
    ) {
      return 'INVALID_SESSION_TIMEOUT';
    }
    const metadataBytes = request.protocols.reduce((sum, each) => sum + each.metadata.length, 0);
    if (metadataBytes > MEMBER_METADATA_BYTES_MAX) return 'INVALID_REQUEST';
    // Whoever has a member id has it of a group that is here.
    const known = request.memberId === '' || this.table.get(groupId) !== undefined;
    return known ? 'NONE' : 'UNKNOWN_MEMBER_ID';
  }

  private refusal(groupId: string): ErrorName {
    if (this.closed) return 'NOT_COORDINATOR';
    return groupId === '' ? 'INVALID_GROUP_ID' : 'NONE';
  }

  private storeGroup(metadata: GroupMetadata, done: (error: ErrorName) => void): void {
    const entry = this.table.get(metadata.groupId);
    if (entry !== undefined) entry.stored = true;
    this.log.append([groupRecord(metadata)], done);
  }

  private scheduleExpiry(): void {
    this.expiryTimer = this.env.timers.after(this.settings.offsetsRetentionCheckMs, () => {
      this.background.run(
        'expire offsets',
        this.expireOffsets().finally(() => {
          if (!this.closed) this.scheduleExpiry();
        }),
      );
    });
  }

  private clockOffset(): number {
    return this.env.clock.nowMs() - this.env.clock.monotonicMs();
  }

  /** A wall clock that jumped ahead would make everything look old: nothing is forgotten until a person had time to
   * set it right. */
  private isClockSuspect(): boolean {
    const offsetMs = this.clockOffset();
    const jumpMs = offsetMs - this.clockOffsetMs;
    this.clockOffsetMs = offsetMs;
    const nowMs = this.env.clock.monotonicMs();
    if (jumpMs > CLOCK_JUMP_MS_MAX) {
      this.expiryHeldUntilMs = nowMs + CLOCK_JUMP_HOLD_MS;
      this.logger.warn('The clock jumped ahead: no committed offset is forgotten for a day', {
        jumpMs,
      });
    }
    return nowMs < this.expiryHeldUntilMs;
  }
}
