/**
 * A world of consumers around one coordinator, all decided by a seed: they join, sync, send heartbeats, commit, leave,
 * die, stand still, come back as static members; transactions open and end; the coordinator's process dies and restarts.
 * Everything that a client is told is checked against what must always hold:
 *
 * 1. Assignments: what a member gets in a generation is what that generation's leader handed in for it, and no
 *    generation ever has two sets of assignments.
 * 2. Waits end: every request is answered within the time its timeouts allow.
 * 3. Fencing: of two acknowledged commits by members, the later is not of an earlier generation.
 * 4. Durability: after a crash, every offset is the last that was acknowledged, or one that was under way later;
 *    a group is in no earlier generation than the last whose assignments were told.
 * 5. At rest: when the trouble stops, all living consumers are in one generation, and its members are nobody else.
 *
 * Lives in memory and virtual time; the same seed gives the same history.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  openGroupCoordinator,
  type GroupCoordinator,
} from '../../src/broker/groups/group-coordinator.ts';
import type { GroupSettings, JoinResult, SyncResult } from '../../src/broker/groups/group-types.ts';
import type { Random } from '../../src/core/env.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { ErrorName } from '../../src/wire/kafka/error-codes.ts';
import { subscription, TEST_SETTINGS } from './coordinator-under-test.ts';
import { MemoryInternalLog, type Disk } from './memory-internal-log.ts';
import { VirtualTime, type VirtualProcess } from './virtual-time.ts';

const GROUP = 'group';
const TOPIC = 'orders';
const TOPIC_ID = '00000000-0000-4000-8000-000000000001';
const PARTITIONS = 12;
const HEARTBEAT_MS = 3_000;
const SESSION_MS = 10_000;
const REBALANCE_MS = 20_000;
const WRITE_MS_MAX = 40;
/** The joining waits for a rebalance that may have just begun, and for the initial delay, which is as long at most. */
const ANSWER_MS_MAX = 2 * REBALANCE_MS + SESSION_MS;
/** Enough for sessions to end, and for a few rebalances. */
const REST_MS = 4 * REBALANCE_MS + 6 * SESSION_MS;

export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

class ConnectionLost extends Error {}

interface Generation {
  /** The assignments that were handed in, as text by member id; more than one when leaders tried again. */
  readonly handedIn: Map<string, string>[];
  /** Which of them was told. */
  told: Map<string, string> | undefined;
}

interface OffsetHistory {
  /** The last that was acknowledged. */
  acked: number;
  /** Sent after it and not refused: they may or may not be there. */
  possible: number[];
}

interface Consumer {
  readonly name: string;
  readonly instanceId: string | null;
  readonly mustKnowId: boolean;
  readonly canSkipAssignment: boolean;
  state: 'alive' | 'dead' | 'leaving';
  /** Stands still until then. */
  pausedUntilMs: number;
  memberId: string;
  generation: number;
  /** Has an assignment of `generation`. */
  isAssigned: boolean;
  partitions: readonly number[];
}

export interface WorldOptions {
  readonly seed: number;
  /** How long the trouble goes on, virtual. */
  readonly troubleMs: number;
  /** Replaces the coordinator, or makes the log lie: to prove that the checks find what is broken. */
  readonly wrap?: (groups: GroupCoordinator, random: Random) => GroupCoordinator;
  readonly logLies?: boolean;
}

export interface WorldReport {
  readonly trace: string;
  readonly generations: number;
  readonly commits: number;
  readonly crashes: number;
  readonly answers: ReadonlyMap<string, number>;
}

export class GroupWorld {
  private readonly time: VirtualTime;
  private readonly disk: Disk = { batches: [] };
  private readonly random: Random;
  private readonly clients: VirtualProcess;
  private readonly options: WorldOptions;
  private readonly settings: GroupSettings = { ...TEST_SETTINGS, offsetMetadataMaxBytes: 1_000 };
  private readonly trace: Hash = createHash('sha256');
  private readonly generations = new Map<number, Generation>();
  private readonly offsets = new Map<number, OffsetHistory>();
  private readonly answers = new Map<string, number>();
  private readonly consumers: Consumer[] = [];
  private process: VirtualProcess;
  private log: MemoryInternalLog;
  private groups: GroupCoordinator | undefined = undefined;
  /** Rejects what is under way when the coordinator's process dies. */
  private connections: (() => void)[] = [];
  private lastToldGeneration = 0;
  private lastCommitGeneration = 0;
  private nextOffset = 1;
  private nextName = 1;
  private nextAssignment = 1;
  private nextProducer = 1;
  private commits = 0;
  private crashes = 0;
  private troubled = true;
  private failure: unknown = undefined;

