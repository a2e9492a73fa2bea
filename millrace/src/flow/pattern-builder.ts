/** `pattern(…)`: builds the description of a pattern, step by step. Each method gives a new pattern; none changes. */
import { PATTERN_TIMES_MAX } from '../core/limits.ts';
import { PATTERN_STEPS_MAX } from '../core/stream-limits.ts';
import { flowError, isName, type Operator } from './draft.ts';
import type { Duration } from './durations.ts';
import { described, durationOf, functionOf, requireInteger } from './operator-builder.ts';
import type { Pattern, SkipTo, StepCondition } from './pattern-types.ts';
import type { Contiguity, PatternSpec, PatternStep, SkipStrategy } from './patterns.ts';

type Surface<T> = { readonly [Name in keyof T]: unknown };

/**
 * Begins a pattern: a first step, for `match` of a keyed stream. The type of the records follows from that of the condition's
 * parameter.
 * @param name of the step: what `select` finds its records under
 * @throws {MillraceError} ML_FLOW_INVALID for what cannot be matched
 * @example
 * const fraud = pattern('small', (payment: Payment) => payment.amount < 1)
 *   .followedBy('large', (payment) => payment.amount > 500)
 *   .within('1 minute');
 */
export function pattern<T, const Name extends string>(
  name: Name,
  condition: StepCondition<T, unknown>,
): Pattern<T, { readonly [N in Name]: readonly [T, ...T[]] }, Name> {
  const empty: PatternSpec = { steps: [], withinMs: undefined, skip: { kind: 'none' } };
  const built: unknown = new PatternBuilder(empty).step('pattern', name, condition, 'relaxed');
  return built as Pattern<T, { readonly [N in Name]: readonly [T, ...T[]] }, Name>;
}

/** The description behind what a program gave, if it can be matched. */
export function patternOf(operator: Operator, given: unknown): PatternSpec {
  if (!(given instanceof PatternBuilder)) {
    throw flowError(
      operator,
      `what it is given is no pattern, but ${described(given)}`,
      "Begin one with pattern('first', (record: Order) => …)",
    );
  }
  const { spec } = given;
  const last = spec.steps.at(-1);
  if (last?.isNegated === true && last.contiguity !== 'strict' && spec.withinMs === undefined) {
    throw flowError(
      operator,
      `the pattern ends with what must not occur, "${last.name}", which nothing would ever decide`,
      'Say how long with within: the match is complete when the time is over',
    );
  }
  if (!spec.steps.some((step) => step.timesMin > 0 && !step.isNegated)) {
    throw flowError(
      operator,
      'all steps of the pattern may be absent: it would match nothing at all',
    );
  }
  return spec;
}

class PatternBuilder implements Surface<Pattern<unknown, Record<string, unknown>, string>> {
  readonly kind = 'pattern';
  readonly spec: PatternSpec;

  constructor(spec: PatternSpec) {
    this.spec = Object.freeze({ ...spec, steps: Object.freeze([...spec.steps]) });
  }

  next(name: string, condition: unknown): PatternBuilder {
    return this.step('next', name, condition, 'strict');
  }

  followedBy(name: string, condition: unknown): PatternBuilder {
    return this.step('followedBy', name, condition, 'relaxed');
  }

  followedByAny(name: string, condition: unknown): PatternBuilder {
    return this.step('followedByAny', name, condition, 'any');
  }

  notNext(name: string, condition: unknown): PatternBuilder {
    return this.step('notNext', name, condition, 'strict', true);
  }

  notFollowedBy(name: string, condition: unknown): PatternBuilder {
    return this.step('notFollowedBy', name, condition, 'relaxed', true);
  }

  times(first: number, second?: number): PatternBuilder {
    const operator = this.operator('times');
    const min = second === undefined ? 1 : 0;
    requireInteger(operator, 'the number of times', first, min, PATTERN_TIMES_MAX);
    const max = second ?? first;
    requireInteger(
      operator,
      'the largest number of times',
      max,
      Math.max(first, 1),
      PATTERN_TIMES_MAX,
    );
    return this.change('times', { timesMin: first, timesMax: max });
  }

  oneOrMore(): PatternBuilder {
    return this.change('oneOrMore', { timesMax: Number.POSITIVE_INFINITY });
  }

