/** A disk that fails, is full, or is slow to say so. */
import { expect, test } from 'vitest';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import { type DiskLogStore, openLogStore } from '../../src/log/log-store.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import {
  append,
  appendDurably,
  batchOf,
  DIRECTORY,
  logId,
  openOne,
  openStore,
  readAll,
  reopenOne,
  SMALL,
  SMALL_STORE,
  values,
} from './fixture.ts';

test('a failed sync ends the store: nothing is confirmed after it, and a start has all that was', async () => {
  for (let after = 1; after < 400; after += 3) {
    const { machine, store, log, fatal } = await openOne({}, { seed: 500 + after });
    machine.faults.failSyncAtStep(machine.stepCount + after);
    let confirmed = 0;
    let rejected: unknown;
    for (let number = 0; number < 40 && rejected === undefined; number++) {
      const result = log.append(batchOf([`${number} ${'w'.repeat(100)}`]), { origin: 'client' });
      if (!result.ok) break;
      try {
        await machine.run(log.whenDurable(log.logEndOffset));
        confirmed = log.highWatermark;
        if (number % 10 === 9) await machine.run(store.checkpoint());
      } catch (error) {
        rejected = error;
      }
    }
    if (fatal.length === 0) continue;
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toMatchObject({ code: 'ML_FSYNC_FAILED' });
    const atFailure = log.highWatermark;
    expect(log.append(batchOf(['late']), { origin: 'client' })).toMatchObject({
      ok: false,
      error: 'KAFKA_STORAGE_ERROR',
    });
    await machine.runFor(5_000);
    expect(log.highWatermark).toBe(atFailure);
    // The process ends, and the page cache may still show what the disk does not hold.
    machine.kill();
    const again = await reopenOne(machine, machine.boot());
    const found = await readAll(machine, again.log);
    expect(found.length).toBeGreaterThanOrEqual(confirmed);
    expect(found.map(({ offset }) => offset)).toEqual(found.map((_, index) => index));
    // What the second start has confirmed is on the disk, not only in the cache.
    const durable = again.log.highWatermark;
    const last = await reopenOne(machine, machine.reboot());
    expect(last.log.highWatermark).toBe(durable);
    expect(await readAll(machine, last.log)).toEqual(found);
  }
});

test('what a start confirms before its first checkpoint does not hang on what only the page cache has', async () => {
  // The last sync of the journal fails, the process ends, the next one appends at once, then the power goes.
  for (let seed = 0; seed < 40; seed++) {
    const { machine, log } = await openOne({}, { seed: 700 + seed });
    await appendDurably({ machine, log }, values(3));
    machine.faults.failSyncAtStep(machine.stepCount);
    append(log, batchOf(['lost or kept']));
    await machine.run(log.whenDurable(4)).catch(() => {});
    machine.kill();
    const { store } = await openStore(machine, machine.boot());
    const again = store.openLog(logId(1), SMALL);
    const before = await readAll(machine, again);
    append(again, batchOf(['after']));
    await machine.run(again.whenDurable(again.logEndOffset));
    const last = await reopenOne(machine, machine.reboot());
    const found = await readAll(machine, last.log);
    expect(found.slice(0, before.length)).toEqual(before);
    expect(found.at(-1)).toEqual({ offset: before.length, value: 'after' });
  }
});

test('a full disk refuses appends retriably, changes nothing, and heals by itself', async () => {
  const { machine, store, log, fatal } = await openOne({}, { seed: 9 });
  await appendDurably({ machine, log }, values(10));
  await machine.runFor(100);
  machine.setCapacity(machine.disk.usedBytes);
  const refused = log.append(batchOf(['x'.repeat(1900)]), { origin: 'client' });
  expect(refused).toMatchObject({ ok: false, error: 'KAFKA_STORAGE_ERROR' });
  expect(store.stats().diskFull).toBe(true);
  expect(log.logEndOffset).toBe(10);
  expect(log.append(batchOf(['y']), { origin: 'client' })).toMatchObject({ ok: false });
  expect((await readAll(machine, log)).map(({ value }) => value)).toEqual(values(10));
  await machine.runFor(10_000);
  expect(store.stats().diskFull).toBe(true);
  machine.setCapacity(2 ** 30);
  await machine.runFor(3_000);
  expect(store.stats().diskFull).toBe(false);
  await appendDurably({ machine, log }, values(5, 10));
  expect(fatal).toEqual([]);
  const { log: again } = await reopenOne(machine, machine.reboot());
  expect((await readAll(machine, again)).map(({ value }) => value)).toEqual(values(15));
});

