/**
 * What a pattern matches, from the definition: every sequence of records is tried, and asked of each whether every record may follow those before
 * it. Exponential, and without any state: it looks at all records between two as often as it likes.
 */
import type { PatternSpec, PatternStep } from '../../src/flow/patterns.ts';

export interface OracleRecord {
  readonly value: unknown;
  readonly time: number;
}

/** One record of a match: its place among all, and as which repetition of which step it was taken. */
interface Taken {
  readonly at: number;
  readonly step: number;
  readonly count: number;
}
type Sequence = readonly Taken[];

export interface OracleMatch {
  /** Places of records, by step. */
  readonly places: Readonly<Record<string, readonly number[]>>;
  readonly time: number;
}

interface Complete {
  readonly sequence: Sequence;
  readonly time: number;
  /** Behind how many records it is complete; a half before the one that comes when its time is over. */
  readonly completeAt: number;
}

export class PatternOracle {
  private readonly spec: PatternSpec;
  private readonly records: readonly OracleRecord[];
  private readonly withinMs: number;
  private readonly end: number;
  private readonly known = new Map<string, boolean>();

  constructor(spec: PatternSpec, records: readonly OracleRecord[]) {
    this.spec = spec;
    this.records = records;
    this.withinMs = spec.withinMs ?? Number.POSITIVE_INFINITY;
    this.end = spec.steps.length;
  }

  /** In the order in which they come out, unless the skip strategy is `none`. */
  matches(): OracleMatch[] {
    const all = this.sequences().flatMap((sequence) => this.completions(sequence));
    const chosen = this.spec.skip.kind === 'none' ? all : this.chosen(all);
    return chosen.map(({ sequence, time }) => ({ places: this.placesOf(sequence), time }));
  }

  /** Of skip strategy `none`. */
  timedOut(): OracleMatch[] {
    if (this.withinMs === Number.POSITIVE_INFINITY) return [];
    return this.sequences()
      .filter((sequence) => this.completions(sequence).length === 0 && this.isOpen(sequence))
      .map((sequence) => ({
        places: this.placesOf(sequence),
        time: this.firstTime(sequence) + this.withinMs,
      }));
  }

  private sequences(): Sequence[] {
    const all: Sequence[] = [];
    const grow = (sequence: Sequence): void => {
      if (sequence.length > 0) all.push(sequence);
      for (const next of this.reach(sequence)) {
        if (next.step === this.end) continue;
        for (let at = (sequence.at(-1)?.at ?? -1) + 1; at < this.records.length; at++)
          if (this.follows(sequence, next.step, at)) grow([...sequence, { ...next, at }]);
      }
    };
    grow([]);
    return all;
  }

  /** Steps that may come behind, and for which time; the end among them. */
  private reach(sequence: Sequence): { readonly step: number; readonly count: number }[] {
    const last = sequence.at(-1);
    const reach: { step: number; count: number }[] = [];
    if (last !== undefined) {
      const { timesMin, timesMax } = this.step(last.step);
      if (last.count < timesMax) reach.push({ step: last.step, count: last.count + 1 });
      if (last.count < timesMin) return reach;
    }
    for (let step = (last?.step ?? -1) + 1; step < this.end; step++) {
      if (this.step(step).isNegated) continue;
      reach.push({ step, count: 1 });
      if (this.step(step).timesMin > 0) return reach;
    }
    if (last !== undefined) reach.push({ step: this.end, count: 1 });
    return reach;
  }

  /** Whether the record may be taken as a step behind a sequence. */
  private follows(sequence: Sequence, number: number, at: number): boolean {
    const id = `${sequence.map((taken) => `${taken.at}.${taken.step}`).join(' ')}>${number}@${at}`;
    const known = this.known.get(id);
    if (known !== undefined) return known;
    const follows =
      this.isInTime(sequence, at) &&
      this.fits(number, sequence, at) &&
      !this.isUntil(number, at) &&
      !this.isClosed(sequence, number, this.between(sequence, at), at);
    this.known.set(id, follows);
    return follows;
  }

  /** Whether what lies between, all in time, rules out that the step comes behind it. @param at the record that would be it */
  private isClosed(
    sequence: Sequence,
    number: number,
    between: readonly number[],
    at: number | undefined,
  ): boolean {
    const last = sequence.at(-1);
    const upTo = at === undefined ? between : [...between, at];
    if (this.isTakenByGreedy(sequence, number, upTo)) return true;
    if (last === undefined) return false;
    const isAgain = number === last.step;
    const negated = this.negated(last, number);
    const [next] = upTo;
    for (const step of negated) {
      const isStrict = this.step(step).contiguity === 'strict';
      const isEnough = !isAgain || last.count >= this.step(number).timesMin;
      if (isStrict && isEnough && next !== undefined && this.fits(step, sequence, next))
        return true;
      const watched = isAgain ? upTo : between;
      if (!isStrict && watched.some((each) => this.fits(step, sequence, each))) return true;
    }
    if (number === this.end) return false;
    if (isAgain && upTo.some((each) => this.isUntil(number, each))) return true;
    const { contiguity, inner } = this.step(number);
    const how = isAgain ? inner : contiguity;
    if (how === 'strict') return between.length > 0;
    return how === 'relaxed' && between.some((each) => this.fits(number, sequence, each));
  }

