/** Tables on real files, put in place by the commit of a job, and replaced while they are read. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from '../../core/real-env.ts';
import { OutputCommit } from '../../engine/batch/commit/commit.ts';
import { openTable } from './table-reader.ts';
import { tableSink } from './table-sink.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-table-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const env = realEnv();
const KEYS = 5_000;

/** Runs the end of a job: one partition, all values say which version they are of. */
async function publish(version: string, keys = KEYS): Promise<void> {
  const sink = tableSink('table', { partitions: 1 });
  const commit = await OutputCommit.begin(env, {
    jobId: version,
    directory: root,
    outputs: [{ node: 0, sink }],
    inputs: [],
    overwrite: true,
    describe: { pid: process.pid, startedMs: env.clock.nowMs() },
    scratch: root,
  });
  const writer = sink.open({ env, directory: commit.attemptDirectory(0, 0, 0, 0), task: 0 });
  for (let key = 0; key < keys; key++) writer.write({ version, key }, key);
  await commit.commit(new Map([[0, await writer.finish()]]), async () => {});
}

interface Kept {
  readonly version: string;
  readonly key: number;
}

test('a reader goes over to a new version when it is told to, and ranges end in theirs', async () => {
  await publish('one');
  await using table = await openTable<number, Kept>(`${root}/table`);
  expect(table.version).toMatch(/^one-/);
  expect(await table.reload()).toBe(false);
  const range = table.range();
  const seen = [(await range.next()).value];
  await publish('two', KEYS + 1);
  // The files of the old version have no names any more, but they are open.
  expect((await table.get(KEYS - 1))?.version).toBe('one');
  expect(await table.reload()).toBe(true);
  expect(table.version).toMatch(/^two-/);
  expect(table.size).toBe(KEYS + 1);
  expect((await table.get(KEYS))?.version).toBe('two');
  await publish('three');
  for await (const entry of range) seen.push(entry);
  expect(seen).toHaveLength(KEYS);
  expect(new Set(seen.map((entry) => entry?.value.version))).toEqual(new Set(['one']));
  const [first, second] = await Promise.all([table.reload(), table.reload()]);
  expect([first, second]).toEqual([true, true]);
  expect((await table.getMany([0, 1, KEYS])).map((kept) => kept?.version)).toEqual([
    'three',
    'three',
    undefined,
  ]);
});

test('readers that come and go while versions change never see a mix', async () => {
  await publish('v0');
  const progress = { isDone: false };
  const read = async (): Promise<number> => {
    let rounds = 0;
    while (!progress.isDone) {
      const table = await openTable<number, Kept>(`${root}/table`, { cacheBytes: 100_000 });
      const values = await table.getMany(Array.from({ length: 50 }, (_, index) => index * 97));
      await table.reload();
      const later = await table.entries({ from: 100, to: 200 });
      await table.close();
      expect(new Set(values.map((kept) => kept?.version)).size).toBe(1);
      expect(new Set(later.map((entry) => entry.value.version)).size).toBe(1);
      expect(later).toHaveLength(100);
      rounds++;
    }
    return rounds;
  };
  const readers = [read(), read()];
  for (let version = 1; version <= 8; version++) await publish(`v${version}`);
  progress.isDone = true;
  for (const rounds of await Promise.all(readers)) expect(rounds).toBeGreaterThan(0);
});
