/** Tables that are joined, and streams that are looked up, against what all the records so far say. */
import fc from 'fast-check';
import { test } from 'vitest';
import { tableJoin, TestTable, VersionedTestTable } from '../../../../test/stream/join-tables.ts';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { createTableJoin } from './table-join.ts';

interface Change {
  readonly isLeft: boolean;
  readonly key: string;
  readonly value: string | undefined;
  readonly time: number;
}

const change: fc.Arbitrary<Change> = fc.record({
  isLeft: fc.boolean(),
  key: fc.constantFrom('a', 'b', 'c'),
  value: fc.option(fc.constantFrom('u', 'v', 'w'), { nil: undefined }),
  time: fc.nat({ max: 30 }),
});
const types = fc.constantFrom('inner' as const, 'left' as const, 'outer' as const);

type Latest = ReadonlyMap<string, Change>;

function expectedOf(
  type: 'inner' | 'left' | 'outer',
  left: Change | undefined,
  right: Change | undefined,
): string | undefined {
  if (left?.value === undefined && (type !== 'outer' || right?.value === undefined))
    return undefined;
  if (right?.value === undefined && type === 'inner') return undefined;
  return `${left?.value ?? 'null'}-${right?.value ?? 'null'}`;
}

test('the result of two tables is their join after every change, and its changes are a chain', () => {
  fc.assert(
    fc.property(
      types,
      fc.array(change, { maxLength: 50 }),
      fc.boolean(),
      (type, changes, isInMemory) => {
        const tables = [new TestTable(), new TestTable()] as const;
        const latest: readonly [Map<string, Change>, Map<string, Change>] = [new Map(), new Map()];
        const harness = new OperatorHarness(tableJoin('table-table', type), createTableJoin, {
          tables,
          ...(isInMemory && { stores: memoryStores() }),
        });
        const last = new Map<unknown, unknown>();
        for (const each of changes) {
          const { key, value, time, isLeft } = each;
          const old = tables[isLeft ? 0 : 1].set(key, value, time);
          latest[isLeft ? 0 : 1].set(key, each);
          if (old !== undefined || value !== undefined)
            harness.send(key, value, time, isLeft ? 0 : 1, old);
          for (const emitted of harness.take()) {
            if (emitted.old !== last.get(emitted.key)) throw new Error('the chain is broken');
            if (emitted.time !== timeOf(each, latest)) throw new Error(`time ${emitted.time}`);
            last.set(emitted.key, emitted.value);
          }
          const expected = expectedOf(type, latest[0].get(key), latest[1].get(key));
          if (last.get(key) !== expected) throw new Error(`${key} is ${String(last.get(key))}`);
          if (harness.operator.table?.get(key) !== expected) throw new Error('the table differs');
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** The later of the change and the row that it met. */
function timeOf({ key, isLeft, time }: Change, latest: readonly [Latest, Latest]): number {
  const other = latest[isLeft ? 1 : 0].get(key);
  return other?.value === undefined ? time : Math.max(time, other.time);
}

test('with a history, a record finds what is true at its time, of all that has come so far', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
      const table = new VersionedTestTable();
      const harness = new OperatorHarness(tableJoin('stream-table', 'left'), createTableJoin, {
        tables: [undefined, table],
      });
      changes.forEach(({ key, value, time, isLeft }, index) => {
        if (!isLeft) {
          table.set(key, value, time);
          harness.send(key, value, time, 1);
          return;
        }
        harness.send(key, 'L', time, 0);
        const versions = changes
          .slice(0, index)
          .filter((other) => !other.isLeft && other.key === key && other.time <= time)
          .toSorted((a, b) => a.time - b.time);
        const expected = `L-${versions.at(-1)?.value ?? 'null'}`;
        const [emitted] = harness.take();
        if (emitted?.value !== expected || emitted.time !== time)
          throw new Error(`${JSON.stringify(emitted)} is not ${expected}`);
      });
    }),
    { numRuns: 200 },
  );
});