  optional(): PatternBuilder {
    const last = this.last('optional');
    if (last.timesMin > 1) {
      throw flowError(
        this.operator('optional'),
        `the step occurs ${last.timesMin} times at least, and "not at all or so many times" cannot be said`,
        `Say times(0, ${last.timesMax})`,
      );
    }
    return this.change('optional', { timesMin: 0 });
  }

  greedy(): PatternBuilder {
    return this.repeated('greedy', { isGreedy: true });
  }

  consecutive(): PatternBuilder {
    return this.repeated('consecutive', { inner: 'strict' });
  }

  allowCombinations(): PatternBuilder {
    return this.repeated('allowCombinations', { inner: 'any' });
  }

  until(condition: unknown): PatternBuilder {
    const until = functionOf(this.operator('until'), condition) as PatternStep['until'];
    return this.repeated('until', { until });
  }

  within(time: Duration): PatternBuilder {
    const withinMs = durationOf(this.operator('within'), 'the time', time, 1);
    return new PatternBuilder({ ...this.spec, withinMs });
  }

  skip(to: SkipTo<string>): PatternBuilder {
    return new PatternBuilder({ ...this.spec, skip: this.strategy(to) });
  }

  step(
    method: string,
    name: string,
    condition: unknown,
    contiguity: Contiguity,
    isNegated = false,
  ): PatternBuilder {
    const { steps } = this.spec;
    const operator: Operator = { method, name, flow: undefined };
    const previous = steps.at(-1);
    if (!isName(name))
      throw flowError(operator, 'the name of a step consists of letters and digits');
    if (steps.some((step) => step.name === name)) {
      throw flowError(operator, 'the pattern has a step of this name already');
    }
    if (steps.length >= PATTERN_STEPS_MAX) {
      throw flowError(operator, `a pattern has at most ${PATTERN_STEPS_MAX} steps`);
    }
    if (isNegated && previous?.timesMin === 0) {
      throw flowError(
        operator,
        `what must not occur cannot follow "${previous.name}", which may be absent`,
      );
    }
    const step: PatternStep = Object.freeze({
      name,
      contiguity,
      condition: functionOf(operator, condition, 'the condition') as PatternStep['condition'],
      isNegated,
      timesMin: 1,
      timesMax: 1,
      inner: 'relaxed',
      isGreedy: false,
      until: undefined,
    });
    return new PatternBuilder({ ...this.spec, steps: [...steps, step] });
  }

  private strategy(to: SkipTo<string>): SkipStrategy {
    if (to === 'none' || to === 'toNext' || to === 'pastLast') return { kind: to };
    const operator = this.operator('skip');
    const given = typeof to === 'object' && to !== null ? to : undefined;
    const kind = given !== undefined && 'toFirst' in given ? 'toFirst' : 'toLast';
    const step = given === undefined ? undefined : Object.values(given)[0];
    const isKnown = this.spec.steps.some(({ name, isNegated }) => name === step && !isNegated);
    if (given !== undefined && kind in given && isKnown) return { kind, step: String(step) };
    throw flowError(
      operator,
      "it must be 'none', 'toNext', 'pastLast', { toFirst: step } or { toLast: step }, with a step of the pattern",
    );
  }

  private repeated(method: string, change: Partial<PatternStep>): PatternBuilder {
    if (this.last(method).timesMax > 1) return this.change(method, change);
    throw flowError(
      this.operator(method),
      `the step "${this.last(method).name}" occurs once: say before how often it does, with times or oneOrMore`,
    );
  }

  private change(method: string, change: Partial<PatternStep>): PatternBuilder {
    const last = Object.freeze({ ...this.last(method), ...change });
    return new PatternBuilder({ ...this.spec, steps: [...this.spec.steps.slice(0, -1), last] });
  }

  private last(method: string): PatternStep {
    const last = this.spec.steps.at(-1);
    if (last !== undefined && !last.isNegated) return last;
    throw flowError(this.operator(method), 'what must not occur has no number of times');
  }

  private operator(method: string): Operator {
    return { method: `pattern, ${method}`, name: this.spec.steps.at(-1)?.name, flow: undefined };
  }
}
