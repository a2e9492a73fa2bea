/**
 * Where jobs keep what is theirs, below the data directory:
 *
 * ```
 * jobs/20261126-110512123-k3f/job.json   the record of the job: written when it starts, replaced when it ends
 * jobs/20261126-110512123-k3f/tmp/       runs between stages; gone when the job ends
 * ```
 *
 * A job that was killed leaves its `tmp`; the next one removes it. Records of the newest JOBS_KEPT jobs are kept.
 */
import type { Env, FileSystem } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile, replaceFileUnsynced } from '../../../core/files.ts';
import { JOB_RECORD_BYTES_MAX, JOBS_KEPT } from '../../../core/limits.ts';
import { isAlive } from '../../../core/processes.ts';
import type { JobSummary } from './job-summary.ts';

const ID = /^\d{8}-\d{9}-[0-9a-z]{3}$/;
const STARTING_MS = 10_000;
const ID_DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** An id that sorts by time, in UTC to the millisecond: `20261126-110512123-k3f`. */
export function newJobId(env: Env): string {
  const time = new Date(env.clock.nowMs()).toISOString();
  const digits = [...env.random.bytes(3)].map((byte) => ID_DIGITS.charAt(byte % 32)).join('');
  return `${time.slice(0, 10).replaceAll('-', '')}-${time.slice(11, 23).replaceAll(/[:.]/g, '')}-${digits}`;
}

export class JobDirectory {
  readonly id: string;
  readonly path: string;
  /** Everything that lives as long as the job. */
  readonly temporary: string;
  readonly #env: Env;

  /** Makes the directory of a new job. @throws {MillraceError} ML_PERMISSION, ML_READ_ONLY, ML_DISK_FULL */
  constructor(env: Env, dataDirectory: string) {
    this.#env = env;
    this.id = newJobId(env);
    this.path = `${dataDirectory}/jobs/${this.id}`;
    this.temporary = `${this.path}/tmp`;
    env.fs.makeDirectory(this.path);
  }

  /** After the first record: where there are temporary files, there is one that says whose they are. */
  makeTemporary(): void {
    this.#env.fs.makeDirectory(this.temporary);
  }

  /** Makes the directory for the runs of one attempt. */
  attemptDirectory(stage: number, task: number, attempt: number): string {
    const path = `${this.stageDirectory(stage)}/${task}-${attempt}`;
    this.#env.fs.makeDirectory(path);
    return path;
  }

  stageDirectory(stage: number): string {
    return `${this.temporary}/stage-${stage}`;
  }

  /** Replaces the record. Not synced: it is worth no wait, and a reader stands a damaged one. */
  record(summary: JobSummary): void {
    const bytes = Buffer.from(`${JSON.stringify(summary)}\n`);
    replaceFileUnsynced(this.#env.fs, `${this.path}/job.json`, bytes);
  }

  async removeTemporary(): Promise<void> {
    await this.#env.fs.removeDirectory(this.temporary);
  }
}

/** A job of the history. */
export interface JobRecord {
  readonly id: string;
  /** undefined when the record is damaged or of a job that was killed before it wrote one. */
  readonly summary: JobSummary | undefined;
  /** `lost`: the process ended without saying how. */
  readonly status: JobSummary['status'] | 'lost';
}

/** The ids of all jobs, oldest first. */
export function listJobIds(fs: FileSystem, dataDirectory: string): string[] {
  return fs.list(`${dataDirectory}/jobs`).filter((name) => ID.test(name));
}

export function readJob(fs: FileSystem, dataDirectory: string, id: string): JobRecord {
  const summary = readRecord(fs, `${dataDirectory}/jobs/${id}/job.json`);
  const status = summary?.status ?? 'lost';
  const isLost = summary !== undefined && status === 'running' && !isAlive(summary.process);
  return { id, summary, status: isLost ? 'lost' : status };
}

/**
 * Finds a job by its id, the beginning of its id, or `last`.
 * @throws {MillraceError} ML_JOB_UNKNOWN
 */
export function findJob(fs: FileSystem, dataDirectory: string, wanted: string): JobRecord {
  const ids = listJobIds(fs, dataDirectory);
  const found = wanted === 'last' ? ids.slice(-1) : ids.filter((id) => id.startsWith(wanted));
  const [only, ...others] = found;
  if (only === undefined || wanted === '') {
    throw new MillraceError(
      'ML_JOB_UNKNOWN',
      wanted === 'last'
        ? `no job has been run with the data directory ${dataDirectory}`
        : `there is no job '${wanted}' in ${dataDirectory}`,
      { fields: { job: wanted, path: dataDirectory } },
    );
  }
  if (others.length > 0) {
    throw new MillraceError(
      'ML_JOB_UNKNOWN',
      `'${wanted}' may be ${found.length} jobs: ${found.slice(-5).join(', ')}`,
      { hint: 'Give more of the id', fields: { job: wanted } },
    );
  }
  return readJob(fs, dataDirectory, only);
}

/**
 * Removes what jobs have left that were killed, and the records of the oldest ones. Other jobs that run are not touched, nor is one
 * that may be running on another machine.
 */
export async function tidyJobs(fs: FileSystem, dataDirectory: string, own: string): Promise<void> {
  const ids = listJobIds(fs, dataDirectory).filter((id) => id !== own);
  const old = new Set(ids.slice(0, Math.max(0, ids.length - (JOBS_KEPT - 1))));
  for (const id of ids) {
    const path = `${dataDirectory}/jobs/${id}`;
    const hasRecord = fs.stat(`${path}/job.json`) !== undefined;
    const hasTemporary = fs.stat(`${path}/tmp`) !== undefined;
    if (!hasTemporary && hasRecord && !old.has(id)) continue;
    const record = readRecord(fs, `${path}/job.json`);
    if (hasRecord ? hasEnded(record) : isOlderThan(id, own)) {
      await fs.removeDirectory(old.has(id) || !hasRecord ? path : `${path}/tmp`);
    }
  }
}

/** Also one whose record is damaged: records are replaced, never half written, as long as the power stays. */
function hasEnded(summary: JobSummary | undefined): boolean {
  return summary === undefined || summary.status !== 'running' || !isAlive(summary.process);
}

/** A job writes its record within moments of making its directory: one that is much older has died in between. */
function isOlderThan(id: string, own: string): boolean {
  return timeOf(own) - timeOf(id) > STARTING_MS;
}

function timeOf(id: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)/.exec(id)?.map(Number) ?? [];
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

function readRecord(fs: FileSystem, path: string): JobSummary | undefined {
  let text: string;
  try {
    text = readWholeFile(fs, path, JOB_RECORD_BYTES_MAX).toString('utf8');
  } catch (error) {
    if (error instanceof MillraceError) return undefined;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    return isSummary(value) ? value : undefined;
  } catch {
    // A power cut may leave any bytes.
    return undefined;
  }
}

/** What `job.json` must have to be shown; the rest is taken on trust. */
function isSummary(value: unknown): value is JobSummary {
  if (typeof value !== 'object' || value === null) return false;
  const { id, status, stages, process } = value as Partial<JobSummary>;
  return (
    typeof id === 'string' &&
    typeof status === 'string' &&
    Array.isArray(stages) &&
    typeof process === 'object'
  );
}