test('internal logs go on from the reserve while users are refused', async () => {
  const machine = new SimMachine(31);
  const { store } = await openStore(machine, machine.boot(), { reserveBytes: 256 * 1024 });
  const user = store.openLog(logId(1), SMALL);
  const internal = store.openLog(logId(2), SMALL, { reserved: true });
  await machine.run(store.finishRecovery());
  await machine.runFor(100);
  await appendDurably({ machine, log: user }, values(3));
  await appendDurably({ machine, log: internal }, values(3));
  machine.setCapacity(machine.disk.usedBytes);
  while (user.append(batchOf(['u'.repeat(1000)]), { origin: 'client' }).ok);
  await machine.run(user.whenDurable(user.logEndOffset));
  for (let number = 0; number < 20; number++) {
    append(internal, batchOf([`i${number} ${'i'.repeat(900)}`]), 'internal');
    await machine.run(internal.whenDurable(internal.logEndOffset));
  }
  expect(user.append(batchOf(['u']), { origin: 'client' }).ok).toBe(false);
  expect(internal.highWatermark).toBe(23);
});

test('the journal never fails for want of space: it goes on in files that it has', async () => {
  for (let spare = 0; spare < 12; spare++) {
    const { machine, store, log, fatal } = await openOne(
      { segmentBytes: 1 << 20 },
      { seed: 40 + spare },
    );
    await machine.runFor(100);
    await appendDurably({ machine, log }, values(4));
    // Room for a few more pages: sometimes the segment meets the end first, sometimes the journal.
    machine.setCapacity(machine.disk.usedBytes + spare * 4096);
    const waits: Promise<void>[] = [];
    for (let number = 0; number < 60; number++) {
      const result = log.append(batchOf([`${number} ${'j'.repeat(700)}`]), { origin: 'client' });
      if (!result.ok) break;
      const wait = log.whenDurable(log.logEndOffset);
      waits.push(wait);
      if (number % 3 === 0) await machine.run(wait);
    }
    await machine.run(Promise.all(waits));
    expect(log.highWatermark).toBe(log.logEndOffset);
    expect(fatal).toEqual([]);
    const before = await readAll(machine, log, { maxBytes: 4000 });
    machine.setCapacity(2 ** 30);
    await machine.runFor(3_000);
    expect(store.stats().diskFull).toBe(false);
    const { log: again } = await reopenOne(machine, machine.reboot(), { segmentBytes: 1 << 20 });
    expect(await readAll(machine, again, { maxBytes: 4000 })).toEqual(before);
  }
});

test('short writes and short reads change nothing', async () => {
  const { machine, log } = await openOne({}, { seed: 77 });
  machine.faults.shortWriteProbability = 0.5;
  machine.faults.shortReadProbability = 0.5;
  await appendDurably({ machine, log }, values(60));
  expect((await readAll(machine, log)).map(({ value }) => value)).toEqual(values(60));
  machine.faults.heal();
  const { log: again } = await reopenOne(machine, machine.reboot());
  expect((await readAll(machine, again)).map(({ value }) => value)).toEqual(values(60));
});

async function rot(machine: SimMachine, names: readonly string[]): Promise<void> {
  for (const name of names) machine.flipBit(`/data/${name}`, 8 * 50);
}

test.each([[['checkpoint.a']], [['checkpoint.b']]])(
  'one rotten copy of the checkpoint, %s, is no harm',
  async (names) => {
    const { machine, store, log } = await openOne();
    await appendDurably({ machine, log }, values(30));
    await machine.run(store.checkpoint());
    await appendDurably({ machine, log }, values(5, 30));
    machine.kill();
    machine.disk.settle();
    await rot(machine, names);
    const { log: again } = await reopenOne(machine, machine.boot());
    expect((await readAll(machine, again)).map(({ value }) => value)).toEqual(values(35));
  },
);

test('without a checkpoint the start is refused, and a repair reads everything', async () => {
  const { machine, store, log } = await openOne();
  await appendDurably({ machine, log }, values(30));
  await machine.run(store.checkpoint());
  await appendDurably({ machine, log }, values(5, 30));
  const { leaderEpoch } = store;
  machine.kill();
  machine.disk.settle();
  await rot(machine, ['checkpoint.a', 'checkpoint.b']);
  await expect(reopenOne(machine, machine.boot())).rejects.toMatchObject({
    code: 'ML_CHECKPOINT_DAMAGED',
  });
  machine.kill();
  const repaired = await reopenOne(machine, machine.boot(), {}, { repair: true });
  expect((await readAll(machine, repaired.log)).map(({ value }) => value)).toEqual(values(35));
  expect(repaired.store.leaderEpoch).toBeGreaterThan(leaderEpoch);
  await appendDurably(repaired, values(3, 35));
  const { log: last } = await reopenOne(machine, machine.reboot());
  expect((await readAll(machine, last)).map(({ value }) => value)).toEqual(values(38));
});

test('a second process is refused while the first one runs', async () => {
  const { machine, log } = await openOne();
  const second = openStore(machine, log.context.env);
  await expect(second).rejects.toMatchObject({ code: 'ML_DIR_LOCKED' });
});

/** Appends in every policy, changing it in between, with a cut at any step. */
async function switching(
  log: DiskLog,
  checkpoint: () => Promise<void>,
  known: { appended: string[]; acknowledged: number },
): Promise<void> {
  const policies = ['commit', 'os', 'commit', 'interval', 'commit'] as const;
  for (const [round, flush] of policies.entries()) {
    log.updateConfig({ ...SMALL, flush, flushMs: 5 });
    for (let number = 0; number < 4; number++) {
      const value = `${round}/${number} ${'s'.repeat(150)}`;
      append(log, batchOf([value]));
      known.appended.push(value);
      const end = log.logEndOffset;
      await log.whenDurable(end);
      if (flush === 'commit') known.acknowledged = end;
    }
    if (round === 2) await checkpoint();
  }
}

