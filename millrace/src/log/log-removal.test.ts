/** Logs that are deleted: what they share, and what is left of them after any stop. */
import { expect, test, vi } from 'vitest';
import {
  append,
  batchOf,
  DIRECTORY,
  logId,
  openStore,
  readAll,
  SMALL,
  SMALL_STORE,
  type TestStore,
  values,
} from '../../test/log/fixture.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { LOGS_REMOVED_TOGETHER_MAX } from '../core/limits.ts';
import { SimMachine } from '../core/sim/sim-machine.ts';
import type { SimRandom } from '../core/sim/sim-random.ts';
import { type DiskLogStore, openLogStore } from './log-store.ts';
import type { DiskLog } from './partition-log.ts';
import type { LogId } from './types.ts';

const TOPICS = `${DIRECTORY}/topics`;
const TRANSIENT = { ...SMALL, flush: 'os' } as const;

interface Opened extends TestStore {
  readonly env: Env;
  /** Directories that were synced. */
  readonly synced: string[];
}

async function open(): Promise<Opened> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const synced: string[] = [];
  const sync = env.fs.syncDirectory.bind(env.fs);
  env.fs.syncDirectory = (path) => {
    synced.push(path);
    return sync(path);
  };
  const opened = await openStore(machine, env);
  await machine.run(opened.store.finishRecovery());
  return { ...opened, env, synced };
}

/** Durable logs with a record each, of which a checkpoint knows. */
async function fill({ machine, store }: Opened, ids: readonly LogId[]): Promise<DiskLog[]> {
  const logs = ids.map((id) => store.openLog(id, SMALL));
  for (const log of logs) append(log, batchOf(['x']));
  await machine.run(Promise.all(logs.map((log) => log.whenDurable(1))));
  await machine.run(store.checkpoint());
  return logs;
}

function ids(count: number): LogId[] {
  return Array.from({ length: count }, (_, index) => logId(index + 1));
}

test('logs that are deleted at the same time are made gone together', async () => {
  const opened = await open();
  const { machine, store, synced } = opened;
  const all = ids(LOGS_REMOVED_TOGETHER_MAX + 10);
  await fill(opened, all);
  synced.length = 0;
  await machine.run(Promise.all(all.map((id) => store.deleteLog(id))));
  expect(synced.filter((path) => path === TOPICS)).toHaveLength(2);
  expect(opened.env.fs.list(TOPICS)).toEqual([]);
  const { store: again } = await openStore(machine, machine.reboot());
  expect(again.existing()).toEqual([]);
});

test('partitions go one by one, and the last one takes the topic with it', async () => {
  const opened = await open();
  const { machine, store } = opened;
  const partitions = [0, 1, 2, 3].map((partition) => logId(1, partition));
  const logs = await fill(opened, partitions);
  await machine.run(Promise.all(partitions.slice(0, 3).map((id) => store.deleteLog(id))));
  expect(store.existing()).toEqual([logId(1, 3)]);
  expect(await readAll(machine, logs[3] as DiskLog)).toHaveLength(1);
  const env = machine.reboot();
  const again = await openStore(machine, env);
  expect(again.store.existing()).toEqual([logId(1, 3)]);
  const last = again.store.openLog(logId(1, 3), SMALL);
  await machine.run(again.store.finishRecovery());
  await machine.run(again.store.deleteLog(last.id));
  expect(env.fs.list(TOPICS)).toEqual([]);
});

test('a log that nobody opens after a restart costs no sync, no entry and no checkpoint', async () => {
  const { machine, store, env, synced } = await open();
  await machine.run(store.checkpoint());
  await machine.runFor(1000);
  synced.length = 0;
  const files = vi.spyOn(env.fs, 'open');
  const { journalEntries } = store.stats();
  for (const id of ids(20)) {
    const log = store.openLog(id, TRANSIENT, { transient: true });
    append(log, batchOf(['x']));
    await machine.run(store.deleteLog(id));
  }
  await machine.runFor(1000);
  expect(synced).toEqual([]);
  expect(store.stats().journalEntries).toBe(journalEntries);
  expect(files.mock.calls.filter(([path]) => path.includes('checkpoint'))).toEqual([]);
  expect(env.fs.list(TOPICS)).toEqual([]);
});

test('files that cannot be removed are told to whoever deletes that log, and to nobody else', async () => {
  const opened = await open();
  const { machine, store, env, fatal } = opened;
  await fill(opened, ids(5));
  const remove = env.fs.removeDirectory.bind(env.fs);
  env.fs.removeDirectory = (path) =>
    path.includes(logId(3).topicId)
      ? Promise.reject(new MillraceError('ML_IO', 'not this one'))
      : remove(path);
  const outcomes = await machine.run(Promise.allSettled(ids(5).map((id) => store.deleteLog(id))));
  expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([
    true,
    true,
    false,
    true,
    true,
  ]);
  expect(fatal).toEqual([]);
});

