import { describe, expect, test } from 'vitest';
import {
  ANY,
  COMBINATIONS,
  GREEDY,
  matches,
  NOT,
  ONE_OR_MORE,
  patternHarness,
  patternNode,
  step,
} from '../../../../test/stream/pattern-steps.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { PATTERN_STEPS_MAX } from '../../../core/stream-limits.ts';
import type { PatternStep } from '../../../flow/patterns.ts';
import { createPattern } from './pattern-operator.ts';

const AB = [step('a'), step('b')];

describe('time', () => {
  test('a record waits until T has passed its time; one that T has passed is late', () => {
    const harness = patternHarness(AB, { outOfOrderMs: 10 });
    harness.send('k', 'b', 12).send('k', 'a', 11).send('k', 'x', 22);
    expect(harness.take()).toEqual([]);
    harness.send('k', 'b2', 12).send('k', 'a2', 11);
    expect(harness.takeLate()).toMatchObject([{ key: 'k', value: 'a2', time: 11 }]);
    harness.send('k', 'x', 23);
    expect(harness.take()).toEqual([{ key: 'k', value: 'a b', time: 12, old: undefined }]);
  });

  test('records of the same time keep the order in which they came', () => {
    const harness = patternHarness([step('a'), step('b'), step('c')], { outOfOrderMs: 1 });
    for (const value of ['a', 'b', 'c']) harness.send('k', value, 5);
    harness.advanceTo(6);
    expect(harness.take()).toMatchObject([{ value: 'a b c', time: 5 }]);
  });

  test('late records that nobody reads are counted', () => {
    const harness = patternHarness(AB, { hasSideOutputs: false });
    harness.send('k', 'a', 10).send('k', 'a', 9);
    expect(harness.dropped).toBe(1);
  });

  test('a match may take as long as it may, and no longer', () => {
    const harness = patternHarness(AB, { withinMs: 10 });
    harness.send('k', 'a1', 0).send('l', 'a2', 0);
    harness.send('k', 'b1', 10).send('l', 'b2', 11).advanceTo(12);
    expect(harness.take()).toMatchObject([{ key: 'k', value: 'a1 b1', time: 10 }]);
    expect(harness.timedOut).toMatchObject([{ key: 'l', value: 'a2', time: 10 }]);
  });

  test('it runs out of time without another record of its key, when T is behind', () => {
    const harness = patternHarness(AB, { withinMs: 10 });
    harness.send('k', 'a', 5).advanceTo(15);
    expect(harness.timedOut).toEqual([]);
    harness.advanceTo(16);
    expect(harness.timedOut).toMatchObject([{ key: 'k', value: 'a', time: 15 }]);
    expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });

  test('what nobody reads of those that ran out of time is not made', () => {
    const harness = new OperatorHarness(
      {
        ...patternNode(AB, { withinMs: 10 }),
        selectTimedOut: () => {
          throw new Error('not asked');
        },
      },
      createPattern,
      { hasSideOutputs: false },
    );
    harness.send('k', 'a', 5).advanceTo(100);
    expect(harness.failures).toEqual([]);
  });

  test('a match that goes on has not run out of time', () => {
    const harness = patternHarness([step('a'), step('b', ONE_OR_MORE)], { withinMs: 10 });
    harness.send('k', 'a', 0).send('k', 'b', 1).advanceTo(100);
    expect(harness.take()).toMatchObject([{ value: 'a b' }]);
    expect(harness.timedOut).toEqual([]);
  });
});

test('a match that another has skipped has not run out of time', () => {
  const harness = patternHarness([step('a'), step('x'), step('b', NOT)], {
    withinMs: 10,
    skip: { kind: 'pastLast' },
  });
  harness.send('k', 'a1', 1).send('k', 'a2', 2).send('k', 'x', 3).advanceTo(100);
  expect(harness.take()).toMatchObject([{ value: 'a1 x', time: 11 }]);
  expect(harness.timedOut).toEqual([]);
});

describe('functions that fail', () => {
  test('a condition that throws: the key is as if the record had not come', () => {
    const steps = [
      step('a'),
      step('b', {
        contiguity: 'strict',
        condition: (value) => {
          if (value === 'bad') throw new Error('bad record');
          return value === 'b';
        },
      }),
    ];
    const harness = patternHarness(steps);
    harness.send('k', 'a', 1).send('k', 'bad', 2).send('k', 'b', 3).advanceTo(10);
    expect(harness.failures).toMatchObject([{ record: 'bad', key: 'k' }]);
    expect(harness.take()).toMatchObject([{ value: 'a b' }]);
  });

  test('a condition that returns a promise is refused, not taken for true', () => {
    const condition = (() => Promise.resolve(false)) as never;
    const harness = patternHarness([step('a', { condition })]);
    harness.send('k', 'a', 1).advanceTo(10);
    expect(harness.take()).toEqual([]);
    expect(harness.failures).toMatchObject([{ error: { code: 'ML_USER_FUNCTION' } }]);
  });

  test('a select that throws costs its match alone', () => {
    const node = {
      ...patternNode([step('a'), step('b', ANY)]),
      select: (matched: Readonly<Record<string, readonly unknown[]>>) => {
        const [b] = matched['b'] ?? [];
        if (b === 'b1') throw new Error('not this one');
        return b;
      },
    };
    const harness = new OperatorHarness(node, createPattern);
    harness.send('k', 'a', 1).send('k', 'b1', 2).send('k', 'b2', 3).advanceTo(10);
    expect(harness.failures).toMatchObject([{ record: { a: ['a'], b: ['b1'] } }]);
    expect(harness.take()).toMatchObject([{ value: 'b2' }]);
  });
});

