/** How each join of a plan is done, and why. */
import type { Plan } from '../../../flow/plan.ts';
import { chooseJoin, type JoinDecision, sideSize } from '../joins/choose-join.ts';
import type { PlanFacts } from '../stage.ts';

export type JoinChoice = JoinDecision;

/** By node id. @throws {MillraceError} ML_FLOW_INVALID for a strategy that cannot be forced */
export function chooseJoins(plan: Plan, facts: PlanFacts): ReadonlyMap<number, JoinChoice> {
  const choices = new Map<number, JoinChoice>();
  for (const node of plan.nodes)
    if (node.kind === 'join')
      choices.set(node.id, chooseJoin(node, facts, sideSize(plan, node.inputs[1] ?? -1, facts)));
  return choices;
}
