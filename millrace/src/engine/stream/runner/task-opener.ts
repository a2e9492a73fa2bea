/** Opens the tasks of a worker: their state in its directory, and the global tables that they share. */
import type { Env } from '../../../core/env.ts';
import { openTaskState } from '../state/open-task-state.ts';
import type { StreamTask } from '../task.ts';
import { GlobalTables } from '../task/global-tables.ts';
import { openTask } from '../task/open-task.ts';
import type { TaskId, Topology } from '../topology.ts';
import type { TaskHost } from '../worker/worker-types.ts';

export class TaskOpener {
  readonly globals: GlobalTables;
  readonly #env: Env;
  readonly #topology: Topology;

  constructor(env: Env, topology: Topology) {
    this.#env = env;
    this.#topology = topology;
    this.globals = new GlobalTables({ topology, env });
  }

  async open(id: TaskId, { output, wake }: TaskHost): Promise<StreamTask> {
    const state = await openTaskState({ kind: 'memory' });
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
}
