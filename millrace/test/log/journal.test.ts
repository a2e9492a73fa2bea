/** The journal at start: a torn end is an end, damage in the middle is not, and an old use of a file is never replayed. */
import { expect, test } from 'vitest';
import { readWholeFile } from '../../src/core/files.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import { batchEnd } from '../../src/wire/kafka/records/record-batch.ts';
import {
  append,
  appendDurably,
  batchOf,
  DIRECTORY,
  journalFile,
  logId,
  openOne,
  openStore,
  readAll,
  reopenOne,
  SMALL,
  SMALL_STORE,
  values,
} from './fixture.ts';

/** Large enough that no checkpoint and no second file come into play. */
const ROOMY = {
  journalFileBytes: 64 * 1024,
  journalBytesMax: 256 * 1024,
  checkpointJournalBytes: 1e9,
};

/** Groups of one batch each, then a power cut. Returns where in the journal each group begins. */
async function writtenGroups(
  count: number,
): Promise<{ machine: SimMachine; path: string; starts: number[] }> {
  const { machine, log } = await openOne({}, { ...ROOMY, seed: 11 });
  const starts: number[] = [];
  for (const value of values(count)) {
    starts.push(log.context.journal.position().position);
    await appendDurably({ machine, log }, [value]);
  }
  const { path } = journalFile(log.context.env, 1);
  machine.kill();
  machine.disk.settle();
  return { machine, path, starts };
}

test('a last group that is torn at any byte is dropped, and all before it is kept', async () => {
  const { starts } = await writtenGroups(5);
  const last = starts[4] ?? 0;
  for (let byte = last; byte < last + 300; byte += 7) {
    const { machine, path } = await writtenGroups(5);
    machine.flipBit(path, byte * 8 + (byte % 8));
    const { log } = await reopenOne(machine, machine.reboot(), {}, ROOMY);
    const found = await readAll(machine, log);
    // A flip in the padding, or in what is zero and unused, changes nothing.
    expect([4, 5]).toContain(found.length);
    expect(found.map(({ value }) => value)).toEqual(values(found.length));
  }
});

test('a damaged group in the middle refuses the start, naming file, position and the way out', async () => {
  const { starts } = await writtenGroups(6);
  for (const at of [0, 8, 41, 70, 120, 200]) {
    const { machine, path } = await writtenGroups(6);
    machine.flipBit(path, ((starts[2] ?? 0) + at) * 8);
    const opened = reopenOne(machine, machine.reboot(), {}, ROOMY);
    await expect(opened.then(() => `started with byte ${at} damaged`)).rejects.toMatchObject({
      code: 'ML_JOURNAL_DAMAGED',
      fields: { path, position: starts[2] },
      hint: expect.stringContaining('--repair'),
    });
  }
});

test('repair keeps what is good of a damaged journal, and says what is lost', async () => {
  const { machine, path, starts } = await writtenGroups(6);
  const segmentPath = `${DIRECTORY}/topics/00000000-0000-4000-8000-000000000001/0/00000000000000000000.log`;
  machine.flipBit(path, ((starts[2] ?? 0) + 150) * 8);
  // The segment has the batch too, unless it is lost there as well.
  const env = machine.reboot();
  env.fs.open(segmentPath, 'write').truncate(0);
  const logger = new CollectingLogger();
  const { log } = await reopenOne(machine, env, {}, { ...ROOMY, repair: true, logger });
  const found = await readAll(machine, log);
  expect(found.map(({ offset }) => offset)).toEqual([0, 1, 3, 4, 5]);
  const expected = values(6);
  for (const { offset, value } of found) expect(value).toBe(expected[offset]);
  expect(logger.lines.some(({ message }) => message === 'Part of the journal is lost')).toBe(true);
});

test('repair takes from the segments what the journal has lost', async () => {
  const { machine, path, starts } = await writtenGroups(6);
  machine.flipBit(path, ((starts[2] ?? 0) + 150) * 8);
  const { log } = await reopenOne(machine, machine.reboot(), {}, { ...ROOMY, repair: true });
  expect((await readAll(machine, log)).map(({ value }) => value)).toEqual(values(6));
});

test('a file header that is lost does not lose the groups behind it', async () => {
  const { machine, path } = await writtenGroups(3);
  machine.flipBit(path, 100);
  const { log } = await reopenOne(machine, machine.reboot(), {}, ROOMY);
  expect((await readAll(machine, log)).map(({ value }) => value)).toEqual(values(3));
});

test('recycled files are replayed from their present use only, over many rounds and restarts', async () => {
  const machine = new SimMachine(5);
  let env = machine.boot();
  let expected = 0;
  for (let round = 0; round < 6; round++) {
    const { log, store } = await reopenOne(machine, env, { segmentBytes: 8192 });
    expect(log.highWatermark).toBe(expected);
    // Several times the size of the journal, so that each file is used again and again.
    for (let batch = 0; batch < 60; batch++) {
      await appendDurably({ machine, log }, [`${round} ${'z'.repeat(900)}`]);
      expected++;
    }
    const files = env.fs.list(`${DIRECTORY}/journal`).filter((name) => name.endsWith('.journal'));
    expect(files.length * (SMALL_STORE.journalFileBytes ?? 0)).toBeLessThanOrEqual(
      SMALL_STORE.journalBytesMax ?? 0,
    );
    if (round === 3) await machine.run(store.checkpoint());
    env = machine.reboot();
  }
  const { log } = await reopenOne(machine, env, { segmentBytes: 8192 });
  const found = await readAll(machine, log, { maxBytes: 4000 });
  expect(found.map(({ offset }) => offset)).toEqual(
    Array.from({ length: expected }, (_, at) => at),
  );
});

