/**
 * Stages while they are being found: groups of nodes that run together, and the exchanges between them. Groups are put together when
 * records have to meet without moving (union-find).
 *
 * Invariant: the graph of groups and exchanges has no cycle. A stage that reads what it writes would wait for its own time for ever.
 */
import { assert } from '../../../core/errors.ts';
import type { TableNode } from '../../../flow/stream-nodes.ts';
import type { Partitioner, StageNode } from '../topology.ts';

export class StageGroup {
  readonly partitions: number;
  parent: StageGroup | undefined;

  constructor(partitions: number) {
    this.partitions = partitions;
  }
}

/** Where a node, or a part of one, runs, and what is known of its output. */
export interface Placed {
  readonly at: StageNode;
  readonly group: StageGroup;
  /** How its records are partitioned by their keys; undefined: they are not. */
  readonly scheme: Scheme | undefined;
  readonly isKeyed: boolean;
  readonly isTable: boolean;
}

export interface Scheme {
  readonly partitions: number;
  /** Equal for partitioners that put equal keys into equal partitions. */
  readonly id: string;
  /** For an exchange to do the same; undefined: none can. */
  readonly partitioner: Partitioner | undefined;
}

export interface ExchangeDraft {
  readonly name: string;
  readonly from: Placed;
  readonly to: (StageNode & { readonly input: number })[];
  readonly partitioner: Partitioner;
  readonly reader: StageGroup;
  table: TableNode | undefined;
}

export class StageGraph {
  readonly exchanges: ExchangeDraft[] = [];
  readonly #groups: StageGroup[] = [];

  group(partitions: number): StageGroup {
    const group = new StageGroup(partitions);
    this.#groups.push(group);
    return group;
  }

  /** The group that this one has become a part of. */
  rootOf(group: StageGroup): StageGroup {
    let root = group;
    while (root.parent !== undefined) root = root.parent;
    return root;
  }

  /** In the order of the records: each before those that read what it writes. */
  get roots(): readonly StageGroup[] {
    const ordered: StageGroup[] = [];
    const seen = new Set<StageGroup>();
    const visit = (group: StageGroup): void => {
      if (seen.has(group)) return;
      seen.add(group);
      for (const { from, reader } of this.exchanges)
        if (this.rootOf(reader) === group) visit(this.rootOf(from.group));
      ordered.push(group);
    };
    for (const group of this.#groups) if (group.parent === undefined) visit(group);
    return ordered;
  }

  canMerge(one: StageGroup, other: StageGroup): boolean {
    if (this.rootOf(one) === this.rootOf(other)) return true;
    if (one.partitions !== other.partitions) return false;
    return !this.reaches(one, other) && !this.reaches(other, one);
  }

  merge(one: StageGroup, other: StageGroup): void {
    assert(this.canMerge(one, other), 'stages with a path between them are not put together');
    const [kept, gone] = [this.rootOf(one), this.rootOf(other)];
    if (kept !== gone) gone.parent = kept;
  }

  /** Whether an exchange from one to the other makes no cycle. */
  canFeed(writer: StageGroup, reader: StageGroup): boolean {
    return this.rootOf(writer) !== this.rootOf(reader) && !this.reaches(reader, writer);
  }

  /** Whether records go from one group to another one, through one exchange or more. */
  reaches(from: StageGroup, to: StageGroup): boolean {
    const target = this.rootOf(to);
    const seen = new Set<StageGroup>();
    const queue = [this.rootOf(from)];
    for (let group = queue.pop(); group !== undefined; group = queue.pop()) {
      if (seen.has(group)) continue;
      seen.add(group);
      for (const exchange of this.exchanges) {
        if (this.rootOf(exchange.from.group) !== group) continue;
        const reader = this.rootOf(exchange.reader);
        if (reader === target) return true;
        queue.push(reader);
      }
    }
    return false;
  }
}
