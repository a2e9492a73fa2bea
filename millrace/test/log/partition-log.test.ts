/** What one log promises to the broker: offsets, watermarks, transactions, time, deletion; and that it outlives a restart. */
import { expect, test } from 'vitest';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import { encodeEndTransactionMarker } from '../../src/wire/kafka/records/control-records.ts';
import {
  leaderEpoch,
  maxTimestamp,
  MAGIC_AT,
  RECORD_COUNT_AT,
} from '../../src/wire/kafka/records/record-batch.ts';
import type { BatchOptions } from '../../src/wire/kafka/records/record-batch-builder.ts';
import {
  append,
  appendDurably,
  batchOf,
  logId,
  openOne,
  openStore,
  readAll,
  reopenOne,
  SMALL,
  type TestStore,
  values,
} from './fixture.ts';

type Opened = TestStore & { readonly log: DiskLog };

function refusal(log: DiskLog, batch: Buffer, origin: 'client' | 'control' = 'client'): string {
  const result = log.append(batch, { origin });
  return result.ok ? 'accepted' : result.error;
}

test('offsets follow each other over batches, segments and restarts', async () => {
  const config = { segmentBytes: 700 };
  let opened: Opened = await openOne(config);
  for (let round = 0; round < 4; round++) {
    for (let number = 0; number < 10; number++) {
      const base = append(opened.log, batchOf([`a${round}`, `b${number}`, 'c']));
      expect(base).toBe((round * 10 + number) * 3);
    }
    await opened.machine.run(opened.log.whenDurable(opened.log.logEndOffset));
    expect(opened.log.highWatermark).toBe((round + 1) * 30);
    if (round === 1) await opened.machine.run(opened.store.close());
    const { machine } = opened;
    if (round === 1) machine.kill();
    opened = await reopenOne(machine, round === 1 ? machine.boot() : machine.reboot(), config);
    expect(opened.store.cleanStart).toBe(round === 1);
    expect(opened.store.leaderEpoch).toBe(round + 1);
  }
  expect(opened.log.segments.length).toBeGreaterThan(5);
  expect(await readAll(opened.machine, opened.log)).toHaveLength(120);
});

test('the leader epoch is stamped on batches, and answers where each epoch ends', async () => {
  const machine = new SimMachine(1);
  let env = machine.boot();
  for (let round = 0; round < 3; round++) {
    const { log } = await reopenOne(machine, env);
    await appendDurably({ machine, log }, values(4));
    env = machine.reboot();
  }
  const { log } = await reopenOne(machine, env);
  expect(log.endOffsetForEpoch(0)).toEqual({ leaderEpoch: 0, endOffset: 4 });
  expect(log.endOffsetForEpoch(1)).toEqual({ leaderEpoch: 1, endOffset: 8 });
  expect(log.endOffsetForEpoch(2)).toEqual({ leaderEpoch: 2, endOffset: 12 });
  expect(log.endOffsetForEpoch(3)).toEqual({ leaderEpoch: 3, endOffset: 12 });
  expect(log.endOffsetForEpoch(4)).toEqual({ leaderEpoch: -1, endOffset: -1 });
  const options = {
    maxBytes: 100_000,
    atLeastOneBatch: true,
    isolation: 'read_uncommitted',
  } as const;
  const { records } = await machine.run(log.read(5, options));
  expect(leaderEpoch(records, 0)).toBe(1);
});

test('append time is stamped on the batch and never goes back, also over a restart', async () => {
  const { machine, log } = await openOne({ appendTime: true });
  const first = log.append(batchOf(['a'], { timestampMs: 5 }), { origin: 'client' });
  machine.jumpClock(-60_000);
  const second = log.append(batchOf(['b']), { origin: 'client' });
  if (!first.ok || !second.ok) throw new Error('refused');
  expect(first.appendTimeMs).toBeGreaterThan(1e12);
  expect(second.appendTimeMs).toBe(first.appendTimeMs);
  await machine.run(log.whenDurable(2));
  const options = { maxBytes: 1, atLeastOneBatch: true, isolation: 'read_uncommitted' } as const;
  const { records } = await machine.run(log.read(0, options));
  expect(maxTimestamp(records, 0)).toBe(first.appendTimeMs);
  machine.jumpClock(-3_600_000);
  const again = await reopenOne(machine, machine.reboot(), { appendTime: true });
  const third = again.log.append(batchOf(['c']), { origin: 'client' });
  expect(third).toMatchObject({ appendTimeMs: first.appendTimeMs });
});

