/** The tables of the benchmark. */
import type { Machine } from '../machine.ts';
import { median } from '../statistics.ts';
import { formatNumber, formatTable } from '../table.ts';
import type { LatencyFigures } from './latency.ts';
import { QUERY_FACTS } from './queries.ts';
import type { StateFigures } from './state-figures.ts';
import type { QueryResult, SideRuns } from './results.ts';
import type { RunFigures } from './watch-run.ts';

/** Ours against theirs. */
const COMPARISONS = [
  ['embedded', 'kafka-streams'],
  ['tcp', 'kafka-streams'],
  ['tcp-kafka', 'kafka-streams-kafka'],
] as const;
const AIM_RATIO = 2;

/** Records a second by the wall clock. */
function wallRate({ records, seconds }: RunFigures): number {
  return records / seconds;
}

/** Records per second of processor time, all threads: of the engine, and of the engine and its log. */
function coreRate({ records, engineCpuSeconds }: RunFigures): number {
  return records / engineCpuSeconds;
}
function totalRate({ records, engineCpuSeconds, brokerCpuSeconds }: RunFigures): number {
  return records / (engineCpuSeconds + brokerCpuSeconds);
}

function of(side: SideRuns | undefined, rate: (run: RunFigures) => number): number {
  return side === undefined ? Number.NaN : median(side.runs.map(rate));
}

export function formatQuery({ query, content, sides }: QueryResult): string {
  const { title, aim } = QUERY_FACTS[query];
  const rows = sides.map((side) => [
    side.side,
    thousands(of(side, wallRate)),
    thousands(of(side, coreRate)),
    thousands(of(side, totalRate)),
    formatNumber(Math.max(...side.runs.map((run) => run.engineResidentBytesMax)) / 1e6),
    formatNumber(of(side, (run) => run.firstCommitSeconds)),
    formatNumber(Math.max(...side.runs.map((run) => run.othersCores))),
  ]);
  const table = formatTable(
    [
      '',
      'k/s wall',
      'k/s per core',
      'with the log',
      'most memory MB',
      'first commit s',
      'cores of others',
    ],
    rows,
  );
  const aims = aim === undefined ? '' : `; aim ${thousands(aim)} k/s per core`;
  const hash = `${content.recordCount.toLocaleString('en-US')} results, ${content.checksum.toString(16)}: as the oracle`;
  return [`${query}: ${title}${aims}`, hash, table, ...ratios({ query, content, sides })].join(
    '\n',
  );
}

function ratios({ sides }: QueryResult): string[] {
  return COMPARISONS.flatMap(([ours, theirs]) => {
    const our = sides.find(({ side }) => side === ours);
    const their = sides.find(({ side }) => side === theirs);
    if (our === undefined || their === undefined) return [];
    const [wall, total] = [wallRate, totalRate].map((rate) => of(our, rate) / of(their, rate));
    return [
      `  ${ours} is ${times(wall)} as fast as ${theirs} by the clock, ${times(total)} per second of processor time (aim ${AIM_RATIO}×)`,
    ];
  });
}

export function formatLatency(latencies: readonly LatencyFigures[], rate: number): string {
  const rows = latencies.map(({ side, p50Ms, p99Ms, records, othersCores }) => [
    side,
    formatNumber(p50Ms),
    formatNumber(p99Ms),
    formatNumber(records),
    formatNumber(othersCores),
  ]);
  return `Latency, from the time a bid is due to a reader of committed records, ${formatNumber(rate)} bids/s\n${formatTable(['', 'p50 ms', 'p99 ms', 'bids', 'cores of others'], rows)}`;
}

export function formatState(states: readonly StateFigures[]): string {
  const rows = states.map((state) => [
    `${state.side}, ${state.state}`,
    formatNumber(state.residentBytes / 1e6),
    thousands(state.recordsPerSecond),
    state.restartSeconds.toFixed(2),
    state.restoreSeconds.toFixed(2),
  ]);
  const keys = states[0]?.keys.toLocaleString('en-US') ?? '';
  return `A count for each of ${keys} keys\n${formatTable(['', 'resident MB', 'k/s wall', 'restart s', 'restored s'], rows)}`;
}

/** All ratios again, in one table. */
export function formatSummary(queries: readonly QueryResult[], machine: Machine): string {
  const rows = queries.map(({ query, sides }) => [
    query,
    ...COMPARISONS.map(([ours, theirs]) => {
      const our = sides.find(({ side }) => side === ours);
      const their = sides.find(({ side }) => side === theirs);
      return `${times(of(our, wallRate) / of(their, wallRate))} ${times(of(our, totalRate) / of(their, totalRate))}`;
    }),
  ]);
  const head = ['', ...COMPARISONS.map(([ours, theirs]) => `${ours} : ${theirs}`)];
  const what =
    'How many times as fast, by the clock and per second of processor time (log included)';
  const where = `Machine: ${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryBytes / 1e9)} GB, ${machine.system}; Node ${machine.node}, commit ${machine.commit}, load ${machine.loadAverage} at the beginning.`;
  return `${what}\n${formatTable(head, rows)}\n${where}`;
}

function thousands(rate: number): string {
  return formatNumber(rate / 1000);
}

function times(ratio: number | undefined): string {
  return ratio === undefined || Number.isNaN(ratio) ? '–' : `${ratio.toFixed(2)}×`;
}
