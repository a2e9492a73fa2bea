/** Windowed joins against every pair of the input, looked at one by one. */
import fc from 'fast-check';
import { test } from 'vitest';
import { windowJoin } from '../../../../test/stream/join-tables.ts';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { Emitted } from '../../../../test/stream/operator-harness.ts';
import { createWindowJoin } from './window-join.ts';

interface Event {
  readonly key: string;
  readonly time: number;
  readonly isLeft: boolean;
  /** How much later than at its time it comes. */
  readonly delay: number;
}

interface Times {
  readonly before: number;
  readonly after: number;
  readonly grace: number;
}

const times: fc.Arbitrary<Times> = fc.record({
  before: fc.integer({ min: 0, max: 12 }),
  after: fc.integer({ min: 0, max: 12 }),
  grace: fc.integer({ min: 0, max: 12 }),
});
const types = fc.constantFrom<JoinType>('inner', 'left', 'outer');

const someEvents = fc.array(fc.nat({ max: 40 }), { maxLength: 4 });
const fates: fc.Arbitrary<Fate> = fc.record({
  commits: someEvents,
  aborts: someEvents,
  isInMemory: fc.boolean(),
});

function eventsOf(delayMax: number): fc.Arbitrary<Event[]> {
  const event = fc.record({
    key: fc.constantFrom('a', 'b'),
    time: fc.integer({ min: 0, max: 60 }),
    isLeft: fc.boolean(),
    delay: fc.integer({ min: 0, max: delayMax }),
  });
  // In the order in which they come: none is more than `delayMax` behind the latest before it.
  return fc
    .array(event, { maxLength: 40 })
    .map((events) => events.toSorted((a, b) => a.time + a.delay - (b.time + b.delay)));
}

interface Run {
  readonly results: string[];
  readonly late: number[];
}

type JoinType = 'inner' | 'left' | 'outer';

/** What happens to a run: after which events it commits, and after which it goes back to the last commit, and which stores it has. */
interface Fate {
  readonly commits: readonly number[];
  readonly aborts: readonly number[];
  readonly isInMemory: boolean;
}

const CALM: Fate = { commits: [], aborts: [], isInMemory: false };

/** Values are the numbers of the events. What came out is what came out before commits, as readers of a log see it. */
function run(type: JoinType, times: Times, events: readonly Event[], fate = CALM): Run {
  const fn = (left: unknown, right: unknown): string => `${text(left)}-${text(right)}`;
  const harness = new OperatorHarness(
    windowJoin(type, times, { fn }),
    createWindowJoin,
    fate.isInMemory ? { stores: memoryStores() } : {},
  );
  const { outputs, lates } = harness;
  const aborts = new Set(fate.aborts);
  let committed = { events: 0, outputs: 0, lates: 0 };
  for (let index = 0; index < events.length; index++) {
    const { key, time, isLeft } = events[index] as Event;
    harness.send(key, index, time, isLeft ? 0 : 1);
    if (aborts.delete(index)) {
      harness.crash();
      outputs.length = committed.outputs;
      lates.length = committed.lates;
      index = committed.events - 1;
    } else if (fate.commits.includes(index)) {
      harness.commit();
      committed = { events: index + 1, outputs: outputs.length, lates: lates.length };
    }
  }
  harness.advanceTo(10_000);
  if (harness.operator.nextDue !== Number.POSITIVE_INFINITY) throw new Error('something is kept');
  return { results: outputs.map(resultText), late: lates.map(({ value }) => value as number) };
}

function resultText({ key, value, time }: Emitted): string {
  return `${key as string} ${value as string}@${time}`;
}

function text(index: unknown): string {
  return index === undefined ? '∅' : `${index as number}`;
}

