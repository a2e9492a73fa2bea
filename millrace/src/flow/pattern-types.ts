/** Patterns as users see them: steps behind one another, each with how it follows and how often it occurs. */
import type { Duration } from './durations.ts';

/** The records of a match by step: of one that must occur at least one, of any other perhaps none. */
export type Matched<Steps> = { readonly [Name in keyof Steps]: Steps[Name] };
/** The records of a match that was not completed: any step may lack some. */
export type MatchedInPart<T, Steps> = { readonly [Name in keyof Steps]: readonly T[] };

/** Whether a record is one of a step. @param soFar records of the match so far, by step */
export type StepCondition<T, Steps> = (
  value: T,
  soFar: MatchedInPart<T, Steps>,
  key: unknown,
) => boolean;

type Some<T> = readonly [T, ...T[]];
type Step<Name extends string, Records> = { readonly [N in Name]: Records };
/** Steps of a pattern, the last of which may now be absent. */
type Optional<T, Steps, Last extends keyof Steps> = Omit<Steps, Last> & {
  readonly [N in Last]: readonly T[];
};

/** Which further matches may begin or end in the records of one that was found. */
export type SkipTo<Name> =
  | 'none'
  | 'toNext'
  | 'pastLast'
  | { readonly toFirst: Name }
  | { readonly toLast: Name };

/** What any pattern can do: be followed, and be bounded. */
export interface PatternEnd<T, Steps> {
  readonly kind: 'pattern';
  /** Carries the types; never set. */
  readonly types?: { readonly record: T; readonly steps: Steps };

  /** Then, at once, a record of this step: any other ends the match. */
  next<const Name extends string>(
    name: Name,
    condition: StepCondition<T, Steps>,
  ): Pattern<T, Steps & Step<Name, Some<T>>, Name>;

  /** Then the next record of this step; others in between do not matter. */
  followedBy<const Name extends string>(
    name: Name,
    condition: StepCondition<T, Steps>,
  ): Pattern<T, Steps & Step<Name, Some<T>>, Name>;

  /** Then any later record of this step: a match for each of them. */
  followedByAny<const Name extends string>(
    name: Name,
    condition: StepCondition<T, Steps>,
  ): Pattern<T, Steps & Step<Name, Some<T>>, Name>;

  /** The record that comes at once must not be like this. */
  notNext(name: string, condition: StepCondition<T, Steps>): PatternEnd<T, Steps>;

  /** No record like this may come before the next step, or, at the end of a pattern, before `within` is over. */
  notFollowedBy(name: string, condition: StepCondition<T, Steps>): PatternEnd<T, Steps>;

  /** The longest time from the first record of a match to its last, by event time. Default: any. */
  within(time: Duration): PatternEnd<T, Steps>;

  /**
   * What becomes of other matches when one is found. `none` (the default): nothing, every match is found. `toNext`: those that began
   * with the same record are dropped. `pastLast`: those that began before its last record. `{ toFirst: step }`, `{ toLast: step }`: those
   * that began before the first, or the last, record of a step.
   */
  skip(to: SkipTo<keyof Steps & string>): PatternEnd<T, Steps>;
}

/** A pattern, and what can be said of its last step. */
export interface Pattern<T, Steps, Last extends keyof Steps> extends PatternEnd<T, Steps> {
  /** The step occurs so many times, others in between do not matter. 1 to 1,000; `min` may be 0. */
  times(times: number): Pattern<T, Steps, Last>;
  times(min: 0, max: number): Pattern<T, Optional<T, Steps, Last>, Last>;
  times(min: number, max: number): Pattern<T, Steps, Last>;

  /** The step occurs once or more. */
  oneOrMore(): Pattern<T, Steps, Last>;

  /** The step may be absent. Of a step that occurs several times say `times(0, max)`. */
  optional(): Pattern<T, Optional<T, Steps, Last>, Last>;

  /** Repetitions go on for as long as they can, before the next step is looked for. */
  greedy(): Pattern<T, Steps, Last>;

  /** Nothing may come between the repetitions. */
  consecutive(): Pattern<T, Steps, Last>;

  /** Repetitions may also leave out records that fit: a match for each combination. */
  allowCombinations(): Pattern<T, Steps, Last>;

  /** A record like this ends the repetitions, and is none of them. */
  until(condition: (value: T, key: unknown) => boolean): Pattern<T, Steps, Last>;
}
