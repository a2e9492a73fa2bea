/**
 * The automaton: one record of a key after the other, in the order of their times. Each match under way looks at the record for each step it may go
 * on to; taking it makes a new match and leaves the old one as it is, which may have fewer steps open afterwards:
 *
 *   strict    closed by whatever comes        relaxed   closed by a record that fits
 *   any       stays open                      end       closed by a negated record
 *
 * A repetition that is greedy closes all steps behind its own when it takes a record. What `until` says closes the repetition. A negated step
 * closes all steps behind it; directly behind a step it closes that one's repetitions, too. The record that is taken as the step behind a
 * `notFollowedBy` is not between the two, and may fit what is negated.
 *
 * Nothing is changed before every condition has been asked: one that throws leaves the key as it was.
 *
 * Source: Flink's NFA, whose tests are ours (`matcher.test.ts`); Agrawal et al., "Efficient Pattern Matching over Event Streams" (2008).
 */
import { MillraceError } from '../../../core/errors.ts';
import { PATTERN_PARTIALS_MAX } from '../../../core/stream-limits.ts';
import type { PatternStep } from '../../../flow/patterns.ts';
import { preview } from '../../batch/operators/preview.ts';
import {
  bit,
  type CompiledPattern,
  canEnd,
  negatedBehind,
  negatedBetween,
  openFrom,
} from './compile-pattern.ts';
import { lazyMatched } from './lazy-matched.ts';
import {
  type CompleteMatch,
  compact,
  emptyState,
  END_OF_TIME,
  type KeptRecord,
  type Matched,
  type MatchState,
  matchedOf,
  type PartialMatch,
  timeOf,
} from './match-state.ts';
import { settle } from './skip-matches.ts';

export interface Found {
  readonly kind: 'match' | 'timedOut';
  readonly matched: Matched;
  readonly time: number;
}

/** The record that is being matched. */
interface Candidate {
  readonly state: MatchState;
  readonly value: unknown;
  readonly key: unknown;
  readonly time: number;
}

interface Fit {
  /** The record is taken as the step. */
  readonly takes: boolean;
  /** No further one will be. */
  readonly closes: boolean;
}
const TAKEN: Fit = { takes: true, closes: false };
const TAKEN_ONCE: Fit = { takes: true, closes: true };
const PASSED: Fit = { takes: false, closes: false };
const CLOSED: Fit = { takes: false, closes: true };

/** Works on the state of one key at a time; keeps nothing itself. */
export class Matcher {
  private readonly name: string;
  private readonly pattern: CompiledPattern;
  /** What the record adds, while conditions are being asked. */
  private readonly added: PartialMatch[] = [];
  /** What each match under way has open behind it. */
  private readonly opens: number[] = [];
  /** Those that end because the record is not what they had to wait for. */
  private readonly ended: number[] = [];
  private isChanged = false;
  /** What is matched before the first record. */
  private readonly nothing: Matched;

  constructor(name: string, pattern: CompiledPattern) {
    this.name = name;
    this.pattern = pattern;
    this.nothing = matchedOf(pattern, emptyState(), -1, 'originals');
    for (const records of Object.values(this.nothing)) Object.freeze(records);
    Object.freeze(this.nothing);
  }

  /**
   * @param found what came of it is added to it
   * @throws what a condition threw, or ML_PATTERN_TOO_LARGE: nothing has changed then
   */
  take(state: MatchState, value: unknown, key: unknown, time: number, found: Found[]): void {
    this.added.length = 0;
    this.ended.length = 0;
    this.isChanged = false;
    const candidate: Candidate = { state, value, key, time };
    const { partials } = state;
    for (let index = 0; index < partials.length; index++) {
      const { open } = partials[index] as PartialMatch;
      const left = open === 0 ? 0 : this.goOn(candidate, index);
      this.opens[index] = left;
      if (left !== open) this.isChanged = true;
    }
    this.begin(candidate);
    if (this.added.length > 0) this.checkSize(state, key);
    state.next++;
    if (this.isChanged || this.added.length > 0) this.apply(candidate, found);
  }

