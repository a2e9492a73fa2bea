/**
 * What the lock of a data directory says of its holder: the content of `lock.json` and the error made from it, the
 * same on a real and a simulated machine.
 */

import { MillraceError } from './errors.ts';

/** NOTE: read by people and scripts. The lock itself is the system's; this file only explains it. */
export const LOCK_DESCRIPTION_FILE = 'lock.json';

export interface LockHolder {
  /** Process id. */
  readonly pid: number;
  readonly host: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
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
  const { pid, host, startedAt } = holder;
  return new MillraceError(
    'ML_DIR_LOCKED',
    `the data directory ${path} is in use by process ${pid} on ${host}, started at ${startedAt}`,
    {
      hint: `Stop that process (\`kill ${pid}\` on ${host}), or choose another directory`,
      fields: { path, pid, host, startedAt },
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
  const { pid, host, startedAt } = value as Partial<Record<string, unknown>>;
  if (typeof pid !== 'number' || typeof host !== 'string' || typeof startedAt !== 'string')
    return undefined;
  return { pid, host, startedAt };
}
