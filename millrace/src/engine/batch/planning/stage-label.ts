/** What a stage is called, for people. */
import { STAGE_LABEL_CHARACTERS_MAX } from '../../../core/limits.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { Step } from '../stage.ts';

/** `read lines access.log → map-1 → hits`: the nodes of its steps in order, each once. */
export function labelOf(plan: Plan, steps: readonly Step[]): string {
  const names = new Set<string>();
  for (const step of steps) {
    const node = plan.nodes[step.node];
    if (node !== undefined) names.add(nameOf(node));
  }
  const label = [...names].join(' → ');
  return label.length <= STAGE_LABEL_CHARACTERS_MAX
    ? label
    : `${label.slice(0, STAGE_LABEL_CHARACTERS_MAX - 1)}…`;
}

function nameOf(node: PlanNode): string {
  if (node.kind === 'source') return `read ${node.source.label}`;
  if (node.kind === 'write') return `write ${node.sink.label}`;
  return node.name;
}
