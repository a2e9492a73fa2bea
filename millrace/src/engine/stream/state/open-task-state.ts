/** Opens the state of a task. */
import { openMemoryState } from './task-state.ts';
import type { TaskState } from './store.ts';

export interface OpenTaskStateOptions {
  /** `memory`: nothing is on disk, every start restores all from the changelogs. */
  readonly kind: 'memory';
}

export function openTaskState(_options: OpenTaskStateOptions): Promise<TaskState> {
  return Promise.resolve(openMemoryState());
}
