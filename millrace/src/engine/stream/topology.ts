/**
 * A plan cut into stages at the points where records have to move: what is connected without a repartition topic is one stage. A task is a
 * stage × a partition; all inputs of a stage have equally many partitions (global tables aside). Built by `planning/`.
 *
 *   topics ─▶ stage 0 ─▶ repartition topic ─▶ stage 1 ─▶ topics
 *                └─ changelogs                   └─ changelogs
 */
import type { Plan } from '../../flow/plan.ts';
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
  /** Of what decides whether saved state and repartition topics fit: nodes with state, by name, kind and setting; stages; partitions.
   * Not of the text of functions. By node, so that what does not fit can be named. */
  readonly stateFingerprint: Readonly<Record<string, string>>;
}

export interface StreamStage {
  readonly id: number;
  readonly partitions: number;
  /** Nodes that run in it, in topological order. */
  readonly nodes: readonly number[];
  readonly inputs: readonly StageInput[];
  /** Whole topics that every task reads before anything else, and follows. */
  readonly globals: readonly StageInput[];
  readonly exits: readonly StageExit[];
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
  /** The node whose records it carries, and the ones behind it with the number of their input. */
  readonly from: number;
  readonly to: readonly { readonly node: number; readonly input: number }[];
  /** How keys choose the partition. `serde`: as the producers of a topic that it has to meet do. */
  readonly partitioner: 'key-codec' | { readonly serde: TopicPort['key'] };
  /** The stage that writes it, and how many tasks that has: each of them tells its time to every partition. */
  readonly writerStage: number;
  readonly writers: number;
  /** It carries changes of a table: old values, too. */
  readonly isTable: boolean;
}

export interface TaskId {
  readonly stage: number;
  readonly partition: number;
}
