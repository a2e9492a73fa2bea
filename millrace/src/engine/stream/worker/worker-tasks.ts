/**
 * The tasks of a worker: opens, restores and closes them as the group deals them out, and feeds them what the reader brings.
 *
 * A task begins in this order: its changelogs exist; the offsets that the group has committed are known, which waits for the
 * transaction of its last owner; its state is restored to the end of the changelogs; then it reads from those offsets.
 */
import type {
  CommittedOffset,
  LogReader,
  LogRecords,
  TopicPartition,
} from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import { CHANGELOG_CONFIGS } from '../planning/own-topics.ts';
import type { TaskId } from '../topology.ts';
import { taskName } from './assign-tasks.ts';
import { GlobalFeed } from './global-feed.ts';
import { InputPurge, queuesOf } from './input-purge.ts';
import { Restorer } from './restorer.ts';
import { checkPositions, checkState, recordsGone } from './start-positions.ts';
import { partitionKey, TaskRun } from './task-run.ts';
import type { TaskHost, WorkerOptions } from './worker-types.ts';

/** What the end of a transaction takes in a partition. */
const MARKER_OFFSETS = 1;

export class WorkerTasks {
  readonly #options: WorkerOptions;
  readonly #reader: LogReader;
  readonly #host: TaskHost;
  readonly #runs = new Map<string, TaskRun>();
  readonly #byInput = new Map<string, TaskRun>();
  readonly #paused = new Set<string>();
  readonly #restorer: Restorer;
  readonly #globals: GlobalFeed;
  /** Changelogs that are known to be there. */
  readonly #changelogs = new Set<string>();
  readonly #repartitions: ReadonlySet<string>;
  /** Queues that the flow reads. */
  readonly #queues: ReadonlySet<string>;
  readonly #purging: InputPurge;
  #active: readonly TaskRun[] = [];
  /** Tasks on their way to that: opened, and restored. What fails between two steps is done again with the next. */
  #opened: TaskRun[] = [];
  #restored: TaskRun[] = [];

