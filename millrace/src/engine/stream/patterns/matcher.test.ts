/** The cases of Flink's tests of its automaton, each by its name there; unless said otherwise its skip strategy is `none`. */
import { describe, expect, test } from 'vitest';
import {
  ANY,
  COMBINATIONS,
  CONSECUTIVE,
  GREEDY,
  matches,
  NOT,
  ONE_OR_MORE,
  OPTIONAL,
  outcome,
  STRICT,
  step,
  times,
  ZERO_OR_MORE,
} from '../../../../test/stream/pattern-steps.ts';

/** In any order, as there. */
function expectSame(actual: readonly string[], expected: readonly string[]): void {
  expect([...actual].sort()).toEqual([...expected].sort());
}

describe('docs/libs/cep.md: contiguity', () => {
  const words = 'a c b1 b2';
  test('strict', () => expectSame(matches([step('a'), step('b', STRICT)], words), []));
  test('relaxed', () => expectSame(matches([step('a'), step('b')], words), ['a b1']));
  test('any', () => expectSame(matches([step('a'), step('b', ANY)], words), ['a b1', 'a b2']));
});

describe('docs/libs/cep.md: contiguity within looping patterns, "a b+ c"', () => {
  const words = 'a b1 d1 b2 d2 b3 c';
  const of = (inner: 'strict' | 'relaxed' | 'any') =>
    matches([step('a'), step('b', { ...ONE_OR_MORE, inner, ...ANY }), step('c')], words);
  test('strict', () => expectSame(of('strict'), ['a b1 c', 'a b2 c', 'a b3 c']));
  test('relaxed', () =>
    expectSame(of('relaxed'), [
      'a b1 c',
      'a b1 b2 c',
      'a b1 b2 b3 c',
      'a b2 c',
      'a b2 b3 c',
      'a b3 c',
    ]));
  test('any', () =>
    expectSame(of('any'), [
      'a b1 c',
      'a b1 b2 c',
      'a b1 b3 c',
      'a b1 b2 b3 c',
      'a b2 c',
      'a b2 b3 c',
      'a b3 c',
    ]));
});

describe('Pattern.consecutive, allowCombinations: "C A+ B" on C D A1 A2 A3 D A4 B', () => {
  const words = 'c d a1 a2 a3 d a4 b';
  const of = (inner: 'strict' | 'relaxed' | 'any') =>
    matches([step('c'), step('a', { ...ONE_OR_MORE, inner }), step('b')], words);
  test('consecutive: 3', () => expectSame(of('strict'), ['c a1 b', 'c a1 a2 b', 'c a1 a2 a3 b']));
  test('default: 4', () =>
    expectSame(of('relaxed'), ['c a1 b', 'c a1 a2 b', 'c a1 a2 a3 b', 'c a1 a2 a3 a4 b']));
  test('combinations: 8 that begin with the first', () =>
    expectSame(of('any'), [
      'c a1 b',
      'c a1 a2 b',
      'c a1 a3 b',
      'c a1 a4 b',
      'c a1 a2 a3 b',
      'c a1 a2 a4 b',
      'c a1 a3 a4 b',
      'c a1 a2 a3 a4 b',
    ]));
  test('combinations behind followedByAny: 15', () => {
    const steps = [step('c'), step('a', { ...ONE_OR_MORE, ...COMBINATIONS, ...ANY }), step('b')];
    expect(new Set(matches(steps, words)).size).toBe(15);
  });
});

