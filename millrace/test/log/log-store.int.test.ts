/** The log store on the real file system. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from '../../src/core/real-env.ts';
import { type DiskLogStore, openLogStore } from '../../src/log/log-store.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import { append, batchOf, collect, logId, type ReadBack, SMALL, values } from './fixture.ts';

let directory = '';
const open: DiskLogStore[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-log-'));
});

afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(directory, { recursive: true, force: true });
});

async function openReal(): Promise<DiskLogStore> {
  const store = await openLogStore(realEnv(), {
    directory,
    onFatal: (error) => {
      throw error;
    },
    journalFileBytes: 256 * 1024,
    journalBytesMax: 1024 * 1024,
    checkpointJournalBytes: 400 * 1024,
    reserveBytes: 64 * 1024,
  });
  open.push(store);
  return store;
}

async function readReal(log: DiskLog): Promise<ReadBack[]> {
  const found: ReadBack[] = [];
  for (let offset = log.logStartOffset; offset < log.highWatermark; ) {
    const options = {
      maxBytes: 20_000,
      atLeastOneBatch: true,
      isolation: 'read_uncommitted',
    } as const;
    const result = await log.read(offset, options);
    expect(result.error).toBe('NONE');
    offset = collect(result.records, offset, found);
    result.release();
  }
  return found;
}

test('logs are written, read, closed and read again', async () => {
  const store = await openReal();
  const config = { ...SMALL, segmentBytes: 64 * 1024 };
  const logs = [1, 2, 3].map((number) => store.openLog(logId(number), config));
  await store.finishRecovery();
  const expected = values(2000);
  const waits = logs.flatMap((log) =>
    expected.map((value) => {
      append(log, batchOf([value]));
      return log.whenDurable(log.logEndOffset);
    }),
  );
  await Promise.all(waits);
  for (const log of logs) expect((await readReal(log)).map(({ value }) => value)).toEqual(expected);
  expect(store.stats().journalGroups).toBeLessThan(100);
  await store.close();

  const again = await openReal();
  expect(again.cleanStart).toBe(true);
  expect(again.existing()).toHaveLength(3);
  for (const number of [1, 2, 3]) {
    const log = again.openLog(logId(number), config);
    expect((await readReal(log)).map(({ value }) => value)).toEqual(expected);
  }
  await again.finishRecovery();
});

test('the files are named as the documentation says', async () => {
  const store = await openReal();
  const log = store.openLog(logId(1), { ...SMALL, segmentBytes: 1000 });
  await store.finishRecovery();
  for (const value of values(20)) append(log, batchOf([value]));
  await log.whenDurable(20);
  await store.close();
  expect(readdirSync(directory).filter((name) => !name.startsWith('lock'))).toEqual([
    'checkpoint.a',
    'checkpoint.b',
    'journal',
    'reserve',
    'topics',
  ]);
  const names = readdirSync(join(directory, 'topics', logId(1).topicId, '0'));
  expect(names.slice(0, 3)).toEqual([
    '00000000000000000000.index',
    '00000000000000000000.log',
    '00000000000000000000.timeindex',
  ]);
});

test('a clean start with hundreds of logs opens no segment and takes no checkpoint', async () => {
  const store = await openReal();
  const ids = Array.from({ length: 300 }, (_, number) => logId(number));
  const logs = ids.map((id) => store.openLog(id, SMALL));
  await store.finishRecovery();
  for (const log of logs) append(log, batchOf(['one']));
  await Promise.all(logs.map((log) => log.whenDurable(1)));
  await store.close();

  const again = await openReal();
  for (const id of again.existing()) again.openLog(id, SMALL);
  await again.finishRecovery();
  expect(again.stats()).toMatchObject({ logs: 300, segments: 300 });
  const [first] = again.openLogs();
  expect(first?.context.segments.openFiles.count).toBe(0);
  expect(first?.highWatermark).toBe(1);
});
