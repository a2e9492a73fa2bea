/**
 * A pattern as sets of steps, which are numbers: bit n stands for step n, the bit behind the last one for the end.
 *
 * Whoever has taken a record as step s for the k-th time may go on to: s itself again, while k is below its maximum; and from its minimum on,
 * to each step behind it up to the first that is not optional, or to the end. Negated steps are passed over, and watched on the way.
 */
import { MillraceError } from '../../../core/errors.ts';
import { PATTERN_STEPS_MAX } from '../../../core/stream-limits.ts';
import type { PatternSpec, PatternStep, SkipStrategy } from '../../../flow/patterns.ts';

export interface CompiledPattern {
  readonly steps: readonly PatternStep[];
  /** Infinity: for ever. */
  readonly withinMs: number;
  readonly skip: SkipStrategy;
  /** The number of the end. */
  readonly end: number;
  /** Steps that a match may begin with. */
  readonly begin: number;
  /** For each step: where one may go from it when it has been repeated often enough. */
  readonly ahead: readonly number[];
  /** For each step: nothing has to follow. A match is one at once, unless the end has to be waited for. */
  readonly endsBehind: readonly boolean[];
  /** Whether the end has to be waited for, because the last step is negated: up to the next record, or until the time is over. */
  readonly endWaits: 'no' | 'next' | 'within';
  readonly negated: number;
  /** Those of them that only look at the record that follows directly. */
  readonly strictlyNegated: number;
}

/** @throws {MillraceError} ML_FLOW_INVALID: too many steps, a negation with nothing before it, or one at the end that waits for ever */
export function compilePattern(name: string, spec: PatternSpec): CompiledPattern {
  const { steps } = spec;
  const end = steps.length;
  const negated = setOf(steps, (step) => step.isNegated);
  const strictlyNegated = setOf(steps, (step) => step.isNegated && step.contiguity === 'strict');
  const begin = stepsFrom(steps, 0);
  check(name, spec, negated & ~strictlyNegated);
  return {
    steps,
    withinMs: spec.withinMs ?? Number.POSITIVE_INFINITY,
    skip: spec.skip,
    end,
    begin: begin & ~bit(end),
    ahead: steps.map((_, step) => stepsFrom(steps, step + 1)),
    endsBehind: steps.map((_, step) => (stepsFrom(steps, step + 1) & bit(end)) !== 0),
    endWaits: endOf(steps),
    negated,
    strictlyNegated,
  };
}

export function bit(step: number): number {
  return 1 << step;
}

/** Negated steps between two, both excluded. -1 is what is before the first. */
export function negatedBetween(pattern: CompiledPattern, from: number, to: number): number {
  return pattern.negated & (bit(to) - 1) & ~(bit(from + 1) - 1);
}

/** Negated steps directly behind a step: they hold among its repetitions, too. */
export function negatedBehind(pattern: CompiledPattern, step: number): number {
  let to = step + 1;
  while ((pattern.negated & bit(to)) !== 0) to++;
  return negatedBetween(pattern, step, to);
}

/** Where one may go from the k-th repetition of a step. */
export function openFrom(pattern: CompiledPattern, step: number, count: number): number {
  const { timesMin, timesMax } = pattern.steps[step] as PatternStep;
  const again = count < timesMax ? bit(step) : 0;
  if (count < timesMin) return again;
  const ahead = pattern.ahead[step] as number;
  return again | (pattern.endWaits === 'no' ? ahead & ~bit(pattern.end) : ahead);
}

/** Whether the k-th repetition of a step can be the last record of a match. */
export function canEnd(pattern: CompiledPattern, step: number, count: number): boolean {
  const { timesMin } = pattern.steps[step] as PatternStep;
  return count >= timesMin && pattern.endsBehind[step] === true;
}

function stepsFrom(steps: readonly PatternStep[], from: number): number {
  let set = 0;
  for (let index = from; index < steps.length; index++) {
    const step = steps[index] as PatternStep;
    if (step.isNegated) continue;
    set |= bit(index);
    if (step.timesMin > 0) return set;
  }
  return set | bit(steps.length);
}

function setOf(steps: readonly PatternStep[], has: (step: PatternStep) => boolean): number {
  let set = 0;
  steps.forEach((step, index) => {
    if (has(step)) set |= bit(index);
  });
  return set;
}

function endOf(steps: readonly PatternStep[]): CompiledPattern['endWaits'] {
  let end: CompiledPattern['endWaits'] = 'no';
  for (let index = steps.length - 1; index >= 0; index--) {
    const step = steps[index] as PatternStep;
    if (!step.isNegated) break;
    if (step.contiguity !== 'strict') return 'within';
    end = 'next';
  }
  return end;
}

function check(name: string, spec: PatternSpec, negatedAnywhere: number): void {
  const { steps } = spec;
  const last = steps.length - 1;
  const refuse = (what: string, hint: string): never => {
    throw new MillraceError('ML_FLOW_INVALID', `pattern "${name}": ${what}`, {
      hint,
      fields: { operator: name },
    });
  };
  if (steps.length === 0 || steps.length > PATTERN_STEPS_MAX)
    refuse(`it has ${steps.length} steps`, `Give it 1 to ${PATTERN_STEPS_MAX} steps`);
  if (steps[0]?.isNegated === true)
    refuse(
      `its first step "${steps[0].name}" is negated`,
      'Begin with a step that takes a record: what must not happen is between two records',
    );
  if ((negatedAnywhere & bit(last)) !== 0 && spec.withinMs === undefined)
    refuse(
      `its last step "${steps[last]?.name}" would have to be waited for without end`,
      'Say how long: within(ms)',
    );
}