describe('NFAITCase', () => {
  test('testNoConditionNFA', () => {
    const every = { condition: () => true };
    expectSame(matches([step('x', every), step('y', every)], 'a b c d e'), [
      'a b',
      'b c',
      'c d',
      'd e',
    ]);
  });
  test('testAnyWithNoConditionNFA', () => {
    const every = { condition: () => true };
    expectSame(matches([step('x', every), step('y', { ...every, ...ANY })], 'a b c'), [
      'a b',
      'a c',
      'b c',
    ]);
  });
  test('testSimplePatternNFA', () =>
    expectSame(matches([step('a'), step('b'), step('c')], 'a x b c'), ['a b c']));
  test('testStrictContinuityWithResults', () =>
    expectSame(matches([step('a'), step('b', STRICT)], 'x a b'), ['a b']));
  test('testStrictContinuityNoResults', () =>
    expectSame(matches([step('a'), step('b', STRICT)], 'a c b'), []));
  test('testBranchingPattern', () => {
    const steps = [step('s'), step('m', ANY), step('n', ANY), step('e')];
    expectSame(matches(steps, 's m1 m2 m3 n1 n2 e'), [
      's m1 n1 e',
      's m1 n2 e',
      's m2 n1 e',
      's m2 n2 e',
      's m3 n1 e',
      's m3 n2 e',
    ]);
  });
  test('testComplexBranchingAfterZeroOrMore', () => {
    const steps = [
      step('c'),
      step('a', { ...ZERO_OR_MORE, ...COMBINATIONS, ...ANY }),
      step('b'),
      step('d', ANY),
      step('e'),
    ];
    const found = matches(steps, 'c a1 a2 a3 b d1 d2 e');
    expect(found).toHaveLength(16);
    expect(found).toContain('c b d1 e');
    expect(found).toContain('c a1 a3 b d2 e');
  });
  test('testZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', ZERO_OR_MORE), step('b')], 'c a1 a2 b'), [
      'c a1 a2 b',
      'c a1 b',
      'c b',
    ]));
  test('testEagerZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', ZERO_OR_MORE), step('b')], 'c a1 a2 a3 b'), [
      'c a1 a2 a3 b',
      'c a1 a2 b',
      'c a1 b',
      'c b',
    ]));
  test('testBeginWithZeroOrMore', () =>
    expectSame(matches([step('a', ZERO_OR_MORE), step('b')], 'a1 a2 a3 b'), [
      'a1 a2 a3 b',
      'a1 a2 b',
      'a1 b',
      'a2 a3 b',
      'a2 b',
      'a3 b',
      'b',
    ]));
  test('testZeroOrMoreAfterBranching', () => {
    const steps = [step('c'), step('k', ANY), step('a', ZERO_OR_MORE), step('b')];
    expectSame(matches(steps, 'c k1 k2 a1 a2 b'), [
      'c k1 a1 a2 b',
      'c k1 a1 b',
      'c k1 b',
      'c k2 a1 a2 b',
      'c k2 a1 b',
      'c k2 b',
    ]);
  });
  test('testAtLeastOne', () =>
    expectSame(
      matches([step('c'), step('a', { ...ONE_OR_MORE, ...ANY }), step('b')], 'c a1 a2 b'),
      ['c a1 a2 b', 'c a1 b', 'c a2 b'],
    ));
  test('testBeginWithAtLeastOne', () =>
    expectSame(matches([step('a', ONE_OR_MORE), step('b')], 'a1 a2 a3 b'), [
      'a1 a2 a3 b',
      'a1 a2 b',
      'a1 b',
      'a2 a3 b',
      'a2 b',
      'a3 b',
    ]));
  test('testEndWithZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', ZERO_OR_MORE)], 'c a1 a2 a3 d'), [
      'c a1 a2 a3',
      'c a1 a2',
      'c a1',
      'c',
    ]));
  test('testStartAndEndWithZeroOrMore', () =>
    expectSame(matches([step('a', ZERO_OR_MORE)], 'a1 a2 a3 d'), [
      'a1 a2 a3',
      'a1 a2',
      'a1',
      'a2 a3',
      'a2',
      'a3',
    ]));
  test('testEndWithOptional', () =>
    expectSame(matches([step('c'), step('a', OPTIONAL)], 'c a d'), ['c', 'c a']));
  test('testEndWithOneOrMore', () =>
    expectSame(matches([step('c'), step('a', ONE_OR_MORE)], 'c a1 a2 a3 d'), [
      'c a1 a2 a3',
      'c a1 a2',
      'c a1',
    ]));
  test('testOptional', () =>
    expectSame(matches([step('c'), step('a', OPTIONAL), step('b')], 'c a b'), ['c a b', 'c b']));
  test('testTimes', () =>
    expectSame(
      matches([step('c'), step('a', { ...times(2), ...STRICT, ...COMBINATIONS })], 'c a1 a2 a3'),
      ['c a1 a2', 'c a1 a3'],
    ));
  test('testStartWithTimes', () =>
    expectSame(matches([step('a', times(2)), step('b')], 'a1 a2 a3 b'), ['a1 a2 b', 'a2 a3 b']));
  test('testTimesNonStrictWithNext', () =>
    expectSame(
      matches([step('c'), step('a', { ...times(2), ...STRICT }), step('b')], 'c a1 a2 d a3 b'),
      ['c a1 a2 b'],
    ));
  test('testTimesNotStrictWithFollowedBy', () =>
    expectSame(matches([step('c'), step('a', times(2)), step('b')], 'c d a1 d a2 a3 b'), [
      'c a1 a2 b',
    ]));
  test('testTimesNotStrictWithFollowedByAny', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(2), ...ANY, ...COMBINATIONS }), step('b')],
        'c d a1 d a2 a3 b',
      ),
      ['c a1 a2 b', 'c a1 a3 b', 'c a2 a3 b'],
    ));
  test('testTimesStrictWithNext', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(2), ...STRICT, ...CONSECUTIVE }), step('b')],
        'c a1 a2 d a3 b',
      ),
      ['c a1 a2 b'],
    ));
  test('testTimesStrictWithFollowedByAny', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(2), ...ANY, ...CONSECUTIVE }), step('b')],
        'c d a1 d a2 a3 b',
      ),
      ['c a2 a3 b'],
    ));
  test('testStrictOneOrMore', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...ONE_OR_MORE, ...CONSECUTIVE, ...ANY }), step('b')],
        'c d a1 d a2 b',
      ),
      ['c a1 b', 'c a2 b'],
    ));
  test('testStrictEagerZeroOrMore', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...ZERO_OR_MORE, ...CONSECUTIVE }), step('b')],
        'c d a1 d a2 b',
      ),
      ['c a1 b', 'c b'],
    ));
  test('two loops that take the same records (as testMultipleTakesVersionCollision)', () => {
    const steps = [
      step('c'),
      step('a', { ...ONE_OR_MORE, ...ANY, ...COMBINATIONS, name: 'one' }),
      step('a', { ...ONE_OR_MORE, ...ANY, ...COMBINATIONS, name: 'two' }),
      step('b'),
    ];
    const found = matches(steps, 'c a1 a2 a3 a4 a5 a6 b');
    // Each subset of at least two of six, cut in two where it may be: 2^5 * (6 - 2) + 1.
    expect(found).toHaveLength(129);
  });
  test('testOneOrMoreWithNext: next is about the first repetition', () =>
    expectSame(matches([step('c'), step('a', { ...ONE_OR_MORE, ...STRICT })], 'c a1 d a2'), [
      'c a1',
      'c a1 a2',
    ]));
});

