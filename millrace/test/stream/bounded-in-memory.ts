/** Runs a plan over topics bounded, by the batch engine, over records in memory. */
import { realEnv } from '../../src/core/real-env.ts';
import { memoryStorage } from '../../src/engine/batch/exchange/run-storage.ts';
import { runTask } from '../../src/engine/batch/task/run-task.ts';
import { boundPlan } from '../../src/engine/bounded/bound-plan.ts';
import type { Timed } from '../../src/engine/bounded/timed.ts';
import type { Plan, PlanNode } from '../../src/flow/plan.ts';
import type { Source } from '../../src/flow/source.ts';
import { runLocally } from '../batch/local-run.ts';
import { memorySink, type MemorySink, NO_STORAGE } from '../batch/in-memory.ts';

/** A record of a topic, decoded. */
export interface BoundedRecord {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
  readonly partition: number;
}

export interface BoundedOutput {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
}

/**
 * @param topics records of each topic that is read, of each partition in their order
 * @returns what is written, by topic
 */
export async function runBounded(
  plan: Plan,
  topics: Readonly<Record<string, readonly BoundedRecord[]>>,
  partitions: number,
): Promise<ReadonlyMap<string, readonly BoundedOutput[]>> {
  const sinks = new Map<string, MemorySink>();
  const nodes = plan.nodes.map((node): PlanNode => {
    if (node.kind === 'source') {
      const name = node.source.topic?.name ?? '';
      return { ...node, source: recordsSource(node.source, topics[name] ?? []) };
    }
    if (node.kind !== 'write') return node;
    const name = node.sink.topic?.name ?? '';
    const sink = sinks.get(name) ?? memorySink();
    sinks.set(name, sink);
    return { ...node, sink: { ...node.sink, ...sink.sink(), timed: () => sink.sink() } };
  });
  const bounded = boundPlan({ ...plan, nodes });
  const storage = memoryStorage(Number.POSITIVE_INFINITY, NO_STORAGE);
  await runLocally({
    plan: bounded,
    environment: {
      env: realEnv(),
      directory: '/',
      brokers: undefined,
      storage: () => storage,
      signal: new AbortController().signal,
      onProgress: () => {},
    },
    runTask,
    storage,
    memoryBytes: 64 * 1024 * 1024,
    writeDirectory: () => '/nowhere',
    partitions,
  });
  return new Map(
    [...sinks].map(([name, sink]) => [
      name,
      sink.records().map(({ key, value }) => {
        const { t, v } = value as Timed;
        return { key, value: v, time: t };
      }),
    ]),
  );
}

/** One split per partition, each record with the latest time before it. */
function recordsSource(like: Source, records: readonly BoundedRecord[]): Source {
  const partitions = [...new Set(records.map(({ partition }) => partition))].toSorted(
    (a, b) => a - b,
  );
  const source: Source = {
    ...like,
    plan: () =>
      Promise.resolve({
        splits: partitions.map((partition, index) => ({
          index,
          bytes: 1,
          label: `${partition}`,
          data: partition,
        })),
        files: [],
      }),
    open: (split) => {
      const own = records.filter(({ partition }) => partition === split.data);
      let m = Number.NEGATIVE_INFINITY;
      let at = 0;
      return {
        read: (emit) => {
          while (at < own.length) {
            const record = own[at++];
            if (record === undefined) break;
            m = Math.max(m, record.time);
            const { key, value, time: t } = record;
            if (!emit({ t, m, v: value, o: undefined }, key)) return false;
          }
          return true;
        },
        consumedBytes: 0,
        position: () => `memory:${at}`,
        mark: () => at,
        locate: (mark) => `memory:${mark}`,
        close: () => {},
      };
    },
    timed: () => source,
  };
  return source;
}
