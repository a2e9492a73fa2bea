/**
 * Filling a file with zeros, so that its blocks are ours. Done in pieces with a pause in between: commits that wait for the
 * same device must not notice.
 */
import type { Env, File } from '../core/env.ts';
import { writeManyFullyAsync } from '../core/files.ts';
import { PREALLOCATE_PAUSE_MS } from '../core/limits.ts';

const ZEROS = Buffer.alloc(1024 * 1024);

/**
 * Writes zeros from 0 to `bytes`, each piece synced before the next. Returns false when `isStopped` has ended it early.
 * @throws {MillraceError} ML_DISK_FULL, ML_FSYNC_FAILED
 */
export async function preallocate(
  env: Env,
  file: File,
  bytes: number,
  isStopped: () => boolean,
): Promise<boolean> {
  for (let position = 0; position < bytes; position += ZEROS.length) {
    if (isStopped()) return false;
    const piece = ZEROS.subarray(0, Math.min(ZEROS.length, bytes - position));
    await writeManyFullyAsync(file, [piece], position);
    await file.sync();
    await env.timers.sleep(PREALLOCATE_PAUSE_MS);
  }
  return true;
}
