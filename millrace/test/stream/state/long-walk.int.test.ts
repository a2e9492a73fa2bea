/** A walk over a store that is larger than its memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { realEnv } from '../../../src/core/real-env.ts';
import { openDiskState } from '../../../src/engine/stream/state/disk-state.ts';

const CACHE_BYTES = 40_000;
const ENTRIES = 4_000;
const CHANGED = ENTRIES / 20;

test.each([1, 500])(
  'takes no more memory than it may, with %i entries of each key',
  async (perKey) => {
    const path = mkdtempSync(join(tmpdir(), 'millrace-walk-'));
    onTestFinished(() => rmSync(path, { recursive: true }));
    const options = { env: realEnv(), path, cacheBytes: CACHE_BYTES, saveMs: 0, rowsAtOnce: 64 };
    const state = await openDiskState(options);
    const store = state.store<{ n: number }>({ name: 'all', dueOf: (_value, sub) => sub });
    for (let n = 0; n < ENTRIES; n++)
      store.put(`k${String(Math.floor(n / perKey)).padStart(6, '0')}`, n % perKey, { n }, 1);
    state.flush(() => {});
    state.committed(new Map([['all', 1]]));
    await state.close();

    const again = await openDiskState(options);
    const restored = again.store<{ n: number }>({ name: 'all', dueOf: (_value, sub) => sub });
    let most = 0;
    let next = 0;
    restored.range(undefined, undefined, (key, sub, value) => {
      expect(value.n).toBe(next);
      if (next < CHANGED) restored.put(key, sub, { n: next + ENTRIES }, 2);
      next++;
      most = Math.max(most, again.bytes);
    });
    expect(next).toBe(ENTRIES);
    // What was changed stays until it is committed; of one key, all.
    const changedBytes = CHANGED * 300;
    expect(most).toBeLessThan(2 * CACHE_BYTES + changedBytes + perKey * 300);
    let changed = 0;
    restored.range(undefined, undefined, (_key, _sub, { n }) => {
      if (n >= ENTRIES) changed++;
    });
    expect(changed).toBe(CHANGED);
    await again.close();
  },
);
