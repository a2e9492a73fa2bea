/** From the plan of a flow to stages and the exchanges between them. */
import type { Plan } from '../../flow/plan.ts';
import type { PlanFacts, StageGraph } from './stage.ts';

/** Driver and workers call this with the same plan and facts and get the same graph. */
export function buildStages(_plan: Plan, _facts: PlanFacts): StageGraph {
  return { stages: [], exchanges: [] };
}
