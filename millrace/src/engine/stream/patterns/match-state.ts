/**
 * What is known of one key: plain data, which a store keeps. Matches that are under way form trees: each node is a record that was taken as a
 * step; the way from its root is a match so far. So matches that begin alike share what they have in common.
 *
 *   records   0: a1 @10     1: b1 @12     2: b2 @15
 *   partials  [a1] ◀─ [a1 b1] ◀─ [a1 b1 b2]
 *             each knows the steps it may go on to; with none it is there for those that came from it
 */
import { copyData } from '../operators/copy-data.ts';
import type { CompiledPattern } from './compile-pattern.ts';

/** T when nothing more can come: the end of a bounded run. */
export const END_OF_TIME = Number.MAX_VALUE;

export interface MatchState {
  /** The number of the next record of the key. */
  next: number;
  records: KeptRecord[];
  partials: PartialMatch[];
  /** Matches that are complete and wait for those that began earlier: which of two counts depends on which begins first. */
  complete: CompleteMatch[];
  /** From this T on something here has run out of time. */
  due: number;
}

export interface KeptRecord {
  readonly number: number;
  readonly time: number;
  readonly value: unknown;
}

export interface PartialMatch {
  /** Where it came from, an index; -1: it is the first. */
  readonly parent: number;
  /** Its last record, an index. */
  readonly record: number;
  /** What that was taken as, and for which time in a row. */
  readonly step: number;
  readonly count: number;
  /** Number and time of its first record. */
  readonly first: number;
  readonly since: number;
  /** The set of steps that it may go on to. */
  open: number;
  /** It has been found to be a match: that it goes on is no reason to miss it when its time is over. */
  isMatch: boolean;
}

export interface CompleteMatch {
  readonly partial: number;
  /** Of the result. */
  readonly time: number;
}

/** Records by step; those of steps that are optional may be empty. */
export type Matched = Record<string, unknown[]>;

export function emptyState(): MatchState {
  return { next: 0, records: [], partials: [], complete: [], due: Number.POSITIVE_INFINITY };
}

/** What a match has, up to one of its records; -1: nothing yet. Its own copies, unless they are only to be looked at. */
export function matchedOf(
  pattern: CompiledPattern,
  state: MatchState,
  partial: number,
  copies: 'copies' | 'originals',
): Matched {
  const matched: Matched = {};
  for (const step of pattern.steps) if (!step.isNegated) matched[step.name] = [];
  for (let index = partial; index >= 0; ) {
    const at = state.partials[index] as PartialMatch;
    const { value } = state.records[at.record] as KeptRecord;
    const name = pattern.steps[at.step]?.name ?? '';
    matched[name]?.push(copies === 'copies' ? copyData(value) : value);
    index = at.parent;
  }
  for (const name of Object.keys(matched)) matched[name]?.reverse();
  return matched;
}

/** Numbers of its records, in order. */
export function numbersOf(state: MatchState, partial: number): number[] {
  const numbers: number[] = [];
  for (let index = partial; index >= 0; ) {
    const at = state.partials[index] as PartialMatch;
    numbers.push((state.records[at.record] as KeptRecord).number);
    index = at.parent;
  }
  return numbers.toReversed();
}

export function timeOf(state: MatchState, partial: number): number {
  const at = state.partials[partial] as PartialMatch;
  return (state.records[at.record] as KeptRecord).time;
}

/** Forgets what no match needs any more. */
export function compact(state: MatchState, withinMs: number): void {
  const isNeeded = neededPartials(state);
  const places = new Int32Array(state.partials.length);
  const recordPlaces = new Int32Array(state.records.length).fill(-1);
  const partials: PartialMatch[] = [];
  const records: KeptRecord[] = [];
  let since = Number.POSITIVE_INFINITY;
  state.partials.forEach((at, index) => {
    if (isNeeded[index] === 0) return;
    places[index] = partials.length;
    if (recordPlaces[at.record] === -1) {
      recordPlaces[at.record] = records.length;
      records.push(state.records[at.record] as KeptRecord);
    }
    if (at.open !== 0 && at.since < since) since = at.since;
    // Those that others came from are before them.
    const parent = at.parent < 0 ? -1 : (places[at.parent] as number);
    partials.push({ ...at, parent, record: recordPlaces[at.record] as number });
  });
  state.partials = partials;
  state.records = records;
  state.complete = state.complete.map(({ partial, time }) => ({
    partial: places[partial] as number,
    time,
  }));
  // Whole milliseconds: the first T behind `since + within`. A match that waits for others waits no longer than there is time.
  const due = since + withinMs + 1;
  state.due = state.complete.length > 0 ? Math.min(due, END_OF_TIME) : due;
}

function neededPartials(state: MatchState): Uint8Array {
  const isNeeded = new Uint8Array(state.partials.length);
  for (const { partial } of state.complete) isNeeded[partial] = 1;
  for (let index = state.partials.length - 1; index >= 0; index--) {
    const at = state.partials[index] as PartialMatch;
    if (at.open !== 0) isNeeded[index] = 1;
    if (isNeeded[index] === 1 && at.parent >= 0) isNeeded[at.parent] = 1;
  }
  return isNeeded;
}
