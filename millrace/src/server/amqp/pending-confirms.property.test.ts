/** Groups become durable in any order; what is told must be one confirm for each message, in their order. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PendingConfirms } from './pending-confirms.ts';

interface Told {
  readonly tag: number;
  readonly ok: boolean;
  readonly multiple: boolean;
}

/** As a client understands it: what it knows of each tag. */
function understood(told: readonly Told[]): Map<number, boolean> {
  const known = new Map<number, boolean>();
  let next = 1;
  for (const { tag, ok, multiple } of told) {
    const tags = multiple ? Array.from({ length: tag - next + 1 }, (_, at) => next + at) : [tag];
    for (const each of tags) {
      expect(known.has(each)).toBe(false);
      known.set(each, ok);
    }
    next = tag + 1;
  }
  return known;
}

const group = fc.record({
  messages: fc.integer({ min: 1, max: 20 }),
  refuses: fc.array(fc.nat(19), { maxLength: 4 }),
  order: fc.nat(),
  flushes: fc.boolean(),
});

test('every message is confirmed once, refused ones by a nack', () => {
  fc.assert(
    fc.property(fc.array(group, { maxLength: 30 }), (groups) => {
      const told: Told[] = [];
      const confirms = new PendingConfirms((tag, how) => told.push({ tag, ...how }));
      const expected = new Map<number, boolean>();
      let last = 0;
      const pending = groups.map(({ messages, refuses, order, flushes }) => {
        const first = last + 1;
        last += messages;
        const refused = [...new Set(refuses)]
          .filter((at) => at < messages)
          .sort((a, b) => a - b)
          .map((at) => first + at);
        for (let tag = first; tag <= last; tag++) expected.set(tag, !refused.includes(tag));
        return { order, flushes, done: confirms.add(last, refused), first };
      });
      const open = new Set(pending);
      for (const each of [...pending].sort((a, b) => a.order - b.order)) {
        open.delete(each);
        each.done();
        if (!each.flushes) continue;
        confirms.flush();
        const barrier = Math.min(...[...open].map(({ first }) => first));
        for (const { tag } of told) expect(tag).toBeLessThan(barrier);
      }
      confirms.flush();
      expect(understood(told)).toEqual(expected);
      expect(confirms.isEmpty).toBe(true);
    }),
  );
});

test('many that became durable together are one confirm', () => {
  const told: Told[] = [];
  const confirms = new PendingConfirms((tag, how) => told.push({ tag, ...how }));
  for (const last of [10, 20, 30]) confirms.add(last, [])();
  confirms.flush();
  expect(told).toEqual([{ tag: 30, ok: true, multiple: true }]);
});
