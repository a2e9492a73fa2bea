/** Flows of tests on a cluster in memory. */
import { flow, type FlowOptions } from '../../../src/flow/flow.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { MemoryCluster, type MemoryClusterOptions } from '../../../src/testing/memory-cluster.ts';

export interface Written {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
  readonly partition: number;
}

export function openFlow(
  build: (f: FlowBuilder) => void,
  options: Omit<MemoryClusterOptions, 'plan'> & { readonly flow?: FlowOptions },
): Promise<MemoryCluster> {
  const { flow: flowOptions = {}, ...cluster } = options;
  return MemoryCluster.open({ ...cluster, plan: flow('test', flowOptions, build).plan() });
}

/** What is in a topic of JSON, by partition. */
export function written(cluster: MemoryCluster, topic: string): Written[] {
  const all: Written[] = [];
  for (let partition = 0; partition < cluster.log.partitionsOf(topic); partition++)
    for (const { key, value, timestamp } of cluster.log.records(topic, partition))
      all.push({ key: parsed(key), value: parsed(value), time: timestamp, partition });
  return all;
}

function parsed(bytes: Buffer | null): unknown {
  return bytes === null ? null : JSON.parse(bytes.toString());
}

/** Records of JSON. */
export function send(
  cluster: MemoryCluster,
  topic: string,
  records: readonly {
    readonly key?: unknown;
    readonly value: unknown;
    readonly time: number;
    readonly partition?: number;
  }[],
): void {
  cluster.produce(
    topic,
    records.map(({ key, value, time, partition }) => ({
      key: key === undefined ? null : JSON.stringify(key),
      value: value === null ? null : JSON.stringify(value),
      timestamp: time,
      ...(partition === undefined ? {} : { partition }),
    })),
  );
}
