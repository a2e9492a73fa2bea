/**
 * Committed offsets on the real log and a simulated disk: actors commit, in and out of transactions, delete and expire,
 * while segments roll, are compacted, and the power goes at any step, also during recovery. After every start each offset is the last
 * that was acknowledged, or one that was under way; what a transaction wrote is there when its commit was acknowledged,
 * and never when its abort was.
 */
import {
  openGroupCoordinator,
  type GroupCoordinator,
} from '../../src/broker/groups/group-coordinator.ts';
import { openInternalLog, type InternalProducer } from '../../src/broker/internal-log.ts';
import type { Env } from '../../src/core/env.ts';
import { silentLogger } from '../../src/core/log.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type { LogConfig, LogStore } from '../../src/log/types.ts';
import { openSmallStore } from '../crash/store-under-test.ts';
import { TEST_SETTINGS } from './coordinator-under-test.ts';

const TOPIC = 'orders';
const TOPIC_ID = '00000000-0000-4000-8000-000000000001';
const LOG_ID = { topicId: '00000000-0000-4000-8000-000000000002', partition: 0 };
const ACTORS = 3;
const PARTITIONS = 3;
const OPERATIONS = 40;
const LIVES = 4;
/** Steps of a life in which the power may go. */
const STEPS = 900;
const NONE = -1;

const CONFIG: LogConfig = {
  segmentBytes: 2_048,
  segmentMs: 604_800_000,
  indexIntervalBytes: 256,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: false,
  cleanupCompact: true,
  deleteRetentionMs: 0,
  minCleanableDirtyRatio: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 604_800_000,
  flush: 'commit',
  flushMs: 1_000,
  appendTime: false,
};

interface Slot {
  readonly groupId: string;
  readonly partition: number;
  /** NONE when it is known not to be there. */
  acked: number;
  /** Under way: as good as the acknowledged one after a crash. */
  possible: number[];
}

interface Transaction {
  readonly producer: InternalProducer;
  readonly slot: Slot;
  readonly offset: number;
  /** What was decided about it; undefined while it is open. */
  outcome: boolean | undefined;
}

interface Actor {
  readonly groupId: string;
  readonly slots: readonly Slot[];
  transaction: Transaction | undefined;
}

export interface OffsetsCrashReport {
  readonly lives: number;
  readonly cuts: number;
  readonly acknowledged: number;
  readonly segmentsCompacted: boolean;
}

export class OffsetsCrash {
  private readonly machine: SimMachine;
  private readonly actors: Actor[];
  private nextOffset = 1;
  private nextProducerId = 1;
  private acknowledged = 0;
  private compactions = 0;

  constructor(seed: number) {
    this.machine = new SimMachine(seed);
    this.actors = Array.from({ length: ACTORS }, (_, index) => {
      const groupId = `group-${index}`;
      const slots = Array.from({ length: PARTITIONS }, (__, partition) => ({
        groupId,
        partition,
        acked: NONE,
        possible: [],
      }));
      return { groupId, slots, transaction: undefined };
    });
  }

  async run(): Promise<OffsetsCrashReport> {
    let cuts = 0;
    let env = this.machine.boot();
    for (let life = 1; life <= LIVES; life += 1) {
      const last = life === LIVES;
      if (!last) {
        const step = this.machine.stepCount + 1 + Math.floor(env.random.next() * STEPS);
        this.machine.cutAtStep(step, env.random.next() < 0.7 ? 'power' : 'kill');
      }
      try {
        await this.machine.run(this.live(env, last));
      } catch (error) {
        if (!(error instanceof SimPowerCut)) throw error;
        cuts += 1;
      }
      if (!last) env = this.machine.reboot();
    }
    return {
      lives: LIVES,
      cuts,
      acknowledged: this.acknowledged,
      segmentsCompacted: this.compactions > 0,
    };
  }

  private async live(env: Env, last: boolean): Promise<void> {
    const store = await openSmallStore(env, () => {});
    const log = store.openLog(LOG_ID, CONFIG);
    await store.finishRecovery();
    const internal = openInternalLog({ log, env, logger: silentLogger, onDamage: 'refuse' });
    const groups = await openGroupCoordinator({
      env,
      logger: silentLogger,
      settings: TEST_SETTINGS,
      log: internal,
      topics: { idOf: (name) => (name === TOPIC ? TOPIC_ID : undefined) },
    });
    this.check(groups, 'after a start');
    await Promise.all(this.actors.map((actor) => this.act(actor, { env, groups, store })));
    this.check(groups, 'at the end');
    if (!last) return;
    await groups.close();
    await store.close();
  }

