/**
 * States of queues on the real log and a simulated disk: messages are appended, settled, counted, marked; the state is flushed, its topic
 * compacted, and the power goes, or the process is killed, at any step, also during a start. Some logs are not flushed on commit: they lose
 * their end, and others may append to them before the queue is opened again.
 *
 * A message is known by what was written, not by its offset. After every start:
 * - what was settled and flushed is settled, if its message is still there;
 * - what is settled was settled by somebody: never a message that only has the offset of another;
 * - counts, marks and keys that were flushed are there, as long as their message is not settled.
 */
import assert from 'node:assert/strict';
import { openInternalLog } from '../../src/broker/internal-log.ts';
import type { QueueState, QueueStates } from '../../src/broker/queues/state/queue-state.ts';
import { openQueueStates } from '../../src/broker/queues/state/queue-states.ts';
import type { Env } from '../../src/core/env.ts';
import { silentLogger } from '../../src/core/log.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type { FlushPolicy, LogConfig, LogStore, PartitionLog } from '../../src/log/types.ts';
import { baseOffset, batchEnd, lastOffset } from '../../src/wire/kafka/records/record-batch.ts';
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import { readRecords } from '../../src/wire/kafka/records/record-reader.ts';
import { openSmallStore } from '../crash/store-under-test.ts';

const QUEUE_LOG = { topicId: '00000000-0000-4000-8000-000000000001', partition: 0 };
const STATE_LOG = { topicId: '00000000-0000-4000-8000-000000000002', partition: 0 };
const ID = { queueId: QUEUE_LOG.topicId, partition: 0 };
const LIVES = 5;
const OPERATIONS = 45;
/** Steps of a life in which it may end. */
const STEPS = 500;
/** Offsets of one batch: so that a few of them make a chunk. */
const BATCH_OFFSETS_MAX = 6_000;

const CONFIG: LogConfig = {
  segmentBytes: 12_288,
  segmentMs: 604_800_000,
  indexIntervalBytes: 256,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: false,
  cleanupCompact: false,
  deleteRetentionMs: 0,
  minCleanableDirtyRatio: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 604_800_000,
  flush: 'commit',
  flushMs: 1_000,
  appendTime: false,
};

/** A batch of the log: messages `id * BATCH_OFFSETS_MAX + n`, one at each of its offsets. */
interface Batch {
  readonly id: number;
  readonly base: number;
  readonly last: number;
}

/** What is known of messages. */
interface Known {
  readonly settled: Set<number>;
  readonly counts: Map<number, number>;
  readonly marks: Set<number>;
  readonly keys: Set<string>;
}

const nothing = (): Known => ({
  settled: new Set(),
  counts: new Map(),
  marks: new Set(),
  keys: new Set(),
});
const copyOf = ({ settled, counts, marks, keys }: Known): Known => ({
  settled: new Set(settled),
  counts: new Map(counts),
  marks: new Set(marks),
  keys: new Set(keys),
});

export interface StateCrashReport {
  cuts: number;
  flushed: number;
  /** Starts that found messages of the state lost. */
  truncations: number;
  checks: number;
}

interface Life {
  readonly env: Env;
  readonly store: LogStore;
  readonly log: PartitionLog;
  readonly states: QueueStates;
  readonly state: QueueState;
}

export class StateCrash {
  readonly report: StateCrashReport = { cuts: 0, flushed: 0, truncations: 0, checks: 0 };
  private readonly machine: SimMachine;
  private readonly flush: FlushPolicy;
  private nextId = 1;
  private nextKey = 1;
  private batches: Batch[] = [];
  /** What has happened, durably or not. */
  private known = nothing();
  /** What was durable when a flush resolved. */
  private flushed = nothing();

  constructor(seed: number) {
    this.machine = new SimMachine(seed);
    this.flush = seed % 2 === 0 ? 'os' : 'commit';
  }

  async run(): Promise<StateCrashReport> {
    const { machine, report } = this;
    let env = machine.boot();
    for (let life = 1; life <= LIVES; life++) {
      const isLast = life === LIVES;
      const isPower = env.random.next() < 0.7;
      if (!isLast) {
        const steps = 1 + Math.floor(env.random.next() * STEPS);
        machine.cutAtStep(machine.stepCount + steps, isPower ? 'power' : 'kill');
      }
      try {
        await machine.run(this.live(env, isLast));
      } catch (error) {
        if (!(error instanceof SimPowerCut)) throw error;
        report.cuts++;
      }
      machine.kill();
      if (!isLast) env = isPower ? machine.reboot() : machine.boot();
    }
    return report;
  }

  private async live(env: Env, isLast: boolean): Promise<void> {
    const store = await openSmallStore(env, () => {});
    const stateLog = store.openLog(STATE_LOG, { ...CONFIG, cleanupCompact: true });
    const log = store.openLog(QUEUE_LOG, { ...CONFIG, flush: this.flush });
    await store.finishRecovery();
    const found = await readBatches(log);
    const lost = this.batches.filter(({ id }) => !found.some((batch) => batch.id === id));
    this.batches = found;
    // Somebody writes to the topic before its queue is opened.
    if (this.flush === 'os' && env.random.next() < 0.5) this.append(env, log);
    const internal = openInternalLog({
      log: stateLog,
      env,
      logger: silentLogger,
      onDamage: 'refuse',
    });
    const states = await openQueueStates({ env, logger: silentLogger, log: internal });
    const state = await states.open(ID, log, { durable: true });
    const life = { env, store, log, states, state };
    if (lost.some(({ id }) => [...this.known.settled].some((message) => batchOf(message) === id)))
      this.report.truncations++;
    this.check(life, lost.length > 0);
    for (let count = 0; count < OPERATIONS; count++) await this.act(life);
    await this.flushAll(life);
    if (isLast) {
      await states.close();
      await store.close();
    }
  }

