/**
 * From the plan of a flow to stages and the exchanges between them.
 *
 * A root is a source, or an operator that needs its records arranged: it reads exchanges. What lies between a root and the next
 * exchange, or a sink, is fused into one stage, as a tree: a node that is used twice is computed once and feeds two branches. A
 * union lies on several ways to what is behind it; each way is a lane, with operators of its own behind the union, so that the
 * records of the first input stay before those of the second although nothing waits.
 *
 * A root has one stage, unless that would have to wait for itself (a stream joined with something made of it): then it is computed
 * once more. What leads to no sink and no tap does not run.
 */
import { MillraceError } from '../../../core/errors.ts';
import { PARTITION_BYTES, PARTITIONS_MAX, PLAN_LANES_MAX } from '../../../core/limits.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import { chooseJoins, type JoinChoice } from './join-choices.ts';
import { labelOf } from './stage-label.ts';
import type { Exchange, PlanFacts, Stage, StageGraph, Step } from '../stage.ts';
import { batchNode } from './batch-node.ts';

/** Driver and workers call this with the same plan and facts and get the same graph. */
export function buildStages(plan: Plan, facts: PlanFacts): StageGraph {
  return new StageBuilder(plan, facts).build();
}

/** How records must come to input `input` of a node: by an exchange, or undefined: as they are. */
type Arrangement = Pick<Exchange, 'kind' | 'isSorted' | 'isCombined'>;

/** A way from a root to a node: the fused nodes in between, and which input of each the way goes into. */
interface Path {
  readonly root: number;
  readonly hops: readonly Hop[];
}
interface Hop {
  readonly node: number;
  readonly input: number;
}

/** A stage in the making. */
interface Draft {
  readonly root: number;
  readonly steps: Step[];
  readonly exchangesIn: readonly number[];
  readonly broadcastsIn: number[];
  readonly exchangesOut: number[];
}

class StageBuilder {
  private readonly plan: Plan;
  private readonly facts: PlanFacts;
  private readonly joins: ReadonlyMap<number, JoinChoice>;
  private readonly live: ReadonlySet<number>;
  private readonly paths = new Map<number, readonly Path[]>();
  private readonly drafts: Draft[] = [];
  private readonly exchanges: (Exchange & { readonly producers: number[] })[] = [];
  private readonly lanes = new Map<number, number>();

  constructor(plan: Plan, facts: PlanFacts) {
    this.plan = plan;
    this.facts = facts;
    this.joins = chooseJoins(plan, facts);
    this.live = liveNodes(plan);
  }

  build(): StageGraph {
    // Nodes come after their inputs: whatever a way to a node needs was made before.
    for (const node of this.plan.nodes) if (this.live.has(node.id)) this.place(node);
    return this.number();
  }

  /** Makes the exchanges into a node, or ends the ways to a node that nobody uses. */
  private place(node: PlanNode): void {
    if (node.kind === 'broadcast' && !this.isSide(node)) return;
    for (const [input, taken] of node.inputs.entries()) {
      const from = node.kind === 'iterate' ? this.recordsOf(taken) : taken;
      const arrangement = this.arrangement(node, input);
      if (arrangement === undefined) continue;
      const exchange = {
        id: this.exchanges.length,
        name: node.name,
        node: node.id,
        input,
        producers: [] as number[],
        consumers: [],
        partitions: arrangement.kind === 'hash' ? this.partitions(node) : 1,
        ...arrangement,
      };
      this.exchanges.push(exchange);
      for (const path of this.pathsTo(from)) {
        const draft = this.add(path, { node: node.id, input }, exchange.id);
        exchange.producers.push(draft);
      }
    }
    const isEnd = node.kind === 'write' || (node.kind === 'tap' && !this.isUsed(node));
    if (isEnd) for (const path of this.pathsTo(node.id)) this.add(path, undefined, undefined);
  }

  /** Adds a way to a stage of its root; returns the stage. */
  private add(path: Path, last: Hop | undefined, exchange: number | undefined): number {
    const broadcasts = path.hops.flatMap((hop) => this.broadcastOf(hop.node) ?? []);
    const index = this.draftFor(path.root, broadcasts);
    const draft = this.drafts[index];
    if (draft === undefined) return index;
    for (const broadcast of broadcasts)
      if (!draft.broadcastsIn.includes(broadcast)) draft.broadcastsIn.push(broadcast);
    let parent = 0;
    for (const hop of path.hops) parent = this.step(draft, parent, hop);
    if (last !== undefined && exchange !== undefined) {
      const lane = this.exchanges[exchange]?.producers.length ?? 0;
      draft.steps.push({ ...last, parent, exchange, lane });
      if (!draft.exchangesOut.includes(exchange)) draft.exchangesOut.push(exchange);
    }
    return index;
  }

