/**
 * What a process keeps beside the state of its tasks: of which life of the flow that is, how old it may be, and which tasks it had.
 *
 *   <slot>/epoch            {"epoch": "…", "usedMs": 1764150000000}
 *   <slot>/worker-0/tasks   [[stage, partition], …]
 *
 * Local state saves reading changelogs, and no more: whatever is doubtful about it, it is deleted. It is, when the flow was reset elsewhere
 * meanwhile, and when it was not used for so long that a changelog may have forgotten what was deleted (tombstones are kept for a day).
 */
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile, replaceFile, writeFully } from '../../../core/files.ts';
import { STREAM_STATE_AGE_MS } from '../../../core/stream-limits.ts';
import type { TaskId } from '../topology.ts';

const EPOCH_FILE = 'epoch';
const TASKS_FILE = 'tasks';
const WORKER = /^worker-(\d+)$/;

/**
 * Makes the directory one of this epoch: deletes state of another one, or that is too old, and of workers that there are no more.
 * @param workers how many there are
 */
export async function adoptEpoch(
  env: Env,
  directory: string,
  epoch: string,
  workers: number,
): Promise<void> {
  const known = readJson(env, `${directory}/${EPOCH_FILE}`);
  const age = env.clock.nowMs() - numberOf(known, 'usedMs');
  const isFresh = numberOf(known, 'usedMs') > 0 && age < STREAM_STATE_AGE_MS;
  const isGood = textOf(known, 'epoch') === epoch && isFresh;
  for (const name of env.fs.list(directory)) {
    const worker = WORKER.exec(name)?.[1];
    if (worker === undefined || (isGood && Number(worker) < workers)) continue;
    await env.fs.removeDirectory(`${directory}/${name}`);
  }
  await markUsed(env, directory, epoch);
}

/** Says that the state is in use now. */
export async function markUsed(env: Env, directory: string, epoch: string): Promise<void> {
  const text = JSON.stringify({ epoch, usedMs: env.clock.nowMs() });
  await replaceFile(env.fs, `${directory}/${EPOCH_FILE}`, Buffer.from(`${text}\n`));
}

/** The tasks whose state a worker has kept: it asks for them first. */
export function readClaims(env: Env, directory: string): TaskId[] {
  const value = readJson(env, `${directory}/${TASKS_FILE}`);
  if (!Array.isArray(value)) return [];
  return value.flatMap((pair: unknown): TaskId[] => {
    if (!Array.isArray(pair)) return [];
    const [stage, partition] = pair as readonly unknown[];
    return typeof stage === 'number' && typeof partition === 'number' ? [{ stage, partition }] : [];
  });
}

/** Not synced: a hint that is lost, torn, or finds no room on the disk, is no hint. */
export function saveClaims(env: Env, directory: string, tasks: readonly TaskId[]): void {
  const text = JSON.stringify(tasks.map(({ stage, partition }) => [stage, partition]));
  try {
    const file = env.fs.open(`${directory}/${TASKS_FILE}`, 'open');
    try {
      file.truncate(0);
      writeFully(file, Buffer.from(text), 0, Buffer.byteLength(text), 0);
    } finally {
      file.close();
    }
  } catch (error) {
    // Tasks go where there is no state of theirs, then: a restore that takes longer, and nothing else.
    if (!(error instanceof MillraceError)) throw error;
  }
}

/** undefined: it is not there, or not whole. */
function readJson(env: Env, path: string): unknown {
  if (env.fs.stat(path) === undefined) return undefined;
  try {
    return JSON.parse(readWholeFile(env.fs, path).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : undefined;
}

function numberOf(value: unknown, name: string): number {
  const field = fieldOf(value, name);
  return typeof field === 'number' ? field : 0;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