  constructor(options: WorldOptions) {
    this.options = options;
    this.time = new VirtualTime(options.seed);
    this.clients = this.time.process();
    this.random = this.clients.random;
    this.process = this.time.process();
    this.log = this.newLog();
  }

  async run(): Promise<WorldReport> {
    await this.start();
    for (let count = 0; count < 3; count += 1) this.spawn();
    this.later(this.between(500, 4_000), () => this.trouble());
    await this.pass(this.options.troubleMs);
    this.troubled = false;
    await this.pass(REST_MS);
    await this.checkRest();
    return {
      trace: this.trace.digest('hex'),
      generations: this.generations.size,
      commits: this.commits,
      crashes: this.crashes,
      answers: this.answers,
    };
  }

  // The coordinator --------------------------------------------------------------------------------------------

  private newLog(): MemoryInternalLog {
    const { disk, process } = this;
    const delayMs = (): number => this.between(0, WRITE_MS_MAX);
    const lies = this.options.logLies ?? false;
    return new MemoryInternalLog({ disk, timers: process.timers, delayMs, lies });
  }

  private async start(): Promise<void> {
    const groups = await openGroupCoordinator({
      env: this.process,
      logger: silentLogger,
      settings: this.settings,
      log: this.log,
      topics: { idOf: (name) => (name === TOPIC ? TOPIC_ID : undefined) },
    });
    this.groups = this.options.wrap?.(groups, this.random) ?? groups;
  }

  private async crash(): Promise<void> {
    this.crashes += 1;
    this.note('crash', this.log.pendingCount);
    this.log.crash(this.between(0, this.log.pendingCount + 1));
    this.process.kill();
    this.groups = undefined;
    for (const lose of this.connections.splice(0)) lose();
    this.process = this.time.process();
    this.log = this.newLog();
    await this.start();
    this.checkRecovered();
  }

  private checkRecovered(): void {
    const groups = this.groups;
    if (groups === undefined) return;
    const restored = this.generationNow(groups);
    if (restored < this.lastToldGeneration) {
      throw new BrokenPromise(
        `assignments of generation ${this.lastToldGeneration} were told, restored is ${restored}`,
      );
    }
    for (const partition of this.offsets.keys()) this.checkOffset(partition);
  }

  /** The generation is not described: a heartbeat of a member that is there tells. */
  private generationNow(groups: GroupCoordinator): number {
    const member = groups.describe(GROUP)?.members[0];
    if (member === undefined) return Number.MAX_SAFE_INTEGER;
    const { memberId, instanceId } = member;
    for (let generation = this.lastToldGeneration + 50; generation > 0; generation -= 1) {
      if (groups.heartbeat(GROUP, { memberId, instanceId, generation }) === 'NONE') {
        return generation;
      }
    }
    return -1;
  }

  private checkOffset(partition: number): void {
    const history = this.offsets.get(partition);
    const found = this.groups?.committedOffset(GROUP, { topic: TOPIC, partition })?.offset ?? 0;
    if (history === undefined || this.groups === undefined) return;
    if (found !== history.acked && !history.possible.includes(found)) {
      throw new BrokenPromise(
        `partition ${partition}: ${found} was found, ${history.acked} acknowledged, possible ${history.possible.join()}`,
      );
    }
  }

  // Requests ---------------------------------------------------------------------------------------------------

  /** Sends a request over a connection that the coordinator's death ends; the answer must come in time. */
  private async ask<Answer>(
    what: string,
    send: (groups: GroupCoordinator, signal: AbortSignal) => Answer | Promise<Answer>,
  ): Promise<Answer> {
    await this.clients.timers.sleep(this.between(0, 5));
    const groups = this.groups;
    if (groups === undefined) throw new ConnectionLost();
    const connection = new AbortController();
    const sentMs = this.time.events.nowMs;
    const lost = new Promise<never>((_, reject) => {
      this.connections.push(() => {
        connection.abort();
        reject(new ConnectionLost());
      });
    });
    const late = this.clients.timers.after(ANSWER_MS_MAX, () => {
      this.fail(new BrokenPromise(`no answer to ${what} within ${ANSWER_MS_MAX} ms`));
    });
    try {
      const answer = await Promise.race([send(groups, connection.signal), lost]);
      this.note(what, this.time.events.nowMs - sentMs);
      return answer;
    } finally {
      late.cancel();
    }
  }

