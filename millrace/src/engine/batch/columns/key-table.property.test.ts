import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyTable, reserveKeyTable } from './key-table.ts';
import { connectKeyKernels } from './kernels.ts';
import { LaneMemory, NULL_END, NULL_START } from './lane-memory.ts';

const ROWS = 64;

interface Lane {
  readonly table: KeyTable;
  /** Groups of the keys; undefined where the table was full. */
  group(keys: readonly (string | null)[], bytesMax?: number): (number | undefined)[];
  keyOf(group: number): string | null;
}

function createLane(): Lane {
  const memory = new LaneMemory();
  const ranges = memory.reserve(ROWS * 8);
  const groups = memory.reserve(ROWS * 4);
  const fixed = reserveKeyTable(memory, ROWS);
  const kernels = connectKeyKernels(memory);
  const window = memory.region();
  memory.resize(window, ROWS * 512);
  const table = new KeyTable(memory, kernels, fixed, 0);
  return {
    table,
    group(keys, bytesMax = 1 << 30) {
      memory.buffer.fill(0xee, window.start, window.start + window.bytes);
      let at = window.start;
      for (const [row, key] of keys.entries()) {
        const length = key === null ? 0 : memory.buffer.write(key, at, 'latin1');
        memory.i32[(ranges >> 2) + row * 2] = key === null ? NULL_START : at;
        memory.i32[(ranges >> 2) + row * 2 + 1] = key === null ? NULL_END : at + length;
        at += length;
      }
      const done = table.group(ranges, groups, 0, keys.length, bytesMax);
      return keys.map((_key, row) => (row < done ? memory.i32[(groups >> 2) + row] : undefined));
    },
    keyOf(group) {
      const length = table.keyLength(group);
      const start = table.keyStart(group);
      return length < 0 ? null : memory.buffer.latin1Slice(start, start + length);
    },
  };
}

const key = fc.oneof(
  fc.constantFrom(null, '', 'a', '\0', '\0\0', 'a\0'),
  fc.string({ unit: fc.constantFrom('a', 'b', '\0', 'ÿ'), maxLength: 40 }),
  // Keys of all lengths that differ in one byte.
  fc
    .tuple(fc.nat(100), fc.nat(100))
    .map(([length, at]) =>
      'k'.repeat(length).replace(/./g, (byte, index) => (index === at ? 'x' : byte)),
    ),
);
const batches = fc.array(fc.array(key, { maxLength: ROWS }), { maxLength: 20 });

test('each distinct key is one group, numbered as they come', () => {
  fc.assert(
    fc.property(batches, (lists) => {
      const lane = createLane();
      const seen = new Map<string | null, number>();
      for (const keys of lists) {
        const expected = keys.map((each) => {
          if (!seen.has(each)) seen.set(each, seen.size);
          return seen.get(each);
        });
        expect(lane.group(keys)).toEqual(expected);
      }
      for (const [each, group] of seen) expect(lane.keyOf(group)).toBe(each);
      expect(lane.table.groups).toBe(seen.size);
    }),
    { numRuns: 200 },
  );
});

test('a table grows through many sizes', () => {
  const lane = createLane();
  const count = 40_000;
  const keyOf = (index: number): string => `key-${index}-${'x'.repeat(index % 37)}`;
  for (let from = 0; from < count; from += ROWS) {
    const indexes = Array.from({ length: Math.min(ROWS, count - from) }, (_, row) => from + row);
    expect(lane.group(indexes.map(keyOf))).toEqual(indexes);
  }
  for (let from = 0; from < count; from += ROWS * 16)
    expect(lane.group([keyOf(from), keyOf(from + 1)])).toEqual([from, from + 1]);
  expect(lane.keyOf(12_345)).toBe(keyOf(12_345));
});

test('a full table stops at the key that has no room, and goes on when it is cleared', () => {
  const lane = createLane();
  const long = Array.from({ length: ROWS }, (_, index) => `${index}-${'y'.repeat(490)}`);
  const first = lane.group(long, 0);
  const done = first.indexOf(undefined);
  expect(done).toBeGreaterThan(0);
  expect(first.slice(0, done)).toEqual(long.slice(0, done).map((_, index) => index));
  lane.table.clear();
  expect(lane.group(long.slice(done), 0).slice(0, 2)).toEqual([0, 1]);
  expect(lane.keyOf(1)).toBe(long[done + 1]);
});

test('one key alone is taken whatever the budget', () => {
  const lane = createLane();
  expect(lane.group(['z'.repeat(30_000)], 0)).toEqual([0]);
  expect(lane.keyOf(0)).toBe('z'.repeat(30_000));
});