describe('TimesRangeITCase', () => {
  test('testTimesRange', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(1, 3), ...STRICT, ...COMBINATIONS }), step('b')],
        'c a1 a2 a3 b',
      ),
      ['c a1 a2 a3 b', 'c a1 a2 b', 'c a1 a3 b', 'c a1 b'],
    ));
  test('testTimesRangeFromZero', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(0, 2), ...STRICT, ...COMBINATIONS }), step('b')],
        'c a1 a2 a3 b',
      ),
      ['c a1 a2 b', 'c a1 a3 b', 'c a1 b', 'c b'],
    ));
  test('testTimesRangeNonStrict', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(1, 3), ...ANY, ...COMBINATIONS }), step('b')],
        'c f a1 f a2 a3 b',
      ),
      ['c a1 a2 a3 b', 'c a1 a2 b', 'c a1 a3 b', 'c a2 a3 b', 'c a1 b', 'c a2 b', 'c a3 b'],
    ));
  test('testTimesRangeStrict', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(0, 3), ...ANY, ...CONSECUTIVE }), step('b')],
        'c f a1 f a2 a3 b',
      ),
      ['c a2 a3 b', 'c a1 b', 'c a2 b', 'c a3 b', 'c b'],
    ));
  test('testTimesRangeStrictOptional1', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...times(0, 3), ...STRICT, ...CONSECUTIVE }), step('b')],
        'c a1 a2 a3 b',
      ),
      ['c a1 a2 a3 b', 'c a1 a2 b', 'c a1 b', 'c b'],
    ));
  test('testTimesRangeNonStrictOptional1', () =>
    expectSame(matches([step('c'), step('a', times(0, 3)), step('b')], 'c f b'), ['c b']));
  test('times(2, 4)', () =>
    expectSame(matches([step('c'), step('a', times(2, 4)), step('b')], 'c a1 a2 a3 a4 a5 b'), [
      'c a1 a2 b',
      'c a1 a2 a3 b',
      'c a1 a2 a3 a4 b',
    ]));
});

