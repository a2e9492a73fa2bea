/**
 * How the outputs of a job take their places, so that all of them do or none: the record of the decision, the swaps, and
 * what the next one who comes does with a job that died. The job's side is `engine/batch/commit/commit.ts`.
 *
 * ```
 * out.ndjson               a file, or
 * out -> .out.millrace/v-T a link to a version
 * .out.millrace/           staging: beside the output, so on its device
 *   lock.db, lock.json     held by the job that writes to `out`
 *   job.json               who that is, and which staging is its coordinator
 *   commit.json            coordinator only: the decision, all swaps of all outputs
 *   job-T/                 attempts, and `new`: what will be renamed to `out`
 *   v-T/                   a version of a directory; the one that `out` leads to stays
 * ```
 *
 * Invariant: no output changes before `commit.json` is durable, and all it names was durable before it was. Whoever finds it,
 * with the lock of a dead job in hand, carries the swaps out; each can be repeated: it is done when its `from` is gone.
 * docs/decisions/output-commit.md says why.
 */
import { basename, relative, resolve } from 'node:path';
import type { DirectoryLock, Env, FileSystem } from './env.ts';
import { MillraceError } from './errors.ts';
import { directoryOf, readWholeFile, replaceFile } from './files.ts';
import { STAGING_LOCK_ATTEMPTS } from './limits.ts';

/** Beside the parts of a directory: which they are. NOTE: persistent format, and a public name: readers of a directory go by it. */
export const MANIFEST_FILE = '_manifest.json';
/** NOTE: persistent format: names and fields of these files are read by other versions. */
const FORMAT = 1;
const NOTE_FILE = 'job.json';
const DECISION_FILE = 'commit.json';
const LOCK_FILES: ReadonlySet<string> = new Set(['lock.db', 'lock.json']);
const VERSION_PREFIX = 'v-';

/** Who holds a staging directory. */
export interface JobNote {
  readonly jobId: string;
  /** Unique among all jobs: part of the names of all that the job makes. */
  readonly token: string;
  /** Staging directory where the decision is, absolute. */
  readonly coordinator: string;
  readonly pid: number;
  readonly startedMs: number;
}

/** One output takes its place. */
export interface Swap {
  /** Where it will be. */
  readonly path: string;
  /** A file or a link in the staging directory of `path`. */
  readonly from: string;
  /** Where a directory that is in the way goes. */
  readonly aside: string;
}

export interface Decision {
  readonly jobId: string;
  readonly token: string;
  readonly swaps: readonly Swap[];
}

/** The staging directory of an output. */
export function stagingOf(path: string): string {
  const parent = directoryOf(path);
  return `${parent === '/' ? '' : parent}/.${basename(path)}.millrace`;
}

/** The directory of a version; the link that leads to it says `linkTo` it. */
export function versionPath(staging: string, token: string): string {
  return `${staging}/${VERSION_PREFIX}${token}`;
}

export function linkTo(version: string): string {
  return `${basename(directoryOf(version))}/${basename(version)}`;
}

/** Whether the link at `path` is one of ours: then the name of the version that it leads to. */
export function liveVersion(fs: FileSystem, path: string): string | undefined {
  const prefix = `${basename(stagingOf(path))}/`;
  const target = fs.readLink(path);
  return target?.startsWith(prefix) === true ? target.slice(prefix.length) : undefined;
}

export function isThere(fs: FileSystem, path: string): boolean {
  return fs.readLink(path) !== undefined || fs.stat(path) !== undefined;
}

/**
 * Makes the staging directory of `path` and takes its lock.
 * @throws {MillraceError} ML_COMMIT_BUSY, naming the job; ML_PERMISSION, ML_READ_ONLY, …
 */
export function lockStaging(fs: FileSystem, path: string): DirectoryLock {
  const staging = stagingOf(path);
  for (let attempt = 0; attempt < STAGING_LOCK_ATTEMPTS; attempt++) {
    fs.publishDirectory(staging);
    const before = fs.stat(staging);
    const lock = tryLock(fs, path, staging);
    if (lock === undefined) continue;
    // The job before may have taken the directory away in between: then this is the lock of one that is gone.
    const after = fs.stat(staging);
    if (after !== undefined && before?.inode === after.inode && before.device === after.device)
      return lock;
    lock.release();
  }
  throw new MillraceError('ML_COMMIT_BUSY', `other jobs write to ${path} all the time`, {
    fields: { path },
  });
}

