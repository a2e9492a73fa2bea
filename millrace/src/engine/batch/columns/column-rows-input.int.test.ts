/** A whole flow on real files: conditions on bytes, functions of the program, dead letters and a CSV file, against plain JavaScript. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { files } from '../../../connect/files/files.ts';
import { realEnv } from '../../../core/real-env.ts';
import { col } from '../../../flow/expressions.ts';
import { flow, skipTo } from '../../../flow/flow.ts';
import type { Plan } from '../../../flow/plan.ts';
import { memoryStorage } from '../exchange/run-storage.ts';
import { explainStages } from '../planning/explain-stages.ts';
import type { TaskResult } from '../stage.ts';
import { type LocalRun, runLocally } from '../../../../test/batch/local-run.ts';
import { runTask } from '../task/run-task.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-rows-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const LINES = 20_000;
/** More than two chunks, with bytes that are no ASCII, in many splits. */
const hits = Array.from({ length: LINES }, (_, index) => ({
  host: `10.0.${index % 7}.${index % 251}`,
  path: index % 97 === 0 ? `/gr\u00fc\u00dfe/${index}` : `/pages/${index % 313}.html`,
  status: index % 20 === 3 ? '404' : index % 50 === 7 ? '-' : '200',
  bytes: index % 11 === 0 ? '-' : String((index * 7919) % 100_000),
}));

function writeLog(): string {
  const path = join(directory, 'access.log');
  const lines = hits.map(
    ({ host, path: page, status, bytes }) =>
      `${host} - - [17/May/2015:10:05:00 +0000] "GET ${page} HTTP/1.1" ${status} ${bytes}\n`,
  );
  writeFileSync(path, lines.join(''));
  return path;
}

async function run(plan: Plan, splitBytes: number): Promise<LocalRun> {
  const storage = memoryStorage(1 << 26, {
    create: () => {
      throw new Error('nothing goes to files');
    },
    open: (path) => {
      throw new Error(`no run ${path}`);
    },
    remove: () => {},
  });
  const made = (...parts: readonly (string | number)[]): string => {
    const path = join(directory, `parts-${splitBytes}`, parts.join('-'));
    mkdirSync(path, { recursive: true });
    return path;
  };
  return runLocally({
    plan,
    environment: {
      env: realEnv(),
      directory,
      brokers: undefined,
      storage: () => storage,
      signal: new AbortController().signal,
      onProgress: () => {},
    },
    runTask,
    storage,
    memoryBytes: 1 << 26,
    splitBytes,
    writeDirectory: (node, task) => made('write', node, task),
    skippedDirectory: (stage, task) => made('skipped', stage, task),
  });
}

function read(parts: readonly { readonly path: string }[]): string {
  return parts.map(({ path }) => readFileSync(path, 'utf8')).join('');
}

test.each([90_000, 100_000_000])('filtered on bytes, splits of %i bytes', async (splitBytes) => {
  const log = writeLog();
  const plan = flow(
    'errors',
    { onError: skipTo(files.ndjson(join(directory, 'letters'))) },
    (f) => {
      const seen = f.counter('seen');
      f.read(
        files.delimited(log, {
          fields: { host: 0, path: 6, status: [8, 'number'], bytes: [9, 'number'] },
        }),
      )
        .where(col('status').eq(404))
        .select({ path: col('path'), kilobytes: col('bytes').dividedBy(1024) })
        .tap(() => seen.add())
        .map(async (row) => {
          if (row.path.endsWith('13.html')) throw new RangeError(`no ${row.path}`);
          return { ...row, length: row.path.length };
        })
        .write(files.csv(join(directory, 'errors.csv')));
    },
  ).plan();
  const { graph, results: byStage } = await run(plan, splitBytes);
  const results = Object.values(byStage).flat();
  expect(explainStages(plan, graph)).toContain('filtered on the bytes of the input');
  const expected = hits.flatMap(({ path, status, bytes }, index) =>
    status === '404' ? [{ path, bytes, line: index + 1 }] : [],
  );
  const good = expected.filter(({ path }) => !path.endsWith('13.html'));
  const csv = read(results.flatMap(({ writes }) => writes.flatMap(({ parts }) => parts)));
  const rows = csv.split('\n').filter((line) => line !== '' && !line.startsWith('path,'));
  expect(rows).toEqual(
    good.map(({ path, bytes }) => {
      const kilobytes = bytes === '-' ? '' : String(Number(bytes) / 1024);
      return `${path},${kilobytes},${path.length}`;
    }),
  );
  const letters = read(results.flatMap(({ skipped }) => skipped.parts));
  const told = letters
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(told).toEqual(
    expected
      .filter(({ path }) => path.endsWith('13.html'))
      .map(({ path, bytes, line }) => ({
        record: { path, kilobytes: bytes === '-' ? null : Number(bytes) / 1024 },
        error: `RangeError: no ${path}`,
        operator: 'map-4',
        position: `${log}:${line}`,
      })),
  );
  expect(told.length).toBeGreaterThan(3);
  const total = (of: (result: TaskResult) => number): number =>
    results.reduce((sum, result) => sum + of(result), 0);
  expect(total(({ counters }) => counters['seen'] ?? 0)).toBe(expected.length);
  expect(total(({ metrics }) => metrics.recordsIn)).toBe(LINES);
});
