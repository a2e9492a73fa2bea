/** Small statistics over samples. All take at least one sample; the order of the input does not matter. */

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly sampleCount: number;
}

export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    median: middle(sorted),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    sampleCount: sorted.length,
  };
}

export function median(samples: readonly number[]): number {
  return middle([...samples].sort((a, b) => a - b));
}

/** The smallest sample that at least `fraction` (0 to 1) of the samples do not exceed. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.ceil(fraction * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1] ?? Number.NaN;
}

/** Half the distance from the lowest to the highest sample, relative to the median: 0.1 reads "±10 %". */
export function relativeSpread(summary: Summary): number {
  return summary.median === 0 ? 0 : (summary.max - summary.min) / 2 / summary.median;
}

function middle(sorted: readonly number[]): number {
  const upper = sorted[sorted.length >> 1];
  if (upper === undefined) return Number.NaN;
  const lower = sorted[(sorted.length - 1) >> 1] ?? upper;
  return (lower + upper) / 2;
}