  /** Ends what has run out of time before `time`: matches whose last possible record is earlier. */
  expire(state: MatchState, time: number, found: Found[]): void {
    const { withinMs, end } = this.pattern;
    if (state.due - 1 >= time && time < END_OF_TIME) return;
    const { partials } = state;
    const over = partials
      .map((_, index) => index)
      .filter((index) => {
        const { open, since } = partials[index] as PartialMatch;
        return open !== 0 && time - since > withinMs;
      });
    over.sort((a, b) => sinceOf(state, a) - sinceOf(state, b) || a - b);
    let fresh: CompleteMatch[] = [];
    over.forEach((index, place) => {
      const at = partials[index] as PartialMatch;
      const endTime = at.since + withinMs;
      if ((at.open & bit(end)) !== 0) fresh.push({ partial: index, time: endTime });
      else if (at.open !== 0 && !at.isMatch)
        found.push({
          kind: 'timedOut',
          matched: matchedOf(this.pattern, state, index, 'copies'),
          time: endTime,
        });
      at.open = 0;
      const following = over[place + 1];
      if (following !== undefined && sinceOf(state, following) === at.since) return;
      this.settle(state, fresh, found);
      fresh = [];
    });
    if (time >= END_OF_TIME) {
      for (const at of partials) at.open = 0;
      this.settle(state, [], found);
    }
    compact(state, withinMs);
  }

  private goOn(candidate: Candidate, index: number): number {
    const { pattern } = this;
    const { state } = candidate;
    const at = state.partials[index] as PartialMatch;
    const isNext = (state.records[at.record] as KeptRecord).number + 1 === state.next;
    const soFar = lazyMatched(() => matchedOf(pattern, state, index, 'originals'));
    let { open } = at;
    for (let step = at.step; step <= pattern.end; step++) {
      if ((open & bit(step)) === 0) continue;
      if (step === pattern.end) {
        open = this.waitForEnd(candidate, index, isNext, soFar, open);
        continue;
      }
      const again = step === at.step;
      const negated = again ? negatedBehind(pattern, step) : negatedBetween(pattern, at.step, step);
      const broken = negated === 0 ? 0 : this.brokenBy(candidate, negated, soFar);
      const isEnough = !again || at.count >= (pattern.steps[step] as PatternStep).timesMin;
      const strictly = broken & pattern.strictlyNegated;
      const isBroken = broken !== strictly;
      if ((strictly !== 0 && isNext && isEnough) || (isBroken && again)) {
        open &= ~bit(step);
        continue;
      }
      const fit = this.fit(candidate, step, again ? 'again' : 'ahead', isNext, soFar);
      if (fit.closes || isBroken) open &= ~bit(step);
      if (!fit.takes) continue;
      this.add(candidate, index, step, again ? at.count + 1 : 1);
      if (pattern.steps[step]?.isGreedy === true) open &= bit(step + 1) - 1;
    }
    return open;
  }

  /** What is open when only the end is left, or also the end. */
  private waitForEnd(
    candidate: Candidate,
    index: number,
    isNext: boolean,
    soFar: Matched,
    open: number,
  ): number {
    const { pattern } = this;
    const { step } = candidate.state.partials[index] as PartialMatch;
    const broken = this.brokenBy(candidate, negatedBetween(pattern, step, pattern.end), soFar);
    const counts = isNext ? broken : broken & ~pattern.strictlyNegated;
    if (counts === 0 && pattern.endWaits === 'within') return open;
    if (counts === 0) this.ended.push(index);
    return open & ~bit(pattern.end);
  }

  /** A match may begin with any record. */
  private begin(candidate: Candidate): void {
    const { pattern } = this;
    for (let step = 0; step < pattern.end; step++) {
      if ((pattern.begin & bit(step)) === 0) continue;
      const { takes } = this.fit(candidate, step, 'first', true, this.nothing);
      if (!takes) continue;
      this.add(candidate, -1, step, 1);
      if (pattern.steps[step]?.isGreedy === true) return;
    }
  }

