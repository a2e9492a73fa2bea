/** A store that meets the limit of open files: it refuses, says so once, and goes on. */
import { expect, test } from 'vitest';
import { batchOf, logId, openStore, readAll, SMALL } from '../../test/log/fixture.ts';
import { CollectingLogger } from '../core/log.ts';
import { DESCRIPTORS_TOLD_MS } from '../core/limits.ts';
import { SimMachine } from '../core/sim/sim-machine.ts';

/** Of few, half are for segments. */
const MOST = 40;

test('more logs than files may be open are written, a part at a time', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  Object.defineProperty(env.fs, 'descriptorsMax', { value: 2 * MOST });
  const logger = new CollectingLogger();
  const { store, fatal } = await openStore(machine, env, { logger });
  const logs = Array.from({ length: 5 * MOST }, (_, index) =>
    store.openLog(logId(index + 1), SMALL),
  );
  await machine.run(store.finishRecovery());
  let rounds = 0;
  // First their files are made, then they are opened again.
  for (const value of ['x', 'y']) {
    for (let left = logs; left.length > 0 && rounds < 20; rounds++) {
      left = left.filter((log) => {
        const result = log.append(batchOf([value]), { origin: 'client' });
        if (!result.ok) expect(result.error).toBe('KAFKA_STORAGE_ERROR');
        return !result.ok;
      });
      expect(store.isShortOfFiles || left.length === 0).toBe(true);
      expect(logs[0]?.context.segments.openFiles.count).toBeLessThanOrEqual(MOST);
      // It was asked for when they became too many.
      await machine.run(env.timers.sleep(1_000));
      expect(store.isShortOfFiles).toBe(false);
    }
  }
  expect(rounds).toBeGreaterThan(8);
  expect(rounds).toBeLessThan(20);
  expect(rounds * 1_000).toBeLessThan(DESCRIPTORS_TOLD_MS);
  const errors = logger.lines.filter(({ level }) => level === 'error');
  expect(errors.map(({ message }) => message)).toEqual([
    'Appends are refused: too many files are open',
  ]);
  for (const log of logs) expect(await readAll(machine, log)).toHaveLength(2);
  expect(fatal).toEqual([]);
  await machine.run(store.close());
});