  private count(what: string, error: ErrorName): void {
    const key = `${what} ${error}`;
    this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
    this.note(key, 0);
  }

  // Consumers --------------------------------------------------------------------------------------------------

  private spawn(instanceId: string | null = null): void {
    const consumer: Consumer = {
      name: `c${this.nextName++}`,
      instanceId,
      mustKnowId: this.chance(0.7),
      canSkipAssignment: this.chance(0.5),
      state: 'alive',
      pausedUntilMs: 0,
      memberId: '',
      generation: -1,
      isAssigned: false,
      partitions: [],
    };
    this.consumers.push(consumer);
    this.guard(this.live(consumer));
  }

  private async live(consumer: Consumer): Promise<void> {
    while (consumer.state === 'alive') {
      try {
        await this.pause(consumer);
        if (consumer.isAssigned) await this.work(consumer);
        else await this.rejoin(consumer);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        await this.clients.timers.sleep(this.between(50, 500));
      }
    }
    if (consumer.state === 'leaving') await this.leave(consumer);
  }

  private async pause(consumer: Consumer): Promise<void> {
    const restMs = consumer.pausedUntilMs - this.time.events.nowMs;
    if (restMs > 0) await this.clients.timers.sleep(restMs);
  }

  private async rejoin(consumer: Consumer): Promise<void> {
    const { memberId, instanceId } = consumer;
    const joined = await this.ask('join', (groups, signal) =>
      groups.join(
        GROUP,
        {
          memberId,
          instanceId,
          clientId: consumer.name,
          clientHost: '/127.0.0.1',
          sessionTimeoutMs: SESSION_MS,
          rebalanceTimeoutMs: REBALANCE_MS,
          protocolType: 'consumer',
          protocols: [{ name: 'range', metadata: subscription(TOPIC) }],
          mustKnowId: consumer.mustKnowId,
          canSkipAssignment: consumer.canSkipAssignment,
          reason: null,
        },
        signal,
      ),
    );
    this.count('join', joined.error);
    if (joined.error === 'NONE' || joined.error === 'MEMBER_ID_REQUIRED') {
      consumer.memberId = joined.memberId;
    } else {
      await this.refused(consumer, joined.error);
    }
    if (joined.error !== 'NONE') return;
    consumer.generation = joined.generation;
    await this.pause(consumer);
    if (this.chance(0.03) && this.troubled) consumer.state = 'dead';
    if (consumer.state === 'alive') await this.sync(consumer, joined);
  }

  private async sync(consumer: Consumer, joined: JoinResult): Promise<void> {
    const leads = joined.leaderId === joined.memberId && !joined.skipAssignment;
    const assignments = leads ? this.assign(joined) : new Map<string, string>();
    if (leads) this.generation(joined.generation).handedIn.push(assignments);
    const { memberId, instanceId, generation } = { ...consumer, generation: joined.generation };
    const synced = await this.ask('sync', (groups) =>
      groups.sync(GROUP, {
        memberId,
        instanceId,
        generation,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: [...assignments].map(([member, text]) => ({
          memberId: member,
          assignment: Buffer.from(text),
        })),
      }),
    );
    this.count('sync', synced.error);
    if (synced.error === 'NONE') this.take(consumer, synced);
    else await this.refused(consumer, synced.error);
  }

  /** The leader's work: partitions in turn. No two texts are alike, so that a mix-up shows. */
  private assign(joined: JoinResult): Map<string, string> {
    const { members } = joined;
    const number = this.nextAssignment++;
    return new Map(
      members.map(({ memberId }, index) => {
        const mine = partitions().filter((partition) => partition % members.length === index);
        return [memberId, `${number}/${index}:${mine.join()}`];
      }),
    );
  }