  /** Whether the record is taken as a step, and whether that step is closed behind it. */
  private fit(
    candidate: Candidate,
    number: number,
    how: 'first' | 'ahead' | 'again',
    isNext: boolean,
    soFar: Matched,
  ): Fit {
    const step = this.pattern.steps[number] as PatternStep;
    const contiguity = how === 'again' ? step.inner : step.contiguity;
    if (contiguity === 'strict' && !isNext && how !== 'first') return CLOSED;
    const { value, key } = candidate;
    if (how === 'again' && this.isUntil(step, value, key)) return CLOSED;
    const closesAnyway = contiguity === 'strict';
    if (!this.holds(step, value, soFar, key)) return closesAnyway ? CLOSED : PASSED;
    // The first record that fits is the one, even when `until` says that it is none.
    const closes = closesAnyway || contiguity === 'relaxed';
    if (how !== 'again' && this.isUntil(step, value, key)) return closes ? CLOSED : PASSED;
    return closes ? TAKEN_ONCE : TAKEN;
  }

  /** The negated steps of a set that the record is. */
  private brokenBy(candidate: Candidate, negated: number, soFar: Matched): number {
    let broken = 0;
    for (let step = 0; step < this.pattern.end; step++) {
      if ((negated & bit(step)) === 0) continue;
      const at = this.pattern.steps[step] as PatternStep;
      if (this.holds(at, candidate.value, soFar, candidate.key)) broken |= bit(step);
    }
    return broken;
  }

  private holds(step: PatternStep, value: unknown, soFar: Matched, key: unknown): boolean {
    return this.boolean(step, step.condition(value, soFar, key));
  }

  private isUntil(step: PatternStep, value: unknown, key: unknown): boolean {
    return step.until !== undefined && this.boolean(step, step.until(value, key));
  }

  /** A promise would be taken for true. */
  private boolean(step: PatternStep, result: unknown): boolean {
    if (typeof result === 'boolean') return result;
    throw new MillraceError(
      'ML_USER_FUNCTION',
      `pattern "${this.name}": a condition of step "${step.name}" has returned neither true nor false, but ${typeof result}`,
      { fields: { operator: this.name, step: step.name } },
    );
  }

  private add({ state, time }: Candidate, parent: number, step: number, count: number): void {
    const { pattern } = this;
    const from = parent < 0 ? undefined : (state.partials[parent] as PartialMatch);
    this.added.push({
      parent,
      record: state.records.length,
      step,
      count,
      first: from === undefined ? state.next : from.first,
      since: from === undefined ? time : from.since,
      open: openFrom(pattern, step, count),
      isMatch: pattern.endWaits === 'no' && canEnd(pattern, step, count),
    });
  }

  private apply({ state, value, time }: Candidate, found: Found[]): void {
    const { added, pattern } = this;
    const fresh: CompleteMatch[] = [];
    for (const partial of this.ended) {
      (state.partials[partial] as PartialMatch).isMatch = true;
      fresh.push({ partial, time: timeOf(state, partial) });
    }
    state.partials.forEach((at, index) => {
      at.open = this.opens[index] as number;
    });
    if (added.length > 0) state.records.push({ number: state.next - 1, time, value });
    for (const at of added) {
      state.partials.push(at);
      if (at.isMatch) fresh.push({ partial: state.partials.length - 1, time });
    }
    this.settle(state, fresh, found);
    compact(state, pattern.withinMs);
  }

  private settle(state: MatchState, fresh: CompleteMatch[], found: Found[]): void {
    settle(this.pattern, state, fresh, ({ partial, time }) => {
      found.push({
        kind: 'match',
        matched: matchedOf(this.pattern, state, partial, 'copies'),
        time,
      });
    });
  }

  private checkSize(state: MatchState, key: unknown): void {
    let count = state.partials.length;
    for (const { open } of this.added) if (open !== 0) count++;
    if (count <= PATTERN_PARTIALS_MAX) return;
    throw new MillraceError(
      'ML_PATTERN_TOO_LARGE',
      `pattern "${this.name}": key ${preview(key)} has more than ${PATTERN_PARTIALS_MAX} partial matches`,
      { fields: { operator: this.name, partialsMax: PATTERN_PARTIALS_MAX } },
    );
  }
}

function sinceOf(state: MatchState, partial: number): number {
  return (state.partials[partial] as PartialMatch).since;
}
