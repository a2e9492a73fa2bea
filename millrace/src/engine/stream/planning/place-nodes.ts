/** Finds for each node of a plan the stage that it runs in, and the exchanges before it. */
import { assert, MillraceError } from '../../../core/errors.ts';
import type { PlanNode } from '../../../flow/plan.ts';
import type { ForeignJoinNode, TableNode } from '../../../flow/stream-nodes.ts';
import type { Sink } from '../../../flow/sink.ts';
import type { TopicPort } from '../../../flow/topic-port.ts';
import type { StageNode } from '../topology.ts';
import { bringTogether, type Wanted } from './bring-together.ts';
import type { GlobalChains } from './global-chains.ts';
import {
  commonScheme,
  isSameScheme,
  schemeOfKeys,
  schemeOfTopic,
  windowedScheme,
} from './schemes.ts';
import { type Placed, type Scheme, StageGraph, type StageGroup } from './stage-graph.ts';

export interface PlacingOptions {
  readonly nodes: readonly PlanNode[];
  readonly globals: GlobalChains;
  /** Partitions of a topic that is read. @throws {MillraceError} ML_TOPIC_MISSING */
  readonly partitionsOf: (port: TopicPort) => number;
  /** Of exchanges; undefined: as many as what they carry has. */
  readonly partitions: number | undefined;
}

export interface PlacedSource {
  readonly node: number;
  readonly port: TopicPort;
  readonly group: StageGroup;
}
export interface PlacedSink {
  readonly node: number;
  readonly sink: Sink;
  readonly group: StageGroup;
}

export class Placing {
  readonly graph = new StageGraph();
  /** Nodes and parts of nodes that are operators. */
  readonly operators: { readonly at: StageNode; readonly group: StageGroup }[] = [];
  readonly sources: PlacedSource[] = [];
  readonly sinks: PlacedSink[] = [];
  /** Source nodes of the global tables that a stage uses. */
  readonly globals: { readonly source: number; readonly group: StageGroup }[] = [];
  readonly #options: PlacingOptions;
  readonly #placed = new Map<number, Placed>();
  readonly #topics = new Map<string, StageGroup>();

  constructor(options: PlacingOptions) {
    this.#options = options;
    for (const node of options.nodes) this.#place(node);
  }

  #place(node: PlanNode): void {
    if (this.#options.globals.has(node.id)) return;
    switch (node.kind) {
      case 'source':
        this.#source(node.id, node.source.topic);
        return;
      case 'write': {
        const { group } = this.#input(node, 0);
        this.sinks.push({ node: node.id, sink: node.sink, group });
        return;
      }
      case 'union':
        this.#union(node);
        return;
      case 'map':
      case 'flatMap':
      case 'asyncMap':
        this.#follow(node, node.keepsKey);
        return;
      case 'keyBy':
        this.#keyBy(node);
        return;
      case 'select':
      case 'explode':
        this.#follow(node, false);
        return;
      case 'sideOutput':
        this.#sideOutput(node);
        return;
      case 'globalJoin':
        this.#globalJoin(node);
        return;
      case 'aggregate':
        if (node.isKeyed) this.#keyed(node);
        else this.#single(node);
        return;
      case 'windowAggregate':
        this.#keyed(node, windowedScheme);
        return;
      case 'table':
      case 'process':
      case 'pattern':
      case 'dedupe':
        this.#keyed(node);
        return;
      case 'windowJoin':
      case 'tableJoin':
        this.#join(node);
        return;
      case 'tableAggregate':
        this.#tableAggregate(node);
        return;
      case 'foreignJoin':
        this.#foreignJoin(node);
        return;
      case 'filter':
      case 'tap':
      case 'where':
      case 'sample':
      case 'toStream':
        this.#follow(node, true);
        return;
      case 'columnAggregate':
      case 'sort':
      case 'top':
      case 'group':
      case 'join':
      case 'broadcast':
      case 'with':
      case 'iterate':
      case 'iterationInput':
        throw new MillraceError('ML_ASSERT', `${node.name} was to be refused`);
    }
  }

