/** The stores of a task in memory, as the harness of an operator needs them. */
import { openMemoryState } from '../../src/engine/stream/state/task-state.ts';
import type { HarnessStores } from './operator-harness.ts';

export function memoryStores(): HarnessStores {
  const state = openMemoryState();
  return {
    store: (spec) => state.store(spec),
    commit: () => {
      state.flush(() => undefined);
      state.committed(new Map());
    },
    abort: () => state.abort(),
  };
}
