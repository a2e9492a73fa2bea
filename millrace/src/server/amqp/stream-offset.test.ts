import { expect, test } from 'vitest';
import { FieldTimestamp } from '../../wire/amqp/field-table.ts';
import { parseStreamOffset } from './stream-offset.ts';

const NOW_MS = 1_700_000_000_000;

test('words, offsets, timestamps and intervals say where a consumer begins', () => {
  expect(parseStreamOffset('first', NOW_MS)).toEqual({ kind: 'first' });
  expect(parseStreamOffset(7, NOW_MS)).toEqual({ kind: 'offset', offset: 7 });
  expect(parseStreamOffset(new FieldTimestamp(5), NOW_MS)).toEqual({
    kind: 'timestamp',
    timestampMs: 5_000,
  });
  expect(parseStreamOffset('2h', NOW_MS)).toEqual({
    kind: 'timestamp',
    timestampMs: NOW_MS - 7_200_000,
  });
});

test.each(['', 'soon', '1w', '1 h', -1, 1.5, true, null, '9999999999h'])(
  '%s means nothing',
  (value) => {
    expect(parseStreamOffset(value, NOW_MS)).toBeUndefined();
  },
);
