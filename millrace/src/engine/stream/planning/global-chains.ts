/** Global tables of a plan: the nodes from the topic that they are read from to the joins that ask them. They run beside the stages. */
import { assert } from '../../../core/errors.ts';
import type { PlanNode } from '../../../flow/plan.ts';

export interface GlobalChains {
  /** Nodes that run beside the stages only. */
  has(node: number): boolean;
  /** The source node behind a global table, or what was made of one. */
  sourceOf(node: number): number;
}

export function findGlobalChains(nodes: readonly PlanNode[]): GlobalChains {
  const global = new Set<number>();
  for (const node of nodes)
    if (isGlobalTable(node) || node.inputs.some((input) => isTableOf(nodes, global, node, input)))
      global.add(node.id);
  // From the tables up: what nobody else uses.
  for (const node of nodes.toReversed()) {
    const users = nodes.filter(({ inputs }) => inputs.includes(node.id));
    if (users.length > 0 && users.every(({ id }) => global.has(id))) global.add(node.id);
  }
  return {
    has: (node) => global.has(node),
    sourceOf: (node) => {
      let at = nodes[node];
      while (at !== undefined && at.kind !== 'source') at = nodes[at.inputs[0] ?? -1];
      assert(at !== undefined, 'a global table is read from a topic');
      return at.id;
    },
  };
}

function isGlobalTable(node: PlanNode): boolean {
  return node.kind === 'table' && node.scope === 'global';
}

/** Whether a node makes another global table of one: all that takes one but the join. */
function isTableOf(
  nodes: readonly PlanNode[],
  global: ReadonlySet<number>,
  node: PlanNode,
  input: number,
): boolean {
  return node.kind !== 'globalJoin' && global.has(input) && nodes[input]?.isTable === true;
}