describe('UntilConditionITCase', () => {
  const until = { until: (value: unknown) => value === 'a!' };
  const end = step('end', { condition: (value) => value === 'a!' });
  const words = 'c a1 a2 a! a9';
  test('testUntilConditionFollowedByOneOrMore', () =>
    expectSame(matches([step('c'), step('a', { ...ONE_OR_MORE, ...until }), end], words), [
      'c a1 a2 a!',
      'c a1 a!',
    ]));
  test('testUntilConditionFollowedByOneOrMoreCombinations', () =>
    expectSame(
      matches(
        [step('c'), step('a', { ...ONE_OR_MORE, ...COMBINATIONS, ...until }), end],
        'c a1 a2 a3 a! a9',
      ),
      ['c a1 a2 a3 a!', 'c a1 a2 a!', 'c a1 a3 a!', 'c a1 a!'],
    ));
  test('testUntilConditionFollowedByOneOrMoreConsecutive', () =>
    expectSame(
      matches([step('c'), step('a', { ...ONE_OR_MORE, ...CONSECUTIVE, ...until }), end], words),
      ['c a1 a2 a!', 'c a1 a!'],
    ));
  test('testUntilConditionFollowedByZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', { ...ZERO_OR_MORE, ...until }), end], words), [
      'c a1 a2 a!',
      'c a1 a!',
      'c a!',
    ]));
  test('testUntilConditionFollowedByAnyOneOrMore', () =>
    expectSame(matches([step('c'), step('a', { ...ONE_OR_MORE, ...ANY, ...until })], words), [
      'c a1 a2',
      'c a1',
      'c a2',
      'c a9',
    ]));
  test('testUntilConditionFollowedByAnyZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', { ...ZERO_OR_MORE, ...ANY, ...until })], words), [
      'c a1 a2',
      'c a1',
      'c a2',
      'c a9',
      'c',
    ]));
});

describe('GreedyITCase', () => {
  const greedyAny = { ...ZERO_OR_MORE, ...GREEDY };
  const greedySome = { ...ONE_OR_MORE, ...GREEDY };
  const until = { until: (value: unknown) => value === 'a!' };
  test('testGreedyZeroOrMore', () =>
    expectSame(matches([step('c'), step('a', greedyAny), step('d')], 'c a1 a2 a3 d'), [
      'c a1 a2 a3 d',
    ]));
  test('testGreedyZeroOrMoreInBetween', () =>
    expectSame(matches([step('c'), step('a', greedyAny), step('d')], 'c x a1 x a2 x a3 d'), [
      'c a1 a2 a3 d',
    ]));
  test('testGreedyZeroOrMoreWithDummyEventsAfterQuantifier', () =>
    expectSame(matches([step('c'), step('a', greedyAny), step('d')], 'c a1 a2 x d'), [
      'c a1 a2 d',
    ]));
  test('testGreedyZeroOrMoreWithDummyEventsBeforeQuantifier', () =>
    expectSame(matches([step('c'), step('a', greedyAny), step('d')], 'c x d'), ['c d']));
  test('testGreedyZeroOrMoreBeforeOptional', () => {
    const steps = [step('c'), step('a', greedyAny), step('d', OPTIONAL), step('e')];
    expectSame(matches(steps, 'c a1 a2 x e'), ['c a1 a2 e']);
  });
  test('testGreedyZeroOrMoreBeforeOptional2', () => {
    const steps = [step('c'), step('a', greedyAny), step('d', OPTIONAL), step('e')];
    expectSame(matches(steps, 'c a1 a2 d e'), ['c a1 a2 e', 'c a1 a2 d e']);
  });
  test('testGreedyUntilZeroOrMoreWithDummyEventsAfterQuantifier', () =>
    expectSame(
      matches([step('c'), step('a', { ...greedyAny, ...until }), step('d')], 'c a1 a2 a3 a! d'),
      ['c a1 a2 a3 d'],
    ));
  test('testGreedyUntilWithDummyEventsBeforeQuantifier', () =>
    expectSame(
      matches([step('c'), step('a', { ...greedyAny, ...until }), step('d')], 'c a! a1 a2 a3 d'),
      ['c d'],
    ));
  test('testGreedyOneOrMore', () =>
    expectSame(matches([step('c'), step('a', greedySome), step('d')], 'c a1 a2 a3 d'), [
      'c a1 a2 a3 d',
    ]));
  test('testGreedyOneOrMoreInBetween', () =>
    expectSame(matches([step('c'), step('a', greedySome), step('d')], 'c x a1 x a2 x a3 d'), [
      'c a1 a2 a3 d',
    ]));
  test('testGreedyOneOrMoreWithDummyEventsBeforeQuantifier', () =>
    expectSame(matches([step('c'), step('a', greedySome), step('d')], 'c x d'), []));
  test('testGreedyUntilOneOrMoreWithDummyEventsAfterQuantifier', () =>
    expectSame(
      matches([step('c'), step('a', { ...greedySome, ...until }), step('d')], 'c a1 a2 a3 a! d'),
      ['c a1 a2 a3 d'],
    ));
  test('testGreedyUntilOneOrMoreWithDummyEventsBeforeQuantifier', () =>
    expectSame(
      matches([step('c'), step('a', { ...greedySome, ...until }), step('d')], 'c a! a1 a2 a3 d'),
      [],
    ));
  test('testEndWithZeroOrMoreGreedy', () =>
    expectSame(matches([step('c'), step('a', greedyAny)], 'c a1 a2 x a3'), [
      'c',
      'c a1',
      'c a1 a2',
      'c a1 a2 a3',
    ]));
  test('testEndWithZeroOrMoreConsecutiveGreedy', () =>
    expectSame(matches([step('c'), step('a', { ...greedyAny, ...CONSECUTIVE })], 'c a1 a2 x a3'), [
      'c',
      'c a1',
      'c a1 a2',
    ]));
  test('testGreedyTimesRange', () =>
    expectSame(matches([step('c'), step('a', { ...times(2, 5), ...GREEDY })], 'c a1 a2 a3 a4 x'), [
      'c a1 a2',
      'c a1 a2 a3',
      'c a1 a2 a3 a4',
    ]));
});

