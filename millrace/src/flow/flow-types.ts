/** What `flow(name, build)` returns, and engines take. */
import type { Plan } from './plan.ts';

/** A flow that has not been built yet: what `flow(name, build)` returns. */
export interface Flow {
  readonly kind: 'flow';
  readonly name: string;
  /**
   * Builds the plan.
   * @param settings values of parameters, as text; unknown names and values that do not fit are refused
   * @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID
   */
  plan(settings?: Readonly<Record<string, string>>): Plan;
}