  constructor(options: WorkerOptions, reader: LogReader, host: TaskHost) {
    this.#options = options;
    this.#reader = reader;
    this.#host = host;
    this.#restorer = new Restorer(options.log, options.onEvent);
    this.#globals = new GlobalFeed(options.log, reader, options.globals);
    this.#repartitions = new Set(options.topology.internalTopics.map(({ name }) => name));
    this.#queues = queuesOf(options.topology);
    this.#purging = new InputPurge({
      log: options.log,
      topology: options.topology,
      onFailure: (error) => {
        options.onEvent({ kind: 'purgeFailed', error });
      },
    });
  }

  get isRestored(): boolean {
    return this.#restorer.isDone && this.#opened.length === 0 && this.#restored.length === 0;
  }

  get hasRunning(): boolean {
    return this.#active.length > 0;
  }

  get inputCount(): number {
    return this.#byInput.size;
  }

  get restoredRecords(): number {
    return this.#restorer.records;
  }

  /** Fills the global tables, before anything is processed. */
  async bootstrap(): Promise<void> {
    await this.#globals.bootstrap();
  }

  ids(): TaskId[] {
    return [...this.#runs.values()].map(({ task }) => task.id);
  }

  runs(): Iterable<TaskRun> {
    return this.#runs.values();
  }

  /** Those that process. */
  running(): readonly TaskRun[] {
    return this.#active;
  }

  get(id: TaskId): TaskRun | undefined {
    return this.#runs.get(taskName(id));
  }

  /** Closes tasks that are not among `ids`, and opens those that are new. */
  async become(ids: readonly TaskId[]): Promise<void> {
    const wanted = new Set(ids.map(taskName));
    // What others go on with would be old when it comes back.
    await this.#closeWhere(({ name }) => !wanted.has(name), 'wipe');
    for (const id of ids.filter((task) => !this.#runs.has(taskName(task)))) {
      const run = new TaskRun(await this.#options.openTask(id, this.#host));
      this.#runs.set(run.name, run);
      this.#opened.push(run);
    }
    await this.#goOn();
  }

  /**
   * Closes tasks that another member may have had meanwhile: of which it has committed something. It would have moved the offsets, or
   * written to a changelog; behind what this worker has written itself there is the marker of its transaction, and nothing else.
   */
  async closeOutdated(): Promise<void> {
    const { log, topology } = this.#options;
    const inputs = this.#active.flatMap((run) => run.positions());
    const changelogs = this.#active.flatMap(({ task }) => task.changelogs);
    const [committed, ends] = await Promise.all([
      log.committed(topology.plan.name, inputs),
      log.offsets(changelogs, 'end'),
    ]);
    const outdated = new Set<TaskRun>();
    for (const [index, { topic, partition, offset }] of inputs.entries()) {
      const run = this.#byInput.get(partitionKey(topic, partition));
      const now = committed[index]?.offset;
      if (run !== undefined && now !== undefined && now !== offset) outdated.add(run);
    }
    let index = 0;
    for (const run of this.#active) {
      for (const { topic, partition } of run.task.changelogs) {
        const known = run.changelogEnds.get(partitionKey(topic, partition)) ?? 0;
        if ((ends[index++] ?? 0) > known + MARKER_OFFSETS) outdated.add(run);
      }
    }
    await this.#closeWhere((run) => outdated.has(run) || !run.isRestored);
  }

  /** Reads changelogs for at most about `waitMs`. */
  async restore(waitMs: number): Promise<void> {
    await this.#goOn();
    this.#restored.push(...(await this.#restorer.step(waitMs)));
    await this.#goOn();
  }

  /** Hands on what was fetched. An input in which more than `bytesMax` wait is paused. */
  take(records: LogRecords, bytesMax: number): void {
    const key = partitionKey(records.topic, records.partition);
    const run = this.#byInput.get(key);
    if (run === undefined) {
      this.#globals.take(records);
      return;
    }
    run.add(records);
    if (this.#paused.has(key) || run.task.bufferedBytes(records) <= bytesMax) return;
    this.#paused.add(key);
    this.#reader.pause([{ topic: records.topic, partition: records.partition }]);
  }

  /** Goes on with inputs in which at most `bytes` wait. */
  resume(bytes: number): void {
    if (this.#paused.size === 0) return;
    for (const key of this.#paused) {
      const run = this.#byInput.get(key);
      const input = run?.inputs.get(key);
      if (run === undefined || input === undefined) continue;
      if (run.task.bufferedBytes(input) > bytes) continue;
      this.#paused.delete(key);
      this.#reader.resume([{ topic: input.topic, partition: input.partition }]);
    }
  }

  /** Back to the last commit. */
  abort(): void {
    for (const run of this.#active) {
      run.task.abort();
      const positions = run.positions();
      this.#reader.assign(positions);
      this.#reader.resume(positions);
    }
    this.#paused.clear();
  }

  /** Deletes, now and then, records that were committed and nobody needs. Nobody waits for it. */
  purge(): void {
    this.#purging.run(this.#active);
  }

  /** Deletes what was taken from queues. */
  async finishPurge(): Promise<void> {
    await this.#purging.finish(this.#active);
  }

  /**
   * Records that this flow was on its way to were deleted. Others have taken them from a queue: it goes on behind them, from the last commit.
   * @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE for any other topic
   */
  async skipTaken(error: MillraceError): Promise<void> {
    const { topic } = error.fields;
    const { log, topology } = this.#options;
    if (typeof topic !== 'string' || !this.#queues.has(topic)) throw recordsGone(error, topology);
    for (const run of this.#active) {
      const places = [...run.inputs.values()].filter((input) => input.topic === topic);
      const first = await log.offsets(places, 'beginning');
      for (const [index, place] of places.entries())
        place.offset = Math.max(place.offset, first[index] ?? 0);
    }
    this.abort();
  }

  async closeAll(): Promise<void> {
    await this.#closeWhere(() => true);
  }

  wake(): void {
    this.#restorer.wake();
  }

  close(): void {
    this.#restorer.close();
  }

  async #closeWhere(isClosed: (run: TaskRun) => boolean, how?: 'wipe'): Promise<void> {
    const closing = [...this.#runs.values()].filter(isClosed);
    for (const run of closing) {
      this.#runs.delete(run.name);
      this.#restorer.remove(run);
      this.#opened = this.#opened.filter((opened) => opened !== run);
      this.#restored = this.#restored.filter((restored) => restored !== run);
      this.#reader.unassign(run.positions());
      for (const key of run.inputs.keys()) {
        this.#byInput.delete(key);
        this.#paused.delete(key);
      }
    }
    this.#updateActive();
    // All are closed, also when one of them fails to: another worker may be waiting for any of them.
    const results = await Promise.allSettled(
      closing.map(async ({ task }) => {
        if (how === 'wipe') await task.state.wipe();
        await task.close();
      }),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Tasks that are open are restored, and those that are restored begin. */
  async #goOn(): Promise<void> {
    if (this.#opened.length > 0) {
      await this.#createChangelogs(this.#opened);
      const restored = await this.#restorer.add(this.#opened);
      this.#opened = [];
      this.#restored.push(...restored);
    }
    await this.#begin(this.#restored);
    this.#restored = [];
  }

  /** A changelog has as many partitions as its stage, and keeps the latest change of each key. */
  async #createChangelogs(runs: readonly TaskRun[]): Promise<void> {
    const { log, topology } = this.#options;
    const missing = new Map<string, number>();
    for (const { task } of runs) {
      for (const { topic } of task.changelogs) {
        if (this.#changelogs.has(topic)) continue;
        missing.set(topic, topology.stages[task.id.stage]?.partitions ?? 1);
      }
    }
    if (missing.size === 0) return;
    await this.#options.recordTopics([...missing.keys()]);
    await log.createTopics(
      [...missing].map(([name, partitions]) => ({
        name,
        partitions,
        configs: CHANGELOG_CONFIGS,
      })),
    );
    const found = await log.topics([...missing.keys()]);
    for (const [name, partitions] of missing) {
      const has = found.get(name)?.partitions;
      if (has !== undefined && has !== partitions) throw changelogDiffers(name, has, partitions);
      this.#changelogs.add(name);
    }
  }

  /** Tasks whose state is restored go on from what the group has committed. */
  async #begin(runs: readonly TaskRun[]): Promise<void> {
    if (runs.length === 0) return;
    const { log, topology, from } = this.#options;
    const flow = topology.plan.name;
    const partitions = runs.flatMap(({ task }) => task.inputs);
    const committed = await log.committed(flow, partitions);
    const known = new Set<TopicPartition>(partitions.filter((_, index) => committed[index]));
    for (const { task } of runs)
      if (!task.inputs.some((input) => known.has(input))) checkState(task, flow);
    const positions = await checkPositions(log, partitions, committed, {
      flow,
      // What another stage wrote for this one is read from its beginning, whatever was asked for the sources.
      startOf: (topic) => (this.#repartitions.has(topic) ? 'beginning' : from),
      mayLose: (topic) => this.#queues.has(topic),
    });
    let next = 0;
    for (const run of runs) {
      const first = next;
      next += run.task.inputs.length;
      this.#beginOne(run, committed.slice(first, next), positions.slice(first, next));
    }
    this.#updateActive();
    this.#reader.assign(runs.flatMap((run) => run.positions()));
  }

  #beginOne(
    run: TaskRun,
    committed: readonly (CommittedOffset | undefined)[],
    positions: readonly number[],
  ): void {
    const known: (TopicPartition & CommittedOffset)[] = [];
    for (const [index, { topic, partition }] of run.task.inputs.entries()) {
      const key = partitionKey(topic, partition);
      const last = committed[index];
      const offset = positions[index] ?? 0;
      run.inputs.set(key, { topic, partition, offset, isNew: last === undefined, end: undefined });
      this.#byInput.set(key, run);
      if (last !== undefined) known.push({ topic, partition, ...last, offset });
    }
    run.task.begin(known);
    run.isRestored = true;
    run.committedTime = run.task.watermark;
    run.committedBytes = run.task.state.bytes;
  }

  #updateActive(): void {
    this.#active = [...this.#runs.values()].filter((run) => run.isRestored);
  }
}

function changelogDiffers(topic: string, has: number, wanted: number): MillraceError {
  return new MillraceError(
    'ML_FLOW_CHANGED',
    `the changelog ${topic} has ${has} partitions, and the flow needs ${wanted}`,
    { fields: { topic, partitions: has, wanted } },
  );
}
