/** Waits for files to change, by looking at them: it works on every file system, also for files that are replaced or not there yet. */
import type { Env, FileSystem } from './env.ts';

const INTERVAL_MS = 200;

/** What the files looked like. Taken before they are read, so that no change in between is missed. */
export type FileMarks = ReadonlyMap<string, string>;

export function markFiles(fs: FileSystem, paths: Iterable<string>): FileMarks {
  return new Map([...paths].map((path) => [path, markOf(fs, path)]));
}

/**
 * Resolves with the path of a file that looks different from its mark, at once or later.
 * @throws {MillraceError} ML_ABORTED when the signal fires
 */
export async function whenChanged(
  env: Env,
  marks: FileMarks,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    for (const [path, mark] of marks) if (markOf(env.fs, path) !== mark) return path;
    await env.timers.sleep(INTERVAL_MS, signal);
  }
}

function markOf(fs: FileSystem, path: string): string {
  const stat = fs.stat(path);
  return stat === undefined ? '' : `${stat.inode} ${stat.sizeBytes} ${stat.modifiedMs}`;
}
