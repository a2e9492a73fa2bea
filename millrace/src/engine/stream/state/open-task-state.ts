/** Opens the state of a task: the one way in for who runs tasks. */
import type { Env } from '../../../core/env.ts';
import { openDiskState } from './disk-state.ts';
import type { TaskState } from './store.ts';
import { openMemoryState } from './task-state.ts';

export type OpenTaskStateOptions =
  | {
      /** Nothing is on disk: every start restores all from the changelogs. */
      readonly kind: 'memory';
    }
  | {
      /** LMDB: for state beyond memory, and starts that restore only what is new. */
      readonly kind: 'disk';
      readonly env: Env;
      /** The directory of the task, its own. It is made when it is missing. */
      readonly path: string;
      /** Bytes of memory for what each store has read; default STATE_CACHE_BYTES. */
      readonly cacheBytes?: number;
    };

/**
 * The state of a task as it was when it became durable last: empty at first. Then open its stores, look at `checkpoint` of each, and restore
 * from there.
 * @throws {MillraceError} ML_DIR_LOCKED when a process has it open, ML_TASK_STATE_DAMAGED, ML_DATA_NEWER, ML_DISK_FULL, ML_PERMISSION,
 *   ML_PACKAGE_MISSING
 */
export function openTaskState(options: OpenTaskStateOptions): Promise<TaskState> {
  return options.kind === 'disk' ? openDiskState(options) : Promise.resolve(openMemoryState());
}
