/** Results of a benchmark as a file, for later. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Comparison, groupSamples, ratio, type Sample } from './samples.ts';

const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

/**
 * Writes what was measured, with the medians and ratios of it.
 * @param content what else there is to say: the options, the machine, the samples
 * @returns the path of the file
 */
export function keepResults(
  name: string,
  samples: readonly Sample[],
  comparisons: readonly Comparison[],
  content: object,
): string {
  const at = new Date().toISOString();
  const cells = groupSamples(samples).map((cell) => ({
    metric: cell.metric,
    cell: cell.cell,
    sides: Object.fromEntries(cell.sides),
    ratios: Object.fromEntries(
      comparisons
        .map((comparison): [string, number | undefined] => [
          `${comparison.ours}:${comparison.theirs}`,
          ratio(cell, comparison),
        ])
        .filter(([, value]) => value !== undefined),
    ),
  }));
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, `${name}-${at.replaceAll(/[:.]/g, '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ at, ...content, cells }, undefined, 2)}\n`);
  return file;
}