test('a batch of our own is refused when it is none, though it is not summed again', async () => {
  const { log } = await openOne();
  const refusalOf = (batch: Buffer): unknown => log.append(batch, { origin: 'internal' });
  const cut = batchOf(['a']);
  expect(refusalOf(cut.subarray(0, cut.length - 1))).toMatchObject({ error: 'CORRUPT_MESSAGE' });
  const unfit = batchOf(['a']);
  unfit.writeInt32BE(2, RECORD_COUNT_AT);
  expect(refusalOf(unfit)).toMatchObject({ error: 'INVALID_RECORD' });
  const old = batchOf(['a']);
  old[MAGIC_AT] = 1;
  expect(refusalOf(old)).toMatchObject({ error: 'UNSUPPORTED_FOR_MESSAGE_FORMAT' });
  expect(log.logEndOffset).toBe(0);
  expect(refusalOf(batchOf(['a']))).toMatchObject({ ok: true });
});

test('what is not a good batch of a client is refused and changes nothing', async () => {
  const { log } = await openOne();
  const damaged = batchOf(['a']);
  damaged[damaged.length - 1] = 7;
  expect(refusal(log, damaged)).toBe('CORRUPT_MESSAGE');
  const cut = batchOf(['a']);
  expect(refusal(log, cut.subarray(0, cut.length - 1))).toBe('CORRUPT_MESSAGE');
  const old = batchOf(['a']);
  old[MAGIC_AT] = 1;
  expect(refusal(log, old)).toBe('UNSUPPORTED_FOR_MESSAGE_FORMAT');
  expect(refusal(log, Buffer.alloc(0))).toBe('INVALID_RECORD');
  expect(refusal(log, Buffer.concat([batchOf(['a']), batchOf(['b'])]))).toBe('INVALID_RECORD');
  expect(refusal(log, batchOf(['v'.repeat(3000)]))).toBe('RECORD_LIST_TOO_LARGE');
  expect(refusal(log, batchOf(['a'], { transactional: true }))).toBe('INVALID_RECORD');
  expect(refusal(log, batchOf(['a'], { producerId: 1, producerEpoch: 0 }))).toBe('INVALID_RECORD');
  expect(refusal(log, marker(1, true))).toBe('INVALID_RECORD');
  expect(log.logEndOffset).toBe(0);
  expect(log.sizeBytes).toBe(0);
});

test('reads keep to whole batches, to maxBytes, and to what exists', async () => {
  const { machine, log } = await openOne({ segmentBytes: 100_000 });
  for (let number = 0; number < 10; number++) append(log, batchOf([`${number}`, 'x'.repeat(90)]));
  await machine.run(log.whenDurable(20));
  const size = log.sizeBytes / 10;
  const read = (offset: number, maxBytes: number, atLeastOneBatch: boolean) =>
    machine.run(log.read(offset, { maxBytes, atLeastOneBatch, isolation: 'read_uncommitted' }));
  expect((await read(0, size - 1, false)).records).toHaveLength(0);
  expect((await read(0, size - 1, true)).records).toHaveLength(size);
  expect((await read(0, size * 3 + 1, false)).records).toHaveLength(size * 3);
  // In the middle of a batch: the whole batch.
  expect((await read(5, size, false)).records.readUInt32BE(4)).toBe(4);
  expect((await read(19, 1e6, false)).records).toHaveLength(size);
  expect(await read(20, 1e6, false)).toMatchObject({ error: 'NONE', highWatermark: 20 });
  expect((await read(21, 1e6, false)).error).toBe('OFFSET_OUT_OF_RANGE');
  expect((await read(-1, 1e6, false)).error).toBe('OFFSET_OUT_OF_RANGE');
  for (let offset = 0; offset < 20; offset++)
    expect(await readAll(machine, log, { from: offset })).toHaveLength(20 - offset);
});

test('a batch larger than any read is still read whole', async () => {
  const { machine, log } = await openOne(
    { segmentBytes: 64 << 20 },
    { journalFileBytes: 16 << 20, journalBytesMax: 64 << 20, checkpointJournalBytes: 64 << 20 },
  );
  append(log, batchOf(['small']));
  append(log, batchOf(['L'.repeat(10 << 20)]));
  append(log, batchOf(['small too']));
  await machine.run(log.whenDurable(3));
  const found = await readAll(machine, log, { maxBytes: 100 });
  expect(found.map(({ value }) => value.length)).toEqual([5, 10 << 20, 9]);
});

