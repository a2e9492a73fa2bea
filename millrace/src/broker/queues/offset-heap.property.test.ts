import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyLines } from './key-lines.ts';
import { OffsetHeap, TimedHeap } from './offset-heap.ts';

/** A number is pushed, undefined takes the first out. */
const steps = fc.array(fc.option(fc.nat({ max: 60 }), { nil: undefined }), { maxLength: 200 });

test('a heap gives the smallest first', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const heap = new OffsetHeap();
      const model: number[] = [];
      for (const step of all) {
        if (step !== undefined) {
          heap.push(step);
          model.push(step);
          model.sort((a, b) => a - b);
        } else if (model.length > 0) expect(heap.pop()).toBe(model.shift());
        expect([heap.size, heap.first]).toEqual([model.length, model[0] ?? Infinity]);
      }
    }),
  );
});

test('a heap of times gives the earliest first, then the smaller offset', () => {
  const entry = fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 1000 }), fc.nat());
  const timed = fc.array(fc.option(entry, { nil: undefined }), { maxLength: 200 });
  fc.assert(
    fc.property(timed, (all) => {
      const heap = new TimedHeap();
      const model: (readonly [number, number, number])[] = [];
      for (const step of all) {
        if (step !== undefined) {
          heap.push(...step);
          model.push(step);
          model.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        } else if (model.length > 0) {
          // Of entries that are equal in time and offset either may come.
          const [first] = model;
          expect([heap.firstMs, heap.firstOffset]).toEqual([first?.[0], first?.[1]]);
          const taken = model.findIndex(
            (each) =>
              each[0] === heap.firstMs &&
              each[1] === heap.firstOffset &&
              each[2] === heap.firstNote,
          );
          expect(taken).toBeGreaterThanOrEqual(0);
          model.splice(taken, 1);
          heap.pop();
        }
        expect([heap.size, heap.firstMs]).toEqual([model.length, model[0]?.[0] ?? Infinity]);
      }
      const offsets = model.map(([, offset]) => offset).sort((a, b) => a - b);
      expect([...heap.offsets()].sort((a, b) => a - b)).toEqual(offsets);
    }),
  );
});

test('of a key one message is out, the others follow in their order', () => {
  const lines = new KeyLines();
  const settled = new Set<number>();
  const left = (offset: number): number => {
    settled.add(offset);
    return lines.left('k', offset, (each) => settled.has(each));
  };
  expect(lines.enter('k', 1)).toBe(true);
  expect(lines.enter('k', 1)).toBe(true);
  expect([5, 3, 9].map((offset) => lines.enter('k', offset))).toEqual([false, false, false]);
  expect(lines.enter('other', 4)).toBe(true);
  expect(lines.parkedCount).toBe(3);
  // One that waits expires where it is.
  expect(left(5)).toBe(-1);
  expect(left(1)).toBe(3);
  expect(left(3)).toBe(9);
  expect(left(9)).toBe(-1);
  expect(lines.parkedCount).toBe(0);
  expect(lines.enter('k', 20)).toBe(true);
});
