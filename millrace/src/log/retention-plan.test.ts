import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLOCK_CONFIRM_MS, CLOCK_JUMP_MS, keptFrom, RetentionClock } from './retention-plan.ts';
import type { LogConfig } from './types.ts';

const CONFIG: LogConfig = {
  segmentBytes: 1024,
  segmentMs: 1000,
  indexIntervalBytes: 4096,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: true,
  cleanupCompact: false,
  deleteRetentionMs: 0,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 1000,
  flush: 'commit',
  flushMs: 1000,
  appendTime: false,
};

/** Segments of 10 offsets and 100 bytes, whose newest records are of these times. */
function kept(
  newest: readonly number[],
  config: Partial<LogConfig>,
  limits: { highWatermark?: number; nowMs?: number | undefined } = {},
): number {
  const end = newest.length * 10;
  return keptFrom(
    newest.map((ms, index) => ({ baseOffset: index * 10, sizeBytes: 100, newestMs: () => ms })),
    end,
    { ...CONFIG, ...config },
    { highWatermark: end, nowMs: 1000, ...limits },
  );
}

describe('by age', () => {
  test('takes segments whose newest record is older', () => {
    expect(kept([100, 200, 900], { retentionMs: 700 })).toBe(20);
    expect(kept([300, 900], { retentionMs: 700 })).toBe(0);
    expect(kept([299, 900], { retentionMs: 700 })).toBe(10);
  });
  test('stops at the first that is not, whatever comes behind', () =>
    expect(kept([100, 900, 100, 900], { retentionMs: 700 })).toBe(10));
  test('takes the segment that is written too', () =>
    expect(kept([100, 100], { retentionMs: 700 })).toBe(20));
  test('takes nothing when there is no limit, or the clock is not to be believed', () => {
    expect(kept([0, 0, 0], {})).toBe(0);
    expect(kept([0, 0, 0], { retentionMs: 0 }, { nowMs: undefined })).toBe(0);
  });
});

describe('by size', () => {
  test('takes what the log can do without', () => {
    expect(kept([1, 1, 1, 1], { retentionBytes: 200 })).toBe(20);
    expect(kept([1, 1, 1, 1], { retentionBytes: 201 })).toBe(10);
    expect(kept([1, 1, 1, 1], { retentionBytes: 400 })).toBe(0);
  });
  test('goes on where age stops, and the other way round', () => {
    expect(kept([100, 900, 900, 900], { retentionMs: 700, retentionBytes: 200 })).toBe(20);
    expect(kept([100, 100, 100, 900], { retentionMs: 700, retentionBytes: 200 })).toBe(30);
  });
});

test('nothing above the high watermark goes', () =>
  expect(kept([0, 0, 0], { retentionMs: 0, retentionBytes: 0 }, { highWatermark: 19 })).toBe(10));

test('nothing goes when the topic does not delete', () =>
  expect(kept([0, 0], { retentionMs: 0, retentionBytes: 0, cleanupDelete: false })).toBe(0));

test('an empty segment is not worth deleting', () => {
  const segments = [{ baseOffset: 5, sizeBytes: 0, newestMs: () => 0 }];
  expect(keptFrom(segments, 5, { ...CONFIG, retentionMs: 0 }, { highWatermark: 5, nowMs: 9 })).toBe(
    5,
  );
  expect(keptFrom([], 7, CONFIG, { highWatermark: 7, nowMs: 9 })).toBe(7);
});

test('what is kept is never less than asked, and one segment less would be', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 50 }), ms: fc.nat(100) }), {
        minLength: 1,
        maxLength: 12,
      }),
      fc.integer({ min: -1, max: 100 }),
      fc.integer({ min: -1, max: 300 }),
      (parts, retentionMs, retentionBytes) => {
        const nowMs = 100;
        const segments = parts.map((part, index) => ({
          baseOffset: index,
          sizeBytes: part.bytes,
          newestMs: () => part.ms,
        }));
        const from = keptFrom(
          segments,
          parts.length,
          { ...CONFIG, retentionMs, retentionBytes },
          { highWatermark: parts.length, nowMs },
        );
        const bytesFrom = (index: number): number =>
          parts.slice(index).reduce((sum, part) => sum + part.bytes, 0);
        const maySkip = (index: number): boolean => {
          const old =
            retentionMs >= 0 &&
            parts.slice(0, index + 1).every((part) => nowMs - part.ms > retentionMs);
          return old || (retentionBytes >= 0 && bytesFrom(index + 1) >= retentionBytes);
        };
        for (let index = 0; index < from; index++) expect(maySkip(index)).toBe(true);
        expect(from === parts.length || !maySkip(from)).toBe(true);
      },
    ),
  );
});

describe('the clock', () => {
  test('is believed at the first run, and while it goes with the monotonic one', () => {
    const clock = new RetentionClock(-1);
    expect(clock.observe(1000, 0)).toBe(1000);
    expect(clock.observe(1000 + 10 * CLOCK_JUMP_MS, 10 * CLOCK_JUMP_MS)).toBe(
      1000 + 10 * CLOCK_JUMP_MS,
    );
  });
  test('is believed after a jump only when a later run still sees the same time', () => {
    const clock = new RetentionClock(-1);
    const jumpMs = 2 * CLOCK_JUMP_MS;
    clock.observe(0, 0);
    expect(clock.observe(jumpMs, 1000)).toBeUndefined();
    expect(clock.observe(jumpMs + 10, 1010)).toBeUndefined();
    expect(clock.observe(jumpMs + CLOCK_CONFIRM_MS - 1, 999 + CLOCK_CONFIRM_MS)).toBeUndefined();
    const laterMs = jumpMs + CLOCK_CONFIRM_MS;
    expect(clock.observe(laterMs, 1000 + CLOCK_CONFIRM_MS)).toBe(laterMs);
    expect(clock.observe(laterMs + 1, 1001 + CLOCK_CONFIRM_MS)).toBe(laterMs + 1);
  });
  test('that jumps again has to be confirmed again', () => {
    const clock = new RetentionClock(-1);
    clock.observe(0, 0);
    clock.observe(2 * CLOCK_JUMP_MS, 1000);
    expect(clock.observe(9 * CLOCK_JUMP_MS, 1000 + CLOCK_CONFIRM_MS)).toBeUndefined();
    expect(clock.observe(9 * CLOCK_JUMP_MS + 5, 1005 + CLOCK_CONFIRM_MS)).toBeUndefined();
  });
  test('that jumped and came back has deleted nothing', () => {
    const clock = new RetentionClock(-1);
    clock.observe(0, 0);
    expect(clock.observe(24 * CLOCK_JUMP_MS, 1000)).toBeUndefined();
    expect(clock.observe(1000 + CLOCK_CONFIRM_MS, 1000 + CLOCK_CONFIRM_MS)).toBe(
      1000 + CLOCK_CONFIRM_MS,
    );
  });
  test('is not believed at once after a long stop', () => {
    const clock = new RetentionClock(1000);
    expect(clock.observe(1001 + CLOCK_JUMP_MS, 5)).toBeUndefined();
    expect(clock.lastRanMs).toBe(1001 + CLOCK_JUMP_MS);
    const confirmedMs = 1001 + CLOCK_JUMP_MS + CLOCK_CONFIRM_MS;
    expect(clock.observe(confirmedMs, 5 + CLOCK_CONFIRM_MS)).toBe(confirmedMs);
    expect(new RetentionClock(1000).observe(1000 + CLOCK_JUMP_MS, 5)).toBe(1000 + CLOCK_JUMP_MS);
  });
});
