import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { DedupeNode } from '../../../flow/stream-nodes.ts';
import { createDedupe } from './dedupe.ts';

const WITHIN_MS = 10;
const node: DedupeNode = {
  id: 1,
  name: 'once',
  inputs: [0],
  kind: 'dedupe',
  by: (value) => (value as Item).id,
  withinMs: WITHIN_MS,
};

interface Item {
  readonly id: string;
  readonly number: number;
}

function harnessOf(outOfOrderMs: number): OperatorHarness {
  return new OperatorHarness(node, createDedupe, { outOfOrderMs });
}

test('the boundary is inclusive on both sides, for each key and id', () => {
  const harness = harnessOf(100);
  const send = (key: string, id: string, time: number): unknown[] =>
    harness
      .send(key, { id, number: 0 }, time)
      .take()
      .map((out) => out.time);
  expect(send('k', 'a', 50)).toEqual([50]);
  expect(send('k', 'a', 60)).toEqual([]);
  expect(send('k', 'a', 40)).toEqual([]);
  expect(send('k', 'b', 60)).toEqual([60]);
  expect(send('l', 'a', 60)).toEqual([60]);
  expect(send('k', 'a', 61)).toEqual([61]);
  expect(send('k', 'a', 39)).toEqual([39]);
});

test('what failed leaves nothing behind', () => {
  const harness = new OperatorHarness(
    {
      ...node,
      by: (value: unknown) => {
        const { id } = value as Item;
        if (id === 'bad') throw new Error('no id');
        return id === 'function' ? () => {} : id;
      },
    },
    createDedupe,
  );
  harness.send('k', { id: 'bad' }, 1).send('k', { id: 'function' }, 2).send('k', { id: 'a' }, 3);
  expect(harness.failures).toHaveLength(2);
  expect(harness.outputs).toHaveLength(1);
});

const events = fc.array(
  fc.record({
    key: fc.constantFrom('k', 'l', undefined),
    id: fc.constantFrom('a', 'b'),
    time: fc.integer({ min: 0, max: 120 }),
    crash: fc.boolean(),
  }),
  { maxLength: 40 },
);

test('those come out that no earlier arrival within the time is like, over crashes; then nothing is kept', () => {
  fc.assert(
    fc.property(events, fc.integer({ min: 0, max: 40 }), (all, outOfOrderMs) => {
      const harness = harnessOf(outOfOrderMs);
      const kept: (typeof all)[number][] = [];
      const expected: number[] = [];
      let lates = 0;
      let latest = Number.NEGATIVE_INFINITY;
      all.forEach((event, number) => {
        harness.send(event.key, { id: event.id, number }, event.time);
        harness.commit();
        if (event.crash) harness.send(event.key, { id: event.id, number: -1 }, event.time).crash();
        latest = Math.max(latest, event.time);
        if (event.time + WITHIN_MS < latest - outOfOrderMs) {
          lates++;
          if (event.crash) lates++;
        } else if (!kept.some((other) => isLike(other, event))) {
          kept.push(event);
          expected.push(number);
        }
      });
      expect(harness.outputs.map(({ value }) => (value as Item).number)).toEqual(expected);
      expect(harness.dropped).toBe(lates);
      harness.advanceTo(1_000);
      expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
    }),
    { numRuns: 300 },
  );
});

function isLike(
  other: { key: unknown; id: string; time: number },
  event: { key: unknown; id: string; time: number },
): boolean {
  return (
    other.key === event.key &&
    other.id === event.id &&
    Math.abs(other.time - event.time) <= WITHIN_MS
  );
}
