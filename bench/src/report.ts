/** The result as people read it: one table per metric, a column per side, a column per ratio. */
import type { Machine } from './machine.ts';
import type { MachineLimits } from './machine-limits.ts';
import {
  type Cell,
  type Comparison,
  DISTURBED_CORES,
  groupSamples,
  METRICS,
  ratio,
  type Sample,
  type SideSummary,
} from './samples.ts';
import { relativeSpread } from './statistics.ts';
import { formatNumber, formatTable } from './table.ts';

export interface SideDescription {
  readonly name: string;
  readonly version: string;
  readonly durability: string;
}

export interface ReportInput {
  readonly machine: Machine;
  readonly limits: MachineLimits | undefined;
  readonly sides: readonly SideDescription[];
  readonly comparisons: readonly Comparison[];
  readonly samples: readonly Sample[];
}

export function formatReport(input: ReportInput): string {
  const parts = [formatMachine(input.machine)];
  if (input.limits !== undefined) parts.push(formatLimits(input.limits));
  parts.push(formatSides(input.sides));
  const cells = groupSamples(input.samples);
  for (const metric of new Set(cells.map((cell) => cell.metric))) {
    const rows = cells.filter((cell) => cell.metric === metric);
    parts.push(
      `${METRICS[metric].title} (${METRICS[metric].better} is better)\n${formatCells(rows, input)}`,
    );
  }
  parts.push(
    'Values are medians, ± half the range. A ratio above 1 means that the first side of it is ahead, whatever the unit.',
  );
  if (cells.some((cell) => [...cell.sides.values()].some(({ disturbed }) => disturbed))) {
    parts.push(
      `! marks values during which other processes kept more than ${DISTURBED_CORES} cores busy: run again on a quiet machine, or with --patience.`,
    );
  }
  return `${parts.join('\n\n')}\n`;
}

function formatCells(cells: readonly Cell[], input: ReportInput): string {
  const sides = input.sides.filter(({ name }) => cells.some((cell) => cell.sides.has(name)));
  const comparisons = input.comparisons.filter((comparison) =>
    cells.some((cell) => ratio(cell, comparison) !== undefined),
  );
  return formatTable(
    [
      '',
      ...sides.map(({ name }) => name),
      ...comparisons.map(({ ours, theirs }) => `${ours} : ${theirs}`),
    ],
    cells.map((cell) => [
      cell.cell,
      ...sides.map(({ name }) => formatSummary(cell.sides.get(name))),
      ...comparisons.map((comparison) => formatRatio(ratio(cell, comparison))),
    ]),
  );
}

function formatSummary(summary: SideSummary | undefined): string {
  if (summary === undefined) return '-';
  const value = `${summary.disturbed ? '!' : ''}${formatNumber(summary.median)}`;
  if (summary.sampleCount < 2) return value;
  return `${value} ±${Math.round(relativeSpread(summary) * 100)}%`;
}

function formatRatio(value: number | undefined): string {
  return value === undefined ? '-' : `${value.toFixed(2)}×`;
}

function formatMachine(machine: Machine): string {
  return [
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryBytes / 1e9)} GB, ${machine.system}`,
    `Disks: ${machine.disks.join('; ') || 'unknown'}`,
    `Node ${machine.node}, commit ${machine.commit}, load average at the start ${machine.loadAverage.toFixed(2)}`,
  ].join('\n');
}

function formatLimits(limits: MachineLimits): string {
  return [
    'Limits of the machine in this run:',
    `  sequential write ${formatNumber(limits.sequentialWriteMBs)} MB/s synced, ${formatNumber(limits.pageCacheWriteMBs)} MB/s to the page cache`,
    `  overwriting 16 KiB with fdatasync p50 ${formatNumber(limits.syncP50Ms)} ms, p99 ${formatNumber(limits.syncP99Ms)} ms`,
    `  one loopback connection ${formatNumber(limits.loopbackMBs)} MB/s`,
    `  (other processes kept ${formatNumber(limits.othersCores)} cores busy meanwhile)`,
  ].join('\n');
}

function formatSides(sides: readonly SideDescription[]): string {
  return formatTable(
    ['side', 'version', 'acknowledged after'],
    sides.map(({ name, version, durability }) => [name, version, durability]),
  );
}
