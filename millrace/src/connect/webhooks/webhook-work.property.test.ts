/** The bookkeeping of a delivery, against one that looks at everything every time. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Item, WebhookWork } from './webhook-work.ts';

interface Known {
  readonly key: string | undefined;
  state: 'waiting' | 'attempted' | 'retry' | 'settled';
  dueMs: number;
}

const anyStep = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key: fc.constantFrom(undefined, 'a', 'b') }),
  fc.record({ do: fc.constant('next' as const) }),
  fc.record({ do: fc.constant('settle' as const), which: fc.nat(3) }),
  fc.record({ do: fc.constant('retry' as const), which: fc.nat(3), delayMs: fc.nat(50) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.nat(30) }),
);

test.each([true, false])('nothing is lost, nothing is done twice; ordered: %s', (isOrdered) => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
      const work = new WebhookWork(isOrdered);
      work.begin(new Map([[0, 100]]), []);
      const known: Known[] = [];
      const attempted: Item[] = [];
      let nowMs = 0;
      for (const step of steps) {
        const item =
          'which' in step ? attempted[step.which % Math.max(1, attempted.length)] : undefined;
        const of = item === undefined ? undefined : known[item.record.offset - 100];
        switch (step.do) {
          case 'add': {
            const key = step.key === undefined ? null : Buffer.from(step.key);
            const offset = 100 + known.length;
            known.push({ key: step.key, state: 'waiting', dueMs: 0 });
            work.add({
              partition: 0,
              offset,
              timestamp: 1,
              key,
              value: Buffer.alloc(1),
              headers: [],
            });
            break;
          }
          case 'next': {
            const next = work.next(nowMs);
            const can = known.filter((each) => mayBegin(each, known, nowMs, isOrdered));
            expect(next === undefined).toBe(can.length === 0);
            if (next === undefined) break;
            const begun = known[next.record.offset - 100];
            if (begun === undefined || !can.includes(begun)) throw new Error('it may not begin');
            // What is due goes first.
            expect(begun.state === 'retry' || !can.some(({ state }) => state === 'retry')).toBe(
              true,
            );
            begun.state = 'attempted';
            attempted.push(next);
            break;
          }
          case 'settle':
            if (item === undefined || of === undefined) break;
            work.settle(item);
            of.state = 'settled';
            attempted.splice(attempted.indexOf(item), 1);
            break;
          case 'retry':
            if (item === undefined || of === undefined) break;
            item.dueMs = of.dueMs = nowMs + step.delayMs;
            work.retry(item);
            of.state = 'retry';
            stored.add(of);
            attempted.splice(attempted.indexOf(item), 1);
            break;
          case 'wait':
            nowMs += step.ms;
            break;
        }
        const first = known.findIndex((each) => each.state !== 'settled' && !stored.has(each));
        expect(work.done()).toEqual(new Map([[0, 100 + (first < 0 ? known.length : first)]]));
        expect(work.retrying).toBe(
          known.filter((each) => stored.has(each) && each.state !== 'settled').length,
        );
      }
    }),
    { numRuns: 500 },
  );
});

/** Those that are written down. */
const stored = new WeakSet<Known>();

function mayBegin(
  each: Known,
  known: readonly Known[],
  nowMs: number,
  isOrdered: boolean,
): boolean {
  if (each.state === 'retry') return each.dueMs <= nowMs;
  if (each.state !== 'waiting') return false;
  if (!isOrdered || each.key === undefined) return true;
  const before = known.slice(0, known.indexOf(each));
  return before.every(({ key, state }) => key !== each.key || state === 'settled');
}
