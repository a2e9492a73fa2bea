/**
 * Restores the state of tasks from their changelogs: from the checkpoint that the durable part has, if it has one, to the end.
 *
 * The end is that of all records, not of the committed ones: a transaction that the last owner has committed may not have its marker in
 * every partition yet. Reading only what is committed up to there waits for the markers, or for the broker to end what the
 * last owner has left open; nobody else writes to a changelog.
 */
import type { Log, LogReader, LogRecords } from '../../../client/log.ts';
import { visibleBatches } from '../../../client/kafka/fetched-records.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { StreamTask } from '../task.ts';
import { partitionKey, type TaskRun } from './task-run.ts';
import type { WorkerEvent } from './worker-types.ts';

interface Restoring {
  readonly run: TaskRun;
  readonly store: string;
  readonly from: number;
  readonly end: number;
}

export class Restorer {
  readonly #log: Log;
  readonly #reader: LogReader;
  readonly #onEvent: (event: WorkerEvent) => void;
  readonly #partitions = new Map<string, Restoring>();
  /** Changelogs of each task that are not restored yet. */
  readonly #open = new Map<TaskRun, number>();
  records = 0;

  constructor(log: Log, onEvent: (event: WorkerEvent) => void) {
    this.#log = log;
    this.#reader = log.reader({ uncommitted: false });
    this.#onEvent = onEvent;
  }

  get isDone(): boolean {
    return this.#open.size === 0;
  }

  /** @returns those that have nothing to restore */
  async add(runs: readonly TaskRun[]): Promise<TaskRun[]> {
    const changelogs = runs.flatMap((run) =>
      run.task.changelogs.map(({ topic, partition, store }) => ({ run, topic, partition, store })),
    );
    const [beginnings, ends] = await Promise.all([
      this.#log.offsets(changelogs, 'beginning'),
      this.#log.offsets(changelogs, 'end'),
    ]);
    for (const [index, { run, topic, partition, store }] of changelogs.entries()) {
      const end = ends[index] ?? 0;
      run.changelogEnds.set(partitionKey(topic, partition), end);
      const from = Math.max(checkpointOf(run.task, store, end) ?? 0, beginnings[index] ?? 0);
      if (from >= end) continue;
      this.#partitions.set(partitionKey(topic, partition), { run, store, from, end });
      this.#open.set(run, (this.#open.get(run) ?? 0) + 1);
      this.#reader.assign([{ topic, partition, offset: from }]);
    }
    return runs.filter((run) => !this.#open.has(run));
  }

  /** Forgets a task that belongs to somebody else now. */
  remove(run: TaskRun): void {
    if (this.#open.delete(run)) {
      this.#reader.unassign(run.task.changelogs);
      for (const { topic, partition } of run.task.changelogs)
        this.#partitions.delete(partitionKey(topic, partition));
    }
  }

  /** Takes in what arrives within `waitMs`. @returns tasks that are restored now */
  async step(waitMs: number): Promise<TaskRun[]> {
    const done: TaskRun[] = [];
    for (const records of await this.#reader.poll(waitMs)) {
      const run = await this.#take(records);
      if (run !== undefined) done.push(run);
    }
    return done;
  }

  wake(): void {
    this.#reader.wake();
  }

  close(): void {
    this.#reader.close();
  }

  async #take(records: LogRecords): Promise<TaskRun | undefined> {
    const key = partitionKey(records.topic, records.partition);
    const restoring = this.#partitions.get(key);
    if (restoring === undefined) return undefined;
    const { run, store, from, end } = restoring;
    this.records += restoreRecords(run.task, store, records);
    await run.task.state.restored(store, records.next);
    this.#onEvent({
      kind: 'restoring',
      task: run.task.id,
      store,
      done: Math.min(records.next, end) - from,
      total: end - from,
    });
    if (records.next < end) return undefined;
    this.#partitions.delete(key);
    this.#reader.unassign([records]);
    const left = (this.#open.get(run) ?? 1) - 1;
    if (left > 0) {
      this.#open.set(run, left);
      return undefined;
    }
    this.#open.delete(run);
    return run;
  }
}

/** A checkpoint beyond the end belongs to a changelog that was deleted and made anew: state of another life, which must not come back. */
function checkpointOf(task: StreamTask, store: string, end: number): number | undefined {
  const checkpoint = task.state.checkpoint(store);
  if (checkpoint === undefined || checkpoint <= end) return checkpoint;
  throw new MillraceError(
    'ML_FLOW_CHANGED',
    `state of '${store}' on this machine is of offset ${checkpoint}, and its changelog ends at ${end}: the topic was deleted and made anew`,
    {
      hint: 'Begin anew with `millrace reset PROGRAM`, which deletes the local state, too',
      fields: { store, checkpoint, end },
    },
  );
}

/** @hot */
function restoreRecords(task: StreamTask, store: string, records: LogRecords): number {
  let count = 0;
  for (const reader of visibleBatches(records)) {
    while (reader.next()) {
      if (reader.offset < records.from || reader.keyStart < 0) continue;
      task.state.restore(
        store,
        reader.data.subarray(reader.keyStart, reader.keyEnd),
        reader.valueStart < 0 ? null : reader.data.subarray(reader.valueStart, reader.valueEnd),
      );
      count++;
    }
  }
  return count;
}
