/** The body of an iteration as a plan of its own: its inputs are sources, its result goes into a sink. */
import { assert } from '../../../core/errors.ts';
import type { BroadcastNode, IterateNode, Plan, PlanNode } from '../../../flow/plan.ts';
import type { Sink } from '../../../flow/sink.ts';
import type { Source } from '../../../flow/source.ts';

export interface BodyPlan {
  readonly plan: Plan;
  /** The source node of each input that the body reads, by input. */
  readonly sources: ReadonlyMap<number, number>;
  /** The write node behind the result. */
  readonly write: number;
}

/**
 * @param source the records of input `index`
 * @param outer the plan that the iteration is in: side data that comes from it is made again from its records
 */
export function bodyPlan(
  node: IterateNode,
  outer: Plan,
  source: (index: number) => Source,
  sink: Sink<unknown, unknown>,
): BodyPlan {
  const nodes: PlanNode[] = [];
  const sources = new Map<number, number>();
  /** Numbers of the nodes of the body among those of the plan: side data takes one more. */
  const ids = new Map<number, number>();
  const add = (content: PlanNode): number => {
    nodes.push(Object.freeze(content));
    return content.id;
  };
  for (const inner of node.body) {
    const id = nodes.length;
    if (inner.kind !== 'iterationInput') {
      const inputs = inner.inputs.map((input) => {
        const known = ids.get(input);
        assert(
          known !== undefined,
          `the body of ${node.name} uses node ${input} before it is made`,
        );
        return known;
      });
      // One process runs all tasks of a body: to share a key among several would only cost.
      const whole = inner.kind === 'join' ? { ...inner, splitsHotKeys: false } : inner;
      ids.set(inner.id, add({ ...whole, id, inputs }));
      continue;
    }
    const { index, name } = inner;
    add({ kind: 'source', id, name, inputs: [], source: source(index) });
    sources.set(index, id);
    const side = outer.nodes[node.inputs[index] ?? -1];
    ids.set(inner.id, side?.kind === 'broadcast' ? add(broadcast(side, id)) : id);
  }
  const result = ids.get(node.result);
  assert(result !== undefined, `the body of ${node.name} has no node ${node.result}`);
  const write = add({
    kind: 'write',
    id: nodes.length,
    name: `${node.name}-result`,
    inputs: [result],
    sink,
  });
  return {
    plan: Object.freeze({
      name: `${outer.name}, ${node.name}`,
      nodes: Object.freeze(nodes),
      // Counters are those of the outer plan: the functions of the body hold them, and the task around adds them up.
      counters: [],
      parameters: outer.parameters,
      onError: outer.onError,
      fingerprint: outer.fingerprint,
    }),
    sources,
    write,
  };
}

function broadcast(side: BroadcastNode, source: number): BroadcastNode {
  const { kind, form, name } = side;
  return { kind, form, name, id: source + 1, inputs: [source] };
}
