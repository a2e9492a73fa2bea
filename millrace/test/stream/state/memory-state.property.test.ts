import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openMemoryState } from '../../../src/engine/stream/state/task-state.ts';
import { runs } from '../../runs.ts';
import { anyStep, Life } from './state-steps.ts';

const memory = {
  open: () => Promise.resolve(openMemoryState()),
  crash: () => Promise.resolve(),
  lose: () => Promise.resolve(),
};

test('whatever is done to it, the state is that of the model, and that of the last commit after an abort', async () => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 120, size: 'max' }), async (sequence) => {
      const life = await Life.begin(memory);
      for (const step of sequence) {
        await life.step(step);
        life.check();
        steps++;
      }
      await life.end();
    }),
    { numRuns: runs(100) },
  );
  expect(steps).toBeGreaterThan(1000);
});

test('a key that is -0 is 0 from the start, as it is after a restart', () => {
  const store = openMemoryState().store<string>({ name: 'zero' });
  store.put(-0, -0, 'x', 1);
  store.range(undefined, undefined, (key, sub) => {
    expect([key, sub]).toEqual([0, 0]);
  });
  expect(store.get(0, 0)).toBe('x');
});