test('a group that does not fit into the rest of a file goes on in the next one', async () => {
  const { machine, log } = await openOne({ segmentBytes: 1_000_000 }, { seed: 3 });
  const large = (size: number) => batchOf(['v'.repeat(size)]);
  const wait: Promise<void>[] = [];
  for (const size of [3000, 3000, 3000, 6900, 10, 6800, 20]) {
    append(log, large(size));
    wait.push(log.whenDurable(log.logEndOffset));
  }
  await machine.run(Promise.all(wait));
  const { log: again } = await reopenOne(machine, machine.reboot(), { segmentBytes: 1_000_000 });
  const found = await readAll(machine, again);
  expect(found.map(({ value }) => value.length)).toEqual([3000, 3000, 3000, 6900, 10, 6800, 20]);
});

test('a batch that no journal file can hold is refused, and the largest that one can hold is taken', async () => {
  const { machine, log } = await openOne({ segmentBytes: 1_000_000 });
  const refused = log.append(batchOf(['v'.repeat(8200)]), { origin: 'client' });
  expect(refused).toMatchObject({ ok: false, error: 'MESSAGE_TOO_LARGE' });
  const empty = batchOf(['']).length;
  // Lengths inside the batch take a byte or two more as the value grows.
  const largest = log.context.batchBytesMax - empty - 4;
  append(log, batchOf(['v'.repeat(largest)]));
  await machine.run(log.whenDurable(1));
  expect(log.highWatermark).toBe(1);
});

test('files of another store are not replayed', async () => {
  const one = await openOne({}, { ...ROOMY, seed: 21 });
  await appendDurably(one, values(3));
  const { bytes } = journalFile(one.log.context.env, 1);

  const two = await openOne({}, { ...ROOMY, seed: 22 });
  two.machine.kill();
  const env = two.machine.boot();
  for (const name of env.fs.list(`${DIRECTORY}/journal`)) {
    const file = env.fs.open(`${DIRECTORY}/journal/${name}`, 'write');
    file.write(bytes, 0, bytes.length, 0);
    file.close();
  }
  const { log } = await reopenOne(two.machine, env, {}, ROOMY);
  expect(log.highWatermark).toBe(0);
});

test('one group carries what all logs appended in one turn', async () => {
  const { machine, store, log } = await openOne({}, ROOMY);
  for (const value of values(50)) append(log, batchOf([value]));
  const first = log.whenDurable(1);
  const last = log.whenDurable(50);
  expect(first).toBe(last);
  await machine.run(last);
  expect(store.stats().journalGroups).toBe(1);
  expect(store.stats().journalEntries).toBe(50);
});

test('nothing is confirmed, and nothing can be read, before the sync has returned', async () => {
  const { machine, log } = await openOne({}, ROOMY);
  let isDurable = false;
  let advanced = 0;
  log.onAdvance(() => advanced++);
  append(log, batchOf(['one']));
  const durable = log.whenDurable(1).then(() => {
    isDurable = true;
  });
  await machine.runUntil(() => log.context.journal.flightDurable() !== undefined);
  // It is being written: who asks now waits as well.
  let isLateDurable = false;
  const late = log.whenDurable(1).then(() => {
    isLateDurable = true;
  });
  expect(log.highWatermark).toBe(0);
  expect(await readAll(machine, log)).toEqual([]);
  expect([isDurable, isLateDurable, advanced]).toEqual([false, false, 0]);
  await machine.run(Promise.all([durable, late]));
  expect(log.highWatermark).toBe(1);
  expect(advanced).toBe(1);
});

test('a full journal goes on as soon as a checkpoint has made room, however slow the disk is', async () => {
  const machine = new SimMachine(17);
  machine.faults.slowSyncProbability = 1;
  machine.faults.slowSyncMs = 50;
  const { store } = await openStore(machine, machine.boot(), { checkpointIntervalMs: 3_600_000 });
  const logs = Array.from({ length: 8 }, (_, number) => store.openLog(logId(number), SMALL));
  await machine.run(store.finishRecovery());
  for (let round = 0; round < 8; round++) {
    // More than the whole journal, in one cycle.
    for (let times = 0; times < 4; times++)
      for (const log of logs) append(log, batchOf(['f'.repeat(1500)]));
    await machine.run(Promise.all(logs.map((log) => log.whenDurable(log.logEndOffset))), {
      withinMs: 60_000,
    });
    for (const log of logs) expect(log.highWatermark).toBe(log.logEndOffset);
  }
});

test('what was never confirmed leaves nothing behind in the segment that goes on', async () => {
  const { machine, store: first, log } = await openOne({ segmentBytes: 100_000 }, ROOMY);
  await appendDurably({ machine, log }, values(2));
  await machine.run(first.checkpoint());
  // In the segment, but killed before the journal has it.
  append(log, batchOf(['gone '.repeat(200)]));
  machine.kill();
  const second = await reopenOne(machine, machine.boot(), { segmentBytes: 100_000 }, ROOMY);
  expect(second.log.logEndOffset).toBe(2);
  await appendDurably(second, values(1, 2));
  second.log.roll();
  await appendDurably(second, values(1, 3));
  await machine.run(second.store.close());
  const { log: last, store } = await reopenOne(machine, machine.reboot(), {}, ROOMY);
  expect((await readAll(machine, last)).map(({ value }) => value)).toEqual(values(4));
  expect(store.stats().damagedRanges).toBe(0);
  // Every byte of the files is of a batch, as Kafka's tools expect.
  for (const { path } of last.segments) {
    const bytes = readWholeFile(last.context.env.fs, `${path}.log`);
    let at = 0;
    for (let next = 0; next !== -1; next = batchEnd(bytes, at, bytes.length)) at = next;
    expect(at).toBe(bytes.length);
  }
});
