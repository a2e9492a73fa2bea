/**
 * Which of the matches that are complete count. Those that began first go first; one that counts takes others away, by where they begin. So a
 * match that is complete waits while one that began earlier is under way.
 *
 * Of those that begin with the same record, the one that is complete first goes first; of those that are complete with the same record, the
 * one with the most records; of those, the one whose records are earlier.
 *
 * Source: Flink's AfterMatchSkipStrategy.
 */
import type { CompiledPattern } from './compile-pattern.ts';
import {
  type CompleteMatch,
  type MatchState,
  numbersOf,
  type PartialMatch,
} from './match-state.ts';

/** @param fresh complete since the last call @param give a match that counts */
export function settle(
  pattern: CompiledPattern,
  state: MatchState,
  fresh: CompleteMatch[],
  give: (match: CompleteMatch) => void,
): void {
  if (pattern.skip.kind === 'none') {
    for (const match of fresh) give(match);
    return;
  }
  if (fresh.length > 1) sortFresh(state, fresh);
  for (const match of fresh) state.complete.push(match);
  while (state.complete.length > 0) {
    const index = earliest(state);
    const match = state.complete[index] as CompleteMatch;
    const { first } = state.partials[match.partial] as PartialMatch;
    if (state.partials.some((at) => at.open !== 0 && at.first < first)) return;
    state.complete.splice(index, 1);
    give(match);
    prune(state, firstKept(pattern, state, match, first));
  }
}

function sortFresh(state: MatchState, fresh: CompleteMatch[]): void {
  const numbers = new Map(fresh.map((match) => [match, numbersOf(state, match.partial)]));
  fresh.sort((left, right) => {
    const a = numbers.get(left) ?? [];
    const b = numbers.get(right) ?? [];
    if (a.length !== b.length) return b.length - a.length;
    const at = a.findIndex((number, index) => number !== b[index]);
    return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
  });
}

/** Of equal ones the first. */
function earliest(state: MatchState): number {
  let best = 0;
  let bestFirst = Number.POSITIVE_INFINITY;
  state.complete.forEach(({ partial }, index) => {
    const { first } = state.partials[partial] as PartialMatch;
    if (first >= bestFirst) return;
    best = index;
    bestFirst = first;
  });
  return best;
}

/** The first record that other matches may begin with. */
function firstKept(
  pattern: CompiledPattern,
  state: MatchState,
  match: CompleteMatch,
  first: number,
): number {
  const { skip } = pattern;
  switch (skip.kind) {
    case 'none':
      return 0;
    case 'toNext':
      return first + 1;
    case 'pastLast':
      return (numbersOf(state, match.partial).at(-1) as number) + 1;
    case 'toFirst':
    case 'toLast': {
      const numbers = numbersOfStep(pattern, state, match.partial, skip.step);
      // The step may be optional: then nothing is skipped.
      return numbers.at(skip.kind === 'toFirst' ? 0 : -1) ?? 0;
    }
  }
}

function numbersOfStep(
  pattern: CompiledPattern,
  state: MatchState,
  partial: number,
  step: string,
): number[] {
  const all = numbersOf(state, partial);
  const steps: number[] = [];
  for (let index = partial; index >= 0; ) {
    const at = state.partials[index] as PartialMatch;
    steps.push(at.step);
    index = at.parent;
  }
  steps.reverse();
  return all.filter((_, index) => pattern.steps[steps[index] as number]?.name === step);
}

function prune(state: MatchState, firstKept: number): void {
  for (const at of state.partials) if (at.first < firstKept) at.open = 0;
  state.complete = state.complete.filter(
    ({ partial }) => (state.partials[partial] as PartialMatch).first >= firstKept,
  );
}
