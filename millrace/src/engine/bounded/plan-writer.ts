/** Writes a plan out of another: nodes get new numbers, and one node may become several. */
import { assert } from '../../core/errors.ts';
import type { NodeContent } from '../../flow/draft.ts';
import type { Plan, PlanNode } from '../../flow/plan.ts';

export class PlanWriter {
  readonly plan: Plan;
  /** Of old nodes with side outputs: the node that gives all their outputs. */
  readonly outputs = new Map<number, number>();
  readonly #nodes: PlanNode[] = [];
  readonly #names = new Set<string>();
  /** What has taken the place of each node of the old plan. */
  readonly #successors = new Map<number, number>();

  constructor(plan: Plan) {
    this.plan = plan;
  }

  nodes(): readonly PlanNode[] {
    return Object.freeze([...this.#nodes]);
  }

  /** A node of the old plan, by its number there. */
  old(id: number): PlanNode {
    const node = this.plan.nodes[id];
    assert(node !== undefined, `the plan has a node ${id}`);
    return node;
  }

  /** What the inputs of an old node have become. */
  inputsOf(node: PlanNode): readonly number[] {
    return node.inputs.map((id) => this.successor(id));
  }

  successor(id: number): number {
    const successor = this.#successors.get(id);
    assert(successor !== undefined, `node ${id} comes before those that read it`);
    return successor;
  }

  become(node: PlanNode, successor: number): void {
    this.#successors.set(node.id, successor);
  }

  copy(node: PlanNode): void {
    const { id: _id, name, inputs: _inputs, ...content } = node;
    this.become(node, this.add(name, content, this.inputsOf(node)));
  }

  /** @param name of the old node whose place it takes, or made up: then it is made unique. @returns its number */
  add(name: string, content: NodeContent, inputs: readonly number[]): number {
    const id = this.#nodes.length;
    let unique = name;
    while (this.#names.has(unique)) unique += '-';
    this.#names.add(unique);
    const node = { ...content, id, name: unique, inputs: Object.freeze([...inputs]) };
    this.#nodes.push(Object.freeze(node as PlanNode));
    return id;
  }
}
