/** The directory of jobs on a real disk: ids, records, what is tidied up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { JOBS_KEPT } from '../../../core/limits.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../../../core/processes.ts';
import { realEnv } from '../../../core/real-env.ts';
import { findJob, JobDirectory, listJobIds, newJobId, readJob, tidyJobs } from './job-directory.ts';
import type { JobSummary } from './job-summary.ts';

const env = realEnv();
let data: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'millrace-jobs-'));
});

afterEach(async () => {
  await rm(data, { recursive: true, force: true });
});

function summary(id: string, changes: Partial<JobSummary> = {}): JobSummary {
  return {
    id,
    status: 'running',
    flow: 'f',
    program: '/p.ts',
    directory: '/',
    process: ownIdentity(),
    startedAt: '2026-01-01T00:00:00.000Z',
    elapsedMs: 1,
    parameters: {},
    fingerprint: '00',
    workers: 0,
    memoryBytes: 1,
    plan: '',
    stages: [],
    exchanges: [],
    counters: {},
    outputs: [],
    skippedRecords: 0,
    retries: 0,
    workersLost: 0,
    inputBytes: 0,
    residentBytesMax: 0,
    cpuMs: 0,
    error: null,
    ...changes,
  };
}

/** A process that has ended. */
async function deadProcess(): Promise<ProcessIdentity> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  return { ...ownIdentity(), pid: child.pid ?? 0 };
}

function job(changes: Partial<JobSummary> = {}): JobDirectory {
  const directory = new JobDirectory(env, data);
  directory.record(summary(directory.id, changes));
  directory.makeTemporary();
  return directory;
}

/** A job of another day, with temporary files. */
async function oldJob(id: string, record: JobSummary | undefined): Promise<string> {
  const path = join(data, 'jobs', id);
  await mkdir(join(path, 'tmp/stage-0'), { recursive: true });
  await writeFile(join(path, 'tmp/stage-0/run-1'), 'x');
  if (record !== undefined) await writeFile(join(path, 'job.json'), JSON.stringify(record));
  return path;
}

test('ids sort by time and are told apart within a millisecond', () => {
  let nowMs = Date.UTC(2026, 10, 26, 11, 5, 12, 123);
  const clocked = { ...env, clock: { ...env.clock, nowMs: () => nowMs } };
  const first = newJobId(clocked);
  expect(first).toMatch(/^20261126-110512123-[0-9a-z]{3}$/);
  nowMs += 1;
  expect(newJobId(clocked) > first).toBe(true);
});

test('a record is replaced and read', () => {
  const directory = job();
  expect(readJob(env.fs, data, directory.id)).toMatchObject({ status: 'running' });
  directory.record(summary(directory.id, { status: 'succeeded' }));
  expect(findJob(env.fs, data, 'last')).toMatchObject({ id: directory.id, status: 'succeeded' });
  expect(findJob(env.fs, data, directory.id.slice(0, -1)).id).toBe(directory.id);
});

test('jobs that there are not', () => {
  expect(() => findJob(env.fs, data, 'last')).toThrow(/no job has been run/);
  job();
  expect(() => findJob(env.fs, data, '1999')).toThrow(/there is no job '1999'/);
  job();
  expect(() => findJob(env.fs, data, '2')).toThrow(/may be 2 jobs/);
});

test('a damaged record is a job of which nothing is known', async () => {
  const directory = job();
  await truncate(join(directory.path, 'job.json'), 10);
  expect(readJob(env.fs, data, directory.id)).toMatchObject({ status: 'lost', summary: undefined });
  await writeFile(join(directory.path, 'job.json'), '{"id":1}');
  expect(readJob(env.fs, data, directory.id)).toMatchObject({ status: 'lost', summary: undefined });
});

test('a job whose process has ended without a word is lost', async () => {
  const directory = job({ process: await deadProcess() });
  expect(readJob(env.fs, data, directory.id).status).toBe('lost');
});

test('a process is known by its start, not only by its number', async () => {
  const own = ownIdentity();
  expect(isAlive(own)).toBe(true);
  if (own.started !== '') expect(isAlive({ ...own, started: '1' })).toBe(false);
  expect(isAlive(await deadProcess())).toBe(false);
  expect(isAlive({ ...(await deadProcess()), host: 'another' })).toBe(true);
});

test('what dead jobs have left goes, what living ones need stays', async () => {
  const dead = await deadProcess();
  const lost = await oldJob('20250101-000000000-aaa', summary('', { process: dead }));
  const living = await oldJob('20250101-000000000-aab', summary(''));
  const ended = await oldJob('20250101-000000000-aac', summary('', { status: 'failed' }));
  const damaged = await oldJob('20250101-000000000-aad', undefined);
  await writeFile(join(damaged, 'job.json'), '{');
  const silent = await oldJob('20250101-000000000-aae', undefined);
  await writeFile(join(data, 'jobs', 'notes.txt'), 'not ours');
  const own = job();
  await tidyJobs(env.fs, data, own.id);
  const jobs = [lost, living, ended, damaged, silent];
  const left = jobs.map((path) => existsSync(join(path, 'tmp')));
  expect(left).toEqual([false, true, false, false, false]);
  expect(existsSync(silent)).toBe(false);
  expect(existsSync(join(lost, 'job.json'))).toBe(true);
  expect(existsSync(own.temporary)).toBe(true);
  expect(existsSync(join(data, 'jobs', 'notes.txt'))).toBe(true);
});

test('a job that has just made its directory is not taken for a dead one', async () => {
  const starting = new JobDirectory(env, data);
  const own = job();
  await tidyJobs(env.fs, data, own.id);
  expect(existsSync(starting.path)).toBe(true);
});

test('the newest records are kept', async () => {
  for (let count = 0; count < JOBS_KEPT + 5; count++) {
    const id = `20250101-0000${String(count).padStart(5, '0')}-aaa`;
    await oldJob(id, summary(id, { status: 'succeeded' }));
  }
  const own = job();
  await tidyJobs(env.fs, data, own.id);
  const ids = listJobIds(env.fs, data);
  expect(ids).toHaveLength(JOBS_KEPT);
  expect(ids[0]).toBe('20250101-000000006-aaa');
  expect(await readdir(join(data, 'jobs'))).toHaveLength(JOBS_KEPT);
});