describe('bounds', () => {
  test('a key with too many partial matches: the record fails, and matches go on', () => {
    // Each further record doubles them: 2^13 is below the bound, 2^14 above it.
    const steps = [step('a', { ...ONE_OR_MORE, ...COMBINATIONS }), step('b')];
    const harness = patternHarness(steps, { withinMs: 100 });
    for (let n = 1; n <= 14; n++) harness.send('k', `a${n}`, n);
    harness.send('k', 'b', 20).advanceTo(30);
    expect(harness.failures).toMatchObject([{ record: 'a14', key: 'k' }]);
    const [failure] = harness.failures;
    expect(failure?.error).toMatchObject({ code: 'ML_PATTERN_TOO_LARGE' });
    expect(String(failure?.error)).toContain('key "k"');
    expect(harness.take()).toHaveLength(2 ** 13 - 1);
    harness.send('k', 'a', 500).send('k', 'b', 501).advanceTo(600);
    expect(harness.take()).toMatchObject([{ value: 'a b' }]);
    expect(harness.failures).toHaveLength(1);
  });

  test('steps, what is negated first, and an end that would never come are refused', () => {
    const none = (steps: Parameters<typeof patternHarness>[0]) => () => patternHarness(steps);
    const many = Array.from({ length: PATTERN_STEPS_MAX + 1 }, (_, n) => step(`s${n}`));
    expect(none(many)).toThrow(`it has ${PATTERN_STEPS_MAX + 1} steps`);
    expect(none([step('a', NOT), step('b')])).toThrow('its first step "a" is negated');
    expect(none([step('a'), step('b', NOT)])).toThrow('without end');
    expect(patternHarness(many.slice(1)).outputs).toEqual([]);
  });

  test('the largest pattern matches', () => {
    const steps = Array.from({ length: PATTERN_STEPS_MAX }, (_, n) =>
      step(`s${n}`, { condition: (value) => value === n }),
    );
    const harness = patternHarness(steps);
    for (let n = 0; n < PATTERN_STEPS_MAX; n++) harness.send('k', n, n);
    harness.advanceTo(100);
    expect(harness.outputs).toHaveLength(1);
  });
});

describe('what functions get', () => {
  test('all steps that take records, those that took none as empty', () => {
    const seen: unknown[] = [];
    const steps = [
      step('a'),
      step('x', NOT),
      step('o', { timesMin: 0 }),
      step('b', {
        condition: (value, soFar, key) => {
          seen.push({ keys: Object.keys(soFar), has: 'a' in soFar, soFar: { ...soFar }, key });
          return value === 'b';
        },
      }),
    ];
    patternHarness(steps).send('k', 'a', 1).send('k', 'b', 2).advanceTo(10);
    expect(seen).toEqual([
      { keys: ['a', 'o', 'b'], has: true, soFar: { a: ['a'], o: [], b: [] }, key: 'k' },
    ]);
  });

  test('what they do to it changes nothing that is kept', () => {
    const node = {
      ...patternNode([
        step('a', { condition: () => true }),
        step('b', { ...ANY, condition: () => true }),
      ]),
      select: (matched: Readonly<Record<string, readonly unknown[]>>) => {
        const [first] = matched['a'] as { n: number }[];
        if (first !== undefined) first.n++;
        return first?.n;
      },
    };
    const harness = new OperatorHarness(node, createPattern);
    const value = { n: 0 };
    harness.send('k', value, 1);
    value.n = 100;
    harness.send('k', { n: 10 }, 2).send('k', { n: 20 }, 3).advanceTo(10);
    expect(harness.take().map((out) => out.value)).toEqual([1, 1, 11]);
  });
});

describe('docs/how-to/find-patterns.md', () => {
  const of = (contiguity: PatternStep['contiguity']) =>
    matches([step('small'), step('large', { contiguity })], 'small other large1 large2');
  test('how much may come in between', () => {
    expect(of('strict')).toEqual([]);
    expect(of('relaxed')).toEqual(['small large1']);
    expect(of('any')).toEqual(['small large1', 'small large2']);
  });

  test('repetitions: six matches, and two words that make them one', () => {
    const end = step('s');
    expect(matches([step('f', ONE_OR_MORE), end], 'f1 f2 f3 s')).toHaveLength(6);
    const greedy = [step('f', { ...ONE_OR_MORE, ...GREEDY }), end];
    expect(matches(greedy, 'f1 f2 f3 s', { skip: { kind: 'pastLast' } })).toEqual(['f1 f2 f3 s']);
  });

  test('a record may be both the step behind and what must not occur before it', () => {
    const steps = [step('a'), step('b', NOT), step('b', { name: 'next' })];
    expect(matches(steps, 'a b1 b2')).toEqual(['a b1']);
  });

  test('greedy rules out nothing when the largest number is reached', () => {
    const steps = [step('a', { timesMin: 1, timesMax: 2, ...GREEDY }), step('b')];
    expect(matches(steps, 'a1 a2 a3 b')).toContain('a1 a2 b');
  });
});

test('nothing stays of a key whose matches are over', () => {
  const harness = patternHarness([step('a', { ...ONE_OR_MORE, ...GREEDY }), step('b')], {
    withinMs: 10,
  });
  for (let n = 0; n < 50; n++) harness.send(n % 5, n % 3 === 0 ? 'a' : 'b', n);
  harness.advanceTo(1_000);
  for (const name of ['pattern', 'pattern-waiting'])
    expect(harness.stores.store({ name }).size).toBe(0);
});
