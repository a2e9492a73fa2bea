/** `millrace job list` and `millrace job show`: the history of jobs. */
import { realEnv } from '../core/real-env.ts';
import { findJob, listJobIds, readJob, type JobRecord } from '../engine/batch/job/job-directory.ts';
import { errorFromMessage } from '../engine/batch/workers/messages.ts';
import { MillraceError } from '../core/errors.ts';
import { dataDirectory } from './data-directory.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import { formatJobError, formatSummary } from './job-report.ts';
import { formatBytes, formatDuration } from './numbers.ts';

export interface JobFlags {
  readonly data?: string;
  readonly json?: boolean;
}

const COLUMNS = 100;

/** Newest first. */
export async function listJobs(flags: JobFlags): Promise<void> {
  const { fs } = realEnv();
  const directory = dataDirectory(flags.data);
  const jobs = listJobIds(fs, directory)
    .toReversed()
    .map((id) => readJob(fs, directory, id));
  if (flags.json === true) {
    await writeJson(jobs.map(brief));
    return;
  }
  if (jobs.length === 0) {
    say(`no job has been run with the data directory ${directory}`);
    return;
  }
  const rows = jobs.map((job) => {
    const { flow, startedAt, elapsedMs, inputBytes } = brief(job);
    return [
      job.id,
      job.status,
      flow,
      startedAt.slice(0, 19).replace('T', ' '),
      formatDuration(elapsedMs).padStart(9),
      formatBytes(inputBytes).padStart(9),
    ];
  });
  await writeData(
    formatTable(['JOB', 'STATUS', 'FLOW', 'STARTED (UTC)', '     TIME', '    INPUT'], rows),
  );
}

/** @throws {MillraceError} ML_JOB_UNKNOWN */
export async function showJob(wanted: string, flags: JobFlags): Promise<void> {
  const job = findJob(realEnv().fs, dataDirectory(flags.data), wanted);
  const { summary } = job;
  if (flags.json === true) {
    await writeJson(summary === undefined ? job : { ...summary, status: job.status });
    return;
  }
  if (summary === undefined) {
    await writeData(`job ${job.id} left no record that can be read\n`);
    return;
  }
  const columns =
    process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : COLUMNS;
  const lines = [
    formatSummary(summary, columns).trimEnd(),
    '',
    ...Object.entries(summary.parameters).map(([name, value]) => `parameter ${name} = ${value}`),
    `program  ${summary.program}`,
    `started  ${summary.startedAt} in ${summary.directory}`,
  ];
  if (job.status === 'lost') lines.push('lost     its process ended without saying how');
  if (summary.plan !== '') lines.push('', summary.plan.trimEnd());
  const error = summary.error === null ? undefined : errorFromMessage(summary.error);
  if (error !== undefined) {
    lines.push('', error instanceof MillraceError ? formatJobError(error) : String(error.stack));
  }
  await writeData(`${lines.join('\n')}\n`);
}

function brief({ id, status, summary }: JobRecord): {
  readonly id: string;
  readonly status: string;
  readonly flow: string;
  readonly program: string;
  readonly startedAt: string;
  readonly elapsedMs: number;
  readonly inputBytes: number;
} {
  return {
    id,
    status,
    flow: summary?.flow ?? '',
    program: summary?.program ?? '',
    startedAt: summary?.startedAt ?? '',
    elapsedMs: summary?.elapsedMs ?? 0,
    inputBytes: summary?.inputBytes ?? 0,
  };
}
