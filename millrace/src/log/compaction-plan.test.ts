import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompactionState, groupSegments, planCompaction } from './compaction-plan.ts';
import type { LogConfig } from './types.ts';

const CONFIG: LogConfig = {
  segmentBytes: 1000,
  segmentMs: 1000,
  indexIntervalBytes: 4096,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: false,
  cleanupCompact: true,
  deleteRetentionMs: 0,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 1_000_000,
  flush: 'commit',
  flushMs: 1000,
  appendTime: false,
};
const STATE: CompactionState = {
  compactedTo: 0,
  lastStableOffset: 1000,
  nowMs: 5000,
};

/** Segments of 10 offsets each, of these sizes, with these newest times; the last is the active one. */
function plan(
  sizes: readonly number[],
  state: Partial<CompactionState> = {},
  config: Partial<LogConfig> = {},
  newest: readonly number[] = [],
) {
  const segments = sizes.map((sizeBytes, index) => ({
    baseOffset: index * 10,
    sizeBytes,
    newestMs: () => newest[index] ?? 0,
    firstMs: () => newest[index] ?? 0,
  }));
  return planCompaction(segments, { ...STATE, ...state }, { ...CONFIG, ...config });
}

describe('the range', () => {
  test('is all but the segment that is written', () =>
    expect(plan([100, 100, 100])).toEqual({ dirtyFrom: 0, end: 20, isDue: true }));
  test('ends below the last stable offset', () => {
    expect(plan([100, 100, 100], { lastStableOffset: 19 })?.end).toBe(10);
    expect(plan([100, 100, 100], { lastStableOffset: 20 })?.end).toBe(20);
    expect(plan([100, 100], { lastStableOffset: 9 })).toBeUndefined();
  });
  test('ends before the first dirty segment that is too young', () => {
    const lag = { minCompactionLagMs: 1000 };
    expect(plan([100, 100, 100, 100], {}, lag, [0, 4001, 0, 0])?.end).toBe(10);
    expect(plan([100, 100, 100, 100], {}, lag, [0, 4000, 0, 0])?.end).toBe(30);
    // What was compacted before is not looked at.
    expect(plan([100, 100, 100, 100], { compactedTo: 20 }, lag, [9999, 9999, 0, 0])?.end).toBe(30);
  });
  test('begins where the last one ended', () =>
    expect(plan([100, 100, 100], { compactedTo: 10 })?.dirtyFrom).toBe(10));
  test('begins at the first segment when the log start has passed where the last one ended', () =>
    expect(plan([100, 100], { compactedTo: -1 })?.dirtyFrom).toBe(0));
  test('begins anew when the log ends before where the last one ended', () =>
    expect(plan([100, 100], { compactedTo: 11 })?.dirtyFrom).toBe(0));
  test('is empty when nothing is dirty, or nothing is there', () => {
    expect(plan([100, 100], { compactedTo: 10 })).toBeUndefined();
    expect(plan([100])).toBeUndefined();
    expect(plan([])).toBeUndefined();
  });
});

describe('it is due', () => {
  test('above the dirty ratio', () => {
    expect(plan([100, 100, 1], { compactedTo: 10 })?.isDue).toBe(false);
    expect(plan([100, 101, 1], { compactedTo: 10 })?.isDue).toBe(true);
    expect(plan([100, 101, 1], { compactedTo: 10 }, { minCleanableDirtyRatio: 1 })?.isDue).toBe(
      false,
    );
  });
  test('when the oldest dirty segment has waited for too long', () => {
    const config = { minCleanableDirtyRatio: 1, maxCompactionLagMs: 3000 };
    expect(plan([100, 100, 1], { compactedTo: 10 }, config, [0, 2000])?.isDue).toBe(false);
    expect(plan([100, 100, 1], { compactedTo: 10 }, config, [0, 1999])?.isDue).toBe(true);
  });
});

test('groups are neighbours that fit into one segment, in order, nothing left out', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1200 }), { maxLength: 20 }), (sizes) => {
      const segments = sizes.map((sizeBytes, index) => ({ baseOffset: index * 10, sizeBytes }));
      const groups = groupSegments(segments, sizes.length * 10, 1000);
      expect(groups.flat()).toEqual(segments);
      for (const group of groups) {
        const bytes = group.reduce((sum, segment) => sum + segment.sizeBytes, 0);
        expect(group.length === 1 || bytes <= 1000).toBe(true);
      }
      for (let index = 1; index < groups.length; index++) {
        const before = (groups[index - 1] ?? []).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        expect(before + (groups[index]?.[0]?.sizeBytes ?? 0)).toBeGreaterThan(1000);
      }
    }),
  );
});

test('a group never spans more offsets than an index entry can say', () => {
  const far = [
    { baseOffset: 0, sizeBytes: 1 },
    { baseOffset: 2 ** 31 - 10, sizeBytes: 1 },
  ];
  expect(groupSegments(far, 2 ** 31, 1000).length).toBe(1);
  expect(groupSegments(far, 2 ** 31 + 1, 1000).length).toBe(2);
});