  #source(node: number, port: TopicPort | undefined): void {
    assert(port !== undefined, 'a run without end reads topics only');
    const partitions = this.#options.partitionsOf(port);
    // A topic is read by one stage: a group has one offset for each of its partitions.
    const known = this.#topics.get(port.name);
    const group = known ?? this.graph.group(partitions);
    this.#topics.set(port.name, group);
    this.sources.push({ node, port, group });
    const scheme = schemeOfTopic(port.key, partitions);
    this.#placed.set(node, { at: { node }, group, scheme, isKeyed: true, isTable: false });
  }

  /** Runs where its input does. */
  #follow(node: PlanNode, keepsKey: boolean): void {
    const { group, scheme, isKeyed } = this.#input(node, 0);
    this.#put(node, group, keepsKey ? scheme : undefined, isKeyed && keepsKey);
  }

  #keyBy(node: PlanNode): void {
    this.#put(node, this.#input(node, 0).group, undefined, true);
  }

  #sideOutput(node: PlanNode): void {
    const of = this.#options.nodes[node.inputs[0] ?? -1];
    assert(of !== undefined, 'a side output is of a node');
    const { group } = this.#input(node, 0);
    const { isKeyed } = this.#input(of, 0);
    // Its records are those that came to the node: partitioned by their keys.
    this.#put(node, group, schemeOfKeysIn(group, this.#input(node, 0).scheme), isKeyed);
  }

  #globalJoin(node: PlanNode): void {
    const { group, scheme, isKeyed } = this.#input(node, 0);
    this.globals.push({ source: this.#options.globals.sourceOf(node.inputs[1] ?? -1), group });
    this.#put(node, group, scheme, isKeyed);
  }

  #union(node: PlanNode): void {
    const inputs = node.inputs.map((_, index) => this.#input(node, index));
    const partitions = Math.max(...inputs.map(({ group }) => group.partitions));
    const isKeyed = inputs.every((input) => input.isKeyed);
    const widest = inputs.filter(({ group }) => group.partitions === partitions);
    const common = isKeyed ? commonScheme(widest) : undefined;
    // What is not partitioned by its key need not be so behind a union.
    const partitioner = common?.partitioner ?? 'spread';
    const group = bringTogether(
      this.graph,
      { node: node.id },
      inputs.map((from, input) => ({
        from,
        input,
        mayStay: from.group.partitions === partitions,
        partitioner,
        name: `${node.name}-${input}`,
        table: undefined,
      })),
      partitions,
    );
    this.#put(node, group, common, isKeyed);
  }

  /** One input, in which equal keys have to be in one partition. */
  #keyed(node: PlanNode, schemeOfResult = (scheme: Scheme): Scheme => scheme): void {
    const from = this.#input(node, 0);
    const scheme = this.#schemeOf(from);
    if (scheme !== undefined) {
      this.#put(node, from.group, schemeOfResult(scheme), true);
      return;
    }
    const made = schemeOfKeys(this.#options.partitions ?? from.group.partitions);
    const group = this.#moved(node, from, made.partitions, { partitioner: 'key-codec' });
    this.#put(node, group, schemeOfResult(made), true);
  }

  #single(node: PlanNode): void {
    const from = this.#input(node, 0);
    const group =
      from.group.partitions === 1
        ? from.group
        : this.#moved(node, from, 1, { partitioner: 'key-codec' });
    this.#put(node, group, undefined, false);
  }

  #join(node: PlanNode): void {
    const sides = [this.#input(node, 0), this.#input(node, 1)] as const;
    const { staying, scheme } = this.#meeting(sides);
    const asked = node.kind === 'tableJoin';
    const group = bringTogether(
      this.graph,
      { node: node.id },
      sides.map((from, input) => ({
        from,
        input,
        mayStay: staying[input] === true,
        partitioner: scheme.partitioner ?? 'key-codec',
        name: sides[0] === sides[1] ? node.name : `${node.name}-${input === 0 ? 'left' : 'right'}`,
        table: asked && from.isTable ? this.#tableAgain(node.inputs[input] ?? -1) : undefined,
      })),
      scheme.partitions,
    );
    this.#put(node, group, scheme, true);
  }

  /** How the sides of a join are to be partitioned, and which of them are so already. */
  #meeting([left, right]: readonly [Placed, Placed]): {
    readonly staying: readonly [boolean, boolean];
    readonly scheme: Scheme;
  } {
    const one = this.#schemeOf(left);
    const other = this.#schemeOf(right);
    if (one !== undefined && other !== undefined) {
      if (isSameScheme(one, other)) return { staying: [true, true], scheme: one };
      const isRightKept = moves(left, one, right, other);
      const kept = isRightKept ? other : one;
      if (kept.partitioner !== undefined)
        return { staying: [!isRightKept, isRightKept], scheme: kept };
    } else {
      const known = one ?? other;
      if (known?.partitioner !== undefined)
        return { staying: [one !== undefined, other !== undefined], scheme: known };
    }
    const most = Math.max(left.group.partitions, right.group.partitions);
    return { staying: [false, false], scheme: schemeOfKeys(this.#options.partitions ?? most) };
  }

  #tableAggregate(node: PlanNode): void {
    const from = this.#input(node, 0);
    const regroup: Placed = {
      ...from,
      at: this.#operator({ node: node.id, role: 'regroup' }, from.group),
      isTable: false,
    };
    const scheme = schemeOfKeys(this.#options.partitions ?? from.group.partitions);
    const at: StageNode = { node: node.id, role: 'aggregate' };
    const group = bringTogether(
      this.graph,
      at,
      [moving(regroup, { partitioner: 'key-codec', name: node.name })],
      scheme.partitions,
    );
    this.#placed.set(node.id, {
      at: this.#operator(at, group),
      group,
      scheme,
      isKeyed: true,
      isTable: node.isTable === true,
    });
  }

  #foreignJoin(node: ForeignJoinNode): void {
    const left = this.#input(node, 0);
    const right = this.#input(node, 1);
    const leftScheme = this.#schemeOf(left) ?? schemeOfKeys(left.group.partitions);
    const rightScheme = this.#schemeOf(right) ?? schemeOfKeys(right.group.partitions);
    const subscribe: Placed = {
      ...left,
      at: this.#operator({ node: node.id, role: 'subscribe' }, left.group),
      isTable: false,
    };
    const matchAt: StageNode = { node: node.id, role: 'match' };
    const matchGroup = bringTogether(
      this.graph,
      matchAt,
      [
        {
          from: right,
          input: 0,
          mayStay: rightScheme.partitioner !== undefined,
          partitioner: rightScheme.partitioner ?? 'key-codec',
          name: `${node.name}-right`,
          table: this.#tableAgain(node.inputs[1] ?? -1),
        },
        moving(subscribe, {
          partitioner: rightScheme.partitioner ?? 'key-codec',
          name: `${node.name}-subscribe`,
          input: 1,
        }),
      ],
      rightScheme.partitions,
    );
    const match: Placed = {
      at: this.#operator(matchAt, matchGroup),
      group: matchGroup,
      scheme: undefined,
      isKeyed: true,
      isTable: false,
    };
    const collectAt: StageNode = { node: node.id, role: 'collect' };
    const scheme =
      leftScheme.partitioner === undefined ? schemeOfKeys(leftScheme.partitions) : leftScheme;
    const group = bringTogether(
      this.graph,
      collectAt,
      [
        moving(match, {
          partitioner: scheme.partitioner ?? 'key-codec',
          name: `${node.name}-match`,
        }),
      ],
      scheme.partitions,
    );
    const at = this.#operator(collectAt, group);
    this.#placed.set(node.id, { at, group, scheme, isKeyed: true, isTable: true });
  }

  /** The stage of a node whose only input moves. */
  #moved(
    node: PlanNode,
    from: Placed,
    partitions: number,
    { partitioner }: Pick<Wanted, 'partitioner'>,
  ): StageGroup {
    const wanted = moving(from, { partitioner, name: node.name });
    return bringTogether(this.graph, { node: node.id }, [wanted], partitions);
  }

  /** In a stage of one partition all is together, unless more partitions are wanted. */
  #schemeOf({ group, scheme }: Placed): Scheme | undefined {
    if (scheme !== undefined) return scheme;
    const isOne = group.partitions === 1 && (this.#options.partitions ?? 1) === 1;
    return isOne ? schemeOfKeys(1) : undefined;
  }

  /** A table that comes through an exchange is kept once more, with the history of the one it comes from. */
  #tableAgain(id: number): TableNode | undefined {
    let node = this.#options.nodes[id];
    if (node?.isTable !== true) return undefined;
    const { name } = node;
    while (node !== undefined && node.kind !== 'table')
      node = this.#options.nodes[node.inputs[0] ?? -1];
    return {
      kind: 'table',
      id: -1,
      name,
      inputs: [],
      isTable: true,
      scope: 'partition',
      historyMs: node?.historyMs,
      ttlMs: undefined,
    };
  }

  #input(node: PlanNode, index: number): Placed {
    const placed = this.#placed.get(node.inputs[index] ?? -1);
    assert(placed !== undefined, `${node.name} comes behind its inputs`);
    return placed;
  }

  #put(node: PlanNode, group: StageGroup, scheme: Scheme | undefined, isKeyed: boolean): void {
    const at = this.#operator({ node: node.id }, group);
    this.#placed.set(node.id, { at, group, scheme, isKeyed, isTable: node.isTable === true });
  }

  #operator(at: StageNode, group: StageGroup): StageNode {
    this.operators.push({ at, group });
    return at;
  }
}

function moving(
  from: Placed,
  {
    partitioner,
    name,
    input = 0,
  }: Pick<Wanted, 'partitioner' | 'name'> & { readonly input?: number },
): Wanted {
  return { from, input, mayStay: false, partitioner, name, table: undefined };
}

/** Whether it is the left side that moves: a stream rather than a table; then the one with fewer partitions. */
function moves(left: Placed, one: Scheme, right: Placed, other: Scheme): boolean {
  if (one.partitioner === undefined) return true;
  if (other.partitioner === undefined) return false;
  if (left.isTable !== right.isTable) return right.isTable;
  return one.partitions < other.partitions;
}

/** The scheme of the records that a node has taken, from that of its results. */
function schemeOfKeysIn(group: StageGroup, ofResult: Scheme | undefined): Scheme | undefined {
  if (ofResult === undefined || ofResult.partitions !== group.partitions) return undefined;
  return ofResult.partitioner === undefined ? undefined : ofResult;
}
