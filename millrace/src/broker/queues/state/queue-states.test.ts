import { expect, test } from 'vitest';
import { type Disk, MemoryInternalLog } from '../../../../test/groups/memory-internal-log.ts';
import { MillraceError } from '../../../core/errors.ts';
import { CollectingLogger } from '../../../core/log.ts';
import {
  QUEUE_CHUNK_OFFSETS as CHUNK,
  QUEUE_STATE_FLUSH_MS,
  QUEUE_STATE_RETRY_MS,
} from '../../../core/queue-limits.ts';
import { SimMachine } from '../../../core/sim/sim-machine.ts';
import type { QueuedLog, QueueState, QueueStates } from './queue-state.ts';
import { openQueueStates } from './queue-states.ts';
import { decodeKey } from './state-records.ts';

const ID = { queueId: '5e8f6d0c-0000-4000-8000-000000000001', partition: 0 };
const DURABLE = { durable: true };

class World {
  readonly machine = new SimMachine(1);
  readonly disk: Disk = { batches: [] };
  readonly logger = new CollectingLogger();
  log: MemoryInternalLog;
  states: QueueStates | undefined;
  private env = this.machine.boot();

  constructor() {
    this.log = this.open();
  }

  private open(): MemoryInternalLog {
    const { timers } = this.env;
    return new MemoryInternalLog({ disk: this.disk, timers, delayMs: () => 1 });
  }

  async start(): Promise<QueueStates> {
    const { env, logger } = this;
    this.states = await this.machine.run(openQueueStates({ env, logger, log: this.log }));
    return this.states;
  }

  /** What is not durable is lost. */
  async restart(): Promise<QueueStates> {
    this.log.crash(0);
    this.machine.kill();
    this.env = this.machine.boot();
    this.log = this.open();
    return this.start();
  }

  openState(log: QueuedLog, options: { durable: boolean; startOffset?: number } = DURABLE) {
    return this.machine.run((this.states as QueueStates).open(ID, log, options));
  }

  nowMs(): number {
    return this.env.clock.nowMs();
  }

  /** Keys that have a value. */
  keys(): string[] {
    const values = new Map<string, boolean>();
    for (const batch of this.disk.batches)
      if (batch.kind === 'records')
        for (const { key, value } of batch.records) {
          const decoded = decodeKey(key);
          const rest = decoded.kind === 'chunk' ? ` ${decoded.number}` : '';
          values.set(`${decoded.kind}${rest}`, value !== null);
        }
    return [...values].filter(([, isThere]) => isThere).map(([key]) => key);
  }
}

async function started(): Promise<World> {
  const world = new World();
  await world.start();
  return world;
}

const log = (logEndOffset: number, logStartOffset = 0): QueuedLog => ({
  logStartOffset,
  logEndOffset,
});

test('what was settled is written after a while by itself, and comes back with counts, marks and notes', async () => {
  const world = await started();
  const state = await world.openState(log(1000));
  for (const offset of [0, 1, 2, 5, 900]) state.settle(offset);
  state.raiseCount(7);
  state.raiseCount(7);
  state.setDue(7, 1_800_000_000_000);
  state.mark(8);
  state.handOutTo(20);
  state.note({ bytes: 4711, countedTo: 1000 });
  expect(world.log.appended).toBe(0);
  await world.machine.runFor(QUEUE_STATE_FLUSH_MS + 5);
  await world.restart();
  const again = await world.openState(log(1000));
  expect(again).toMatchObject({ floor: 3, next: 20, settledAbove: 2, markedFrom: 8 });
  expect(again.notes).toEqual({ bytes: 4711, countedTo: 1000 });
  expect([4, 5, 6, 900].map((offset) => again.isSettled(offset))).toEqual([
    false,
    true,
    false,
    true,
  ]);
  expect(again.countOf(7)).toBe(2);
  expect([again.dueOf(7), again.dueOf(8), [...again.dueOffsets()]]).toEqual([
    1_800_000_000_000,
    0,
    [7],
  ]);
});

test('what was not written comes again', async () => {
  const world = await started();
  const state = await world.openState(log(10));
  state.settle(0);
  await world.machine.run((world.states as QueueStates).flush());
  state.settle(1);
  state.settle(5);
  await world.restart();
  expect(await world.openState(log(10))).toMatchObject({ floor: 1, settledAbove: 0 });
});

