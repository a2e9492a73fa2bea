/** `flow(name, build)`: the entry to the language. Building runs the user's function once and yields a frozen plan. */
import { buildPlan } from './build-plan.ts';
import type { FlowBuilder } from './builder.ts';
import { flowError, isName, type Operator } from './draft.ts';
import type { Flow } from './flow-types.ts';
import { functionOf, requireInteger, sinkOf } from './operator-builder.ts';
import type { DeadLetter, ErrorPolicy } from './plan.ts';
import type { Writable } from './sink.ts';
import type { FlowTypeError } from './type-errors.ts';

export interface FlowOptions {
  /** What happens to a record that cannot be decoded or whose function throws. Default: the job fails and names it. */
  readonly onError?: ErrorPolicy;
}

/**
 * Describes a program over data: `build` is called with `f`, where streams begin, and puts operators behind one another until
 * they are written somewhere. Nothing runs until an engine takes the flow: `millrace run` does, for the flow that a module exports.
 *
 * `build` must not wait and must do the same each time it is called: every worker builds the plan for itself.
 *
 * @param name 1 to 100 letters, digits, `.`, `_`, `-`
 * @param options `onError`: see `skipTo`
 * @throws {MillraceError} ML_FLOW_INVALID for a name or options that cannot be; everything else shows when the plan is built
 * @example
 * export default flow('top-pages', (f) => {
 *   f.read(files.lines('logs/*.log'))
 *     .map(parseAccessLog)
 *     .keyBy((hit) => hit.path)
 *     .count('hits')
 *     .top(10)
 *     .write(files.ndjson('out/top-pages'));
 * });
 */
export function flow(name: string, build: (f: FlowBuilder) => void): Flow;
export function flow(name: string, options: FlowOptions, build: (f: FlowBuilder) => void): Flow;
export function flow(
  name: string,
  second: FlowOptions | ((f: FlowBuilder) => void),
  third?: (f: FlowBuilder) => void,
): Flow {
  const operator: Operator = { method: 'flow', name: undefined, flow: name };
  if (!isName(name)) {
    throw flowError(
      operator,
      'its name must be 1 to 100 letters, digits, dots, underscores or hyphens, beginning with a letter or digit',
    );
  }
  const build = functionOf(operator, typeof second === 'function' ? second : third, 'the builder');
  const onError = (typeof second === 'function' ? {} : second).onError ?? FAIL;
  return Object.freeze({
    kind: 'flow',
    name,
    plan: (settings: Readonly<Record<string, string>> = {}) =>
      buildPlan({ name, onError, build: build as (f: FlowBuilder) => unknown, settings }),
  });
}

const FAIL: ErrorPolicy = Object.freeze({ kind: 'fail' });
const SKIPPED_RECORDS_MAX = 1_000;

/**
 * For `onError` of a flow: records that cannot be decoded, or whose function throws, go to a sink as dead letters
 * `{ record, error, operator, position }`, and the job goes on.
 * @param options `recordsMax`: the job fails when there are more of them; an integer from 1, default 1,000
 * @throws {MillraceError} ML_FLOW_INVALID
 * @example
 * flow('hits', { onError: skipTo(files.ndjson('out/skipped.ndjson')) }, (f) => {
 *   f.read(files.lines('hits.log')).map(parseAccessLog).write(files.ndjson('out/hits.ndjson'));
 * });
 */
export function skipTo<Value, Key>(
  to: Writable<Value, Key> &
    ([DeadLetter] extends [Value]
      ? unknown
      : FlowTypeError<'The sink does not take dead letters: { record, error, operator, position }'>),
  options: { readonly recordsMax?: number } = {},
): ErrorPolicy {
  const operator: Operator = { method: 'skipTo', name: undefined, flow: undefined };
  const recordsMax = options.recordsMax ?? SKIPPED_RECORDS_MAX;
  requireInteger(operator, 'recordsMax', recordsMax, 1, Number.MAX_SAFE_INTEGER);
  return Object.freeze({ kind: 'skip', sink: sinkOf(operator, to), recordsMax });
}
