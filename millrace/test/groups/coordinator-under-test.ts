/** A coordinator on virtual time and a log in memory, with short words for what tests ask of it. */
import {
  openGroupCoordinator,
  type GroupCoordinator,
} from '../../src/broker/groups/group-coordinator.ts';
import type {
  GroupSettings,
  JoinRequest,
  JoinResult,
  OffsetToCommit,
  SyncResult,
} from '../../src/broker/groups/group-types.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import type { ErrorName } from '../../src/wire/kafka/error-codes.ts';
import { consumerProtocolSubscription } from '../../src/wire/kafka/internal/consumer-protocol.ts';
import { encodeVersioned } from '../../src/wire/kafka/versioned.ts';
import { MemoryInternalLog, type Disk } from './memory-internal-log.ts';
import { VirtualTime, type VirtualProcess } from './virtual-time.ts';

export const ORDERS_ID = '00000000-0000-4000-8000-000000000001';
export const SESSION_MS = 10_000;
export const REBALANCE_MS = 30_000;

export const TEST_SETTINGS: GroupSettings = {
  groupInitialRebalanceDelayMs: 100,
  groupMaxSessionTimeoutMs: 1_800_000,
  groupMaxSize: 100,
  groupMinSessionTimeoutMs: 1_000,
  offsetMetadataMaxBytes: 64,
  offsetsRetentionCheckMs: 600_000,
  offsetsRetentionMinutes: 60,
};

export function subscription(...topics: string[]): Buffer {
  return encodeVersioned(consumerProtocolSubscription, 1, { topics });
}

/** Looks at a promise without waiting for it. */
export class Watched<T> {
  value: T | undefined = undefined;
  readonly promise: Promise<T>;

  constructor(promise: Promise<T>) {
    this.promise = promise;
    void promise.then((value) => {
      this.value = value;
    });
  }

  get isAnswered(): boolean {
    return this.value !== undefined;
  }
}

export interface Joiner {
  readonly memberId?: string;
  readonly instanceId?: string;
  readonly clientId?: string;
  readonly protocols?: readonly string[];
  readonly protocolType?: string;
  readonly topics?: readonly string[];
  readonly metadata?: Buffer;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
  /** JoinGroup v4 and later. Default false. */
  readonly mustKnowId?: boolean;
  /** JoinGroup v9. Default false. */
  readonly canSkipAssignment?: boolean;
  readonly signal?: AbortSignal;
}

export type StableMember = JoinResult & { readonly assignment: string };

export class CoordinatorUnderTest {
  readonly time: VirtualTime;
  readonly disk: Disk;
  readonly settings: GroupSettings;
  readonly logger = new CollectingLogger();
  /** Names of topics that exist, with their ids. */
  readonly topics = new Map<string, string>([
    ['orders', ORDERS_ID],
    ['payments', '00000000-0000-4000-8000-000000000002'],
  ]);
  process: VirtualProcess;
  log: MemoryInternalLog;
  groups: GroupCoordinator;
  writeMs = 1;

  private constructor(settings: Partial<GroupSettings>, disk: Disk) {
    this.time = new VirtualTime();
    this.disk = disk;
    this.settings = { ...TEST_SETTINGS, ...settings };
    this.process = this.time.process();
    this.log = this.newLog();
    this.groups = undefined as unknown as GroupCoordinator;
  }

  static async open(
    settings: Partial<GroupSettings> = {},
    disk: Disk = { batches: [] },
  ): Promise<CoordinatorUnderTest> {
    const under = new CoordinatorUnderTest(settings, disk);
    await under.start();
    return under;
  }

  /** The process dies, with what is not durable, and starts again. */
  async crash(survivors = 0): Promise<void> {
    this.log.crash(survivors);
    this.process.kill();
    this.process = this.time.process();
    this.log = this.newLog();
    await this.start();
  }

  join(groupId: string, joiner: Joiner = {}): Watched<JoinResult> {
    const metadata = joiner.metadata ?? subscription(...(joiner.topics ?? ['orders']));
    const request: JoinRequest = {
      memberId: joiner.memberId ?? '',
      instanceId: joiner.instanceId ?? null,
      clientId: joiner.clientId ?? 'client',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: joiner.sessionTimeoutMs ?? SESSION_MS,
      rebalanceTimeoutMs: joiner.rebalanceTimeoutMs ?? REBALANCE_MS,
      protocolType: joiner.protocolType ?? 'consumer',
      protocols: (joiner.protocols ?? ['range']).map((name) => ({ name, metadata })),
      mustKnowId: joiner.mustKnowId ?? false,
      canSkipAssignment: joiner.canSkipAssignment ?? false,
      reason: null,
    };
    const signal = joiner.signal ?? new AbortController().signal;
    return new Watched(this.groups.join(groupId, request, signal));
  }