  private take(consumer: Consumer, synced: SyncResult): void {
    const text = synced.assignment.toString();
    const generation = this.generation(consumer.generation);
    // A static member that came back has another member id than its leader knew.
    const source = generation.handedIn.find((each) =>
      consumer.instanceId === null
        ? each.get(consumer.memberId) === text
        : [...each.values()].includes(text),
    );
    if (text !== '' && source === undefined) {
      throw new BrokenPromise(`${consumer.name} got ${text}, which its leader did not hand in`);
    }
    if (source !== undefined && generation.told !== undefined && generation.told !== source) {
      const [mine, theirs] = [source, generation.told].map((each) => JSON.stringify([...each]));
      throw new BrokenPromise(`two assignments were told: ${mine}, ${theirs}`);
    }
    generation.told ??= source;
    this.lastToldGeneration = Math.max(this.lastToldGeneration, consumer.generation);
    consumer.isAssigned = true;
    consumer.partitions = partitionsOf(text);
    const others = this.consumers.filter(
      (other) =>
        other !== consumer &&
        other.isAssigned &&
        other.generation === consumer.generation &&
        (other.instanceId === null || other.instanceId !== consumer.instanceId),
    );
    for (const other of others) {
      const both = other.partitions.filter((partition) => consumer.partitions.includes(partition));
      if (both.length > 0) {
        throw new BrokenPromise(`${consumer.name} and ${other.name} both have ${both.join()}`);
      }
    }
  }

  private async work(consumer: Consumer): Promise<void> {
    await this.clients.timers.sleep(this.between(100, HEARTBEAT_MS));
    await this.pause(consumer);
    if (this.chance(0.4) && consumer.partitions.length > 0) await this.commit(consumer);
    if (!consumer.isAssigned) return;
    const { memberId, instanceId, generation } = consumer;
    const error = await this.ask('heartbeat', (groups) =>
      groups.heartbeat(GROUP, { memberId, instanceId, generation }),
    );
    this.count('heartbeat', error);
    if (error !== 'NONE') await this.refused(consumer, error);
  }

  private async commit(consumer: Consumer): Promise<void> {
    const partition = consumer.partitions[this.between(0, consumer.partitions.length)] ?? 0;
    const offset = this.nextOffset++;
    const history = this.history(partition);
    const { memberId, instanceId, generation } = consumer;
    const inTransaction = this.chance(0.3);
    const producer = { producerId: this.nextProducer++, producerEpoch: 0 };
    const request = {
      groupId: GROUP,
      memberId,
      instanceId,
      generation,
      offsets: [{ topic: TOPIC, partition, offset, leaderEpoch: 0, metadata: consumer.name }],
    };
    const [error = 'UNKNOWN_SERVER_ERROR'] = await this.ask('commit', (groups) => {
      if (inTransaction) return groups.commitTransactionalOffsets({ ...request, ...producer });
      history.possible.push(offset);
      return groups.commitOffsets({ ...request, retentionMs: -1 });
    });
    this.count(inTransaction ? 'transactional commit' : 'commit', error);
    if (error !== 'NONE') {
      if (!inTransaction) remove(history.possible, offset);
      await this.refused(consumer, error);
      return;
    }
    if (inTransaction) {
      await this.endTransaction(producer, { partition, offset });
      return;
    }
    if (generation < this.lastCommitGeneration) {
      throw new BrokenPromise(
        `generation ${generation} committed after ${this.lastCommitGeneration}`,
      );
    }
    this.lastCommitGeneration = generation;
    this.acknowledge(partition, offset);
  }

  /** Repeats until it is done, as the transaction coordinator does after a restart. */
  private async endTransaction(
    producer: { readonly producerId: number; readonly producerEpoch: number },
    { partition, offset }: { readonly partition: number; readonly offset: number },
  ): Promise<void> {
    const committed = this.chance(0.6);
    if (committed) this.history(partition).possible.push(offset);
    for (;;) {
      try {
        await this.ask('end', (groups) => groups.completeTransaction(producer, committed, 0));
        break;
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        await this.clients.timers.sleep(this.between(10, 100));
      }
    }
    // A commit that came after the transactional one stays, so the latest in the log may be another.
    if (committed) this.checkOffset(partition);
  }

  private acknowledge(partition: number, offset: number): void {
    const history = this.history(partition);
    this.commits += 1;
    history.acked = offset;
    // Transactional ones of before may still be committed, and ones sent later may be durable already.
    this.checkOffset(partition);
  }

