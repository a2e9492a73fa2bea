import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joinStorage } from '../../../../test/flow/join-harness.ts';
import { parameters } from '../../../../test/flow/generators.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import { RightGroup } from './right-group.ts';

function encoded(value: unknown): Buffer {
  const writer = new ByteWriter();
  encodeValue(value, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function fill(group: RightGroup, values: readonly unknown[]): void {
  group.clear();
  for (const value of values) {
    const bytes = encoded(value);
    group.add(bytes, 0, bytes.length);
  }
}

function all(group: RightGroup): unknown[] {
  const values: unknown[] = [];
  group.rewind();
  while (group.next()) {
    const bytes = group.buffer.subarray(group.start, group.end);
    const value = group.value();
    expect(encoded(value).equals(bytes)).toBe(true);
    values.push(value);
  }
  return values;
}

/** Texts of all sizes, some larger than what is read at once. */
const values = fc.array(
  fc
    .tuple(fc.nat(9), fc.constantFrom(0, 1, 10, 1_000, 30_000, 100_000))
    .map(([digit, length]) => String(digit).repeat(length)),
  { maxLength: 12 },
);

test('rows come back in order, as often as they are asked for, from memory or from disk', () => {
  fc.assert(
    fc.property(
      fc.array(values, { maxLength: 4 }),
      fc.constantFrom(0, 500, 50_000, 10_000_000),
      (groups, memoryBytes) => {
        const storage = joinStorage();
        const group = new RightGroup({ storage, memoryBytes });
        for (const rows of groups) {
          fill(group, rows);
          for (let times = 0; times < 3; times++) expect(all(group)).toEqual(rows);
        }
        group.close();
        expect(storage.openRuns).toBe(0);
      },
    ),
    parameters(25),
  );
});

test('what is left half read is read from its beginning after a rewind', () => {
  const group = new RightGroup({ storage: joinStorage(), memoryBytes: 0 });
  const rows = Array.from({ length: 10 }, (_, at) => String(at).repeat(30_000));
  fill(group, rows);
  group.rewind();
  for (let count = 0; count < 7; count++) group.next();
  expect(all(group)).toEqual(rows);
  group.close();
});

test('a group that fits stays in memory, also after one that did not', () => {
  const storage = joinStorage();
  const group = new RightGroup({ storage, memoryBytes: 10_000 });
  fill(
    group,
    Array.from({ length: 50 }, () => 'x'.repeat(100)),
  );
  expect(group.spills).toBe(1);
  expect(group.spilledBytes).toBeGreaterThan(1_000);
  for (let times = 0; times < 5; times++)
    fill(
      group,
      Array.from({ length: 20 }, () => 'x'.repeat(100)),
    );
  expect(group.spills).toBe(1);
  expect(storage.openRuns).toBe(0);
});

test('a row is decoded once while it is in memory', () => {
  const group = new RightGroup({ storage: joinStorage(), memoryBytes: 10_000 });
  fill(group, [{ n: 1 }]);
  const [first] = all(group);
  expect(all(group)[0]).toBe(first);
});