  /** The step of a hop behind `parent`: one that is there already, unless it ends in a sink. */
  private step(draft: Draft, parent: number, hop: Hop): number {
    const isWrite = this.plan.nodes[hop.node]?.kind === 'write';
    const found = draft.steps.findIndex(
      (step) =>
        step.parent === parent &&
        step.node === hop.node &&
        step.input === hop.input &&
        step.exchange === undefined,
    );
    if (found >= 0 && !isWrite) return found;
    const lane = isWrite ? (this.lanes.get(hop.node) ?? 0) : 0;
    if (isWrite) this.lanes.set(hop.node, lane + 1);
    draft.steps.push({ ...hop, parent, exchange: undefined, lane });
    return draft.steps.length - 1;
  }

  /** A stage of the root that need not wait for itself when it also reads `broadcasts`. */
  private draftFor(root: number, broadcasts: readonly number[]): number {
    const found = this.drafts.findIndex(
      (draft, index) =>
        draft.root === root && !broadcasts.some((broadcast) => this.comesFrom(broadcast, index)),
    );
    if (found >= 0) return found;
    this.drafts.push({
      root,
      steps: [{ node: root, parent: -1, input: 0, exchange: undefined, lane: 0 }],
      exchangesIn: this.exchanges.filter((into) => into.node === root).map((into) => into.id),
      broadcastsIn: [],
      exchangesOut: [],
    });
    return this.drafts.length - 1;
  }

  private comesFrom(exchange: number, draft: number): boolean {
    return (this.exchanges[exchange]?.producers ?? []).some(
      (producer) =>
        producer === draft || this.needs(producer).some((into) => this.comesFrom(into, draft)),
    );
  }

  private needs(draft: number): number[] {
    const found = this.drafts[draft];
    return found === undefined ? [] : [...found.exchangesIn, ...found.broadcastsIn];
  }

