import { expect, test } from 'vitest';
import { planReclaim, type ReclaimableSegment } from './reclaim-plan.ts';

/** A segment of 100 offsets: `[size, records, live]`, or one that is not there. */
type Shape =
  | readonly [size: number, records: number, live: number, abortedFrom?: number]
  | undefined;

function plan(shapes: readonly Shape[], firstOffset = 0): number[][] {
  const segments: ReclaimableSegment[] = [];
  shapes.forEach((shape, index) => {
    if (shape === undefined) return;
    const [sizeBytes, records, live, abortedFrom = Infinity] = shape;
    const baseOffset = index * 100;
    segments.push({
      baseOffset,
      endOffset: baseOffset + 100,
      sizeBytes,
      records,
      live,
      abortedFrom,
    });
  });
  return planReclaim(segments, { segmentBytes: 1000, firstOffset }).map((group) =>
    group.map(({ baseOffset }) => baseOffset / 100),
  );
}

const DENSE: Shape = [1000, 100, 50];
const SPARSE: Shape = [1000, 100, 49];
const DEAD: Shape = [1000, 100, 0];
const REST: Shape = [61, 0, 0];

test('what is at least half live is left alone', () => {
  expect(plan([])).toEqual([]);
  expect(plan([DENSE, DENSE])).toEqual([]);
  expect(plan([DENSE, SPARSE, DENSE])).toEqual([[1]]);
});

test('neighbours are joined as long as what is live of them fits into a segment', () => {
  expect(plan([DEAD, DEAD, DEAD, DENSE, DEAD])).toEqual([[0, 1, 2], [4]]);
  expect(plan([SPARSE, SPARSE, SPARSE])).toEqual([[0, 1], [2]]);
  expect(plan([SPARSE, undefined, SPARSE])).toEqual([[0], [2]]);
});

test('what is left of others goes with a neighbour, or when there is enough of it', () => {
  expect(plan([DENSE, REST, REST, REST, DENSE])).toEqual([]);
  expect(plan([DENSE, REST, REST, REST, REST, DENSE])).toEqual([[1, 2, 3, 4]]);
  expect(plan([REST, DEAD, REST])).toEqual([[0, 1, 2]]);
});

test('the end of an aborted transaction is not parted from its beginning', () => {
  const ends: Shape = [1000, 100, 0, 150];
  expect(plan([DENSE, DENSE, ends, DEAD])).toEqual([[3]]);
  expect(plan([DENSE, DEAD, ends, DEAD])).toEqual([[1, 2, 3]]);
  expect(plan([undefined, undefined, ends], 200)).toEqual([[2]]);
});

test('offsets of a group can be told from its first', () => {
  const far = [0, 2 ** 31 - 100, 2 ** 31].map((baseOffset) => ({
    baseOffset,
    endOffset: baseOffset === 0 ? 2 ** 31 - 100 : baseOffset + 100,
    sizeBytes: 10,
    records: 10,
    live: 0,
    abortedFrom: Infinity,
  }));
  const groups = planReclaim(far, { segmentBytes: 1000, firstOffset: 0 });
  expect(groups.map((group) => group.length)).toEqual([2, 1]);
});
