/**
 * What a benchmark measures and how it is compared. Owns: the list of metrics, the grouping of samples, and the
 * direction of ratios.
 */
import { summarise, type Summary } from './statistics.ts';

export interface Metric {
  readonly title: string;
  readonly better: 'higher' | 'lower';
}

/** NOTE: names in the result files, do not rename. */
export const METRICS = {
  startMs: {
    title: 'Start on an empty directory to the first answered request, ms',
    better: 'lower',
  },
  restMB: { title: 'Memory at rest, resident MB', better: 'lower' },
  loadMB: { title: 'Memory under load, highest resident MB', better: 'lower' },
  restOwnMB: { title: 'Memory at rest, of its own (no files), MB', better: 'lower' },
  loadOwnMB: { title: 'Memory under load, of its own, highest MB', better: 'lower' },
  produceMBs: { title: 'Produce with acks=all, MB/s of values', better: 'higher' },
  produceRecords: { title: 'Produce with acks=all, records/s', better: 'higher' },
  produceCpu: { title: 'Produce, CPU seconds of the broker per GB', better: 'lower' },
  consumeMBs: { title: 'Consume, MB/s of values', better: 'higher' },
  consumeRecords: { title: 'Consume, records/s', better: 'higher' },
  consumeCpu: { title: 'Consume, CPU seconds of the broker per GB', better: 'lower' },
  latencyP50Ms: { title: 'End to end at a fixed rate, p50 ms', better: 'lower' },
  latencyP99Ms: { title: 'End to end at a fixed rate, p99 ms', better: 'lower' },
  queuePublish: {
    title: 'Publish with confirms, while consuming, messages/s',
    better: 'higher',
  },
  queueConsume: { title: 'Consume with acks, while publishing, messages/s', better: 'higher' },
  queueCpu: {
    title: 'Publish and consume, CPU seconds of the broker per million messages',
    better: 'lower',
  },
  queueClientCores: {
    title: 'Publish and consume, cores that the clients kept busy',
    better: 'lower',
  },
  queueOthersCores: {
    title: 'Publish and consume, cores that others kept busy',
    better: 'lower',
  },
  queueConfirmP50Ms: { title: 'Publish to confirm at a fixed rate, p50 ms', better: 'lower' },
  queueConfirmP99Ms: { title: 'Publish to confirm at a fixed rate, p99 ms', better: 'lower' },
  queueDeliverP50Ms: { title: 'Publish to delivery at a fixed rate, p50 ms', better: 'lower' },
  queueDeliverP99Ms: { title: 'Publish to delivery at a fixed rate, p99 ms', better: 'lower' },
  queueOneP50Ms: { title: 'Publish to confirm, one at a time, p50 ms', better: 'lower' },
  queueOneP99Ms: { title: 'Publish to confirm, one at a time, p99 ms', better: 'lower' },
  queueFill: { title: 'Backlog: publish with confirms, messages/s', better: 'higher' },
  queueDrain: { title: 'Backlog: consume with acks, messages/s', better: 'higher' },
  backlogMB: { title: 'Memory with a backlog, resident MB', better: 'lower' },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof METRICS;

export interface Sample {
  readonly metric: MetricName;
  /** What was varied, in words: `wire, 1,024 B, 32 partitions`. */
  readonly cell: string;
  readonly side: string;
  readonly value: number;
  /** Cores that others kept busy during the measurement, where that matters. */
  readonly othersCores?: number;
  /** Cores that the client kept busy: near 1 for a client with one thread, it was the limit. */
  readonly clientCores?: number;
}

/** Above this many cores of others, a measurement says little. */
export const DISTURBED_CORES = 0.25;

export interface SideSummary extends Summary {
  /** All samples were disturbed. Otherwise the disturbed ones are left out. */
  readonly disturbed: boolean;
}

export interface Cell {
  readonly metric: MetricName;
  readonly cell: string;
  readonly sides: ReadonlyMap<string, SideSummary>;
}

/** One entry per metric and cell, in the order of METRICS and, within it, of first appearance. */
export function groupSamples(samples: readonly Sample[]): Cell[] {
  const groups = new Map<MetricName, Map<string, Map<string, Sample[]>>>();
  for (const sample of samples) {
    const cells = getOrAdd(groups, sample.metric, () => new Map<string, Map<string, Sample[]>>());
    const sides = getOrAdd(cells, sample.cell, () => new Map<string, Sample[]>());
    getOrAdd(sides, sample.side, () => []).push(sample);
  }
  return (Object.keys(METRICS) as MetricName[]).flatMap((metric) =>
    [...(groups.get(metric) ?? [])].map(([cell, sides]) => ({
      metric,
      cell,
      sides: new Map([...sides].map(([side, values]) => [side, summariseSide(values)])),
    })),
  );
}

export interface Comparison {
  /** The side whose advantage is told. */
  readonly ours: string;
  readonly theirs: string;
}

/**
 * How many times better `ours` is by the medians: above 1 means ahead, for rates as for latencies and memory.
 * undefined when a side has no samples.
 */
export function ratio(cell: Cell, comparison: Comparison): number | undefined {
  const ours = cell.sides.get(comparison.ours)?.median;
  const theirs = cell.sides.get(comparison.theirs)?.median;
  if (ours === undefined || theirs === undefined || ours === 0 || theirs === 0) return undefined;
  return METRICS[cell.metric].better === 'higher' ? ours / theirs : theirs / ours;
}

function summariseSide(samples: readonly Sample[]): SideSummary {
  const quiet = samples.filter(({ othersCores = 0 }) => othersCores <= DISTURBED_CORES);
  const used = quiet.length > 0 ? quiet : samples;
  return { ...summarise(used.map(({ value }) => value)), disturbed: quiet.length === 0 };
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const existing = map.get(key);
  if (existing !== undefined) return existing;
  const made = make();
  map.set(key, made);
  return made;
}
