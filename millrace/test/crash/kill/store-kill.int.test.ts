/**
 * A real process with a real file system under `kill -9`, and under a failing fsync: what it acknowledged over a pipe
 * before it died is there at the next start, whole and in order.
 */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { failingSync, hasStrace } from './broker-process.ts';
import { EXIT_FATAL } from './store-child.ts';
import { StoreRuns } from './store-runs.ts';

/** Lives of a store in a directory of its own. Tests mostly wait for them, beside each other. */
async function withRuns(
  work: (runs: StoreRuns, directory: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
  const runs = new StoreRuns(directory, 1);
  try {
    await work(runs, directory);
  } finally {
    runs.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Stops the store in order, and looks at all of it once more. */
async function settle(runs: StoreRuns): Promise<void> {
  const closed = await runs.life({ operations: 100 });
  expect(closed).toMatchObject({ code: 0, errors: '' });
  const again = await runs.life({ operations: 0 });
  expect(again).toMatchObject({ code: 0, errors: '' });
}

// By itself: when the kills come is a matter of time.
test('kill -9 during the start loses nothing either', () =>
  withRuns(async (runs) => {
    await runs.life({ killAfterAcks: 300 });
    for (const killAfterMs of [200, 280, 360]) await runs.life({ killAfterMs });
    await settle(runs);
    expect(runs.anomalies).toEqual([]);
  }));

test.concurrent('kill -9 loses nothing that was acknowledged', () =>
  withRuns(async (runs) => {
    for (const killAfterAcks of [1, 40, 300, 400]) {
      const ending = await runs.life({ killAfterAcks });
      expect(ending).toMatchObject({ signal: 'SIGKILL', errors: '' });
      expect(runs.anomalies).toEqual([]);
    }
    await settle(runs);
    expect(runs.anomalies).toEqual([]);
    expect(runs.counts.acks).toBeGreaterThan(500);
  }));

// The kill may come when a checkpoint has just made the journal needless: then there is nothing to lose.
test.concurrent('a store that lost its journal is noticed', { retry: 3 }, () =>
  withRuns(async (runs, directory) => {
    await runs.life({ killAfterAcks: 60 });
    const journal = join(directory, 'journal');
    for (const name of readdirSync(journal)) {
      const path = join(journal, name);
      writeFileSync(path, Buffer.alloc(statSync(path).size));
    }
    await runs.life({ operations: 0 });
    expect(runs.anomalies.map((anomaly) => anomaly.name)).toContain('lost-acknowledged');
  }),
);

// Where there is no strace, or it may not trace, only the simulated machine shows this.
test.runIf(hasStrace()).concurrent('a failed fsync ends the process, and loses nothing', () =>
  withRuns(async (runs) => {
    await runs.life({ operations: 50 });
    for (const nth of [4, 12, 30]) {
      const ending = await runs.life(failingSync(nth));
      expect(ending.code).toBe(EXIT_FATAL);
      expect(runs.anomalies).toEqual([]);
    }
    await settle(runs);
    expect(runs.anomalies).toEqual([]);
  }),
);
