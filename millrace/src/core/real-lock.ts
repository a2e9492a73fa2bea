/**
 * One process per directory. Node has no file locks, but SQLite inside Node takes them: an exclusive transaction on
 * an empty database holds an advisory lock of the operating system, which the kernel frees when the process ends,
 * also by `kill -9`. Two opens in one process conflict as well, because SQLite counts its own locks per file.
 *
 * NOTE: POSIX frees such a lock when the process closes ANY descriptor of `lock.db`: nothing else may open that file.
 * Source: sqlite.org/lockingv3.html, fcntl(2).
 */

import * as nodeFs from 'node:fs';
import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import type { LockHolder } from './directory-lock.ts';
import { LOCK_DESCRIPTION_FILE, lockedError, parseLockHolder } from './directory-lock.ts';
import type { DirectoryLock } from './env.ts';
import { MillraceError } from './errors.ts';
import { errnoName, systemError } from './system-error.ts';

/** A database that nothing refers to is closed when memory is collected, and its lock is free then. */
const held = new Set<DatabaseSync>();

const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;
const SQLITE_NOT_A_DATABASE = 26;

export function lockDirectory(path: string): DirectoryLock {
  const database = openLocked(path);
  const descriptionPath = `${path}/${LOCK_DESCRIPTION_FILE}`;
  try {
    describe(descriptionPath);
  } catch (error) {
    // The description only serves an error message: a full disk must not keep Millrace from starting.
    nodeFs.rmSync(`${descriptionPath}.new`, { force: true });
    nodeFs.rmSync(descriptionPath, { force: true });
    const failure = systemError(error, `write ${descriptionPath}`, undefined, { path });
    if (failure.code !== 'ML_DISK_FULL') {
      database.close();
      throw failure;
    }
  }
  held.add(database);
  return {
    release: () => {
      if (!held.delete(database)) return;
      // The description goes first: without the lock it might already be another process's.
      nodeFs.rmSync(descriptionPath, { force: true });
      database.close();
    },
  };
}

function openLocked(path: string): DatabaseSync {
  const lockPath = `${path}/lock.db`;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(lockPath, { timeout: 0 });
    // Without a journal file nothing is written, so that a full disk does not matter.
    database.exec('PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const code = sqliteCode(error);
    if (code === SQLITE_BUSY) throw lockedError(path, readHolder(path));
    if (code === SQLITE_NOT_A_DATABASE)
      throw new MillraceError('ML_IO', `${lockPath} is damaged`, {
        cause: error,
        hint: `No data is in that file: \`rm ${lockPath}\``,
        fields: { path: lockPath },
      });
    throw (
      accessError(lockPath) ??
      systemError(error, `lock ${lockPath}`, code === SQLITE_FULL ? 'ML_DISK_FULL' : 'ML_IO', {
        path: lockPath,
      })
    );
  }
}

/** SQLite says only that it cannot open a file: the operating system knows why. */
function accessError(lockPath: string): MillraceError | undefined {
  const { F_OK, R_OK, W_OK } = nodeFs.constants;
  const directory = lockPath.slice(0, lockPath.lastIndexOf('/'));
  try {
    nodeFs.accessSync(directory, R_OK | W_OK);
    if (nodeFs.existsSync(lockPath)) nodeFs.accessSync(lockPath, F_OK | R_OK | W_OK);
    return undefined;
  } catch (error) {
    return systemError(error, `lock ${directory}`, undefined, { path: directory });
  }
}

/** Written under the lock; replaced by rename so that a reader sees a whole one. */
function describe(descriptionPath: string): void {
  const holder: LockHolder = {
    pid: process.pid,
    host: hostname(),
    startedAt: new Date().toISOString(),
  };
  nodeFs.writeFileSync(`${descriptionPath}.new`, `${JSON.stringify(holder)}\n`, { mode: 0o640 });
  nodeFs.renameSync(`${descriptionPath}.new`, descriptionPath);
}

function readHolder(path: string): LockHolder | undefined {
  try {
    return parseLockHolder(nodeFs.readFileSync(`${path}/${LOCK_DESCRIPTION_FILE}`, 'utf8'));
  } catch (error) {
    if (errnoName(error) !== undefined) return undefined;
    throw error;
  }
}

function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  // The low byte is the code; what is above makes it an extended one.
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}
