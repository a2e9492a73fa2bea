/** The automaton and an enumeration of all sequences say the same, whatever the order of arrival, crashes, and how T comes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OperatorHarness, type Emitted } from '../../../../test/stream/operator-harness.ts';
import { PatternOracle, type OracleMatch } from '../../../../test/stream/pattern-oracle.ts';
import type { PatternSpec, PatternStep, SkipStrategy } from '../../../flow/patterns.ts';
import type { PatternNode } from '../../../flow/stream-nodes.ts';
import { END_OF_TIME } from './match-state.ts';
import { createPattern } from './pattern-operator.ts';

interface Item {
  readonly kind: string;
  readonly n: number;
  readonly place: number;
}

const contiguity = fc.constantFrom('strict', 'relaxed', 'any');
const kinds = fc.constantFrom('a', 'b', 'c', 'ab', 'bc', 'abc');
const MANY = Number.POSITIVE_INFINITY;
const quantifier = fc.oneof(
  { weight: 3, arbitrary: fc.constant([1, 1]) },
  { weight: 4, arbitrary: fc.constantFrom([0, 1], [2, 2], [0, 2], [1, 3], [1, MANY], [0, MANY]) },
);

/** A step that takes records of some kinds; `asFirst`: only those whose number is not below that of the first of the match. */
const stepOf = fc
  .record({
    kinds,
    asFirst: fc.boolean(),
    contiguity,
    isNegated: fc.boolean(),
    quantifier,
    inner: contiguity,
    isGreedy: fc.boolean(),
    until: fc.boolean(),
  })
  .map((given): Omit<PatternStep, 'name'> => {
    const [timesMin = 1, timesMax = 1] = given.isNegated ? [1, 1] : given.quantifier;
    return {
      contiguity: given.isNegated && given.contiguity === 'any' ? 'relaxed' : given.contiguity,
      condition: (value, soFar) => {
        const { kind, n } = value as Item;
        if (!given.kinds.includes(kind)) return false;
        const [first] = Object.values(soFar).flat() as Item[];
        return !given.asFirst || first === undefined || n >= first.n;
      },
      isNegated: given.isNegated,
      timesMin,
      timesMax,
      inner: given.inner,
      isGreedy: given.isGreedy,
      until: given.until ? (value) => (value as Item).n === 3 : undefined,
    };
  });

const spec = fc
  .record({
    steps: fc.array(stepOf, { minLength: 1, maxLength: 4 }),
    withinMs: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
  })
  .map(({ steps, withinMs }): PatternSpec => {
    const named = steps.map((step, index) => ({ name: `s${index}`, ...step }));
    return { steps: named, withinMs, skip: { kind: 'none' } };
  })
  .filter(({ steps, withinMs }) => {
    const last = steps.at(-1);
    return (
      steps[0]?.isNegated === false &&
      (last?.isNegated === false || last?.contiguity === 'strict' || withinMs !== undefined)
    );
  });

const records = fc.array(
  fc.record({
    kind: fc.constantFrom('a', 'b', 'c'),
    n: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 4 }),
  }),
  { maxLength: 8 },
);
type Records = typeof records extends fc.Arbitrary<infer T> ? T : never;

/** In the order of their times. */
function timed(given: Records): { readonly value: Item; readonly time: number }[] {
  let time = 0;
  return given.map(({ kind, n, after }, place) => {
    time += after;
    return { value: { kind, n, place }, time };
  });
}

function nodeOf(pattern: PatternSpec): PatternNode {
  const places = (matched: Readonly<Record<string, readonly unknown[]>>) =>
    Object.fromEntries(
      Object.entries(matched).map(([name, items]) => [
        name,
        items.map((item) => (item as Item).place),
      ]),
    );
  return {
    id: 1,
    name: 'pattern',
    inputs: [0],
    kind: 'pattern',
    pattern,
    select: places,
    selectTimedOut: places,
  };
}

function textOf(match: OracleMatch): string {
  return `${JSON.stringify(match.places)} @${match.time}`;
}