  /** What the state says must be right; and it is all that is left. */
  private check({ state, log, env }: Life, isCut: boolean): void {
    this.report.checks++;
    assert(state.floor <= state.next && state.next <= log.logEndOffset);
    const left = nothing();
    let unsettled = 0;
    for (const { id, base, last } of this.batches)
      for (let offset = base; offset <= last; offset++) {
        const message = id * BATCH_OFFSETS_MAX + offset - base;
        if (state.isSettled(offset)) {
          assert(this.known.settled.has(message), `${offset} was never settled`);
          left.settled.add(message);
          continue;
        }
        unsettled++;
        assert(!this.flushed.settled.has(message), `${offset} was settled and flushed`);
        this.checkUnsettled(state, { offset, message }, left);
      }
    assert.equal(state.unsettledIn(0, log.logEndOffset), unsettled);
    const nowMs = env.clock.nowMs();
    // The keys of messages that are lost are not known, and so all are forgotten.
    if (!isCut) for (const key of this.flushed.keys) assert(state.remembers(key, nowMs));
    for (const key of this.known.keys) {
      if (!state.remembers(key, nowMs)) continue;
      assert(
        this.batches.some(({ id }) => key.startsWith(`${id}/`)),
        `${key} is of a message that is lost`,
      );
      left.keys.add(key);
    }
    this.known = left;
    this.flushed = copyOf(left);
  }

  private checkUnsettled(
    state: QueueState,
    { offset, message }: { readonly offset: number; readonly message: number },
    left: Known,
  ): void {
    const count = state.countOf(offset);
    assert(count <= (this.known.counts.get(message) ?? 0));
    assert(count >= (this.flushed.counts.get(message) ?? 0));
    if (count > 0) left.counts.set(message, count);
    if (!this.flushed.marks.has(message)) return;
    assert(state.markedFrom !== -1 && state.markedFrom <= offset);
    left.marks.add(message);
  }

  private async act(life: Life): Promise<void> {
    const { env, log, state, store } = life;
    const dice = env.random.next();
    if (dice < 0.2 || log.logEndOffset === 0) {
      this.append(env, log);
      if (env.random.next() < 0.5) await log.whenDurable(log.logEndOffset);
    } else if (dice < 0.35) {
      await env.timers.sleep(env.random.next() * 150);
    } else if (dice < 0.45) {
      await this.flushAll(life);
    } else if (dice < 0.5) {
      await store.runCompaction();
    } else if (dice < 0.55) {
      const key = `${this.batches.at(-1)?.id}/${this.nextKey++}`;
      state.remember(key, env.clock.nowMs() + 86_400_000);
      this.known.keys.add(key);
    } else if (log.highWatermark > 0) {
      this.touch(life, dice);
    }
  }

  private touch({ env, log, state }: Life, dice: number): void {
    const { known } = this;
    const offset = Math.floor(env.random.next() * log.highWatermark);
    if (dice < 0.75) {
      const from = dice < 0.65 ? state.floor : offset;
      const lengths = [1, 5, 300, 9_000, 20_000];
      const length = lengths[Math.floor(env.random.next() * lengths.length)] ?? 1;
      const to = Math.min(log.highWatermark, from + length);
      const step = env.random.next() < 0.5 ? 1 : 3;
      if (step === 1) state.settleRange(from, to);
      for (let at = from; at < to; at += step) {
        state.settle(at);
        known.settled.add(this.messageAt(at));
      }
      return;
    }
    if (dice > 0.95) state.handOutTo(offset);
    const message = this.messageAt(offset);
    if (state.isSettled(offset)) return;
    if (dice < 0.85) known.counts.set(message, state.raiseCount(offset));
    else {
      state.mark(offset);
      known.marks.add(message);
    }
  }

  private async flushAll({ states }: Life): Promise<void> {
    const before = copyOf(this.known);
    await states.flush();
    this.flushed = before;
    this.report.flushed++;
  }

  private append(env: Env, log: PartitionLog): void {
    const id = this.nextId++;
    const count = 1 + Math.floor(env.random.next() ** 3 * BATCH_OFFSETS_MAX);
    const record = { timestamp: env.clock.nowMs(), key: null, value: String(id) };
    const bytes = encodeBatch([record], { lastOffset: count - 1 });
    const appended = log.append(bytes, { origin: 'internal' });
    assert(appended.ok);
    this.batches.push({ id, base: appended.baseOffset, last: appended.lastOffset });
  }

  private messageAt(offset: number): number {
    const batch = this.batches.find(({ base, last }) => base <= offset && offset <= last);
    assert(batch !== undefined);
    return batch.id * BATCH_OFFSETS_MAX + offset - batch.base;
  }
}

function batchOf(message: number): number {
  return Math.floor(message / BATCH_OFFSETS_MAX);
}

async function readBatches(log: PartitionLog): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let next = 0; next < log.highWatermark; ) {
    const result = await log.read(next, {
      maxBytes: 65_536,
      atLeastOneBatch: true,
      isolation: 'read_uncommitted',
    });
    assert.equal(result.error, 'NONE');
    const { records } = result;
    for (let at = 0; at < records.length; ) {
      const end = batchEnd(records, at, records.length);
      const [first] = readRecords(records, at, end);
      const last = lastOffset(records, at);
      batches.push({ id: Number(first?.value?.toString()), base: baseOffset(records, at), last });
      next = last + 1;
      at = end;
    }
    result.release();
  }
  return batches;
}