test('when nobody knows whether names are gone, the store stops', async () => {
  const opened = await open();
  const { machine, store, env, fatal } = opened;
  await fill(opened, ids(3));
  const failure = new MillraceError('ML_FSYNC_FAILED', 'the device');
  env.fs.syncDirectory = () => Promise.reject(failure);
  const deleted = Promise.allSettled(ids(3).map((id) => store.deleteLog(id)));
  const outcomes = await machine.run(deleted);
  expect(outcomes).toEqual(
    Array.from({ length: 3 }, () => ({ status: 'rejected', reason: failure })),
  );
  expect(fatal).toEqual([failure]);
  await expect(store.deleteLog(logId(1))).rejects.toMatchObject({ code: 'ML_LOG_FAILED' });
});

/** What a run has been told before it was cut. */
interface Known {
  readonly deleted: LogId[];
  /** By log: records that are durable. */
  readonly durable: Map<LogId, number>;
}

const SURVIVORS = [logId(1, 1), logId(90), logId(91)];
const DOOMED = [logId(1, 0), logId(1, 2), ...Array.from({ length: 9 }, (_, at) => logId(at + 2))];

/** Deletes many logs, some at the same time, while others are written and checkpoints are taken. */
async function deleteMany(
  store: DiskLogStore,
  random: SimRandom,
  known: Known,
  env: Env,
): Promise<void> {
  const kept = SURVIVORS.map((id) => store.openLog(id, SMALL));
  const doomed = DOOMED.map((id) => store.openLog(id, SMALL));
  const transient = Array.from({ length: 6 }, (_, at) =>
    store.openLog(logId(at + 50), TRANSIENT, { transient: true }),
  );
  await store.finishRecovery();
  for (const log of [...kept, ...doomed, ...transient]) append(log, batchOf(values(3)));
  await Promise.all([...kept, ...doomed].map((log) => log.whenDurable(3)));
  const pause = (): Promise<void> => env.timers.sleep(random.below(12));
  const deletions = [...doomed, ...transient].map(async ({ id }, at) => {
    if (at % 3 !== 0) await pause();
    await store.deleteLog(id);
    if (!transient.some((log) => log.id === id)) known.deleted.push(id);
  });
  const writes = kept.map(async (log) => {
    for (let round = 0; round < 4; round++) {
      append(log, batchOf(values(2)));
      await log.whenDurable(log.logEndOffset);
      known.durable.set(log.id, log.logEndOffset);
      await pause();
    }
  });
  const checkpoints = (async () => {
    for (let round = 0; round < 3; round++) {
      await store.checkpoint();
      await pause();
    }
  })();
  await Promise.all([...deletions, ...writes, checkpoints]);
}

test.each(['power', 'kill'] as const)(
  'after a stop at any step (%s) what was deleted is gone, and all else is there',
  async (kind) => {
    let confirmed = 0;
    for (let step = 150; step < 850; step += kind === 'power' ? 7 : 14) {
      const machine = new SimMachine(9000 + step);
      const known: Known = { deleted: [], durable: new Map() };
      machine.cutAtStep(step, kind);
      const fatal: unknown[] = [];
      const run = async (): Promise<void> => {
        const env = machine.boot();
        const store = await openLogStore(env, {
          ...SMALL_STORE,
          directory: DIRECTORY,
          onFatal: (error) => fatal.push(error),
        });
        await deleteMany(store, machine.timeRandom, known, env);
      };
      await machine.run(run()).catch(() => {});
      await recovered(machine, known, kind);
      confirmed += known.deleted.length;
    }
    expect(confirmed).toBeGreaterThan(100);
  },
);

async function recovered(machine: SimMachine, known: Known, kind: string): Promise<void> {
  if (kind === 'kill') machine.kill();
  const env = kind === 'kill' ? machine.boot() : machine.reboot();
  const { store, fatal } = await openStore(machine, env);
  const existing = store.existing();
  for (const id of known.deleted) expect(existing).not.toContainEqual(id);
  // The name of one of them may be used again.
  const [again] = known.deleted;
  const anew = again === undefined ? undefined : store.openLog(again, SMALL);
  const kept = SURVIVORS.map((id) => store.openLog(id, SMALL));
  await machine.run(store.finishRecovery());
  expect(anew?.logEndOffset ?? 0).toBe(0);
  for (const [index, id] of SURVIVORS.entries()) {
    const log = kept[index] as DiskLog;
    const records = await readAll(machine, log);
    expect(records.length).toBeGreaterThanOrEqual(known.durable.get(id) ?? 0);
  }
  const wanted = [...SURVIVORS, ...known.deleted.slice(0, 1)];
  expect(store.existing().toSorted(byName)).toEqual(wanted.toSorted(byName));
  expect(fatal).toEqual([]);
  await machine.run(store.close());
}

function byName(one: LogId, other: LogId): number {
  return one.topicId.localeCompare(other.topicId) || one.partition - other.partition;
}
