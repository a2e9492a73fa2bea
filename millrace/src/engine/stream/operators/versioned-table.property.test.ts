/** Versions in random disorder against a list of all records that were in time. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { tableNode } from '../../../../test/stream/nodes.ts';
import { OperatorHarness, OracleStores } from '../../../../test/stream/operator-harness.ts';
import { createOperator } from './create-operator.ts';

interface Version {
  readonly key: string;
  readonly time: number;
  readonly value: number | null;
}

const KEYS = ['a', 'b'];
const record = fc.record({
  key: fc.constantFrom(...KEYS),
  step: fc.integer({ min: 0, max: 6 }),
  behind: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20 })),
  isDeleted: fc.boolean(),
  fault: fc.constantFrom('none', 'none', 'none', 'commit', 'crash'),
});

test('a table with history is what its records say, at every time that it still knows', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 30 }),
      fc.integer({ min: 0, max: 15 }),
      fc.boolean(),
      (records, historyMs, isMemory) => {
        const stores = isMemory ? memoryStores() : new OracleStores();
        const harness = new OperatorHarness(tableNode({ historyMs }), createOperator, { stores });
        harness.commit();
        let versions: Version[] = [];
        let latest = new Map<string, unknown>();
        let committed = { versions, latest };
        let clock = 0;
        for (const [index, { key, step, behind, isDeleted, fault }] of records.entries()) {
          clock += step;
          const value = isDeleted ? null : index;
          const time = clock - behind;
          harness.send(key, value, time);
          if (time >= harness.watermark - historyMs) versions = [...versions, { key, time, value }];
          for (const change of harness.take()) {
            expect(change.old).toBe(latest.get(change.key as string));
            latest = new Map(latest).set(change.key as string, change.value);
          }
          if (fault === 'commit') {
            harness.commit();
            committed = { versions, latest };
          } else if (fault === 'crash') {
            harness.crash();
            ({ versions, latest } = committed);
          }
          const { table } = harness.operator;
          for (const each of KEYS) {
            const now = asOf(versions, each, Number.POSITIVE_INFINITY);
            expect(table?.get(each)).toBe(now);
            expect(latest.get(each)).toBe(now);
            for (let at = Math.max(0, harness.watermark - historyMs); at <= clock; at++)
              expect(table?.asOf?.(each, at)).toBe(asOf(versions, each, at));
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

function asOf(versions: readonly Version[], key: string, time: number): number | undefined {
  let found: Version | undefined;
  for (const version of versions) {
    if (version.key !== key || version.time > time) continue;
    if (found === undefined || version.time >= found.time) found = version;
  }
  return found?.value ?? undefined;
}
