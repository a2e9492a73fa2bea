/**
 * Cuts a plan into stages. A stage is what is connected without records having to move; they move through a repartition topic
 * (exchange) where equal keys have to be together and are not known to be.
 *
 * Records are partitioned by their key when they come from a topic (as its producers do), from an exchange, or from an operator with
 * state behind one; no more when the key was changed, or dropped. Inputs that meet have equally many partitions and the same
 * partitioner: otherwise one of them moves, a stream rather than a table.
 *
 * Source: Kafka Streams' sub-topologies and co-partitioning.
 */
import { MillraceError } from '../../../core/errors.ts';
import type { TopicSpec } from '../../../client/log.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { TopicPort } from '../../../flow/topic-port.ts';
import type {
  DeadLetters,
  Exchange,
  StageExit,
  StageInput,
  StageNode,
  StreamStage,
  Topology,
} from '../topology.ts';
import { findGlobalChains } from './global-chains.ts';
import { REPARTITION_CONFIGS } from './own-topics.ts';
import { Placing } from './place-nodes.ts';
import { refuseBounded } from './plan-faults.ts';
import type { StageGroup } from './stage-graph.ts';
import { stateFingerprintOf } from './state-fingerprint.ts';

export interface TopologyOptions {
  /** Of repartition topics, and of topics that are written and do not exist. Default: as many as the input has. */
  readonly partitions?: number | undefined;
}

export type KnownTopics = ReadonlyMap<string, { readonly partitions: number }>;

/**
 * @param topics those that exist, at least all that the plan reads
 * @throws {MillraceError} ML_FLOW_INVALID, with a sentence for each node that cannot run without end; ML_TOPIC_MISSING
 */
export function planTopology(
  plan: Plan,
  topics: KnownTopics,
  options: TopologyOptions = {},
): Topology {
  refuseBounded(plan);
  const globals = findGlobalChains(plan.nodes);
  const placing = new Placing({
    nodes: plan.nodes,
    globals,
    partitionsOf: (port) => partitionsOf(plan, topics, port),
    partitions: options.partitions,
  });
  const drafts = new StageDrafts(plan, placing, { topics, partitions: options.partitions });
  const { stages, outputs } = drafts;
  const deadLetters = deadLettersOf(plan, topics, options);
  if (deadLetters !== undefined)
    outputs.set(deadLetters.port.name, specOf(deadLetters.port, deadLetters.partitions));
  return {
    plan,
    stages,
    internalTopics: drafts.exchanges.map(({ topic, partitions }) => ({
      name: topic,
      partitions,
      configs: REPARTITION_CONFIGS,
    })),
    outputTopics: [...outputs.values()],
    deadLetters,
    stateFingerprint: stateFingerprintOf(plan.nodes, stages),
  };
}

class StageDrafts {
  readonly stages: readonly StreamStage[];
  readonly exchanges: readonly Exchange[];
  /** By name: what is written. */
  readonly outputs = new Map<string, TopicSpec>();
  readonly #plan: Plan;
  readonly #placing: Placing;
  readonly #roots: readonly StageGroup[];
  readonly #known: { readonly topics: KnownTopics; readonly partitions: number | undefined };

