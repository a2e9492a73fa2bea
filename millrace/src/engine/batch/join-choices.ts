/** How each join of a plan is done, and why. */
import type { JoinStrategy, Plan } from '../../flow/plan.ts';
import type { PlanFacts } from './stage.ts';

export interface JoinChoice {
  readonly strategy: JoinStrategy;
  readonly reason: string;
}

/** By node id. */
export function chooseJoins(plan: Plan, _facts: PlanFacts): ReadonlyMap<number, JoinChoice> {
  const choices = new Map<number, JoinChoice>();
  for (const node of plan.nodes)
    if (node.kind === 'join')
      choices.set(node.id, {
        strategy: node.strategy ?? 'sort-merge',
        reason: node.strategy === undefined ? 'works for every size' : 'asked for',
      });
  return choices;
}
