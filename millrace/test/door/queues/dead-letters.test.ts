/** Dead letters that fail again while they are put back. */
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { OpenDeadLetters } from '../../../src/door/queues/dead-letters.ts';
import type { QueueSession } from '../../../src/door/queues/session.ts';

/** All that is moved is back at once. */
function poisoned(size: number, atOnce: number): { dead: OpenDeadLetters; asked: number[] } {
  const asked: number[] = [];
  const ask = (request: { readonly op: string; readonly limit?: number }): Promise<unknown> => {
    if (request.op === 'queue')
      return Promise.resolve({ ready: size, unacknowledged: 0, delayed: 0 });
    const moved = Math.min(size, request.limit ?? atOnce, atOnce);
    asked.push(moved);
    if (asked.length > 20) throw new Error('it goes on without end');
    return Promise.resolve({ moved, skipped: 0, remaining: size });
  };
  const session = { ask } as unknown as QueueSession;
  const dead = new OpenDeadLetters({
    name: 'jobs.dead',
    value: json(),
    session: () => Promise.resolve(session),
  });
  return { dead, asked };
}

test('each is put back once, also when it fails again meanwhile', async () => {
  const few = poisoned(5, 10_000);
  expect(await few.dead.redrive()).toEqual({ moved: 5, skipped: 0 });
  expect(few.asked).toEqual([5]);
  const many = poisoned(25_000, 10_000);
  expect(await many.dead.redrive()).toEqual({ moved: 25_000, skipped: 0 });
  expect(many.asked).toEqual([10_000, 10_000, 5_000]);
  expect(await many.dead.redrive({ limit: 3 })).toEqual({ moved: 3, skipped: 0 });
  const none = poisoned(0, 10_000);
  expect(await none.dead.redrive()).toEqual({ moved: 0, skipped: 0 });
});
