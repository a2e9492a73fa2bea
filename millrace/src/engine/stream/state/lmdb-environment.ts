/** The directory of a task's state: opened by one process at a time, checked, and with errors that name it. */
import type * as Lmdb from 'lmdb';
import type { DirectoryLock, Env } from '../../../core/env.ts';
import { type ErrorCode, MillraceError } from '../../../core/errors.ts';
import { readFully, writeFully } from '../../../core/files.ts';
import { systemError } from '../../../core/system-error.ts';
import { whatIsWrong } from './lmdb-pages.ts';

export type Rows = Lmdb.RootDatabase<Buffer, Buffer>;

export interface LmdbEnvironment {
  readonly path: string;
  readonly rows: Rows;
  readonly lock: DirectoryLock;
}

const DATA_FILE = 'data.mdb';
const PROBE_FILE = 'probe';
const PROBE_BYTES = 64 * 1024;

/**
 * @throws {MillraceError} ML_DIR_LOCKED, ML_TASK_STATE_DAMAGED, ML_PACKAGE_MISSING, ML_DISK_FULL, ML_PERMISSION
 */
export async function openLmdb(env: Env, path: string): Promise<LmdbEnvironment> {
  env.fs.makeDirectory(path);
  const lock = env.fs.lock(path);
  try {
    checkFile(env, path);
    const { open } = await loadLmdb();
    // A write is told when it survives a power cut: nobody waits for it, and a file always holds what its newest page says. Nothing is written but in batches: gathering by turns of the event loop
    // would only add promises that nobody looks at when they are rejected.
    const rows = open<Buffer, Buffer>({
      path,
      keyEncoding: 'binary',
      encoding: 'binary',
      eventTurnBatching: false,
      overlappingSync: false,
    });
    return { path, rows, lock };
  } catch (error) {
    lock.release();
    throw lmdbError(error, `open the state in ${path}`, path);
  }
}

/** What a failed write rejects with. LMDB says EIO when the system takes less than it was given, as a disk does that gets full. */
export async function writeError(
  env: Env,
  error: unknown,
  doing: string,
  path: string,
): Promise<MillraceError> {
  // The error says that there is another, as a promise, which must not stay alone.
  const inner = fieldOf(error, 'commitError');
  const cause: unknown =
    inner instanceof Promise ? await inner.catch((reason: unknown) => reason) : error;
  const known = lmdbError(cause, doing, path);
  return known.code === 'ML_IO' ? ((await noRoom(env, doing, path)) ?? known) : known;
}

/** Why the file cannot grow, if it cannot. */
async function noRoom(env: Env, doing: string, path: string): Promise<MillraceError | undefined> {
  const probePath = `${path}/${PROBE_FILE}`;
  try {
    const at = env.fs.stat(`${path}/${DATA_FILE}`)?.sizeBytes ?? 0;
    const probe = env.fs.open(probePath, 'open');
    try {
      writeFully(probe, Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, at);
    } finally {
      probe.close();
    }
    return undefined;
  } catch (error) {
    const { code, message } = systemError(error, `write ${probePath}`);
    if (code !== 'ML_DISK_FULL') return undefined;
    return new MillraceError(code, `cannot ${doing}: ${message}`, {
      cause: error,
      fields: { path },
      ...NO_ROOM,
    });
  } finally {
    await env.fs.remove(probePath);
  }
}

/** What LMDB has thrown, or rejected with. */
export function lmdbError(error: unknown, doing: string, path: string): MillraceError {
  if (error instanceof MillraceError) return error;
  const causes = [error, fieldOf(error, 'commitError'), fieldOf(error, 'cause')];
  const texts = causes
    .map((cause) => (cause instanceof Error ? cause.message : ''))
    .filter(Boolean);
  const text = texts.join(': ');
  const numbers = causes.map((cause) => fieldOf(cause, 'code'));
  const code = codeOf(text, numbers);
  return new MillraceError(code, `cannot ${doing}: ${text}`, {
    cause: error,
    fields: { path },
    ...(code === 'ML_TASK_STATE_DAMAGED' ? { hint: deleteHint(path) } : {}),
    ...(code === 'ML_DISK_FULL' ? NO_ROOM : {}),
  });
}

export function stateDamaged(path: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError('ML_TASK_STATE_DAMAGED', `the state in ${path} is damaged: ${what}`, {
    fields: { path },
    hint: deleteHint(path),
    cause,
  });
}

function deleteHint(path: string): string {
  return `Delete the directory: \`rm -r ${path}\`. The changelog topics restore all of it at the next start`;
}

/** What could not be written is not written again while the flow runs: state in memory would grow. */
const NO_ROOM = {
  retriable: false,
  hint: '`df -h` on the directory shows the device: make room there, or move the directory with --data; then start the flow again, which goes on where it was',
};

/** Errors of LMDB are below 0, those of the system are its errno. */
const CODES: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  [1, 'ML_PERMISSION'],
  [13, 'ML_PERMISSION'],
  [23, 'ML_TOO_MANY_FILES'],
  [24, 'ML_TOO_MANY_FILES'],
  [27, 'ML_DISK_FULL'],
  [28, 'ML_DISK_FULL'],
  [30, 'ML_READ_ONLY'],
  [122, 'ML_DISK_FULL'],
]);
const DAMAGED = /MDB_(?:PAGE_NOTFOUND|CORRUPTED|PANIC|VERSION_MISMATCH|INVALID)/;

function codeOf(text: string, code: unknown): ErrorCode {
  return CODES.get(code) ?? (DAMAGED.test(text) ? 'ML_TASK_STATE_DAMAGED' : 'ML_IO');
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

async function loadLmdb(): Promise<typeof Lmdb> {
  try {
    return await import('lmdb');
  } catch (error) {
    throw new MillraceError(
      'ML_PACKAGE_MISSING',
      'state on disk needs the package lmdb, which cannot be loaded',
      {
        cause: error,
        hint: '`npm install lmdb`; or keep state in memory',
      },
    );
  }
}

function checkFile(env: Env, path: string): void {
  const filePath = `${path}/${DATA_FILE}`;
  const stat = env.fs.stat(filePath);
  if (stat === undefined || stat.sizeBytes === 0) return;
  const file = env.fs.open(filePath, 'read');
  try {
    const wrong = whatIsWrong((at, bytes) => {
      const buffer = Buffer.allocUnsafe(bytes);
      return readFully(file, buffer, 0, bytes, at) === bytes ? buffer : undefined;
    }, stat.sizeBytes);
    if (wrong !== undefined) throw stateDamaged(path, `${DATA_FILE} ${wrong}`);
  } finally {
    file.close();
  }
}
