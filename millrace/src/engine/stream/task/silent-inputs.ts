/** Which inputs of a stage only change tables that others ask: time does not wait for those. */
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { StageInput, StreamStage } from '../topology.ts';

/** Whether no record of the input ever becomes one of a result, or goes on to another stage. */
export function isSilent(plan: Plan, stage: StreamStage, { from }: StageInput): boolean {
  if (from.kind === 'source') return isSilentBehind(plan, stage, from.node);
  return from.exchange.to.every(({ node, role, input }) =>
    isSilentAt(plan, stage, { node: plan.nodes[node], role, input }),
  );
}

function isSilentBehind(plan: Plan, stage: StreamStage, node: number): boolean {
  const leaves = stage.exits.some((exit) =>
    exit.kind === 'exchange'
      ? exit.exchange.from.node === node
      : (plan.nodes[exit.node]?.inputs.includes(node) ?? false),
  );
  if (leaves) return false;
  return stage.nodes.every(({ node: id, role }) => {
    const user = plan.nodes[id];
    if (user === undefined) return true;
    return user.inputs.every(
      (from, input) => from !== node || isSilentAt(plan, stage, { node: user, role, input }),
    );
  });
}

function isSilentAt(
  plan: Plan,
  stage: StreamStage,
  at: { readonly node: PlanNode | undefined; readonly role: unknown; readonly input: number },
): boolean {
  const { node, role, input } = at;
  if (node === undefined || role !== undefined) return false;
  if (node.kind === 'tableJoin') return node.sides === 'stream-table' && input === 1;
  return PASSES_ON.has(node.kind) && isSilentBehind(plan, stage, node.id);
}

/** What makes a table, or another one of it. */
const PASSES_ON: ReadonlySet<PlanNode['kind']> = new Set(['table', 'map', 'filter', 'tap']);
