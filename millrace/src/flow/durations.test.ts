/** Lengths of time, as people write them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { duration, durationText, millisecondsOf } from './durations.ts';

test.each([
  [0, 0],
  [250, 250],
  ['100ms', 100],
  ['0s', 0],
  ['5s', 5_000],
  ['5 s', 5_000],
  ['1 second', 1_000],
  ['90 seconds', 90_000],
  ['0.07s', 70],
  ['1m', 60_000],
  ['10 min', 600_000],
  ['1 minute', 60_000],
  ['10 minutes', 600_000],
  ['1h', 3_600_000],
  ['1.5 hours', 5_400_000],
  ['2 days', 172_800_000],
  ['1d', 86_400_000],
  ['1 week', 604_800_000],
  ['52w', 31_449_600_000],
])('%s is a length of time', (given, ms) => {
  expect(millisecondsOf(given)).toBe(ms);
});

test.each([
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  '5',
  's',
  '5  s',
  ' 5s',
  '5s ',
  '5S',
  '-5s',
  '1e3s',
  '.5s',
  '5.s',
  '0.0001s',
  '1 fortnight',
  '5constructor',
  '101 years',
  '5300 weeks',
  null,
  undefined,
  5n,
  {},
  new Date(5),
])('%s is none', (given) => {
  expect(millisecondsOf(given)).toBeUndefined();
});

test('a text that only the run knows is refused with what is allowed', () => {
  expect(duration('1 minute')).toBe(60_000);
  expect(() => duration('soon')).toThrowError(
    expect.objectContaining({
      code: 'ML_FLOW_INVALID',
      message: '"soon" is no length of time',
      hint: "It must be a number of milliseconds, or a text like '100ms', '5s', '1 minute', '2 hours' or '7 days'",
    }),
  );
});

test.each([
  [0, '0'],
  [1, '1 ms'],
  [1_500, '1500 ms'],
  [60_000, '1 minute'],
  [90_000, '90 seconds'],
  [7_200_000, '2 hours'],
  [31_449_600_000, '364 days'],
])('%d ms are told as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test('what is told can be said again', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 3_155_760_000_000 }),
      fc.constantFrom(1, 1_000, 60_000),
      (n, unit) => {
        const ms = Math.floor(n / unit) * unit;
        if (ms > 0) expect(millisecondsOf(durationText(ms))).toBe(ms);
      },
    ),
  );
});
