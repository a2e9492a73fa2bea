/** Patterns for tests, and records that are words: `b2` is of kind `b`. */
import { createPattern } from '../../src/engine/stream/patterns/pattern-operator.ts';
import type { PatternStep, SkipStrategy } from '../../src/flow/patterns.ts';
import type { PatternNode } from '../../src/flow/stream-nodes.ts';
import { OperatorHarness, type HarnessOptions } from './operator-harness.ts';

/** A step that takes words of a kind, named after it unless said otherwise. */
export function step(kind: string, options: Partial<PatternStep> = {}): PatternStep {
  return {
    name: kind,
    contiguity: 'relaxed',
    condition: (value) => typeof value === 'string' && value.startsWith(kind),
    isNegated: false,
    timesMin: 1,
    timesMax: 1,
    inner: 'relaxed',
    isGreedy: false,
    until: undefined,
    ...options,
  };
}

export const STRICT = { contiguity: 'strict' } as const;
export const ANY = { contiguity: 'any' } as const;
export const ONE_OR_MORE = { timesMin: 1, timesMax: Number.POSITIVE_INFINITY } as const;
export const ZERO_OR_MORE = { timesMin: 0, timesMax: Number.POSITIVE_INFINITY } as const;
export const OPTIONAL = { timesMin: 0, timesMax: 1 } as const;
export const CONSECUTIVE = { inner: 'strict' } as const;
export const COMBINATIONS = { inner: 'any' } as const;
export const GREEDY = { isGreedy: true } as const;
export const NOT = { isNegated: true } as const;

export function times(timesMin: number, timesMax = timesMin): Partial<PatternStep> {
  return { timesMin, timesMax };
}

export interface PatternOptions {
  readonly withinMs?: number;
  readonly skip?: SkipStrategy;
}

export function patternNode(
  steps: readonly PatternStep[],
  options: PatternOptions = {},
): PatternNode {
  const words = (matched: Readonly<Record<string, readonly unknown[]>>): string =>
    Object.values(matched).flat().join(' ');
  return {
    id: 1,
    name: 'pattern',
    inputs: [0],
    kind: 'pattern',
    pattern: { steps, withinMs: options.withinMs, skip: options.skip ?? { kind: 'none' } },
    select: words,
    selectTimedOut: words,
  };
}

export function patternHarness(
  steps: readonly PatternStep[],
  options: PatternOptions & HarnessOptions = {},
): OperatorHarness {
  return new OperatorHarness(patternNode(steps, options), createPattern, options);
}

/** Matches among words, one a millisecond from 1; or at the time behind an `@`. Then T comes to the end of all times. */
export function matches(
  steps: readonly PatternStep[],
  words: string,
  options: PatternOptions = {},
): string[] {
  return outcome(steps, words, options).matches;
}

export function outcome(
  steps: readonly PatternStep[],
  words: string,
  options: PatternOptions = {},
): { readonly matches: string[]; readonly timedOut: string[] } {
  const harness = patternHarness(steps, options);
  words.split(' ').forEach((text, index) => {
    const [word = '', time = `${index + 1}`] = text.split('@');
    harness.send('key', word, Number(time));
  });
  harness.advanceTo(Number.MAX_SAFE_INTEGER);
  return {
    matches: harness.outputs.map(({ value }) => value as string),
    timedOut: harness.timedOut.map(({ value }) => value as string),
  };
}
