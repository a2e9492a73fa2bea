/** Sums of what the workers of a flow count. */
import type { TaskStatus, WorkerStatus } from '../worker/worker-types.ts';
import type { FlowMetrics } from './flow-types.ts';

export function flowMetrics(flow: string, workers: readonly WorkerStatus[]): FlowMetrics {
  const tasks = workers.flatMap((worker) => worker.tasks);
  const sum = (count: (task: TaskStatus) => number): number =>
    tasks.reduce((total, task) => total + count(task), 0);
  return {
    flow,
    workers,
    recordsIn: sum(({ counters }) => counters.recordsIn),
    recordsOut: sum(({ counters }) => counters.recordsOut),
    lateDropped: sum(({ counters }) => counters.lateDropped),
    skipped: sum(({ counters }) => counters.skipped),
    lagRecords: sum(lagOf),
    watermark: tasks.reduce((lowest, { watermark }) => Math.min(lowest, watermark), Infinity),
    stateBytes: sum(({ stateBytes }) => stateBytes),
  };
}

function lagOf({ inputs }: TaskStatus): number {
  return inputs.reduce(
    (total, { offset, end }) => total + (end === undefined ? 0 : Math.max(0, end - offset)),
    0,
  );
}
