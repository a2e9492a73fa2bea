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
  produceMBs: { title: 'Produce with acks=all, MB/s of values', better: 'higher' },
  produceRecords: { title: 'Produce with acks=all, records/s', better: 'higher' },
  produceCpu: { title: 'Produce, CPU seconds of the broker per GB', better: 'lower' },
  consumeMBs: { title: 'Consume, MB/s of values', better: 'higher' },
  consumeRecords: { title: 'Consume, records/s', better: 'higher' },
  consumeCpu: { title: 'Consume, CPU seconds of the broker per GB', better: 'lower' },
  latencyP50Ms: { title: 'End to end at a fixed rate, p50 ms', better: 'lower' },
  latencyP99Ms: { title: 'End to end at a fixed rate, p99 ms', better: 'lower' },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof METRICS;

export interface Sample {
  readonly metric: MetricName;
  /** What was varied, in words: `wire, 1,024 B, 32 partitions`. */
  readonly cell: string;
  readonly side: string;
  readonly value: number;
}

export interface Cell {
  readonly metric: MetricName;
  readonly cell: string;
  readonly sides: ReadonlyMap<string, Summary>;
}

/** One entry per metric and cell, in the order of METRICS and, within it, of first appearance. */
export function groupSamples(samples: readonly Sample[]): Cell[] {
  const groups = new Map<MetricName, Map<string, Map<string, number[]>>>();
  for (const { metric, cell, side, value } of samples) {
    const cells = getOrAdd(groups, metric, () => new Map<string, Map<string, number[]>>());
    const sides = getOrAdd(cells, cell, () => new Map<string, number[]>());
    getOrAdd(sides, side, () => []).push(value);
  }
  return (Object.keys(METRICS) as MetricName[]).flatMap((metric) =>
    [...(groups.get(metric) ?? [])].map(([cell, sides]) => ({
      metric,
      cell,
      sides: new Map([...sides].map(([side, values]) => [side, summarise(values)])),
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

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const existing = map.get(key);
  if (existing !== undefined) return existing;
  const made = make();
  map.set(key, made);
  return made;
}