describe('NotPatternITCase', () => {
  const notC = step('c', NOT);
  const notNextC = step('c', { ...NOT, ...STRICT });
  test('testNotNext', () =>
    expectSame(
      matches([step('a'), step('b', { ...NOT, ...STRICT }), step('c'), step('d')], 'a c1 b c2 d'),
      ['a c1 d'],
    ));
  test('testNotNextNoMatches', () =>
    expectSame(
      matches([step('a'), step('b', { ...NOT, ...STRICT }), step('c'), step('d')], 'a b c d'),
      [],
    ));
  test('testNotNextNoMatchesAtTheEnd', () =>
    expectSame(
      matches(
        [step('a'), step('c', ANY), step('d', ANY), step('b', { ...NOT, ...STRICT })],
        'a c d b',
      ),
      [],
    ));
  test('a notNext at the end is decided by the next record', () =>
    expectSame(matches([step('a'), step('b', { ...NOT, ...STRICT })], 'a1 b a2 c a3'), ['a2']));
  test('testNotFollowedBy', () =>
    expectSame(matches([step('a'), step('b', NOT), step('c', ANY), step('d')], 'a c1 b c2 d'), [
      'a c1 d',
    ]));
  test('testNotFollowedByBeforeOptional', () =>
    expectSame(
      matches(
        [step('a'), step('b', NOT), step('c', { ...ANY, ...OPTIONAL }), step('d')],
        'a c1 b c2 d',
      ),
      ['a c1 d'],
    ));
  test('testTimesWithNotFollowedBy', () =>
    expectSame(
      matches([step('a'), step('b', { ...ANY, ...times(2) }), notC, step('d')], 'a b1 c b2 d'),
      [],
    ));
  test('testTimesWithNotFollowedByAfter', () =>
    expectSame(
      matches([step('a'), step('b', { ...ANY, ...times(2) }), notC, step('d')], 'a b1 b2 c d'),
      [],
    ));
  test('testNotFollowedByBeforeOptionalAtTheEnd', () =>
    expectSame(
      matches([step('a'), step('b', NOT), step('c', { ...ANY, ...OPTIONAL })], 'a c1 b c2'),
      ['a c1', 'a'],
    ));
  test('testNotFollowedByWithBranchingAtStart', () =>
    expectSame(matches([step('a'), step('b', NOT), step('c'), step('d')], 'a1 b c1 a2 c2 d'), [
      'a2 c2 d',
    ]));
  const afterNotNext = (any: boolean) =>
    matches(
      [step('a'), step('b', { ...ONE_OR_MORE, ...(any ? ANY : {}) }), notNextC, step('d')],
      'a b1 c b2 d',
    );
  test('testNotNextAfterOneOrMoreSkipTillNext', () => expectSame(afterNotNext(false), []));
  test('testNotNextAfterOneOrMoreSkipTillAny', () => expectSame(afterNotNext(true), ['a b2 d']));
  const after = (inner: 'relaxed' | 'any', any: boolean) =>
    matches(
      [step('a'), step('b', { ...ONE_OR_MORE, inner, ...(any ? ANY : {}) }), notC, step('d')],
      'a b1 b2 b3 c b4 b5 b6 d',
    );
  test('testNotFollowedByNextAfterOneOrMoreEager', () => expectSame(after('relaxed', false), []));
  test('testNotFollowedByAnyAfterOneOrMoreEager', () =>
    expectSame(after('relaxed', true), [
      'a b4 b5 b6 d',
      'a b4 b5 d',
      'a b4 d',
      'a b5 b6 d',
      'a b5 d',
      'a b6 d',
    ]));
  test('testNotFollowedByNextAfterOneOrMoreCombinations', () =>
    expectSame(after('any', false), []));
  test('testNotFollowedByAnyAfterOneOrMoreCombinations', () =>
    expectSame(after('any', true), [
      'a b4 b5 b6 d',
      'a b4 b5 d',
      'a b4 b6 d',
      'a b4 d',
      'a b5 b6 d',
      'a b5 d',
      'a b6 d',
    ]));
  const before = (inner: 'relaxed' | 'any', any: boolean, quantifier: object) =>
    matches(
      [step('a'), notC, step('b', { ...quantifier, inner, ...(any ? ANY : {}) }), step('d')],
      'a b1 c b4 b5 b6 d',
    );
  const eager = ['a b1 b4 b5 b6 d', 'a b1 b4 b5 d', 'a b1 b4 d', 'a b1 d'];
  const all = [...eager, 'a b1 b4 b6 d', 'a b1 b5 b6 d', 'a b1 b5 d', 'a b1 b6 d'];
  test('testNotFollowedByBeforeOneOrMoreEager', () =>
    expectSame(before('relaxed', false, ONE_OR_MORE), eager));
  test('testNotFollowedByAnyBeforeOneOrMoreEager', () =>
    expectSame(before('relaxed', true, ONE_OR_MORE), eager));
  test('testNotFollowedByBeforeOneOrMoreCombinations', () =>
    expectSame(before('any', false, ONE_OR_MORE), all));
  test('testNotFollowedByAnyBeforeOneOrMoreCombinations', () =>
    expectSame(before('any', true, ONE_OR_MORE), all));
  test('testNotFollowedByBeforeZeroOrMoreEagerSkipTillNext', () =>
    expectSame(before('relaxed', false, ZERO_OR_MORE), eager));
  test('testNotFollowedByBeforeZeroOrMoreEagerSkipTillAny', () =>
    expectSame(before('relaxed', true, ZERO_OR_MORE), eager));
  test('testNotFollowedByBeforeZeroOrMoreCombinationsSkipTillNext', () =>
    expectSame(before('any', false, ZERO_OR_MORE), all));
  test('testNotFollowedByBeforeZeroOrMoreCombinationsSkipTillAny', () =>
    expectSame(before('any', true, ZERO_OR_MORE), all));
  test('testNotFollowedByWithinFirstAndLastAtEnd', () =>
    expectSame(
      matches([step('a'), step('b', NOT)], 'a1@1 b1@2 a2@4 c@5 b2@10 a3@11 b3@13', { withinMs: 3 }),
      ['a2'],
    ));
  test('testNotFollowByBeforeTimesWithin', () =>
    expectSame(
      matches(
        [step('a'), step('b', NOT), step('c', times(0, 2))],
        'a1@1 b1@2 a2@10 c1@11 c2@12 a3@20 c3@21 c4@24',
        { withinMs: 3 },
      ),
      ['a1', 'a2', 'a2 c1', 'a2 c1 c2', 'a3', 'a3 c3'],
    ));
  test('testNotFollowedByWithinAtEndAfterMatch', () =>
    expectSame(
      matches(
        [step('a', { ...ONE_OR_MORE, ...COMBINATIONS }), step('c'), step('b', NOT)],
        'a1@1 a2@2 a3@3 c1@4 c2@10',
        { withinMs: 5, skip: { kind: 'pastLast' } },
      ),
      ['a1 a2 a3 c1'],
    ));
});

