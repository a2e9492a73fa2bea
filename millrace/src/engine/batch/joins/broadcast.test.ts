import { expect, test } from 'vitest';
import { joinInput } from '../../../../test/flow/join-harness.ts';
import { loadBroadcastSide } from './broadcast-side.ts';
import { BroadcastTable } from './broadcast-table.ts';
import { formatBytes } from './format-bytes.ts';

const MEBIBYTE = 1024 * 1024;

const rows = (...pairs: (readonly [unknown, unknown])[]): ReturnType<typeof joinInput> =>
  joinInput(
    pairs.map(([key, value]) => ({ key, value })),
    false,
  );

const many = rows(
  ...Array.from({ length: 1_000 }, (_, n) => [`key-${n}`, { n, text: 'x'.repeat(50) }] as const),
);

test('an array has all values in order', () => {
  const { side } = loadBroadcastSide(rows(['b', 1], ['a', 2], ['b', 1]).open(), {
    node: { name: 'side', form: 'array' },
    memoryBytes: MEBIBYTE,
  });
  expect(side).toEqual([1, 2, 1]);
});

test('in a Map the last value of a key wins, at the place of the first, whatever kind of key it is', () => {
  const { side } = loadBroadcastSide(
    rows(['b', 1], [[1, 'x'], 2], ['b', 3], [null, 4], [[1, 'x'], 5]).open(),
    { node: { name: 'side', form: 'map' }, memoryBytes: MEBIBYTE },
  );
  expect([...side.entries()]).toEqual([
    ['b', 3],
    [[1, 'x'], 5],
    [null, 4],
  ]);
});

test('side data that does not fit is refused, naming it and what it has', () => {
  const load = (): unknown =>
    loadBroadcastSide(many.open(), {
      node: { name: 'countries', form: 'map' },
      memoryBytes: 40_000,
    });
  expect(load).toThrow(
    expect.objectContaining({
      code: 'ML_BROADCAST_TOO_LARGE',
      message: expect.stringMatching(
        /^broadcast countries .*39 kB.* after \d+ records$/,
      ) as unknown,
    }),
  );
});

test('a side of a join that does not fit is refused, and never holds more than it may', () => {
  const name = 'with-user';
  expect(
    () => new BroadcastTable(many.open(), { name, type: 'inner', memoryBytes: 40_000 }),
  ).toThrow(
    expect.objectContaining({
      code: 'ML_BROADCAST_TOO_LARGE',
      message: expect.stringContaining('the right side of join with-user') as unknown,
    }),
  );
  for (const memoryBytes of [200_000, 300_000, MEBIBYTE]) {
    const table = new BroadcastTable(many.open(), { name, type: 'inner', memoryBytes });
    // Decoded values are kept while there is room, and come out the same without.
    for (let n = 0; n < 1_000; n++) {
      const row = table.first(`key-${n}`);
      expect(table.value(row)).toMatchObject({ n });
      expect(table.value(row)).toMatchObject({ n });
    }
    expect(table.heldBytes).toBeLessThanOrEqual(memoryBytes);
  }
});

test('a semi join keeps keys alone', () => {
  const memoryBytes = 120_000;
  const table = new BroadcastTable(many.open(), { name: 'known', type: 'semi', memoryBytes });
  expect(table.first('key-7')).toBeGreaterThanOrEqual(0);
  expect(table.first('key-7000')).toBe(-1);
});

test('null finds nothing, though there is a row with it', () => {
  const table = new BroadcastTable(rows([null, 1], [undefined, 2], [[null], 3]).open(), {
    name: 'joined',
    type: 'left',
    memoryBytes: MEBIBYTE,
  });
  expect(table.first(null)).toBe(-1);
  expect(table.first(undefined)).toBe(-1);
  expect(table.value(table.first([null]))).toBe(3);
});

test('a key that cannot be one is refused', () => {
  const table = new BroadcastTable(rows(['a', 1]).open(), {
    name: 'joined',
    type: 'inner',
    memoryBytes: MEBIBYTE,
  });
  expect(() => table.first({ a: 1 })).toThrow(expect.objectContaining({ code: 'ML_KEY_INVALID' }));
});

test.each([
  [0, '0 bytes'],
  [640, '640 bytes'],
  [1024, '1 kB'],
  [1.2 * MEBIBYTE, '1.2 MB'],
  [10 * MEBIBYTE, '10 MB'],
  [999 * MEBIBYTE, '999 MB'],
  [4096 * MEBIBYTE, '4 GB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