  sync(
    groupId: string,
    member: Pick<JoinResult, 'memberId' | 'generation'> & { readonly instanceId?: string },
    assignments: Readonly<Record<string, string>> = {},
    protocol: { readonly type?: string; readonly name?: string } = {},
  ): Watched<SyncResult> {
    return new Watched(
      this.groups.sync(groupId, {
        memberId: member.memberId,
        instanceId: member.instanceId ?? null,
        generation: member.generation,
        protocolType: protocol.type ?? null,
        protocolName: protocol.name ?? null,
        assignments: Object.entries(assignments).map(([memberId, text]) => ({
          memberId,
          assignment: Buffer.from(text),
        })),
      }),
    );
  }

  heartbeat(
    groupId: string,
    member: Pick<JoinResult, 'memberId' | 'generation'> & { readonly instanceId?: string },
  ): ErrorName {
    const { memberId, generation, instanceId = null } = member;
    return this.groups.heartbeat(groupId, { memberId, generation, instanceId });
  }

  /** Joins all at once, and ends the rebalance. */
  async joined<const Joiners extends readonly Joiner[]>(
    groupId: string,
    joiners: Joiners,
  ): Promise<{ readonly [Index in keyof Joiners]: JoinResult }> {
    const joins = joiners.map((joiner) => this.join(groupId, joiner));
    await this.time.advance(this.settings.groupInitialRebalanceDelayMs * 2);
    const results = await Promise.all(joins.map(({ promise }) => promise));
    return results as { readonly [Index in keyof Joiners]: JoinResult };
  }

  /** As `joined`, and gives each member its member id as assignment. */
  async stable<const Joiners extends readonly Joiner[] = readonly [Joiner]>(
    groupId: string,
    joiners?: Joiners,
  ): Promise<{ readonly [Index in keyof Joiners]: StableMember }> {
    const results = await this.joined(groupId, joiners ?? [{}]);
    const assignments = Object.fromEntries(results.map(({ memberId }) => [memberId, memberId]));
    const syncs = results.map((result) =>
      this.sync(groupId, result, result.leaderId === result.memberId ? assignments : {}),
    );
    await this.time.advance(this.writeMs * 2);
    const members = results.map(async (result, index) => {
      const synced = await syncs[index]?.promise;
      return { ...result, assignment: synced?.assignment.toString() ?? '' };
    });
    const stable: readonly StableMember[] = await Promise.all(members);
    return stable as { readonly [Index in keyof Joiners]: StableMember };
  }

  /** Commits and waits for the log. */
  async commit(
    groupId: string,
    offsets: readonly Partial<OffsetToCommit>[],
    member: {
      readonly memberId?: string;
      readonly generation?: number;
      readonly instanceId?: string;
      readonly retentionMs?: number;
    } = {},
  ): Promise<readonly ErrorName[]> {
    const watched = new Watched(
      this.groups.commitOffsets({
        groupId,
        memberId: member.memberId ?? '',
        instanceId: member.instanceId ?? null,
        generation: member.generation ?? -1,
        retentionMs: member.retentionMs ?? -1,
        offsets: offsets.map(toCommit),
      }),
    );
    await this.time.advance(this.writeMs * 3);
    return watched.promise;
  }

  /** The committed offset of a partition of `orders`, -1 when there is none. */
  offset(groupId: string, partition = 0, topic = 'orders'): number {
    return this.groups.committedOffset(groupId, { topic, partition })?.offset ?? -1;
  }

  private newLog(): MemoryInternalLog {
    const { disk, process } = this;
    return new MemoryInternalLog({ disk, timers: process.timers, delayMs: () => this.writeMs });
  }

  private async start(): Promise<void> {
    const opening = openGroupCoordinator({
      env: this.process,
      logger: this.logger,
      settings: this.settings,
      log: this.log,
      topics: { idOf: (name) => this.topics.get(name) },
    });
    await this.time.advance(this.writeMs * 3);
    this.groups = await opening;
  }
}

export function toCommit(offset: Partial<OffsetToCommit>): OffsetToCommit {
  return { topic: 'orders', partition: 0, offset: 0, leaderEpoch: -1, metadata: '', ...offset };
}