describe('NFAITCase, NFATest: time', () => {
  test('testSimplePatternWithTimeWindow: what would take longer is no match', () =>
    expectSame(
      matches([step('s'), step('m'), step('e')], 's1@1 s2@2 m1@5 e1@11 m2@12 e2@13', {
        withinMs: 9,
      }),
      ['s2 m1 e1'],
    ));
  test('testSimplePatternWithTimeoutHandling', () => {
    const found = outcome(
      [step('s'), step('m', ANY), step('e', ANY)],
      's1@1 s2@2 m@3 e1@4 e2@11 x@14',
      { withinMs: 9 },
    );
    expectSame(found.matches, ['s1 m e1', 's2 m e1', 's2 m e2']);
    expectSame(found.timedOut, ['s1 m', 's2 m', 's1', 's2']);
  });
  test('testPendingStateMatches: a negated end is a match when its time is over', () => {
    const found = outcome([step('s'), step('e', NOT)], 's1@1 e@2 s2@3 x@9', { withinMs: 5 });
    expectSame(found.matches, ['s2']);
    expectSame(found.timedOut, []);
  });
});

describe('IterativeConditionsITCase', () => {
  const sum = (values: readonly unknown[] | undefined): number =>
    (values ?? []).reduce<number>((total, value) => total + Number(String(value).slice(1)), 0);
  test('testIterativeWithBranchingPatternEager', () =>
    expectSame(
      matches(
        [
          step('c'),
          step('a', {
            ...ONE_OR_MORE,
            condition: (value, soFar) =>
              String(value).startsWith('a') && sum(soFar['a']) + sum([value]) < 5,
          }),
          step('b'),
        ],
        'c a1 a2 a3 b',
      ),
      ['c a1 a2 b', 'c a1 b'],
    ));
  test('testIterativeWithPrevPatternDependency', () =>
    expectSame(
      matches(
        [
          step('s', ONE_OR_MORE),
          step('e', {
            condition: (value, soFar) =>
              String(value).startsWith('e') && sum(soFar['s']) === sum([value]),
          }),
        ],
        's1 s2 e3',
      ),
      ['s1 s2 e3'],
    ));
  test('testIterativeWithLoopingStartingEager', () => {
    const found = matches(
      [
        step('a', {
          ...ONE_OR_MORE,
          condition: (value, soFar) =>
            String(value).startsWith('a') && sum(soFar['a']) + sum([value]) < 5,
        }),
        step('b'),
      ],
      'a1 a2 a3 b',
    );
    expectSame(found, ['a1 a2 b', 'a1 b', 'a2 b', 'a3 b']);
  });
});

