/** A job in words and tables: the summary at the end of a run, and what `millrace job show` prints. */
import type { MillraceError } from '../core/errors.ts';
import type { JobSummary, StageSummary } from '../engine/batch/job/job-summary.ts';
import { userFrames } from '../engine/batch/program/user-stack.ts';
import { formatBytes, formatCount, formatDuration } from './numbers.ts';
import { cutText } from './run-progress.ts';

const FRAMES_MAX = 8;
/** The label of a stage gets at least so much of a narrow line. */
const LABEL_CELLS_MIN = 12;

/** @param columns cells of a line: labels are cut to fit */
export function formatSummary(summary: JobSummary, columns: number): string {
  const lines = [headline(summary)];
  if (summary.stages.some(({ tasks }) => tasks.length > 0)) {
    lines.push('', stageTable(summary.stages, columns), '');
  }
  const facts: (readonly [string, string])[] = [
    ...summary.outputs.map(
      ({ path, records, bytes, files, isDirectory }) =>
        [
          'output',
          `${path === '-' ? 'stdout' : path}${isDirectory ? '/' : ''}  ${formatCount(records, 'record')}, ${formatBytes(bytes)}${isDirectory ? ` in ${formatCount(files, 'file')}` : ''}`,
        ] as const,
    ),
    ...Object.entries(summary.counters).map(
      ([name, value]) => ['counter', `${name}  ${value.toLocaleString('en-US')}`] as const,
    ),
  ];
  if (summary.skippedRecords > 0) {
    facts.push([
      'skipped',
      `${formatCount(summary.skippedRecords, 'record')}: see the dead letters`,
    ]);
  }
  for (const { name, partitions, skew, hottestKey } of summary.exchanges) {
    if (partitions > 1) {
      // A key that has its fair share of a few partitions' records is nothing to look at.
      const hottest =
        hottestKey === undefined || hottestKey.share < HOT_KEY_SHARE_MIN
          ? ''
          : `, the key ${hottestKey.key} about ${Math.round(hottestKey.share * 100)} % of the records`;
      facts.push([
        'skew',
        `${name}  the largest of ${partitions} partitions has ${skew.toFixed(2)} times what the median one has${hottest}`,
      ]);
    }
  }
  if (summary.retries > 0 || summary.workersLost > 0) {
    facts.push([
      'retries',
      `${summary.retries}, after ${formatCount(summary.workersLost, 'lost worker')}`,
    ]);
  }
  facts.push(['memory', memoryLine(summary)]);
  lines.push(...facts.map(([name, text]) => `${name.padEnd(9)}${text}`));
  return `${lines.join('\n')}\n`;
}

/** Keys below this share of an exchange are not named. */
const HOT_KEY_SHARE_MIN = 0.05;

function headline(summary: JobSummary): string {
  const { flow, id, status, elapsedMs, inputBytes } = summary;
  const seconds = Math.max(0.001, elapsedMs / 1000);
  const records = sourceRecords(summary);
  const read = `read ${formatCount(records, 'record')}, ${formatBytes(inputBytes)}`;
  const rates =
    seconds < 1
      ? ''
      : ` (${Math.round(records / seconds).toLocaleString('en-US')} records/s, ${formatBytes(inputBytes / seconds)}/s)`;
  const verb = {
    running: 'is running',
    succeeded: 'done',
    failed: 'FAILED',
    cancelled: 'cancelled',
  };
  return `${flow}: ${verb[status]} in ${formatDuration(elapsedMs)}; ${read}${rates}  [job ${id}]`;
}

/** Records that were read from sources: what stages without exchanges took in. */
function sourceRecords(summary: JobSummary): number {
  return summary.stages
    .filter(({ readsSource }) => readsSource)
    .reduce((sum, { recordsIn }) => sum + recordsIn, 0);
}

function memoryLine({ residentBytesMax, workers, memoryBytes, cpuMs }: JobSummary): string {
  const who =
    workers === 0 ? 'in one process' : `in ${formatCount(workers, 'worker')} and the driver`;
  return `${formatBytes(residentBytesMax)} resident at most ${who} (--memory ${formatBytes(memoryBytes)}); ${formatDuration(cpuMs)} of processor time`;
}

interface Column {
  readonly title: string;
  readonly cell: (stage: StageSummary) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'TASKS', cell: ({ tasks }) => String(tasks.length) },
  { title: 'RECORDS IN', cell: ({ recordsIn }) => recordsIn.toLocaleString('en-US') },
  { title: 'OUT', cell: ({ recordsOut }) => recordsOut.toLocaleString('en-US') },
  { title: 'BYTES IN', cell: ({ bytesIn }) => formatBytes(bytesIn) },
  { title: 'OUT', cell: ({ bytesOut }) => formatBytes(bytesOut) },
  { title: 'TIME', cell: ({ elapsedMs }) => formatDuration(elapsedMs) },
];
/** Left out when there is nothing to say. */
const SPILLS: Column = {
  title: 'SPILLS',
  cell: ({ spills, spilledBytes }) =>
    spills === 0 ? '0' : `${spills} (${formatBytes(spilledBytes)})`,
};
const RETRIES: Column = { title: 'RETRIES', cell: ({ retries }) => String(retries) };

function stageTable(stages: readonly StageSummary[], width: number): string {
  const columns = [
    ...COLUMNS,
    ...(stages.some(({ spills }) => spills > 0) ? [SPILLS] : []),
    ...(stages.some(({ retries }) => retries > 0) ? [RETRIES] : []),
  ];
  const numbers = columns.map(({ title, cell }) => [title, ...stages.map((stage) => cell(stage))]);
  const widths = numbers.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  const names = ['STAGE', ...stages.map(({ stage, label }) => `${stage} ${label}`)];
  const used = widths.reduce((sum, each) => sum + each + 2, 1);
  const room = Math.max(LABEL_CELLS_MIN, width - used);
  const label = Math.min(room, Math.max(...names.map((name) => name.length)));
  return names
    .map((name, row) => {
      const cells = numbers.map((column, index) =>
        (column[row] ?? '').padStart(widths[index] ?? 0),
      );
      return [cutText(name, label).padEnd(label), ...cells].join('  ');
    })
    .join('\n');
}

/** What failed, where, and what to do, as lines for the person; the stack is cut to frames of the user. */
export function formatJobError(error: MillraceError): string {
  // What is behind the first line shows the place in the source.
  const [first = '', ...excerpt] = error.message.split('\n');
  const lines = [`error: ${first} (${error.code})`, ...excerpt.map((line) => `    ${line}`)];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const frames = userFrames(at.stack ?? '');
    if (frames.length === 0) continue;
    lines.push(...frames.slice(0, FRAMES_MAX).map((frame) => `    ${frame}`));
    break;
  }
  lines.push(`  fix: ${error.hint}`);
  return lines.join('\n');
}