test('changing the flush policy while the log is written loses nothing that was committed', async () => {
  for (let step = 30; step < 330; step += 3) {
    const machine = new SimMachine(6000 + step);
    const known = { appended: [] as string[], acknowledged: 0 };
    machine.cutAtStep(step);
    const run = async (): Promise<void> => {
      const { store, log } = await openInside(machine);
      await switching(log, () => store.checkpoint(), known);
    };
    await machine.run(run()).catch(() => {});
    const { log } = await reopenOne(machine, machine.reboot());
    const found = await readAll(machine, log);
    expect(found.length).toBeGreaterThanOrEqual(known.acknowledged);
    expect(found.map(({ value }) => value)).toEqual(known.appended.slice(0, found.length));
  }
});

/** As `openOne`, inside of a run of the machine that may be cut. */
async function openInside(machine: SimMachine): Promise<{ store: DiskLogStore; log: DiskLog }> {
  const options = { ...SMALL_STORE, directory: DIRECTORY, onFatal: () => {} };
  const store = await openLogStore(machine.boot(), options);
  const log = store.openLog(logId(1), SMALL);
  await store.finishRecovery();
  return { store, log };
}

test('a segment of a deleted log that somebody still wants to sync needs no file', async () => {
  const { machine, store } = await openOne();
  const log = store.openLog(logId(2), { ...SMALL, flush: 'os' });
  append(log, batchOf(['unsynced']));
  const segment = log.active;
  await machine.run(store.deleteLog(log.id));
  expect(segment).toBeDefined();
  await machine.run(segment?.sync() ?? Promise.resolve());
  await machine.run(store.close());
});

test('where there was never room for a spare file of the journal it goes on in what the reserve gave up', async () => {
  for (let spare = 0; spare < 24; spare++) {
    const machine = new SimMachine(200 + spare);
    const sizes = { reserveBytes: 256 * 1024, journalFileBytes: 1 << 20 };
    const { store, fatal } = await openStore(machine, machine.boot(), sizes);
    const user = store.openLog(logId(1), { ...SMALL, segmentBytes: 1 << 20 });
    const internal = store.openLog(logId(2), SMALL, { reserved: true });
    machine.setCapacity(machine.disk.usedBytes + (270 + spare * 8) * 1024);
    await machine.run(store.finishRecovery());
    await machine.runFor(100);
    const waits: Promise<void>[] = [];
    while (user.append(batchOf(['u'.repeat(1000)]), { origin: 'client' }).ok) {
      waits.push(user.whenDurable(user.logEndOffset));
      if (waits.length % 5 === 0) await machine.runFor(1);
    }
    await machine.run(Promise.all(waits));
    expect(store.stats().diskFull).toBe(true);
    for (let number = 0; number < 20; number++) {
      append(internal, batchOf([`i${number} ${'i'.repeat(900)}`]), 'internal');
      await machine.run(internal.whenDurable(internal.logEndOffset));
    }
    expect(fatal).toEqual([]);
    const before = await readAll(machine, user, { maxBytes: 4000 });
    machine.setCapacity(2 ** 30);
    await machine.runFor(3_000);
    expect(store.stats().diskFull).toBe(false);
    await machine.run(store.close());
    const again = await openStore(machine, machine.reboot(), sizes);
    const reopened = again.store.openLog(logId(1), { ...SMALL, segmentBytes: 1 << 20 });
    const kept = again.store.openLog(logId(2), SMALL, { reserved: true });
    expect(await readAll(machine, reopened, { maxBytes: 4000 })).toEqual(before);
    expect(kept.highWatermark).toBe(20);
  }
});

test('a stop does not wait for room that nobody makes: what was not acknowledged is given up', async () => {
  const machine = new SimMachine(260);
  const sizes = { reserveBytes: 0, journalFileBytes: 1 << 20 };
  const { store, fatal } = await openStore(machine, machine.boot(), sizes);
  const log = store.openLog(logId(1), { ...SMALL, segmentBytes: 1 << 20 });
  machine.setCapacity(machine.disk.usedBytes + 20 * 1024);
  await machine.run(store.finishRecovery());
  await machine.runFor(100);
  const waits: Promise<unknown>[] = [];
  while (log.append(batchOf(['u'.repeat(1000)]), { origin: 'client' }).ok)
    waits.push(log.whenDurable(log.logEndOffset).catch((error: unknown) => error));
  await machine.runFor(5_000);
  expect(log.highWatermark).toBeLessThan(log.logEndOffset);
  await expect(machine.run(store.close())).rejects.toMatchObject({ code: 'ML_DISK_FULL' });
  expect(await machine.run(Promise.all(waits))).toContainEqual(
    expect.objectContaining({ code: 'ML_DISK_FULL' }),
  );
  expect(fatal).toHaveLength(1);
});