  /** A greedy step before it takes one of the records: then the sequence does not go past that step. */
  private isTakenByGreedy(sequence: Sequence, number: number, records: readonly number[]): boolean {
    return this.reach(sequence).some(
      ({ step }) =>
        step < number &&
        this.step(step).isGreedy &&
        // A match may begin anew with every record.
        (sequence.length === 0 ? records.slice(-1) : records).some((each) =>
          this.follows(sequence, step, each),
        ),
    );
  }

  private negated(last: Taken, number: number): number[] {
    const negated: number[] = [];
    for (let step = last.step + 1; step < this.end; step++) {
      if (number === last.step ? !this.step(step).isNegated : step >= number) break;
      if (this.step(step).isNegated) negated.push(step);
    }
    return negated;
  }

  /** How a sequence is a match: at once, behind the next record, when its time is over, or not. */
  private completions(sequence: Sequence): Complete[] {
    if (!this.reach(sequence).some(({ step }) => step === this.end)) return [];
    const last = sequence.at(-1) as Taken;
    const { time } = this.records[last.at] as OracleRecord;
    const trailing: PatternStep[] = [];
    for (const step of this.spec.steps.toReversed()) {
      if (!step.isNegated) break;
      trailing.push(step);
    }
    if (trailing.length === 0) return [{ sequence, time, completeAt: last.at }];
    const window = this.window(sequence);
    const overAt = last.at + window.length + 0.5;
    const overTime = this.firstTime(sequence) + this.withinMs;
    const isStrictOnly = trailing.every((step) => step.contiguity === 'strict');
    if (isStrictOnly && window.length > 0) {
      const next = window[0] as number;
      const isBroken =
        this.isTakenByGreedy(sequence, this.end, [next]) ||
        this.negated(last, this.end).some((step) => this.fits(step, sequence, next));
      return isBroken ? [] : [{ sequence, time, completeAt: next }];
    }
    if (this.withinMs === Number.POSITIVE_INFINITY) return [];
    if (this.isClosed(sequence, this.end, window, undefined)) return [];
    return [{ sequence, time: overTime, completeAt: overAt }];
  }

  /** Something may come behind it still when its time is over. */
  private isOpen(sequence: Sequence): boolean {
    return this.reach(sequence).some(
      ({ step }) =>
        step !== this.end && !this.isClosed(sequence, step, this.window(sequence), undefined),
    );
  }

  private chosen(all: readonly Complete[]): Complete[] {
    const sorted = [...all].sort((a, b) => compare(orderOf(a), orderOf(b)));
    let kept = 0;
    return sorted.filter(({ sequence }) => {
      const first = (sequence[0] as Taken).at;
      if (first < kept) return false;
      kept = Math.max(kept, this.firstKept(sequence));
      return true;
    });
  }

  private firstKept(sequence: Sequence): number {
    const { skip } = this.spec;
    if (skip.kind === 'toNext') return (sequence[0] as Taken).at + 1;
    if (skip.kind === 'pastLast') return (sequence.at(-1) as Taken).at + 1;
    if (skip.kind === 'none') return 0;
    const places = this.placesOf(sequence)[skip.step] ?? [];
    return places.at(skip.kind === 'toFirst' ? 0 : -1) ?? 0;
  }

  private fits(step: number, sequence: Sequence, at: number): boolean {
    return this.step(step).condition(this.valueAt(at), this.soFar(sequence), 'key');
  }

  private isUntil(step: number, at: number): boolean {
    return this.step(step).until?.(this.valueAt(at), 'key') ?? false;
  }

  private isInTime(sequence: Sequence, at: number): boolean {
    if (sequence.length === 0) return true;
    return (this.records[at] as OracleRecord).time - this.firstTime(sequence) <= this.withinMs;
  }

  private between(sequence: Sequence, at: number): number[] {
    const from = (sequence.at(-1)?.at ?? at - 1) + 1;
    return Array.from({ length: at - from }, (_, index) => from + index);
  }

  /** Records behind it that are in time. */
  private window(sequence: Sequence): number[] {
    const from = (sequence.at(-1) as Taken).at + 1;
    return this.records
      .map((_, at) => at)
      .filter((at) => at >= from && this.isInTime(sequence, at));
  }

  private soFar(sequence: Sequence): Record<string, unknown[]> {
    const soFar: Record<string, unknown[]> = {};
    for (const step of this.spec.steps) if (!step.isNegated) soFar[step.name] = [];
    for (const { step, at } of sequence) soFar[this.step(step).name]?.push(this.valueAt(at));
    return soFar;
  }

  private placesOf(sequence: Sequence): Record<string, number[]> {
    const places: Record<string, number[]> = {};
    for (const step of this.spec.steps) if (!step.isNegated) places[step.name] = [];
    for (const { step, at } of sequence) places[this.step(step).name]?.push(at);
    return places;
  }

  private step(number: number): PatternStep {
    return this.spec.steps[number] as PatternStep;
  }

  private valueAt(at: number): unknown {
    return (this.records[at] as OracleRecord).value;
  }

  private firstTime(sequence: Sequence): number {
    return (this.records[(sequence[0] as Taken).at] as OracleRecord).time;
  }
}

/** First record; then when it is complete; then the longest; then the earliest records. */
function orderOf({ sequence, completeAt }: Complete): number[] {
  const places = sequence.map(({ at }) => at);
  return [places[0] as number, completeAt, -places.length, ...places];
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (let index = 0; index < left.length && index < right.length; index++) {
    const difference = (left[index] as number) - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