/** Durable when it resolves: without it a decision elsewhere could not be found from here. */
export async function writeNote(fs: FileSystem, staging: string, note: JobNote): Promise<void> {
  const coordinator = relative(staging, note.coordinator);
  await replaceFile(fs, `${staging}/${NOTE_FILE}`, json({ format: FORMAT, ...note, coordinator }));
}

/** The decision: when it resolves the job is committed. */
export async function writeDecision(
  fs: FileSystem,
  coordinator: string,
  decision: Decision,
): Promise<void> {
  // Relative, so that a directory that is moved as a whole can still be finished.
  const swaps = decision.swaps.map(({ path, from, aside }) => ({
    path: relative(coordinator, path),
    from: relative(coordinator, from),
    aside: relative(coordinator, aside),
  }));
  await replaceFile(
    fs,
    `${coordinator}/${DECISION_FILE}`,
    json({ format: FORMAT, ...decision, swaps }),
  );
}

/** Takes back a decision that could not be made durable. When it resolves there is none. */
export async function withdrawDecision(fs: FileSystem, coordinator: string): Promise<void> {
  await fs.remove(`${coordinator}/${DECISION_FILE}`);
  await fs.syncDirectory(coordinator);
}

/** Carries out what was decided. Can be repeated, and be begun by another process. */
export async function rollForward(
  fs: FileSystem,
  coordinator: string,
  decision: Decision,
): Promise<void> {
  // After a kill the record may be there without being durable: no output may change before it is.
  await fs.syncDirectory(coordinator);
  for (const swap of decision.swaps) await carryOut(fs, swap);
  for (const parent of new Set(decision.swaps.map((swap) => directoryOf(swap.path))))
    await fs.syncDirectory(parent);
  await withdrawDecision(fs, coordinator);
}

/**
 * Finishes the job whose note is in the staging directory of `path`, if it was decided. The caller holds the lock there, and
 * those of `heldPaths`; locks of other outputs of that job are taken meanwhile.
 */
export async function recoverStaging(
  fs: FileSystem,
  path: string,
  heldPaths: ReadonlySet<string>,
): Promise<void> {
  const found = findDecision(fs, stagingOf(path));
  if (found === undefined) return;
  const others = found.decision.swaps.map((swap) => swap.path);
  const locks = new Map<string, DirectoryLock>();
  try {
    for (const other of others)
      if (other !== path && !heldPaths.has(other)) locks.set(other, lockStaging(fs, other));
    // Somebody else may have finished it before the locks were ours.
    const { decision, coordinator } = findDecision(fs, stagingOf(path)) ?? {};
    if (decision !== undefined && coordinator !== undefined)
      await rollForward(fs, coordinator, decision);
    for (const other of locks.keys()) await disposeStaging(fs, other);
  } finally {
    for (const lock of locks.values()) lock.release();
  }
}

/**
 * Finishes the commit of a job that died after it was decided: for those who read `path` and must not see outputs of one job
 * in different versions. Costs one look when there is nothing to do. Does nothing while the job lives: it does it itself.
 * @param path of an output, absolute
 * @throws {MillraceError} ML_PERMISSION, ML_READ_ONLY, … when it cannot be finished
 */
export async function recoverOutput(env: Env, path: string): Promise<void> {
  const { fs } = env;
  if (path === '/' || findDecision(fs, stagingOf(path)) === undefined) return;
  let lock: DirectoryLock;
  try {
    lock = lockStaging(fs, path);
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_COMMIT_BUSY') return;
    throw error;
  }
  try {
    await recoverStaging(fs, path, new Set());
    await disposeStaging(fs, path);
  } finally {
    lock.release();
  }
}

/** Removes all that dead jobs have left, but not the live version, and nothing of a job that is decided and not finished.
 * The caller holds the lock. */
export async function cleanStaging(fs: FileSystem, path: string): Promise<void> {
  const staging = stagingOf(path);
  if (findDecision(fs, staging) !== undefined) return;
  const live = liveVersion(fs, path);
  await fs.removeDirectory(`${staging}.gone`);
  for (const name of fs.list(staging))
    if (name !== live && !LOCK_FILES.has(name)) await fs.removeDirectory(`${staging}/${name}`);
}

/** As `cleanStaging`, and removes the directory itself when no live version is in it. The caller still holds the lock. */
export async function disposeStaging(fs: FileSystem, path: string): Promise<void> {
  const staging = stagingOf(path);
  await cleanStaging(fs, path);
  if (liveVersion(fs, path) !== undefined || fs.stat(staging) === undefined) return;
  if (findDecision(fs, staging) !== undefined) return;
  // Renamed first: nobody who comes now may take the lock in a directory that is being removed.
  fs.rename(staging, `${staging}.gone`);
  await fs.removeDirectory(`${staging}.gone`);
}