  private pathsTo(id: number): readonly Path[] {
    const known = this.paths.get(id);
    if (known !== undefined) return known;
    const node = this.node(id);
    const inputs = node.kind === 'union' ? node.inputs : node.inputs.slice(0, 1);
    const paths = this.isRoot(node)
      ? [{ root: id, hops: [] }]
      : inputs.flatMap((from, input) =>
          this.pathsTo(from).map((path) => ({
            root: path.root,
            hops: [...path.hops, { node: id, input }],
          })),
        );
    if (paths.length > PLAN_LANES_MAX)
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `${node.name} takes its records by ${paths.length} ways, more than ${PLAN_LANES_MAX}`,
        { hint: 'Unions of unions of the same streams multiply: unite each stream once' },
      );
    this.paths.set(id, paths);
    return paths;
  }

  /** Sources, and what reads an exchange. A broadcast is read by others. */
  private isRoot(node: PlanNode): boolean {
    return node.inputs.length === 0 || this.arrangement(node, 0) !== undefined;
  }

  /** An iteration takes the records of side data, and makes the side of them anew: its body runs as a plan of its own. */
  private recordsOf(id: number): number {
    const node = this.node(id);
    return node.kind === 'broadcast' ? (node.inputs[0] ?? id) : id;
  }

  /** Whether the side data is asked for as such, by a `with`. */
  private isSide(node: PlanNode): boolean {
    return this.plan.nodes.some(
      (user) => this.live.has(user.id) && user.kind === 'with' && user.inputs[1] === node.id,
    );
  }

  private isUsed(node: PlanNode): boolean {
    return this.plan.nodes.some((user) => this.live.has(user.id) && user.inputs.includes(node.id));
  }

  private arrangement(given: PlanNode, input: number): Arrangement | undefined {
    const node = batchNode(given);
    switch (node.kind) {
      case 'aggregate':
        return node.isKeyed
          ? { kind: 'hash', isSorted: true, isCombined: node.merge !== undefined }
          : { kind: 'gather', isSorted: false, isCombined: node.merge !== undefined };
      case 'columnAggregate':
        return node.by.length > 0
          ? { kind: 'hash', isSorted: true, isCombined: true }
          : { kind: 'gather', isSorted: false, isCombined: true };
      case 'group':
        return { kind: 'hash', isSorted: true, isCombined: node.combine !== undefined };
      case 'join':
        return this.joinArrangement(node.id, input);
      case 'sort':
        return { kind: 'range', isSorted: true, isCombined: false };
      case 'top':
        return { kind: 'gather', isSorted: true, isCombined: false };
      case 'broadcast':
        return { kind: 'broadcast', isSorted: false, isCombined: false };
      case 'iterate':
        return { kind: 'gather', isSorted: false, isCombined: false };
      case 'write':
        return this.writeArrangement(node);
      case 'explode':
      case 'filter':
      case 'flatMap':
      case 'iterationInput':
      case 'keyBy':
      case 'map':
      case 'sample':
      case 'select':
      case 'source':
      case 'tap':
      case 'union':
      case 'where':
      case 'with':
        return undefined;
    }
  }

  private joinArrangement(node: number, input: number): Arrangement | undefined {
    const strategy = this.joins.get(node)?.strategy ?? 'sort-merge';
    if (strategy !== 'broadcast-hash')
      return { kind: 'hash', isSorted: strategy === 'sort-merge', isCombined: false };
    return input === 0 ? undefined : { kind: 'broadcast', isSorted: false, isCombined: false };
  }

  private writeArrangement(node: PlanNode & { readonly kind: 'write' }): Arrangement | undefined {
    if (node.sink.arrangement === 'by-key')
      return { kind: 'hash', isSorted: true, isCombined: false };
    if (node.sink.arrangement === 'any') return undefined;
    // A stage of a single task is as good as a gather behind it.
    const from = this.pathsTo(node.inputs[0] ?? 0);
    const root = from.length === 1 ? from[0]?.root : undefined;
    if (root !== undefined && this.isSingle(this.node(root))) return undefined;
    return { kind: 'gather', isSorted: false, isCombined: false };
  }

  /** Whether a stage with this root has one task, whatever its input. */
  private isSingle(node: PlanNode): boolean {
    if (node.kind === 'write') return node.sink.arrangement === 'single';
    if (node.kind === 'aggregate') return !node.isKeyed;
    if (node.kind === 'columnAggregate') return node.by.length === 0;
    return node.kind === 'top' || node.kind === 'iterate';
  }

  /** The broadcast that a fused node reads. */
  private broadcastOf(id: number): number | undefined {
    const node = this.node(id);
    const [, side] = node.inputs;
    const target = node.kind === 'with' ? side : node.kind === 'join' ? id : undefined;
    return this.exchanges.find((into) => into.kind === 'broadcast' && into.node === target)?.id;
  }

  /** From the input bytes alone: neither workers nor memory may change which partition a key is in. */
  private partitions(node: PlanNode): number {
    const wanted = node.kind === 'write' ? node.sink.partitions : undefined;
    const chosen = wanted ?? this.facts.partitions;
    if (chosen !== undefined) return chosen;
    const bytes = sourceBytes(this.plan, node.id, this.facts);
    return Math.min(Math.max(Math.ceil(bytes / PARTITION_BYTES), 1), PARTITIONS_MAX);
  }

  /** Gives the drafts numbers in an order in which they can run: those that were made first come first where they can. */
  private number(): StageGraph {
    const order: number[] = [];
    const visit = (draft: number): void => {
      if (order.includes(draft)) return;
      for (const into of this.needs(draft))
        for (const producer of this.exchanges[into]?.producers ?? []) visit(producer);
      order.push(draft);
    };
    for (const index of this.drafts.keys()) visit(index);
    const stages = order.map((draft, id) => this.stage(draft, id));
    const exchanges = this.exchanges.map((exchange) => ({
      ...exchange,
      producers: exchange.producers.map((draft) => order.indexOf(draft)),
      consumers: stages
        .filter(({ exchangesIn, broadcastsIn }) =>
          [...exchangesIn, ...broadcastsIn].includes(exchange.id),
        )
        .map(({ id }) => id),
    }));
    return { stages, exchanges };
  }

  private stage(index: number, id: number): Stage {
    const draft = this.drafts[index];
    if (draft === undefined) throw new MillraceError('ML_ASSERT', `stage ${index} was not made`);
    const root = this.node(draft.root);
    const inside = draft.steps.filter((step) => step.exchange === undefined);
    const nodes = [...new Set(inside.map((step) => step.node))].toSorted((a, b) => a - b);
    return {
      id,
      label: labelOf(this.plan, draft.steps),
      nodes,
      sources: root.inputs.length === 0 ? [draft.root] : [],
      exchangesIn: draft.exchangesIn,
      broadcastsIn: draft.broadcastsIn,
      exchangesOut: draft.exchangesOut,
      writes: nodes.filter((node) => this.node(node).kind === 'write'),
      steps: draft.steps,
      isSingle: this.isSingle(root),
      joins: nodes.flatMap((node) => {
        const join = this.joins.get(node);
        return join === undefined ? [] : [{ node, ...join }];
      }),
    };
  }

  private node(id: number): PlanNode {
    const node = this.plan.nodes[id];
    if (node === undefined) throw new MillraceError('ML_ASSERT', `the plan has no node ${id}`);
    return node;
  }
}

/** Input bytes of all sources that a node depends on. */
export function sourceBytes(plan: Plan, id: number, facts: PlanFacts): number {
  const seen = new Set<number>();
  const waiting = [id];
  let bytes = 0;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    bytes += facts.sourceBytes[at] ?? 0;
    waiting.push(...(plan.nodes[at]?.inputs ?? []));
  }
  return bytes;
}

/** Nodes that lead to a sink or to a tap. */
function liveNodes(plan: Plan): Set<number> {
  const live = new Set<number>();
  for (const node of plan.nodes.toReversed()) {
    if (node.kind === 'write' || node.kind === 'tap') live.add(node.id);
    if (live.has(node.id)) for (const input of node.inputs) live.add(input);
  }
  return live;
}