  constructor(
    plan: Plan,
    placing: Placing,
    known: { readonly topics: KnownTopics; readonly partitions: number | undefined },
  ) {
    this.#plan = plan;
    this.#placing = placing;
    this.#known = known;
    this.#roots = placing.graph.roots;
    this.exchanges = this.#exchanges();
    this.stages = this.#roots.map((group, id) => ({
      id,
      partitions: group.partitions,
      nodes: this.#nodesOf(group),
      inputs: this.#inputsOf(group),
      globals: this.#globalsOf(group),
      exits: this.#exitsOf(group),
    }));
  }

  #stageOf(group: StageGroup): number {
    return this.#roots.indexOf(this.#placing.graph.rootOf(group));
  }

  #exchanges(): readonly Exchange[] {
    return this.#placing.graph.exchanges.map(
      ({ name, from, to, partitioner, reader, table }): Exchange => ({
        name,
        topic: `${this.#plan.name}-${name}-repartition`,
        partitions: reader.partitions,
        from: from.at,
        to,
        partitioner,
        writerStage: this.#stageOf(from.group),
        writers: from.group.partitions,
        isTable: from.isTable,
        table,
      }),
    );
  }

  #isOf(group: StageGroup): (member: { readonly group: StageGroup }) => boolean {
    return (member) => this.#placing.graph.rootOf(member.group) === group;
  }

  #nodesOf(group: StageGroup): readonly StageNode[] {
    return this.#placing.operators
      .filter(this.#isOf(group))
      .map(({ at }) => at)
      .toSorted((left, right) => left.node - right.node);
  }

  #inputsOf(group: StageGroup): readonly StageInput[] {
    const sources = this.#placing.sources.filter(this.#isOf(group)).map(
      ({ node, port }): StageInput => ({
        topic: port.name,
        from: { kind: 'source', node, port },
      }),
    );
    const stage = this.#stageOf(group);
    const read = this.#placing.graph.exchanges.flatMap(({ reader }, index): StageInput[] => {
      const exchange = this.exchanges[index];
      if (exchange === undefined || this.#stageOf(reader) !== stage) return [];
      return [{ topic: exchange.topic, from: { kind: 'exchange', exchange } }];
    });
    return [...sources, ...read];
  }

  #globalsOf(group: StageGroup): readonly StageInput[] {
    const used = new Set(
      this.#placing.globals.filter(this.#isOf(group)).map(({ source }) => source),
    );
    return [...used].flatMap((node): StageInput[] => {
      const port = portOf(this.#plan.nodes[node]);
      return port === undefined ? [] : [{ topic: port.name, from: { kind: 'source', node, port } }];
    });
  }

  #exitsOf(group: StageGroup): readonly StageExit[] {
    const sinks = this.#placing.sinks
      .filter(this.#isOf(group))
      .flatMap(({ node, sink }): StageExit[] => {
        const port = sink.topic;
        if (port === undefined) return [];
        const partitions =
          this.#known.topics.get(port.name)?.partitions ??
          this.outputs.get(port.name)?.partitions ??
          port.create.partitions ??
          this.#known.partitions ??
          group.partitions;
        if (!this.outputs.has(port.name)) {
          for (const beside of port.create.beside ?? [])
            if (!this.outputs.has(beside.name)) this.outputs.set(beside.name, beside);
          this.outputs.set(port.name, specOf(port, partitions));
        }
        return [{ kind: 'sink', node, port, partitions }];
      });
    const stage = this.#stageOf(group);
    const written = this.exchanges
      .filter(({ writerStage }) => writerStage === stage)
      .map((exchange): StageExit => ({ kind: 'exchange', exchange }));
    return [...sinks, ...written];
  }
}

function portOf(node: PlanNode | undefined): TopicPort | undefined {
  return node?.kind === 'source' ? node.source.topic : undefined;
}

function specOf(port: TopicPort, partitions: number): TopicSpec {
  return { name: port.name, partitions, configs: port.create.configs };
}

function deadLettersOf(
  { onError }: Plan,
  topics: KnownTopics,
  options: TopologyOptions,
): DeadLetters | undefined {
  const port = onError.kind === 'skip' ? onError.sink.topic : undefined;
  if (onError.kind !== 'skip' || port === undefined) return undefined;
  const partitions =
    topics.get(port.name)?.partitions ?? port.create.partitions ?? options.partitions ?? 1;
  return { port, partitions, recordsMax: onError.recordsMax };
}

function partitionsOf(plan: Plan, topics: KnownTopics, port: TopicPort): number {
  const known = topics.get(port.name);
  if (known !== undefined) return known.partitions;
  throw new MillraceError(
    'ML_TOPIC_MISSING',
    `flow "${plan.name}" reads topic ${port.name}, which does not exist`,
    {
      fields: { flow: plan.name, topic: port.name },
      hint: `Create it: millrace topic create ${port.name}`,
    },
  );
}