describe('AfterMatchSkipITCase', () => {
  const six = 'a1 a2 a3 a4 a5 a6';
  test('testNoSkip', () =>
    expectSame(matches([step('a', times(3))], six), [
      'a1 a2 a3',
      'a2 a3 a4',
      'a3 a4 a5',
      'a4 a5 a6',
    ]));
  test('testNoSkipWithFollowedByAny', () =>
    expectSame(matches([step('a'), step('b', ANY)], 'a1 b1 a2 b2'), ['a1 b1', 'a1 b2', 'a2 b2']));
  test('testSkipToNextWithFollowedByAny', () =>
    expectSame(matches([step('a'), step('b', ANY)], 'a1 b1 a2 b2', { skip: { kind: 'toNext' } }), [
      'a1 b1',
      'a2 b2',
    ]));
  test('testNoSkipWithQuantifierAtTheEnd', () =>
    expectSame(matches([step('a'), step('b', { ...STRICT, ...ONE_OR_MORE })], 'a1 b1 b2 b3'), [
      'a1 b1 b2 b3',
      'a1 b1 b2',
      'a1 b1',
    ]));
  test('testSkipToNextWithQuantifierAtTheEnd', () =>
    expectSame(
      matches([step('a'), step('b', { ...STRICT, ...ONE_OR_MORE })], 'a1 b1 b2 b3', {
        skip: { kind: 'toNext' },
      }),
      ['a1 b1'],
    ));
  test('testSkipPastLast', () =>
    expect(matches([step('a', times(3))], six, { skip: { kind: 'pastLast' } })).toEqual([
      'a1 a2 a3',
      'a4 a5 a6',
    ]));
  const ab = (words: string, kind: 'toFirst' | 'toLast') =>
    matches(
      [
        step('start', { condition: () => true, ...times(2) }),
        step('end', { condition: () => true, ...times(2), ...STRICT }),
      ],
      words,
      { skip: { kind, step: 'end' } },
    );
  test('testSkipToFirst', () =>
    expect(ab('1 2 3 4 5 6', 'toFirst')).toEqual(['1 2 3 4', '3 4 5 6']));
  test('testSkipToLast', () =>
    expect(ab('1 2 3 4 5 6 7', 'toLast')).toEqual(['1 2 3 4', '4 5 6 7']));
  test('testSkipPastLast2', () =>
    expectSame(
      matches([step('a'), step('b', ANY), step('c', ANY), step('d')], 'a1 a2 b1 b2 c1 c2 d1 d2', {
        skip: { kind: 'pastLast' },
      }),
      ['a1 b1 c1 d1'],
    ));
  test('testSkipPastLast3', () =>
    expectSame(
      matches([step('a'), step('b', STRICT)], 'a1 c a2 b2', { skip: { kind: 'pastLast' } }),
      ['a2 b2'],
    ));
  test('testSkipToFirstWithOptionalMatch', () =>
    expectSame(
      matches([step('x', ZERO_OR_MORE), step('b', STRICT), step('c', STRICT)], 'b1 c1 b2 c2', {
        skip: { kind: 'toFirst', step: 'b' },
      }),
      ['b1 c1', 'b2 c2'],
    ));
  test('testSkipToFirstAtStartPosition', () =>
    expectSame(
      matches([step('b'), step('c', STRICT)], 'b1 c1 b2 c2', {
        skip: { kind: 'toFirst', step: 'b' },
      }),
      ['b1 c1', 'b2 c2'],
    ));
  for (const kind of ['toFirst', 'toLast'] as const)
    test(`testSkip${kind === 'toFirst' ? 'ToFirst' : 'ToLast'}WithOneOrMore`, () =>
      expectSame(
        matches(
          [step('a'), step('b', { ...STRICT, ...ONE_OR_MORE, ...CONSECUTIVE })],
          'a1 b1 a2 b2 b3 a3 b4',
          { skip: { kind, step: 'b' } },
        ),
        ['a1 b1', 'a2 b2', 'a3 b4'],
      ));
  for (const kind of ['toFirst', 'toLast'] as const)
    test(`testSkip${kind === 'toFirst' ? 'ToFirst' : 'ToLast'}NonExistentPositionWithoutException`, () =>
      expectSame(
        matches(
          [step('a'), step('b', { ...STRICT, ...ZERO_OR_MORE, ...CONSECUTIVE }), step('c', STRICT)],
          'a c',
          { skip: { kind, step: 'b' } },
        ),
        ['a c'],
      ));
  const atBeginning = [step('a', { ...ONE_OR_MORE, ...CONSECUTIVE, ...GREEDY }), step('b', STRICT)];
  test('testSkipPastLastWithOneOrMoreAtBeginning', () =>
    expectSame(matches(atBeginning, 'a1 a2 a3 b1', { skip: { kind: 'pastLast' } }), [
      'a1 a2 a3 b1',
    ]));
  test('testSkipToLastWithOneOrMoreAtBeginning', () =>
    expect(matches(atBeginning, 'a1 a2 a3 b1', { skip: { kind: 'toLast', step: 'a' } })).toEqual([
      'a1 a2 a3 b1',
      'a3 b1',
    ]));
  for (const skip of [{ kind: 'toFirst', step: 'a' }, { kind: 'none' }] as const)
    test(`test${skip.kind === 'none' ? 'NoSkip' : 'SkipToFirst'}WithOneOrMoreAtBeginning`, () =>
      expect(matches(atBeginning, 'a1 a2 a3 b1', { skip })).toEqual([
        'a1 a2 a3 b1',
        'a2 a3 b1',
        'a3 b1',
      ]));
  test('testSkipToFirstDiscarding', () => {
    const of = (kinds: string) => (value: unknown) => kinds.includes(String(value).charAt(0));
    const steps = [
      step('a or c', { condition: of('ac') }),
      step('b or c', { condition: of('bc') }),
      step('c*', { condition: of('c'), ...ONE_OR_MORE, ...GREEDY }),
      step('d'),
    ];
    expect(matches(steps, 'a b c1 c2 c3 d', { skip: { kind: 'toFirst', step: 'c*' } })).toEqual([
      'a b c1 c2 c3 d',
      'c1 c2 c3 d',
    ]);
  });
  test('testSkipBeforeOtherAlreadyCompleted', () => {
    const price = (value: unknown) => String(value).split('=')[1];
    const steps = [
      step('a'),
      step('c'),
      step('b', {
        condition: (value, soFar) =>
          String(value).startsWith('b') && price(value) === price(soFar['a']?.[0]),
      }),
    ];
    expect(
      matches(steps, 'a1=0 c1=0 a2=1 c2=0 b1=1 b2=0', { skip: { kind: 'toFirst', step: 'c' } }),
    ).toEqual(['a1=0 c1=0 b2=0', 'a2=1 c2=0 b1=1']);
  });
});