  private async leave(consumer: Consumer): Promise<void> {
    const { memberId, instanceId } = consumer;
    if (memberId === '') return;
    try {
      const left = await this.ask('leave', (groups) =>
        groups.leave(GROUP, [{ memberId, instanceId, reason: null }]),
      );
      this.count('leave', left.members[0]?.error ?? left.error);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
  }

  /** What a client does with an error: joins again, as itself or as a new member. */
  private async refused(consumer: Consumer, error: ErrorName): Promise<void> {
    consumer.isAssigned = false;
    if (error === 'UNKNOWN_MEMBER_ID') {
      consumer.memberId = '';
    } else if (error === 'FENCED_INSTANCE_ID') {
      consumer.state = 'dead';
    } else if (error === 'COORDINATOR_NOT_AVAILABLE' || error === 'NOT_COORDINATOR') {
      await this.clients.timers.sleep(100);
    } else if (error !== 'ILLEGAL_GENERATION' && error !== 'REBALANCE_IN_PROGRESS') {
      throw new BrokenPromise(`${consumer.name} was told ${error}`);
    }
  }

  // Trouble ----------------------------------------------------------------------------------------------------

  private trouble(): void {
    if (!this.troubled) return;
    this.later(this.between(200, 6_000), () => this.trouble());
    const alive = this.consumers.filter(({ state }) => state === 'alive');
    const victim = alive[this.between(0, alive.length)];
    const dice = this.random.next();
    if (dice < 0.2 || victim === undefined) {
      if (alive.length < 8) this.spawn();
    } else if (dice < 0.3) {
      if (alive.length < 8) this.spawn(`instance-${this.between(0, 3)}`);
    } else if (dice < 0.45) {
      victim.state = 'dead';
    } else if (dice < 0.6) {
      victim.state = 'leaving';
    } else if (dice < 0.8) {
      victim.pausedUntilMs = this.time.events.nowMs + this.between(1_000, 2 * SESSION_MS);
    } else {
      this.guard(this.crash());
    }
  }

  private async checkRest(): Promise<void> {
    const description = this.groups?.describe(GROUP);
    const alive = this.consumers.filter(({ state }) => state === 'alive');
    const members = new Set(description?.members.map(({ memberId }) => memberId));
    const expected = alive.length === 0 ? 'Empty' : 'Stable';
    if (description !== undefined && description.state !== expected) {
      throw new BrokenPromise(`at rest the group is ${description.state}`);
    }
    const owned = alive.flatMap(({ partitions: mine }) => mine).sort((a, b) => a - b);
    if (alive.length > 0 && owned.join() !== partitions().join()) {
      throw new BrokenPromise(`at rest ${owned.join()} are assigned`);
    }
    const strangers = alive.filter(({ memberId }) => !members.has(memberId));
    if (strangers.length > 0 || members.size !== alive.length) {
      throw new BrokenPromise(`at rest ${members.size} members for ${alive.length} consumers`);
    }
    for (const partition of this.offsets.keys()) this.checkOffset(partition);
    await this.crash();
  }

  // Small things -----------------------------------------------------------------------------------------------

  private generation(generation: number): Generation {
    let known = this.generations.get(generation);
    if (known === undefined) {
      known = { handedIn: [], told: undefined };
      this.generations.set(generation, known);
    }
    return known;
  }

  private history(partition: number): OffsetHistory {
    let history = this.offsets.get(partition);
    if (history === undefined) {
      history = { acked: 0, possible: [] };
      this.offsets.set(partition, history);
    }
    return history;
  }

  private note(what: string, value: number): void {
    this.trace.update(`${this.time.events.nowMs.toFixed(3)} ${what} ${value}\n`);
  }

  private later(ms: number, run: () => void): void {
    this.clients.timers.after(ms, run);
  }

  private guard(promise: Promise<void>): void {
    promise.catch((error: unknown) => this.fail(error));
  }

  private fail(error: unknown): void {
    this.failure ??= error;
  }

  private async pass(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += 1_000) {
      await this.time.advance(1_000);
      if (this.failure !== undefined) throw this.failure;
    }
  }

  private chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  /** A whole number from `min` up to and without `max`. */
  private between(min: number, max: number): number {
    return min + Math.floor(this.random.next() * Math.max(1, max - min));
  }
}

function partitions(): number[] {
  return Array.from({ length: PARTITIONS }, (_, index) => index);
}

function partitionsOf(assignment: string): number[] {
  const list = assignment.slice(assignment.indexOf(':') + 1);
  return list === '' ? [] : list.split(',').map(Number);
}

function remove(values: number[], value: number): void {
  const index = values.indexOf(value);
  if (index >= 0) values.splice(index, 1);
}
