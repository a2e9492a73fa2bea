/**
 * A plan cut into stages at the points where records have to move: what is connected without a repartition topic is one stage. A task is a
 * stage × a partition; all inputs of a stage have equally many partitions (global tables aside). Built by `planning/`.
 *
 *   topics ─▶ stage 0 ─▶ repartition topic ─▶ stage 1 ─▶ topics
 *                └─ changelogs                   └─ changelogs
 */
import type { Plan } from '../../flow/plan.ts';
import type { TableNode } from '../../flow/stream-nodes.ts';
import type { TopicSpec } from '../../client/log.ts';
import type { TopicPort } from '../../flow/topic-port.ts';

export interface Topology {
  readonly plan: Plan;
  /** In an order in which each reads only what those before it, or others, write. */
  readonly stages: readonly StreamStage[];
  /** Topics of Millrace's own that have to be there: `<flow>-<node>-repartition`; changelogs are made when a store is opened. */
  readonly internalTopics: readonly TopicSpec[];
  /** Topics that the flow writes, to be created when they are missing. */
  readonly outputTopics: readonly TopicSpec[];
  /** Where records go that fail, when the flow skips those. */
  readonly deadLetters: DeadLetters | undefined;
  /** Of what decides whether saved state and repartition topics fit: nodes with state, by name, kind and setting; stages; partitions.
   * Not of the text of functions. By node, so that what does not fit can be named. */
  readonly stateFingerprint: Readonly<Record<string, string>>;
}

export interface DeadLetters {
  readonly port: TopicPort;
  readonly partitions: number;
  /** More of them in one task since it was opened end the flow. */
  readonly recordsMax: number;
}

export interface StreamStage {
  readonly id: number;
  readonly partitions: number;
  /** What runs in it, in topological order. Sources are among the inputs, what writes among the exits, global tables in none. */
  readonly nodes: readonly StageNode[];
  readonly inputs: readonly StageInput[];
  /** Whole topics that every task reads before anything else, and follows. */
  readonly globals: readonly StageInput[];
  readonly exits: readonly StageExit[];
}

/**
 * A node, or a part of one. A join by foreign key runs in three stages: `subscribe` has the left table and tells the key of the right one
 * which rows want it; `match` has the right table and answers by the key of the left; `collect` keeps the latest answer of each.
 * An aggregate over a table runs in two: `regroup` tells the old and the new group of each change, `aggregate` has the accumulators.
 * The output of a node with roles is that of its last one.
 */
export interface StageNode {
  readonly node: number;
  readonly role?: 'subscribe' | 'match' | 'collect' | 'regroup' | 'aggregate';
}

export interface StageInput {
  readonly topic: string;
  /** A source node (of which `port` is the topic); or the node behind an exchange, and which of its inputs. */
  readonly from:
    | { readonly kind: 'source'; readonly node: number; readonly port: TopicPort }
    | { readonly kind: 'exchange'; readonly exchange: Exchange };
}

/** Where records leave a stage. */
export type StageExit =
  | {
      readonly kind: 'sink';
      readonly node: number;
      readonly port: TopicPort;
      readonly partitions: number;
    }
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

/** A repartition topic. */
export interface Exchange {
  readonly name: string;
  readonly topic: string;
  readonly partitions: number;
  /** Whose records it carries, and what is behind it, with the number of its input. */
  readonly from: StageNode;
  readonly to: readonly (StageNode & { readonly input: number })[];
  readonly partitioner: Partitioner;
  /** The stage that writes it, and how many tasks that has: each of them tells its time to every partition. */
  readonly writerStage: number;
  readonly writers: number;
  /** It carries changes of a table: old values, too. */
  readonly isTable: boolean;
  /** Who reads it asks it for the values of keys: they are kept once more, in this table, behind it. */
  readonly table: TableNode | undefined;
}

/**
 * What chooses the partition. `key-codec`: the key, as `core/key-partition`. `serde`: the key as the producers of a topic write it, whose
 * records it has to meet. `spread`: nothing does, records have no key; they stay in
 * the partition that they are in, as far as there is one.
 */
export type Partitioner = 'key-codec' | 'spread' | { readonly serde: TopicPort['key'] };

export interface TaskId {
  readonly stage: number;
  readonly partition: number;
}