async function carryOut(fs: FileSystem, { path, from, aside }: Swap): Promise<void> {
  if (!isThere(fs, from)) return;
  if (fs.readLink(path) === undefined && fs.stat(path)?.kind === 'directory') {
    // The one step that is not atomic: a directory that no job of ours has made cannot be replaced by a rename.
    await fs.removeDirectory(aside);
    fs.rename(path, aside);
    await fs.syncDirectory(directoryOf(path));
  }
  fs.rename(from, path);
}

function tryLock(fs: FileSystem, path: string, staging: string): DirectoryLock | undefined {
  try {
    return fs.lock(staging);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code === 'ML_FILE_NOT_FOUND') return undefined;
    if (error.code === 'ML_DIR_LOCKED') throw busyError(fs, path, error);
    throw error;
  }
}

function busyError(fs: FileSystem, path: string, cause: MillraceError): MillraceError {
  const note = readNote(fs, stagingOf(path));
  const pid = note?.pid ?? cause.fields['pid'];
  const since = note === undefined ? '' : ` since ${new Date(note.startedMs).toISOString()}`;
  const job = note === undefined ? 'another job' : `job ${note.jobId}`;
  const who = pid === undefined ? job : `${job} (process ${pid})`;
  return new MillraceError('ML_COMMIT_BUSY', `${who} is writing to ${path}${since}`, {
    cause,
    fields: { path, ...(note === undefined ? {} : { job: note.jobId, pid: note.pid }) },
  });
}

/** The decision of the job whose note is in `staging`, while it is not carried out. */
function findDecision(
  fs: FileSystem,
  staging: string,
): { readonly coordinator: string; readonly decision: Decision } | undefined {
  const note = readNote(fs, staging);
  if (note === undefined) return undefined;
  const { coordinator } = note;
  const decision = readDecision(fs, coordinator);
  return decision?.token === note.token ? { coordinator, decision } : undefined;
}

function readNote(fs: FileSystem, staging: string): JobNote | undefined {
  const value = readJson(fs, `${staging}/${NOTE_FILE}`);
  if (value === undefined) return undefined;
  const { jobId, token, coordinator, pid, startedMs } = value;
  if (typeof jobId !== 'string' || typeof token !== 'string' || typeof coordinator !== 'string')
    return undefined;
  if (typeof pid !== 'number' || typeof startedMs !== 'number') return undefined;
  return { jobId, token, coordinator: resolve(staging, coordinator), pid, startedMs };
}

function readDecision(fs: FileSystem, coordinator: string): Decision | undefined {
  const path = `${coordinator}/${DECISION_FILE}`;
  const value = readJson(fs, path);
  if (value === undefined) return undefined;
  const { jobId, token, swaps } = value;
  const isWhole = typeof jobId === 'string' && typeof token === 'string' && Array.isArray(swaps);
  if (!isWhole) throw damaged(path);
  return { jobId, token, swaps: swaps.map((swap) => readSwap(swap, coordinator, path)) };
}

function readSwap(value: unknown, coordinator: string, recordPath: string): Swap {
  if (typeof value !== 'object' || value === null) throw damaged(recordPath);
  const { path, from, aside } = value as Partial<Record<string, unknown>>;
  if (typeof path !== 'string' || typeof from !== 'string' || typeof aside !== 'string')
    throw damaged(recordPath);
  return {
    path: resolve(coordinator, path),
    from: resolve(coordinator, from),
    aside: resolve(coordinator, aside),
  };
}

/** undefined when the file is not there. */
function readJson(fs: FileSystem, path: string): Record<string, unknown> | undefined {
  if (fs.stat(path)?.kind !== 'file') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readWholeFile(fs, path).toString());
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_FILE_NOT_FOUND') return undefined;
    if (error instanceof SyntaxError) throw damaged(path);
    throw error;
  }
  if (typeof value !== 'object' || value === null) throw damaged(path);
  const record = value as Record<string, unknown>;
  if (record['format'] !== FORMAT)
    throw new MillraceError('ML_DATA_NEWER', `${path} is of a format that this version lacks`, {
      fields: { path },
    });
  return record;
}

/** These files are replaced as a whole and synced before anything relies on them: what is not whole was changed by others. */
function damaged(path: string): MillraceError {
  return new MillraceError('ML_IO', `${path} is damaged`, {
    hint: 'The job that wrote it died: remove the file, look at the outputs beside it, then run the job again',
    fields: { path },
  });
}

function json(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