test('a flush that finds nothing new waits for the one under way', async () => {
  const world = await started();
  const state = await world.openState(log(10));
  state.settle(0);
  const states = world.states as QueueStates;
  void states.flush();
  await world.machine.run(states.flush());
  await world.restart();
  expect((await world.openState(log(10))).floor).toBe(1);
});

test('chunks that the floor has passed leave nothing behind', async () => {
  const world = await started();
  const states = world.states as QueueStates;
  const state = await world.openState(log(10 * CHUNK));
  state.settleRange(CHUNK, 4 * CHUNK);
  state.settle(5 * CHUNK);
  await world.machine.run(states.flush());
  expect(world.keys()).toEqual(['chunk 1', 'chunk 2', 'chunk 3', 'chunk 5', 'head']);
  state.settleRange(0, CHUNK);
  expect(state.floor).toBe(4 * CHUNK);
  await world.machine.run(states.flush());
  expect(world.keys()).toEqual(['chunk 5', 'head']);
});

test('a chunk in which nothing is left is removed', async () => {
  const world = await started();
  const states = world.states as QueueStates;
  const state = await world.openState(log(10 * CHUNK));
  state.raiseCount(3 * CHUNK);
  await world.machine.run(states.flush());
  expect(world.keys()).toEqual(['chunk 3', 'head']);
  await world.restart();
  await world.openState(log(2 * CHUNK));
  expect(world.keys()).toEqual(['head']);
});

test('offsets that the log does not have are taken back before anybody can append', async () => {
  const world = await started();
  const state = await world.openState(log(100));
  state.settleRange(0, 50);
  state.settleRange(60, 100);
  state.handOutTo(100);
  state.note({ bytes: 10, countedTo: 100 });
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  const again = await world.openState(log(80));
  expect(again).toMatchObject({ floor: 50, next: 80, settledAbove: 20 });
  expect(again.notes).toEqual({ bytes: 0, countedTo: 50 });
  // Durably: the log grows, and the process dies before anything else is written.
  await world.restart();
  const third = await world.openState(log(100));
  expect(third.isSettled(79)).toBe(true);
  expect(third.isSettled(80)).toBe(false);
});

test('a queue is not opened before what was taken back is written', async () => {
  const world = await started();
  const state = await world.openState(log(100));
  state.settleRange(0, 100);
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  world.log.failure = new MillraceError('ML_DISK_FULL', 'no space left');
  const full = { code: 'ML_DISK_FULL' };
  await expect(world.openState(log(80))).rejects.toMatchObject(full);
  await expect(world.openState(log(80))).rejects.toMatchObject(full);
  world.log.failure = undefined;
  expect((await world.openState(log(80))).floor).toBe(80);
  await world.restart();
  expect((await world.openState(log(100))).floor).toBe(80);
});

test('a log that was cut and has grown again is recognized by its epochs', async () => {
  const world = await started();
  const before = { logStartOffset: 0, logEndOffset: 100, leaderEpoch: 3 };
  const state = await world.openState({ ...before, endOffsetForEpoch: () => ({ endOffset: -1 }) });
  state.settleRange(0, 100);
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  const epochs: number[] = [];
  const again = await world.openState({
    logStartOffset: 0,
    logEndOffset: 200,
    leaderEpoch: 5,
    endOffsetForEpoch: (epoch) => {
      epochs.push(epoch);
      return { endOffset: 70 };
    },
  });
  expect(epochs).toEqual([3]);
  expect(again.floor).toBe(70);
  expect(again.settledAbove).toBe(0);
});

test('records that the log has given up are settled', async () => {
  const world = await started();
  const state = await world.openState(log(100));
  state.settle(0);
  state.settle(40);
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  expect(await world.openState(log(100, 40))).toMatchObject({ floor: 41, next: 41 });
});

test('a new queue begins where it is told, also when the process dies at once', async () => {
  const world = await started();
  await world.openState(log(100), { durable: true, startOffset: 60 });
  await world.restart();
  expect((await world.openState(log(300), { durable: true, startOffset: 300 })).floor).toBe(60);
});

test('a full disk loses nothing: it is tried again', async () => {
  const world = await started();
  const states = world.states as QueueStates;
  const state = await world.openState(log(100));
  state.settle(0);
  state.settle(7);
  world.log.failure = new MillraceError('ML_DISK_FULL', 'no space left');
  await expect(world.machine.run(states.flush())).rejects.toMatchObject({ code: 'ML_DISK_FULL' });
  expect(state.floor).toBe(1);
  world.log.failure = undefined;
  await world.machine.runFor(QUEUE_STATE_RETRY_MS + 10);
  await world.restart();
  expect(await world.openState(log(100))).toMatchObject({ floor: 1, settledAbove: 1 });
});