// ---- Producers and transactions -------------------------------------------------------------------------------------

function data(
  producerId: number,
  sequence: number,
  value = 't',
  options: BatchOptions = {},
): Buffer {
  return batchOf([value], { producerId, producerEpoch: 0, baseSequence: sequence, ...options });
}

function transactional(producerId: number, sequence: number, value = 't'): Buffer {
  return data(producerId, sequence, value, { transactional: true });
}

function marker(producerId: number, commit: boolean, producerEpoch = 0): Buffer {
  return encodeEndTransactionMarker(
    { producerId, producerEpoch, commit, coordinatorEpoch: 0 },
    { timestampMs: 1_000_000 },
  );
}

test('a batch sent twice is answered with its first offsets, before and after a restart', async () => {
  const opened = await openOne();
  const { machine, log } = opened;
  for (let sequence = 0; sequence < 7; sequence++) append(log, data(1, sequence));
  // Five batches are remembered: 2 to 6.
  expect(log.append(data(1, 2), { origin: 'client' })).toMatchObject({
    duplicate: true,
    baseOffset: 2,
    lastOffset: 2,
  });
  // Older than what is remembered.
  expect(refusal(log, data(1, 1))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
  expect(refusal(log, data(1, 9))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
  await machine.run(log.whenDurable(7));
  for (const how of ['crash', 'checkpoint', 'close'] as const) {
    const { store, log: again } = await reopenOne(machine, machine.reboot());
    expect(again.append(data(1, 6), { origin: 'client' })).toMatchObject({
      duplicate: true,
      baseOffset: 6,
    });
    expect(refusal(again, data(1, 8))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    if (how === 'checkpoint') await machine.run(store.checkpoint());
    if (how === 'close') await machine.run(store.close());
  }
});

test('the last stable offset waits for the oldest open transaction, and moves only when its end is durable', async () => {
  const { machine, log } = await openOne();
  append(log, data(9, 0, 'plain'));
  append(log, transactional(1, 0));
  append(log, transactional(2, 0));
  await machine.run(log.whenDurable(3));
  expect(log.lastStableOffset).toBe(1);
  append(log, marker(1, true), 'control');
  expect(log.lastStableOffset).toBe(1);
  await machine.run(log.whenDurable(4));
  expect(log.lastStableOffset).toBe(2);
  append(log, marker(2, false), 'control');
  append(log, data(9, 1, 'plain too'));
  expect(log.lastStableOffset).toBe(2);
  await machine.run(log.whenDurable(6));
  expect(log.lastStableOffset).toBe(6);
  const options = { maxBytes: 10_000, atLeastOneBatch: true } as const;
  const committed = await machine.run(log.read(0, { ...options, isolation: 'read_committed' }));
  expect(committed.abortedTransactions).toEqual([{ producerId: 2, firstOffset: 2 }]);
  const from = await machine.run(log.read(5, { ...options, isolation: 'read_committed' }));
  expect(from.abortedTransactions).toEqual([]);
});

test('a transaction whose marker is not durable yet is not decided, though its records are durable', async () => {
  const { machine, log } = await openOne();
  append(log, transactional(1, 0));
  const first = log.whenDurable(1);
  await machine.runUntil(() => log.context.journal.flightDurable() !== undefined);
  append(log, marker(1, false), 'control');
  append(log, data(9, 0, 'plain'));
  await machine.runUntil(() => log.highWatermark === 1);
  expect(log.lastStableOffset).toBe(0);
  await first;
  await machine.run(log.whenDurable(3));
  expect(log.lastStableOffset).toBe(3);
});

test('reads stop at the last stable offset when they should see committed records only', async () => {
  const { machine, log } = await openOne();
  append(log, data(9, 0, 'plain'));
  append(log, transactional(1, 0, 'open'));
  append(log, data(9, 1, 'behind'));
  await machine.run(log.whenDurable(3));
  const committed = await readAll(machine, log, { isolation: 'read_committed' });
  expect(committed.map(({ value }) => value)).toEqual(['plain']);
  expect(await readAll(machine, log)).toHaveLength(3);
});

test('open and aborted transactions are known again after every kind of stop', async () => {
  const seen = new Set<string>();
  for (const stop of ['crash', 'checkpoint', 'roll', 'close'] as const) {
    const { machine, store, log } = await openOne({ segmentBytes: 1000 });
    append(log, transactional(1, 0));
    append(log, transactional(2, 0));
    for (let sequence = 0; sequence < 12; sequence++) append(log, data(9, sequence, 'filling'));
    append(log, marker(1, false), 'control');
    append(log, transactional(1, 1));
    if (stop === 'checkpoint' || stop === 'roll') await machine.run(store.checkpoint());
    if (stop === 'roll')
      for (let sequence = 12; sequence < 24; sequence++) append(log, data(9, sequence, 'filling'));
    append(log, marker(2, false), 'control');
    append(log, transactional(2, 1));
    await machine.run(log.whenDurable(log.logEndOffset));
    const stable = log.lastStableOffset;
    if (stop === 'close') await machine.run(store.close());
    const again = await reopenOne(machine, machine.reboot(), { segmentBytes: 1000 });
    expect(again.log.lastStableOffset).toBe(stable);
    expect(stable).toBe(15);
    expect(refusal(again.log, transactional(1, 2))).toBe('accepted');
    expect(refusal(again.log, data(2, 2))).toBe('INVALID_TXN_STATE');
    append(again.log, marker(1, true), 'control');
    append(again.log, marker(2, true), 'control');
    await machine.run(again.log.whenDurable(again.log.logEndOffset));
    const options = { maxBytes: 900, atLeastOneBatch: true, isolation: 'read_committed' } as const;
    const read = await machine.run(again.log.read(0, options));
    expect(read.abortedTransactions).toEqual([
      { producerId: 1, firstOffset: 0 },
      { producerId: 2, firstOffset: 1 },
    ]);
    seen.add(stop);
  }
  expect(seen.size).toBe(4);
});

// ---- Time -----------------------------------------------------------------------------------------------------------

test('offsets by time agree with a search through all records', async () => {
  const { machine, store, log } = await openOne({ segmentBytes: 900, indexIntervalBytes: 150 });
  const times: number[] = [];
  // Mostly rising, with steps back, equal ones and gaps.
  for (let number = 0; number < 40; number++) {
    const timestampMs = 1000 + number * 10 - (number % 7 === 3 ? 35 : 0);
    append(
      log,
      batchOf(['a', 'b'], { timestampMs, compression: number % 3 === 0 ? 'gzip' : 'none' }),
    );
    times.push(timestampMs, timestampMs + 1);
  }
  await machine.run(log.whenDurable(80));
  await machine.run(store.close());
  machine.kill();
  const { log: again } = await reopenOne(machine, machine.boot(), {
    segmentBytes: 900,
    indexIntervalBytes: 150,
  });
  for (let timestampMs = 990; timestampMs < 1420; timestampMs += 3) {
    const expected = times.findIndex((time) => time >= timestampMs);
    const found = await machine.run(again.offsetForTimestamp(timestampMs, 'read_uncommitted'));
    expect(found?.offset ?? -1, `time ${timestampMs}`).toBe(expected);
    if (expected >= 0) expect(found?.timestampMs).toBe(times[expected]);
  }
  const largest = Math.max(...times);
  expect(await machine.run(again.maxTimestamp())).toEqual({
    offset: times.indexOf(largest),
    timestampMs: largest,
    leaderEpoch: 0,
  });
});

test('an empty log has no record at any time', async () => {
  const { machine, log } = await openOne();
  expect(await machine.run(log.offsetForTimestamp(0, 'read_uncommitted'))).toBeUndefined();
  expect(await machine.run(log.maxTimestamp())).toBeUndefined();
});

test('a segment is closed when its first record is too old', async () => {
  const { machine, log } = await openOne({ segmentMs: 1000, segmentBytes: 100_000 });
  append(log, batchOf(['a'], { timestampMs: 5000 }));
  append(log, batchOf(['b'], { timestampMs: 6000 }));
  expect(log.segments).toHaveLength(1);
  append(log, batchOf(['c'], { timestampMs: 6001 }));
  expect(log.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 2]);
  await machine.run(log.whenDurable(3));
  expect(await readAll(machine, log)).toHaveLength(3);
});

// ---- Deletion -------------------------------------------------------------------------------------------------------

test('the log start offset moves forward durably, and never past the high watermark', async () => {
  const { machine, store, log } = await openOne();
  await appendDurably({ machine, log }, values(20));
  expect(await machine.run(log.deleteRecordsBefore(7))).toBe(7);
  expect(await machine.run(log.deleteRecordsBefore(3))).toBe(7);
  await expect(log.deleteRecordsBefore(21)).rejects.toMatchObject({
    code: 'ML_OFFSET_OUT_OF_RANGE',
  });
  const options = { maxBytes: 100, atLeastOneBatch: true, isolation: 'read_uncommitted' } as const;
  expect((await machine.run(log.read(6, options))).error).toBe('OFFSET_OUT_OF_RANGE');
  const crashed = await reopenOne(machine, machine.reboot());
  expect(crashed.log.logStartOffset).toBe(7);
  expect((await readAll(machine, crashed.log))[0]?.offset).toBe(7);
  expect(await machine.run(crashed.log.deleteRecordsBefore(-1))).toBe(20);
  await machine.run(crashed.store.runRetention());
  expect(store.stats().damagedRanges).toBe(0);
  const last = await reopenOne(machine, machine.reboot());
  expect(last.log.logStartOffset).toBe(20);
  expect(last.log.logEndOffset).toBe(20);
  expect(append(last.log, batchOf(['next']))).toBe(20);
});

test('a log that was deleted is gone after any stop, and its name can be used again', async () => {
  const { machine, store, log } = await openOne();
  const other = store.openLog(logId(2), SMALL);
  await appendDurably({ machine, log }, values(5));
  await appendDurably({ machine, log: other }, values(5));
  await machine.run(store.deleteLog(logId(1)));
  expect(store.existing()).toEqual([logId(2)]);
  const { store: again } = await openStore(machine, machine.reboot());
  expect(again.existing()).toEqual([logId(2)]);
  const anew = again.openLog(logId(1), SMALL);
  const kept = again.openLog(logId(2), SMALL);
  await machine.run(again.finishRecovery());
  expect(anew.logEndOffset).toBe(0);
  expect(await readAll(machine, kept)).toHaveLength(5);
  await appendDurably({ machine, log: anew }, values(2));
  const { log: last } = await reopenOne(machine, machine.reboot());
  expect(await readAll(machine, last)).toHaveLength(2);
});

test('logs that are not opened by the end of recovery are dropped', async () => {
  const { machine, store, log } = await openOne();
  const other = store.openLog(logId(2, 3), SMALL);
  await appendDurably({ machine, log }, values(5));
  await appendDurably({ machine, log: other }, values(5));
  const { store: again } = await reopenOne(machine, machine.reboot());
  expect(again.existing()).toEqual([logId(1)]);
  const { log: last } = await reopenOne(machine, machine.reboot());
  expect(await readAll(machine, last)).toHaveLength(5);
});

test('appends before the end of recovery are kept', async () => {
  const machine = new SimMachine(2);
  const first = await reopenOne(machine, machine.boot());
  await appendDurably(first, values(20));
  for (let round = 0; round < 3; round++) {
    const { store } = await openStore(machine, machine.reboot());
    const log = store.openLog(logId(1), SMALL);
    expect(log.highWatermark).toBe(20 + round * 30);
    for (const value of values(30)) append(log, batchOf([value]));
    await machine.run(log.whenDurable(log.logEndOffset));
  }
  const { log } = await reopenOne(machine, machine.reboot());
  expect(await readAll(machine, log)).toHaveLength(110);
});

test('listeners hear of every move, and not after they have stopped', async () => {
  const { machine, log } = await openOne();
  const seen: number[] = [];
  const stop = log.onAdvance(() => seen.push(log.highWatermark));
  await appendDurably({ machine, log }, values(1));
  await appendDurably({ machine, log }, values(1));
  stop();
  await appendDurably({ machine, log }, values(1));
  expect(seen).toEqual([1, 2]);
});

test('few files are open at a time, and all segments can be read', async () => {
  const { machine, store, log } = await openOne({ segmentBytes: 500 }, { openSegmentsMax: 3 });
  await appendDurably({ machine, log }, values(60));
  await machine.run(store.checkpoint());
  expect(log.segments.length).toBeGreaterThan(12);
  expect(await readAll(machine, log)).toHaveLength(60);
  expect(log.context.segments.openFiles.count).toBeLessThanOrEqual(4);
});
