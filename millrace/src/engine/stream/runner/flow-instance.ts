/**
 * Which process this is, for a flow: the same after a restart, so that it takes the place it had at once, and ends what its predecessor
 * had open.
 *
 *   <data>/flows/<flow>/<slot>/instance   {"id": "3f9a01c2"}
 *                              lock.db    held as long as the process runs
 *                              worker-0/  state of the tasks of the first worker, and so on
 *
 * A second process with the same directory takes the next slot.
 */
import type { DirectoryLock, Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile, replaceFile } from '../../../core/files.ts';
import { STREAM_INSTANCES_MAX } from '../../../core/stream-limits.ts';

const ID_BYTES = 4;
const INSTANCE_FILE = 'instance';

export interface FlowInstance {
  readonly id: string;
  /** Of this process alone, until `release`. */
  readonly directory: string;
  release(): void;
}

/** @param dataDirectory absolute; what a flow keeps is in `flows/<flow>` of it */
export function flowDirectory(dataDirectory: string, flow: string): string {
  return `${dataDirectory}/flows/${flow}`;
}

/** @throws {MillraceError} ML_DIR_LOCKED when there are more processes than may share the directory */
export async function openInstance(
  env: Env,
  dataDirectory: string,
  flow: string,
): Promise<FlowInstance> {
  for (let slot = 0; ; slot++) {
    const directory = `${flowDirectory(dataDirectory, flow)}/${slot}`;
    env.fs.makeDirectory(directory);
    const lock = tryLock(env, directory, slot === STREAM_INSTANCES_MAX - 1);
    if (lock === undefined) continue;
    try {
      const id = await instanceId(env, directory);
      return {
        id,
        directory,
        release: () => {
          lock.release();
        },
      };
    } catch (error) {
      lock.release();
      throw error;
    }
  }
}

/** Locks all that a flow has on this machine. @returns the ids @throws {MillraceError} ML_FLOW_BUSY */
export async function lockAllInstances(
  env: Env,
  dataDirectory: string,
  flow: string,
): Promise<FlowInstance[]> {
  const root = flowDirectory(dataDirectory, flow);
  const locked: FlowInstance[] = [];
  for (const name of env.fs.list(root).filter((entry) => /^\d+$/.test(entry))) {
    const directory = `${root}/${name}`;
    const lock = tryLock(env, directory, false);
    if (lock === undefined) {
      for (const other of locked) other.release();
      throw new MillraceError(
        'ML_FLOW_BUSY',
        `flow '${flow}' is running: its directory ${directory} is in use`,
        { fields: { flow, path: directory } },
      );
    }
    locked.push({
      id: await instanceId(env, directory),
      directory,
      release: () => {
        lock.release();
      },
    });
  }
  return locked;
}

/** @returns undefined when another process has it, and `isLast` is not said */
function tryLock(env: Env, directory: string, isLast: boolean): DirectoryLock | undefined {
  try {
    return env.fs.lock(directory);
  } catch (error) {
    const isTaken = error instanceof MillraceError && error.code === 'ML_DIR_LOCKED';
    if (isTaken && !isLast) return undefined;
    throw error;
  }
}

/** A file that cannot be read any more is made anew: whoever had the old name is a stranger then, whose session ends by itself. */
async function instanceId(env: Env, directory: string): Promise<string> {
  const path = `${directory}/${INSTANCE_FILE}`;
  const known =
    env.fs.stat(path) === undefined
      ? undefined
      : parseId(readWholeFile(env.fs, path).toString('utf8'));
  if (known !== undefined) return known;
  const id = env.random.bytes(ID_BYTES).toString('hex');
  await replaceFile(env.fs, path, Buffer.from(`${JSON.stringify({ id })}\n`));
  return id;
}

function parseId(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('id' in value)) return undefined;
    return typeof value.id === 'string' && /^[0-9a-f]{8}$/.test(value.id) ? value.id : undefined;
  } catch {
    return undefined;
  }
}
