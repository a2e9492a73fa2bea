/** Settled offsets against a naive model: sets of numbers. Offsets lie about the borders of chunks, and far apart. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { QUEUE_CHUNK_OFFSETS as CHUNK } from '../../../core/queue-limits.ts';
import { decodeChunk, encodeChunk } from './state-records.ts';
import { chunkOf } from './offset-chunk.ts';
import { SettledOffsets } from './settled-offsets.ts';

/** Few enough that they meet, in three chunks and a bit. */
const SPAN = 3 * CHUNK + 40;

class Model {
  floor = 0;
  readonly settled = new Set<number>();
  readonly counts = new Map<number, number>();
  readonly dues = new Map<number, number>();
  readonly marks = new Set<number>();

  settle(from: number, to: number): void {
    for (let offset = Math.max(from, this.floor); offset < to; offset++) {
      this.settled.add(offset);
      this.counts.delete(offset);
      this.dues.delete(offset);
      this.marks.delete(offset);
    }
    this.rise();
  }

  rise(): void {
    while (this.settled.delete(this.floor)) this.floor++;
  }

  isSettled(offset: number): boolean {
    return offset < this.floor || this.settled.has(offset);
  }

  takeBack(end: number): void {
    this.floor = Math.min(this.floor, end);
    for (const set of [this.settled, this.counts, this.dues, this.marks])
      for (const offset of set.keys()) if (offset >= end) set.delete(offset);
  }
}

type Step =
  | { readonly kind: 'settle' | 'count' | 'due' | 'mark' | 'takeBack'; readonly offset: number }
  | { readonly kind: 'range'; readonly offset: number; readonly length: number }
  | {
      readonly kind: 'every';
      readonly offset: number;
      readonly length: number;
      readonly step: number;
    }
  | { readonly kind: 'reload' };

const offset = fc.oneof(
  fc.integer({ min: 0, max: SPAN }),
  fc.integer({ min: 0, max: 30 }),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -3, max: 3 })).map(([chunk, by]) => {
    return Math.max(0, chunk * CHUNK + by);
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('settle' as const), offset }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('count' as const), offset }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('due' as const), offset }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('mark' as const), offset }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('takeBack' as const), offset }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('range' as const),
      offset,
      length: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 2 * CHUNK })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('every' as const),
      offset,
      length: fc.integer({ min: 0, max: CHUNK }),
      step: fc.integer({ min: 2, max: 40 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reload' as const }) },
);

interface World {
  offsets: SettledOffsets;
  readonly model: Model;
  changes: number;
}

function apply(world: World, step: Step): void {
  const { offsets, model } = world;
  switch (step.kind) {
    case 'settle':
      offsets.settle(step.offset);
      model.settle(step.offset, step.offset + 1);
      break;
    case 'range':
      offsets.settleRange(step.offset, step.offset + step.length);
      model.settle(step.offset, step.offset + step.length);
      break;
    case 'every':
      for (let at = step.offset; at < step.offset + step.length; at += step.step) {
        offsets.settle(at);
        model.settle(at, at + 1);
      }
      break;
    case 'count':
      if (model.isSettled(step.offset)) break;
      model.counts.set(step.offset, (model.counts.get(step.offset) ?? 0) + 1);
      expect(offsets.raiseCount(step.offset)).toBe(model.counts.get(step.offset));
      break;
    case 'due':
      offsets.setDue(step.offset, 2 ** 40 + step.offset + model.dues.size);
      if (!model.isSettled(step.offset))
        model.dues.set(step.offset, 2 ** 40 + step.offset + model.dues.size);
      break;
    case 'mark':
      offsets.mark(step.offset);
      if (!model.isSettled(step.offset)) model.marks.add(step.offset);
      break;
    case 'takeBack':
      offsets.takeBackFrom(step.offset);
      model.takeBack(step.offset);
      break;
    case 'reload':
      world.offsets = reloaded(offsets);
      break;
  }
}

/** Through the bytes of all its chunks. */
function reloaded(offsets: SettledOffsets): SettledOffsets {
  const next = new SettledOffsets(0, () => {});
  for (let number = chunkOf(offsets.floor); number <= chunkOf(SPAN * 3); number++) {
    const chunk = offsets.chunkToWrite(number);
    if (chunk !== undefined) next.restoreChunk(number, decodeChunk(number, encodeChunk(chunk)));
  }
  next.restored(offsets.floor);
  return next;
}

function check({ offsets, model }: World, probes: readonly number[]): void {
  expect(offsets.floor).toBe(model.floor);
  expect(offsets.settledAbove).toBe(model.settled.size);
  expect(offsets.markedFrom).toBe(model.marks.size === 0 ? -1 : Math.min(...model.marks));
  expect([...offsets.dueOffsets()]).toEqual([...model.dues.keys()].sort((a, b) => a - b));
  for (const [at, dueMs] of model.dues) expect(offsets.dueOf(at)).toBe(dueMs);
  for (const probe of probes) {
    expect(offsets.isSettled(probe)).toBe(model.isSettled(probe));
    expect(offsets.countOf(probe)).toBe(model.counts.get(probe) ?? 0);
    let unsettled = probe;
    while (model.isSettled(unsettled)) unsettled++;
    expect(offsets.unsettledFrom(probe)).toBe(unsettled);
    const [other = 0] = probes;
    const [from, to] = probe < other ? [probe, other] : [other, probe];
    let count = Math.max(0, to - Math.max(from, model.floor));
    for (const settled of model.settled) if (settled >= from && settled < to) count--;
    expect(offsets.unsettledIn(from, to)).toBe(count);
  }
}

test('settled offsets are what a set of numbers would be', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30 }),
      fc.array(offset, { minLength: 1, maxLength: 8 }),
      (steps, probes) => {
        const world: World = {
          offsets: new SettledOffsets(0, () => {}),
          model: new Model(),
          changes: 0,
        };
        for (const one of steps) {
          apply(world, one);
          check(world, probes);
        }
        check({ ...world, offsets: reloaded(world.offsets) }, [
          ...probes,
          ...world.model.counts.keys(),
        ]);
      },
    ),
    { numRuns: 150 },
  );
});

test('what has changed since it was taken is enough to bring a copy up to date', () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }), (flushes) => {
      const world: World = {
        offsets: new SettledOffsets(0, () => {}),
        model: new Model(),
        changes: 0,
      };
      const disk = new Map<number, Buffer>();
      for (const steps of flushes) {
        for (const one of steps) if (one.kind !== 'reload') apply(world, one);
        const { offsets } = world;
        offsets.dirty.forEachRange((from, to) => {
          for (let number = from; number < to; number++) {
            const chunk = offsets.chunkToWrite(number);
            if (chunk === undefined) disk.delete(number);
            else disk.set(number, encodeChunk(chunk));
          }
        });
        offsets.dirty.removeBelow(Infinity);
        for (const number of disk.keys()) if (number < chunkOf(offsets.floor)) disk.delete(number);
        const copy = new SettledOffsets(0, () => {});
        for (const [number, bytes] of disk) copy.restoreChunk(number, decodeChunk(number, bytes));
        copy.restored(offsets.floor);
        check({ ...world, offsets: copy }, [0, CHUNK - 1, CHUNK, 2 * CHUNK + 7, SPAN]);
      }
    }),
    { numRuns: 150 },
  );
});
