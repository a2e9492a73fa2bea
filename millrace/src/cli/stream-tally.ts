/** What a flow has done since it was started, from what its workers say of their tasks: those come and go with every rebalance. */
import type { FlowMetrics } from '../engine/stream/runner/flow-types.ts';
import type { TaskStatus, WorkerStatus } from '../engine/stream/worker/worker-types.ts';

export interface StreamTotals {
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly late: number;
  readonly skipped: number;
  readonly commits: number;
}

const NOTHING: StreamTotals = { recordsIn: 0, recordsOut: 0, late: 0, skipped: 0, commits: 0 };

export class StreamTally {
  totals: StreamTotals = NOTHING;
  /** What each task, and each worker, had counted when it was seen last. */
  #last = new Map<string, StreamTotals>();

  take({ workers }: FlowMetrics): void {
    const now = new Map<string, StreamTotals>();
    for (const worker of workers) {
      now.set(worker.label, ofWorker(worker));
      for (const task of worker.tasks)
        now.set(`${worker.label} ${task.task.stage} ${task.task.partition}`, ofTask(task));
    }
    for (const [name, counted] of now)
      this.totals = add(this.totals, since(this.#last.get(name) ?? NOTHING, counted));
    this.#last = now;
  }
}

function ofWorker({ commits }: WorkerStatus): StreamTotals {
  return { ...NOTHING, commits };
}

function ofTask({ counters }: TaskStatus): StreamTotals {
  const { recordsIn, recordsOut, lateDropped, skipped } = counters;
  return { recordsIn, recordsOut, late: lateDropped, skipped, commits: 0 };
}

/** A task that was closed and opened anew counts from 0. */
function since(last: StreamTotals, now: StreamTotals): StreamTotals {
  const isNew = now.recordsIn < last.recordsIn || now.recordsOut < last.recordsOut;
  return isNew ? now : combine(now, last, -1);
}

function add(left: StreamTotals, right: StreamTotals): StreamTotals {
  return combine(left, right, 1);
}

function combine(left: StreamTotals, right: StreamTotals, sign: 1 | -1): StreamTotals {
  return {
    recordsIn: left.recordsIn + sign * right.recordsIn,
    recordsOut: left.recordsOut + sign * right.recordsOut,
    late: left.late + sign * right.late,
    skipped: left.skipped + sign * right.skipped,
    commits: left.commits + sign * right.commits,
  };
}
