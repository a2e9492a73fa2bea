/** Windows of every kind, over records in random disorder, against what windows are by definition. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Windowed } from '../../../src/core/key-order.ts';
import { createOperator } from '../../../src/engine/stream/operators/create-operator.ts';
import type { WindowSpec } from '../../../src/flow/windows.ts';
import { listNode } from '../nodes.ts';
import { memoryStores } from '../memory-stores.ts';
import { type Emitted, OperatorHarness, OracleStores } from '../operator-harness.ts';
import { type Arrival, oracleLate, oracleWindows } from './window-oracle.ts';

const graceMs = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 }), fc.constant(1_000));
const sizeMs = fc.integer({ min: 1, max: 12 });
const KINDS: Readonly<Record<string, fc.Arbitrary<WindowSpec>>> = {
  tumbling: fc.record({ kind: fc.constant('tumbling' as const), sizeMs, graceMs }),
  hopping: fc
    .record({ kind: fc.constant('hopping' as const), sizeMs, everyMs: sizeMs, graceMs })
    .map((spec) => ({ ...spec, everyMs: Math.min(spec.everyMs, spec.sizeMs) })),
  'hopping that divides': fc
    .record({
      parts: fc.integer({ min: 1, max: 6 }),
      everyMs: fc.integer({ min: 1, max: 4 }),
      graceMs,
    })
    .map(({ parts, everyMs, graceMs: grace }) => ({
      kind: 'hopping' as const,
      sizeMs: parts * everyMs,
      everyMs,
      graceMs: grace,
    })),
  sliding: fc.record({ kind: fc.constant('sliding' as const), sizeMs, graceMs }),
  session: fc.record({ kind: fc.constant('session' as const), gapMs: sizeMs, graceMs }),
};

interface Given {
  readonly key: string;
  /** How far time goes on, and how far behind it the record is. */
  readonly step: number;
  readonly behind: number;
  /** How far T has come by itself before it. */
  readonly jump: number;
}

const given: fc.Arbitrary<Given> = fc.record({
  key: fc.constantFrom('a', 'b'),
  step: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 60 })),
  behind: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20 })),
  jump: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 30 })),
});
const inputs = fc.array(given, { minLength: 1, maxLength: 30 });
const outOfOrder = fc.constantFrom(0, 0, 5);
const stores = fc
  .constantFrom('oracle', 'memory')
  .map((kind) => () => (kind === 'oracle' ? new OracleStores() : memoryStores()));
const RUNS = { numRuns: 120 };
/** Behind all windows. */
const END = 100_000;

function arrivalsOf(records: readonly Given[], outOfOrderMs: number): Arrival[] {
  let clock = 0;
  let latest = Number.NEGATIVE_INFINITY;
  let watermark = Number.NEGATIVE_INFINITY;
  return records.map(({ key, step, behind, jump }, value) => {
    clock += step;
    const time = clock - behind;
    latest = Math.max(latest, time);
    watermark = Math.max(watermark + jump, latest - outOfOrderMs);
    return { key, value, time, watermark };
  });
}

interface Result {
  readonly at: string;
  readonly values: readonly number[];
  readonly time: number;
}

function byWindow(a: Result, b: Result): number {
  return a.at < b.at ? -1 : a.at > b.at ? 1 : 0;
}

function resultOf({ key, value, time }: Emitted): Result {
  const { key: of, start, end } = key as Windowed<string>;
  return { at: `${of} ${start}-${end}`, values: sorted(value as number[]), time };
}

/** Panes are merged by time, not in the order in which records came. */
function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function expected(
  spec: WindowSpec,
  arrivals: readonly Arrival[],
): (Result & { closesAt: number })[] {
  return oracleWindows(spec, arrivals)
    .map(({ key, start, end, values, time, closesAt }) => ({
      at: `${key} ${start}-${end}`,
      values: sorted(values),
      time,
      closesAt,
    }))
    .sort(byWindow);
}

/** What the changes of a table leave, after a check that each knows what the one before has said. */
class Told {
  readonly rows = new Map<string, Result>();

  take(emitted: readonly Emitted[]): void {
    for (const each of emitted) {
      const { at } = resultOf({ ...each, value: [] });
      const old = each.old === undefined ? undefined : sorted(each.old as number[]);
      const before = this.rows.get(at)?.values;
      if (!isDeepStrictEqual(old, before))
        throw new Error(`${at}: told ${String(before)} before, and says ${String(old)}`);
      if (each.value === undefined) this.rows.delete(at);
      else this.rows.set(at, resultOf(each));
    }
  }

  get results(): Result[] {
    return [...this.rows.values()].sort(byWindow);
  }
}

const CASES = Object.entries(KINDS).flatMap(([name, kind]) => {
  const merged = { name, kind, listsOf: listNode };
  // What cannot be merged, and what is told before it closes, is kept window by window.
  if (name === 'session' || name === 'tumbling') return [merged];
  const unmerged: typeof listNode = (spec, emit) => ({ ...listNode(spec, emit), merge: undefined });
  return [merged, { name: `unmerged ${name}`, kind, listsOf: unmerged }];
});

