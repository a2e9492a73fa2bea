import { describe, expect, test } from 'vitest';
import { type Counting, type TimeInput, TimeTracker, type WriterTime } from './time-tracker.ts';

const TOPIC: TimeInput = { outOfOrderMs: 0, idleMs: undefined, writers: 0, isSilent: false };
const NEVER = Number.POSITIVE_INFINITY;

function tracker(...inputs: readonly Partial<TimeInput>[]): TimeTracker {
  return new TimeTracker(
    inputs.map((input) => ({ ...TOPIC, ...input })),
    0,
  );
}

function told(time: number, counting: Counting = 'counts', until = NEVER): WriterTime {
  return { time, counting, until };
}

describe('topics', () => {
  test('time is the latest timestamp, less what may be out of order', () => {
    const times = tracker({ outOfOrderMs: 5 });
    times.record(0, 100);
    expect(times.now).toBe(95);
    times.record(0, 90);
    expect(times.now).toBe(95);
    times.record(0, 107);
    expect(times.now).toBe(102);
  });

  test('time is that of the slowest input', () => {
    const times = tracker({}, {});
    times.record(0, 100);
    expect(times.now).toBe(-Infinity);
    times.record(1, 40);
    expect(times.now).toBe(40);
    times.record(1, 150);
    expect(times.now).toBe(100);
  });

  test('an input without records counts until it is known to have none', () => {
    const times = tracker({}, {});
    times.record(0, 100);
    times.atEnd(1, true, 0);
    expect(times.now).toBe(100);
    times.record(1, 50);
    expect(times.now).toBe(100);
    times.record(0, 200);
    expect(times.now).toBe(100);
    times.record(1, 300);
    expect(times.now).toBe(200);
  });

  test('one that only changes a table is not waited for, unless there is no other', () => {
    const times = tracker({}, { isSilent: true });
    times.record(0, 100);
    expect(times.now).toBe(100);
    const alone = tracker({ isSilent: true });
    alone.record(0, 7);
    expect(alone.now).toBe(7);
  });
});

describe('idleness', () => {
  test('begins at the end of the input only', () => {
    const times = tracker({ idleMs: 10 }, { idleMs: 10 });
    times.record(0, 100);
    times.record(1, 50);
    times.active(0, 1);
    times.active(1, 1);
    times.atEnd(0, true, 1);
    expect(times.tick(1_000, NEVER)).toBe(NEVER);
    expect(times.now).toBe(50);
    times.atEnd(1, true, 1_000);
    times.active(0, 1_000);
    times.record(0, 120);
    expect(times.tick(1_005, NEVER)).toBe(1_010);
    expect(times.now).toBe(50);
  });

  test('of one input lets the others go on, and of all the clock', () => {
    const times = tracker({ idleMs: 10 }, { idleMs: 10 });
    times.record(0, 100);
    times.record(1, 50);
    times.active(0, 8);
    times.active(1, 1);
    times.atEnd(0, true, 8);
    times.atEnd(1, true, 1);
    expect(times.tick(11, 107)).toBe(18);
    expect(times.now).toBe(100);
    expect(times.counting).toBe('counts');
    expect(times.tick(18, 117)).toBe(25);
    expect(times.now).toBe(110);
    expect(times.counting).toBe('clock');
    times.tick(25, 117);
    expect(times.now).toBe(117);
  });

  test('ends with a record, and time does not go back', () => {
    const times = tracker({ idleMs: 10 });
    times.record(0, 100);
    times.atEnd(0, true, 0);
    times.tick(50, NEVER);
    expect(times.now).toBe(150);
    times.atEnd(0, false, 51);
    times.record(0, 90);
    expect(times.now).toBe(150);
    expect(times.counting).toBe('counts');
    times.record(0, 160);
    expect(times.now).toBe(160);
  });
});

describe('exchanges', () => {
  test('time is the smallest of all writers that count, once each has told it', () => {
    const times = tracker({ writers: 3 });
    times.marker(0, 0, told(100), 0);
    times.marker(0, 1, told(200), 0);
    expect(times.now).toBe(-Infinity);
    times.marker(0, 2, told(-Infinity, 'absent'), 0);
    expect(times.now).toBe(100);
    times.marker(0, 0, told(150, 'clock'), 0);
    expect(times.now).toBe(200);
  });

  test('when all writers are idle it goes on with the clock of the reader', () => {
    const times = tracker({ writers: 2 });
    times.marker(0, 0, told(100, 'clock'), 1_000);
    times.marker(0, 1, told(50, 'clock'), 1_001);
    times.tick(1_011, NEVER);
    expect(times.now).toBe(110);
    times.marker(0, 1, told(60), 1_012);
    times.tick(2_000, NEVER);
    expect(times.now).toBe(110);
  });

  test('the clock goes on no further than what a writer still has to say', () => {
    const times = tracker({ writers: 2 });
    times.marker(0, 0, told(100, 'clock', 130), 0);
    times.marker(0, 1, told(90, 'clock'), 0);
    expect(times.tick(20, 125)).toBe(25);
    expect(times.now).toBe(120);
    expect(times.tick(500, 140)).toBe(NEVER);
    expect(times.now).toBe(130);
    times.marker(0, 0, told(135, 'clock'), 510);
    times.tick(520, NEVER);
    expect(times.now).toBe(145);
    times.marker(0, 1, told(200), 530);
    times.marker(0, 0, told(135, 'clock', 150), 540);
    expect(times.now).toBe(200);
  });

  test('a marker from further back does not turn time back', () => {
    const times = tracker({ writers: 1 });
    times.marker(0, 0, told(100), 0);
    times.marker(0, 0, told(60), 0);
    expect(times.now).toBe(100);
  });
});

test('what was saved is restored', () => {
  const times = tracker({ outOfOrderMs: 5 }, { writers: 2 });
  times.record(0, 100);
  times.marker(1, 0, told(70), 0);
  times.marker(1, 1, told(80, 'clock'), 0);
  const again = tracker({ outOfOrderMs: 5 }, { writers: 2 });
  for (const input of [0, 1]) again.restore(input, times.state(input), times.now);
  expect(again.now).toBe(70);
  again.marker(1, 0, told(90), 0);
  expect(again.now).toBe(90);
  again.record(0, 96);
  again.marker(1, 0, told(99), 0);
  expect(again.now).toBe(95);
});
