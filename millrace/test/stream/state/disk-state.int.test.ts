import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from '../../../src/core/real-env.ts';
import type { DiskState, DiskStateOptions } from '../../../src/engine/stream/state/disk-state.ts';
import { openDiskState } from '../../../src/engine/stream/state/disk-state.ts';
import type { TaskState } from '../../../src/engine/stream/state/store.ts';
import { anyStep, type Base, Life } from './state-steps.ts';

const RUNS = Number(process.env['STATE_RUNS'] ?? 20);
const env = realEnv();
let directory = '';
beforeEach(() => {
  // What is looked for here is not what a device does: hundreds of lives need not wait for one.
  const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  directory = mkdtempSync(join(place, 'millrace-state-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function disk(path: string, options: Partial<DiskStateOptions>): Base {
  return {
    open: () => openDiskState({ env, path, ...options }),
    crash: (state: TaskState) => (state as DiskState).abandon(),
    lose: () => env.fs.removeDirectory(path),
  };
}

test.each([
  ['that forgets all it can, and writes every commit', { cacheBytes: 0, saveMs: 0 }],
  ['that forgets all it can, and writes at the end', { cacheBytes: 0, saveMs: 1e9 }],
  ['that reads two rows at once', { cacheBytes: 0, saveMs: 0, rowsAtOnce: 2 }],
  ['that forgets nothing', { saveMs: 0 }],
])('a state on disk %s is that of the model', async (_name, options) => {
  let lives = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 120, size: 'max' }), async (sequence) => {
      const life = await Life.begin(disk(join(directory, String(lives++)), options));
      for (const [index, step] of sequence.entries()) {
        await life.step(step);
        // Looking at everything brings everything into memory: not always.
        if (index % 5 === 4) life.check();
      }
      life.check();
      await life.end();
    }),
    { numRuns: RUNS, interruptAfterTimeLimit: 30_000 },
  );
  expect(lives).toBeGreaterThan(0);
});
