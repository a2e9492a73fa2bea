/**
 * What the lock of a data directory says of its holder: the content of `lock.json` and the error made from it, the
 * same on a real and a simulated machine.
 */

import type { FileSystem } from './env.ts';
import { MillraceError } from './errors.ts';
import { readWholeFile, replaceFileUnsynced } from './files.ts';

/** NOTE: read by people and scripts. The lock itself is the system's; this file only explains it. */
export const LOCK_DESCRIPTION_FILE = 'lock.json';

export interface LockHolder {
  /** Process id. */
  readonly pid: number;
  readonly host: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** `host:port` where Kafka clients reach it; undefined: nowhere, or not yet. */
  readonly kafka?: string;
}

/**
 * Adds the port to the description, for who has the lock. It goes with the lock. It only serves an error message, and need not survive
 * anything.
 */
export function describeKafka(fs: FileSystem, directory: string, kafka: string): void {
  const path = `${directory}/${LOCK_DESCRIPTION_FILE}`;
  if (fs.stat(path) === undefined) return;
  const holder = parseLockHolder(readWholeFile(fs, path).toString('utf8'));
  if (holder === undefined) return;
  const bytes = Buffer.from(`${JSON.stringify({ ...holder, kafka })}\n`);
  replaceFileUnsynced(fs, path, bytes);
}

/** @param holder undefined when it has not described itself (yet) */
export function lockedError(path: string, holder: LockHolder | undefined): MillraceError {
  if (holder === undefined)
    return new MillraceError(
      'ML_DIR_LOCKED',
      `the data directory ${path} is in use by another process`,
      {
        hint: `\`fuser -v ${path}/lock.db\` shows the process: stop it, or choose another directory`,
        fields: { path },
      },
    );
  const { pid, host, startedAt, kafka } = holder;
  return new MillraceError(
    'ML_DIR_LOCKED',
    `the data directory ${path} is in use by process ${pid} on ${host}, started at ${startedAt}`,
    {
      hint: `Stop that process (\`kill ${pid}\` on ${host}), or choose another directory`,
      fields: { path, pid, host, startedAt, ...(kafka === undefined ? {} : { kafka }) },
    },
  );
}

/** undefined unless `text` is a whole description: it may be read while it is being written. */
export function parseLockHolder(text: string): LockHolder | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, host, startedAt, kafka } = value as Partial<Record<string, unknown>>;
  if (typeof pid !== 'number' || typeof host !== 'string' || typeof startedAt !== 'string')
    return undefined;
  return { pid, host, startedAt, ...(typeof kafka === 'string' ? { kafka } : {}) };
}