test('the state of a queue that is not durable is nowhere', async () => {
  const world = await started();
  const state = await world.openState(log(10), { durable: false });
  state.settle(0);
  await world.machine.run((world.states as QueueStates).flush());
  expect(world.log.appended).toBe(0);
  expect((world.states as QueueStates).ids()).toEqual([]);
});

test('a removed queue is forgotten, whatever was under way', async () => {
  const world = await started();
  const states = world.states as QueueStates;
  const state = await world.openState(log(10 * CHUNK));
  state.settle(3);
  state.settleRange(CHUNK, 3 * CHUNK);
  state.remember('a', world.nowMs() + 1000);
  void states.flush();
  state.settle(4);
  await world.machine.run(states.remove(ID.queueId));
  state.settle(5);
  await world.machine.runFor(QUEUE_STATE_FLUSH_MS * 2);
  expect(world.keys()).toEqual([]);
  expect(states.ids()).toEqual([]);
  await world.restart();
  expect((world.states as QueueStates).ids()).toEqual([]);
});

test('a queue that is not opened any more is known after a start, until it is removed', async () => {
  const world = await started();
  const state = await world.openState(log(10));
  state.settleRange(0, 5);
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  const states = world.states as QueueStates;
  expect(states.ids()).toEqual([ID.queueId]);
  await world.machine.run(states.remove(ID.queueId));
  expect([states.ids(), world.keys()]).toEqual([[], []]);
  // Nothing of it is left in memory, either.
  expect((await world.openState(log(10))).floor).toBe(0);
});

test('keys are remembered until their time, also over a restart, and then leave nothing behind', async () => {
  const world = await started();
  const state = await world.openState(log(10));
  const untilMs = world.nowMs() + 60_000;
  const long = 'x'.repeat(10_000);
  for (const key of ['a', long]) state.remember(key, untilMs);
  await world.machine.run((world.states as QueueStates).flush());
  await world.restart();
  const again: QueueState = await world.openState(log(10));
  for (const key of ['a', long]) {
    expect(again.remembers(key, untilMs - 1)).toBe(true);
    expect(again.remembers(key, untilMs)).toBe(false);
  }
  expect(again.remembers('b', 0)).toBe(false);
  await world.machine.runFor(90_000);
  expect(world.keys()).toEqual(['head']);
});

test('much that has changed is written less often', async () => {
  const world = await started();
  const state = await world.openState(log(2000 * CHUNK));
  let bytes = 0;
  const written = (): number => {
    bytes = 0;
    for (const batch of world.disk.batches)
      if (batch.kind === 'records')
        for (const { value } of batch.records) bytes += value?.length ?? 0;
    return bytes;
  };
  // Bitmaps of 500 chunks, 1 MiB. Then one more of each, again and again.
  for (let chunk = 0; chunk < 500; chunk++)
    for (let at = 1; at < CHUNK; at += 12) state.settle(chunk * CHUNK + at);
  await world.machine.runFor(1000);
  for (let round = 0; round < 10; round++) {
    for (let chunk = 0; chunk < 500; chunk++) state.settle(chunk * CHUNK + 2 + round * 12);
    await world.machine.runFor(250);
  }
  expect(written()).toBeGreaterThan(3_000_000);
  expect(written()).toBeLessThan(3.5 * 2.3 * 1024 * 1024);
});

test('a damaged record is left out, and said so', async () => {
  const world = await started();
  const state = await world.openState(log(100));
  state.settle(50);
  await world.machine.run((world.states as QueueStates).flush());
  for (const batch of world.disk.batches)
    if (batch.kind === 'records')
      for (const record of batch.records)
        if (decodeKey(record.key).kind === 'chunk') record.value?.fill(0xff, 1);
  await world.restart();
  expect(world.logger.lines.map(({ level }) => level)).toEqual(['error']);
  expect((await world.openState(log(100))).isSettled(50)).toBe(false);
});

test('a state of a newer version is not touched', async () => {
  const world = await started();
  const state = await world.openState(log(100));
  state.settle(50);
  await world.machine.run((world.states as QueueStates).flush());
  for (const batch of world.disk.batches)
    if (batch.kind === 'records') for (const { value } of batch.records) value?.fill(9, 0, 1);
  await expect(world.restart()).rejects.toMatchObject({ code: 'ML_DATA_NEWER' });
});