function texts(emitted: readonly Emitted[]): string[] {
  return emitted.map(({ value, time }) => textOf({ places: value as OracleMatch['places'], time }));
}

/** T does not pass anything before the end, or follows each record. */
function run(pattern: PatternSpec, given: Records, outOfOrderMs: number): OperatorHarness {
  const harness = new OperatorHarness(nodeOf(pattern), createPattern, {
    outOfOrderMs,
    onError: 'fail',
  });
  for (const { value, time } of timed(given)) harness.send('key', value, time);
  return harness.advanceTo(END_OF_TIME);
}

test('without skipping: matches and those that ran out of time', () => {
  fc.assert(
    fc.property(spec, records, (pattern, given) => {
      const harness = run(pattern, given, 0);
      const oracle = new PatternOracle(pattern, timed(given));
      expect(texts(harness.outputs).sort()).toEqual(oracle.matches().map(textOf).sort());
      expect(texts(harness.timedOut).sort()).toEqual(oracle.timedOut().map(textOf).sort());
    }),
    { numRuns: 1_500 },
  );
});

test('with each skip strategy: the same matches in the same order', () => {
  const strategy = fc
    .record({ kind: fc.constantFrom('toNext', 'pastLast', 'toFirst', 'toLast'), step: fc.nat(3) })
    .map(
      ({ kind, step }): SkipStrategy =>
        kind === 'toFirst' || kind === 'toLast' ? { kind, step: `s${step}` } : { kind },
    );
  fc.assert(
    fc.property(spec, strategy, records, (plain, skip, given) => {
      const pattern = { ...plain, skip };
      const oracle = new PatternOracle(pattern, timed(given));
      expect(texts(run(pattern, given, 0).outputs)).toEqual(oracle.matches().map(textOf));
    }),
    { numRuns: 1_500 },
  );
});

const OUT_OF_ORDER_MS = 5;
const arrivals = fc.array(
  fc.record({
    key: fc.constantFrom('k', 'l'),
    kind: fc.constantFrom('a', 'b', 'c'),
    n: fc.integer({ min: 0, max: 3 }),
    time: fc.integer({ min: 0, max: 20 }),
    delay: fc.integer({ min: 0, max: OUT_OF_ORDER_MS }),
    behind: fc.constantFrom('goes on', 'commits', 'crashes'),
  }),
  { maxLength: 12 },
);

test('disorder, other keys and crashes change nothing', () => {
  const skips: SkipStrategy[] = [{ kind: 'none' }, { kind: 'pastLast' }];
  fc.assert(
    fc.property(spec, fc.constantFrom(...skips), arrivals, (plain, skip, given) => {
      const pattern = { ...plain, skip };
      const arriving = given
        .map((event, place) => ({ ...event, place }))
        .sort((a, b) => a.time + a.delay - (b.time + b.delay));
      const harness = new OperatorHarness(nodeOf(pattern), createPattern, {
        outOfOrderMs: OUT_OF_ORDER_MS,
        onError: 'fail',
      });
      const committed: Emitted[] = [];
      const commit = (): void => {
        committed.push(...harness.take());
        harness.commit();
      };
      let since: typeof arriving = [];
      for (const event of arriving) {
        const { key, kind, n, place, time, behind } = event;
        harness.send(key, { kind, n, place }, time);
        since.push(event);
        if (behind === 'goes on') continue;
        if (behind === 'crashes') {
          harness.take();
          harness.crash();
          for (const again of since) harness.send(again.key, again, again.time);
        }
        commit();
        since = [];
      }
      harness.advanceTo(END_OF_TIME);
      commit();
      expect(harness.lates).toEqual([]);
      for (const key of ['k', 'l']) {
        const sorted = arriving
          .filter((event) => event.key === key)
          .sort((a, b) => a.time - b.time);
        const other = new OperatorHarness(nodeOf(pattern), createPattern);
        for (const event of sorted) other.send(key, event, event.time);
        other.advanceTo(END_OF_TIME);
        const of = committed.filter((emitted) => emitted.key === key);
        expect(texts(of)).toEqual(texts(other.outputs));
      }
    }),
    { numRuns: 500 },
  );
});