  private check(groups: GroupCoordinator, when: string): void {
    for (const actor of this.actors) {
      const { transaction } = actor;
      const open = groups
        .openTransactions()
        .some(({ producerId }) => producerId === transaction?.producer.producerId);
      for (const slot of actor.slots) {
        const key = { topic: TOPIC, partition: slot.partition };
        const found = groups.committedOffset(slot.groupId, key)?.offset ?? NONE;
        if (found !== slot.acked && !slot.possible.includes(found)) {
          throw new Error(
            `${when}: ${slot.groupId}-${slot.partition} is ${found}, acknowledged ${slot.acked}, possible ${slot.possible.join()}`,
          );
        }
        // What was under way has been decided by the crash.
        slot.acked = found;
        slot.possible = [];
        const unstable = groups.isUnstable(slot.groupId, key);
        // A deletion takes what is pending with it.
        if (unstable && !(open && transaction?.slot === slot)) {
          throw new Error(`${when}: ${slot.groupId}-${slot.partition} is unstable`);
        }
      }
      if (!open) actor.transaction = undefined;
    }
  }

  private async act(
    actor: Actor,
    {
      env,
      groups,
      store,
    }: { readonly env: Env; readonly groups: GroupCoordinator; readonly store: LogStore },
  ): Promise<void> {
    for (let count = 0; count < OPERATIONS; count += 1) {
      const slot = actor.slots[Math.floor(env.random.next() * PARTITIONS)];
      const dice = env.random.next();
      if (slot === undefined || dice < 0.1) {
        await env.timers.sleep(env.random.next() * 100);
      } else if (dice < 0.15) {
        await store.runCompaction();
        this.compactions += 1;
      } else if (dice < 0.25) {
        await this.remove(groups, slot);
      } else if (dice < 0.3) {
        await this.removeGroup(groups, actor);
      } else if (dice < 0.6) {
        await this.commit(groups, slot);
      } else if (actor.transaction === undefined) {
        await this.begin(groups, actor, slot);
      } else {
        await this.end(groups, actor, env.random.next() < 0.6);
      }
    }
    if (actor.transaction !== undefined) await this.end(groups, actor, true);
  }

  private async commit(groups: GroupCoordinator, slot: Slot): Promise<void> {
    const offset = this.nextOffset++;
    slot.possible.push(offset);
    const request = { ...member(slot), generation: -1, retentionMs: -1 };
    const errors = await groups.commitOffsets({ ...request, offsets: [toCommit(slot, offset)] });
    this.acknowledge(slot, { errors, offset });
  }

  private async begin(groups: GroupCoordinator, actor: Actor, slot: Slot): Promise<void> {
    const offset = this.nextOffset++;
    const producer = { producerId: this.nextProducerId++, producerEpoch: 0 };
    actor.transaction = { producer, slot, offset, outcome: undefined };
    const request = { ...member(slot), ...producer, generation: -1 };
    const errors = await groups.commitTransactionalOffsets({
      ...request,
      offsets: [toCommit(slot, offset)],
    });
    if (errors[0] !== 'NONE') throw new Error(`a transactional commit got ${errors.join()}`);
  }

  /** Keeps to what was decided before a crash, as the transaction coordinator does. */
  private async end(groups: GroupCoordinator, actor: Actor, committed: boolean): Promise<void> {
    const { transaction } = actor;
    if (transaction === undefined) return;
    transaction.outcome ??= committed;
    const { slot, offset, producer, outcome } = transaction;
    const before = slot.acked;
    if (outcome) slot.possible.push(offset);
    await groups.completeTransaction(producer, outcome, 0);
    // A later commit from outside of the transaction stays; a deletion takes the transactional one with it.
    const key = { topic: TOPIC, partition: slot.partition };
    const found = groups.committedOffset(slot.groupId, key)?.offset ?? NONE;
    if (found !== before && (!outcome || found !== offset)) {
      throw new Error(`the end of a transaction made ${found} of ${before}`);
    }
    slot.acked = found;
    slot.possible = [];
    actor.transaction = undefined;
    this.acknowledged += 1;
  }

  private async remove(groups: GroupCoordinator, slot: Slot): Promise<void> {
    slot.possible.push(NONE);
    const { error, partitions } = await groups.deleteOffsets(slot.groupId, [
      { topic: TOPIC, partition: slot.partition },
    ]);
    if (error === 'GROUP_ID_NOT_FOUND') slot.possible.pop();
    else this.acknowledge(slot, { errors: partitions, offset: NONE });
  }

  private async removeGroup(groups: GroupCoordinator, actor: Actor): Promise<void> {
    for (const slot of actor.slots) slot.possible.push(NONE);
    const error = await groups.deleteGroup(actor.groupId);
    if (error !== 'NONE' && error !== 'GROUP_ID_NOT_FOUND') throw new Error(`delete got ${error}`);
    for (const slot of actor.slots) this.acknowledge(slot, { errors: ['NONE'], offset: NONE });
  }

  private acknowledge(
    slot: Slot,
    { errors, offset }: { readonly errors: readonly string[]; readonly offset: number },
  ): void {
    if (errors[0] !== 'NONE') throw new Error(`${slot.groupId} got ${errors.join()}`);
    slot.acked = offset;
    slot.possible = [];
    this.acknowledged += 1;
  }
}

function member(slot: Slot) {
  return { groupId: slot.groupId, memberId: '', instanceId: null };
}

function toCommit(slot: Slot, offset: number) {
  const metadata = 'm'.repeat(offset % 60);
  return { topic: TOPIC, partition: slot.partition, offset, leaderEpoch: 0, metadata };
}
