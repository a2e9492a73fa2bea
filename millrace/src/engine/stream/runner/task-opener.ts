/** Opens the tasks of a worker: their state in its directory, and the global tables that they share. */
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { openTaskState } from '../state/open-task-state.ts';
import type { TaskState } from '../state/store.ts';
import type { StreamTask } from '../task.ts';
import { GlobalTables } from '../task/global-tables.ts';
import { openTask } from '../task/open-task.ts';
import type { TaskId, Topology } from '../topology.ts';
import { taskName } from '../worker/assign-tasks.ts';
import type { TaskHost } from '../worker/worker-types.ts';

export type StateKind = 'disk' | 'memory';

export interface OpenerSettings {
  readonly state: StateKind;
  /** Of the worker. */
  readonly directory: string;
}

export class TaskOpener {
  readonly globals: GlobalTables;
  readonly #env: Env;
  readonly #topology: Topology;
  readonly #settings: OpenerSettings;

  constructor(env: Env, topology: Topology, settings: OpenerSettings) {
    this.#env = env;
    this.#topology = topology;
    this.#settings = settings;
    this.globals = new GlobalTables({ topology, env });
  }

  async open(id: TaskId, { output, wake }: TaskHost): Promise<StreamTask> {
    const state = await this.#openState(id);
    try {
      return await openTask({
        topology: this.#topology,
        id,
        state,
        output,
        env: this.#env,
        wake,
        globals: this.globals,
      });
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  async #openState(id: TaskId): Promise<TaskState> {
    const { state, directory } = this.#settings;
    if (state === 'memory') return openTaskState({ kind: 'memory' });
    const path = `${directory}/${taskName(id)}`;
    try {
      return await openTaskState({ kind: 'disk', env: this.#env, path });
    } catch (error) {
      const isDamaged = error instanceof MillraceError && error.code === 'ML_TASK_STATE_DAMAGED';
      if (!isDamaged) throw error;
      // The changelog is the truth: what is here saves reading it, and no more.
      await this.#env.fs.removeDirectory(path);
      return openTaskState({ kind: 'disk', env: this.#env, path });
    }
  }
}