/** All pairs of the events, and the events without one, when none comes later than its grace. */
function oracle(type: JoinType, { before, after }: Times, events: readonly Event[]): string[] {
  const results: string[] = [];
  const matched = new Set<number>();
  events.forEach((left, l) => {
    events.forEach((right, r) => {
      if (!left.isLeft || right.isLeft || left.key !== right.key) return;
      if (right.time < left.time - before || right.time > left.time + after) return;
      results.push(`${left.key} ${l}-${r}@${Math.max(left.time, right.time)}`);
      matched.add(l).add(r);
    });
  });
  events.forEach(({ key, time, isLeft }, index) => {
    if (matched.has(index) || type === 'inner' || (type === 'left' && !isLeft)) return;
    results.push(`${key} ${isLeft ? `${index}-∅` : `∅-${index}`}@${time}`);
  });
  return results;
}

function expectSame(actual: readonly string[], expected: readonly string[]): void {
  const [a, b] = [actual.toSorted().join('\n'), expected.toSorted().join('\n')];
  if (a !== b) throw new Error(`got\n${a}\ninstead of\n${b}`);
}

test('with disorder within grace: every pair once, and every record without one alone', () => {
  fc.assert(
    fc.property(
      types,
      times.chain((each) => fc.tuple(fc.constant(each), eventsOf(each.grace))),
      fates,
      (type, [each, events], fate) => {
        const { results, late } = run(type, each, events, fate);
        expectSame(results, oracle(type, each, events));
        if (late.length > 0) throw new Error('nothing is late');
      },
    ),
    { numRuns: 400 },
  );
});

test('with any disorder: the pairs do not depend on the type, and a record is late, or in pairs, or alone', () => {
  fc.assert(
    fc.property(times, eventsOf(60), (each, events) => {
      const inner = run('inner', each, events);
      const outer = run('outer', each, events);
      const left = run('left', each, events);
      const pairs = outer.results.filter((result) => !result.includes('∅'));
      expectSame(pairs, inner.results);
      expectSame(
        left.results.filter((result) => !result.includes('∅')),
        inner.results,
      );
      expectSame(
        left.results.filter((result) => result.includes('∅')),
        outer.results.filter((result) => result.includes('-∅')),
      );
      const all = new Set(oracle('inner', each, events));
      for (const pair of pairs) if (!all.has(pair)) throw new Error(`${pair} is no pair`);
      for (let index = 0; index < events.length; index++) expectOneFate(index, outer);
    }),
    { numRuns: 200 },
  );
});

test('a self-join is the join of the stream with itself', () => {
  fc.assert(
    fc.property(
      types,
      times.chain((each) => fc.tuple(fc.constant(each), eventsOf(each.grace))),
      (type, [each, events]) => {
        const { before, after, grace } = each;
        const node = windowJoin(
          type,
          { before, after, grace },
          {
            inputs: [0, 0],
            fn: (left, right) => `${text(left)}-${text(right)}`,
          },
        );
        const harness = new OperatorHarness(node, createWindowJoin);
        events.forEach(({ key, time }, index) => {
          harness.send(key, index, time, 0).send(key, index, time, 1);
        });
        harness.advanceTo(10_000);
        const expected = events.flatMap((left, l) =>
          events.flatMap((right, r) =>
            left.key === right.key &&
            right.time >= left.time - before &&
            right.time <= left.time + after
              ? [`${left.key} ${l}-${r}@${Math.max(left.time, right.time)}`]
              : [],
          ),
        );
        expectSame(harness.outputs.map(resultText), expected);
      },
    ),
    { numRuns: 200 },
  );
});

function expectOneFate(index: number, { results, late }: Run): void {
  const mentions = (pattern: RegExp): number =>
    results.filter((result) => pattern.test(result)).length;
  const alone = mentions(new RegExp(`( ${index}-∅@|∅-${index}@)`));
  const paired = mentions(new RegExp(`( ${index}-\\d|\\d-${index}@)`));
  const fates = (late.includes(index) ? 1 : 0) + (alone > 0 ? 1 : 0) + (paired > 0 ? 1 : 0);
  if (fates !== 1 || alone > 1)
    throw new Error(
      `record ${index}: late ${late.includes(index)}, alone ${alone}, pairs ${paired}`,
    );
}