describe.each(CASES)('$name windows', ({ kind, listsOf }) => {
  test('are told once, when they close, with the records that came before', () => {
    fc.assert(
      fc.property(kind, inputs, outOfOrder, stores, (spec, records, outOfOrderMs, open) => {
        const arrivals = arrivalsOf(records, outOfOrderMs);
        const harness = new OperatorHarness(listsOf(spec), createOperator, {
          outOfOrderMs,
          stores: open(),
        });
        const windows = expected(spec, arrivals);
        let before = Number.NEGATIVE_INFINITY;
        const closing = (now: number): Result[] =>
          windows
            .filter(({ closesAt }) => closesAt > before && closesAt <= now)
            .map(({ at, values, time }) => ({ at, values, time }));
        for (const { key, value, time, watermark } of arrivals) {
          harness.jumpTo(watermark).send(key, value, time);
          expect(harness.take().map(resultOf).sort(byWindow)).toEqual(closing(watermark));
          before = watermark;
        }
        harness.advanceTo(END);
        expect(harness.take().map(resultOf).sort(byWindow)).toEqual(closing(END));
        expect(harness.lates.map(({ value }) => value)).toEqual(
          oracleLate(spec, arrivals).map(({ value }) => value),
        );
        expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
      }),
      RUNS,
    );
  });

  test('are told at every change, each time with what was told before', () => {
    fc.assert(
      fc.property(kind, inputs, outOfOrder, stores, (spec, records, outOfOrderMs, open) => {
        const arrivals = arrivalsOf(records, outOfOrderMs);
        const node = listsOf(spec, 'changes');
        const harness = new OperatorHarness(node, createOperator, {
          outOfOrderMs,
          stores: open(),
        });
        const told = new Told();
        for (const [index, { key, value, time, watermark }] of arrivals.entries()) {
          harness.jumpTo(watermark).send(key, value, time);
          told.take(harness.take());
          const windows = expected(spec, arrivals.slice(0, index + 1));
          expect(told.results).toEqual(
            windows.map(({ at, values, time: latest }) => ({ at, values, time: latest })),
          );
        }
        harness.advanceTo(END);
        expect(harness.take()).toEqual([]);
      }),
      RUNS,
    );
  });

  test('are told every so often, and at last what they came to', () => {
    const ticks = fc.array(fc.boolean(), { minLength: 30, maxLength: 30 });
    fc.assert(
      fc.property(kind, inputs, ticks, stores, (spec, records, ticking, open) => {
        const arrivals = arrivalsOf(records, 0);
        const harness = new OperatorHarness(listsOf(spec, 'every'), createOperator, {
          stores: open(),
        });
        const told = new Told();
        for (const [index, { key, value, time, watermark }] of arrivals.entries()) {
          harness.jumpTo(watermark).send(key, value, time);
          if (ticking[index] === false) {
            if (index % 3 === 0) harness.commit().crash();
            told.take(harness.take());
            continue;
          }
          harness.tick((index + 1) * 2_000);
          told.take(harness.take());
          const windows = expected(spec, arrivals.slice(0, index + 1));
          expect(told.results).toEqual(
            windows.map(({ at, values, time: latest }) => ({ at, values, time: latest })),
          );
        }
        harness.advanceTo(END);
        told.take(harness.take());
        expect(told.results).toEqual(
          expected(spec, arrivals).map(({ at, values, time }) => ({ at, values, time })),
        );
      }),
      RUNS,
    );
  });

  test('are the same when the task crashes, and goes on from its last commit', () => {
    const faults = fc.array(fc.constantFrom('none', 'none', 'commit', 'crash'), {
      minLength: 30,
      maxLength: 30,
    });
    fc.assert(
      fc.property(kind, inputs, faults, stores, (spec, records, happening, open) => {
        const arrivals = arrivalsOf(records, 0);
        const harness = new OperatorHarness(listsOf(spec), createOperator, { stores: open() });
        harness.commit();
        const outputs: Emitted[] = [];
        let committed = 0;
        for (let index = 0, step = 0; index < arrivals.length; index++, step++) {
          const { key, value, time, watermark } = arrivals[index] as Arrival;
          harness.jumpTo(watermark).send(key, value, time);
          const fault = step < happening.length ? happening[step] : 'none';
          if (fault === 'commit') {
            harness.commit();
            outputs.push(...harness.take());
            committed = index + 1;
          } else if (fault === 'crash') {
            harness.crash();
            harness.take();
            index = committed - 1;
          }
        }
        harness.advanceTo(END);
        outputs.push(...harness.take());
        expect(outputs.map(resultOf).sort(byWindow)).toEqual(
          expected(spec, arrivals).map(({ at, values, time }) => ({ at, values, time })),
        );
      }),
      RUNS,
    );
  });
});

test('sessions of records that are not late are runs without gaps', () => {
  fc.assert(
    fc.property(inputs, sizeMs, (records, gapMs) => {
      const arrivals = arrivalsOf(records, 0);
      const spec = { kind: 'session', gapMs, graceMs: END } as const;
      const harness = new OperatorHarness(listNode(spec), createOperator);
      for (const { key, value, time } of arrivals) harness.send(key, value, time);
      harness.advanceTo(3 * END);
      const runs = ['a', 'b'].flatMap((key) => {
        const times = arrivals
          .filter((record) => record.key === key)
          .map(({ time }) => time)
          .sort((a, b) => a - b);
        const cuts = times.map((time, index) => time - (times[index - 1] ?? time) > gapMs);
        const starts = times.filter((_time, index) => index === 0 || cuts[index]);
        return starts.map((start, index) => {
          const next = starts[index + 1] ?? Number.POSITIVE_INFINITY;
          const inside = times.filter((time) => time >= start && time < next);
          return `${key} ${start}-${inside.at(-1)} ${inside.length}`;
        });
      });
      const told = harness.take().map(resultOf);
      expect(told.map(({ at, values }) => `${at} ${values.length}`).sort()).toEqual(runs.sort());
    }),
    RUNS,
  );
});
