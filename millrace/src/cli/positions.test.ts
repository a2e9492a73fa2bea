import { expect, test } from 'vitest';
import { MillraceError } from '../core/errors.ts';
import { listOffsetsTimestamp, parsePosition } from './positions.ts';

const clock = { nowMs: () => 1_000_000_000, monotonicMs: () => 0 };

test.each([
  ['beginning', { kind: 'beginning' }],
  ['end', { kind: 'end' }],
  ['42', { kind: 'offset', offset: 42 }],
  ['-90s', { kind: 'time', timeMs: 1_000_000_000 - 90_000 }],
  ['-2h', { kind: 'time', timeMs: 1_000_000_000 - 7_200_000 }],
  ['@1769860800000', { kind: 'time', timeMs: 1_769_860_800_000 }],
  ['2026-01-31T12:00:00Z', { kind: 'time', timeMs: 1_769_860_800_000 }],
])('understands %s', (text, position) => {
  expect(parsePosition('--from', text, clock)).toEqual(position);
});

test.each(['', 'yesterday', '-5', '1.5', '-3y', '2026-99-99', '@x'])(
  'refuses %j and says what it takes',
  (text) => {
    expect(() => parsePosition('--from', text, clock)).toThrow(MillraceError);
  },
);

test('a time before 1970 is the first there is, not one of the times that mean something else', () => {
  expect(listOffsetsTimestamp({ kind: 'time', timeMs: 7 })).toBe(7);
  expect(listOffsetsTimestamp({ kind: 'time', timeMs: -1 })).toBe(0);
});
