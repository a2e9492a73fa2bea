/**
 * Runs the body of an iteration round by round, inside one task: the body is planned once, as a plan of its own
 * (`iterate/body-plan.ts`), and its stages run in this process, one task after the other. Between rounds records stay in memory,
 * encoded; beyond the budget they go to where the runs of the task go.
 *
 * Order: every exchange of a body has one partition, whatever the job has, so its streams are in the order of their keys as a whole.
 */
import { MillraceError } from '../../../core/errors.ts';
import { decodeKey } from '../../../core/key-codec.ts';
import {
  ITERATE_MEMORY_BYTES_MIN,
  JOB_MEMORY_BYTES,
  JOIN_CHUNK_RECORDS,
} from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { Env } from '../../../core/env.ts';
import type { IterateNode, Plan } from '../../../flow/plan.ts';
import type { Part } from '../../../flow/sink.ts';
import type { Split } from '../../../flow/source.ts';
import { createMergeReader } from '../exchange/merge-reader.ts';
import { memoryStorage } from '../exchange/run-storage.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import { type BodyPlan, bodyPlan } from './body-plan.ts';
import { MemorySink, memorySource } from './memory-stream.ts';
import { buildStages } from '../planning/plan-stages.ts';
import { planTasks, type TaskPlan } from '../planning/plan-tasks.ts';
import type { Mark } from '../operators/failures.ts';
import type { Emit } from '../record-input.ts';
import type { TaskInput } from '../inputs/task-input.ts';
import type {
  ExchangeRead,
  PlanFacts,
  RunSegment,
  StageGraph,
  TaskResult,
  TaskSpec,
} from '../stage.ts';

export interface IterateOptions {
  readonly node: IterateNode;
  /** The plan that the node is in. */
  readonly plan: Plan;
  /** Inputs of the node, in its order, and the storage that has their runs. It also takes what does not fit into memory. */
  readonly reads: readonly ExchangeRead[];
  readonly storage: RunStorage;
  readonly env: Env;
  /** Runs a task of the body in this process; `storage` is where its runs are kept. */
  readonly runTask: (
    plan: Plan,
    graph: StageGraph,
    spec: TaskSpec,
    storage: RunStorage,
  ) => Promise<TaskResult>;
  /** Of the attempt. */
  readonly directory: string;
  /** Where dead letters of the attempt go, and how many there may be: as in the task. */
  readonly skippedDirectory: string | undefined;
  readonly skippedRecordsMax: number;
  /** What the iteration may hold: a half for what is kept between rounds, a half for the tasks of the body. */
  readonly memoryBytes: number;
}

/**
 * The result of an iteration as the input of a task. All rounds run in the first call of `read`.
 * @throws {MillraceError} from `read`: what the tasks of the body throw; ML_USER_FUNCTION when `until` does
 */
export class IterateInput implements TaskInput {
  readonly needsDrain = false;
  private readonly name: string;
  private readonly iteration: Iteration;
  private reader: MergeReader | undefined;

  constructor(options: IterateOptions) {
    this.name = options.node.name;
    this.iteration = new Iteration(options);
  }

  /** Of the result. */
  get records(): number {
    return this.reader?.records ?? 0;
  }

  get bytes(): number {
    return this.reader?.bytes ?? 0;
  }

  /** Rounds that have run. */
  get rounds(): number {
    return this.iteration.rounds;
  }

  /** Dead letters of all rounds. */
  get skipped(): TaskResult['skipped'] {
    return { records: this.iteration.skippedRecords, parts: this.iteration.skippedParts };
  }

  get spills(): number {
    return this.iteration.spills;
  }

  get spilledBytes(): number {
    return this.iteration.spilledBytes;
  }

  read(emit: Emit): boolean | Promise<boolean> {
    const { reader } = this;
    if (reader === undefined)
      return this.iteration.run().then((result) => {
        this.reader = result;
        return false;
      });
    for (let room = JOIN_CHUNK_RECORDS; room > 0; room--) {
      if (!reader.next()) return true;
      const { buffer } = reader;
      const key = decodeKey(buffer, reader.keyStart, reader.keyEnd);
      const value = decodeValue(buffer, reader.valueStart, reader.valueEnd);
      if (!emit(value, key)) return false;
    }
    return false;
  }

  position(): string {
    return this.mark();
  }

  mark(): string {
    return `result of ${this.name}, record ${this.records}`;
  }

  locate(mark: Mark): string {
    return String(mark);
  }

  /** Forgets all runs of the iteration. */
  close(): void {
    this.reader?.close();
    this.iteration.close();
  }
}

class Iteration {
  rounds = 0;
  skippedRecords = 0;
  readonly skippedParts: Part[] = [];
  spills = 0;
  spilledBytes = 0;
  private readonly options: IterateOptions;
  private readonly storage: RunStorage;
  private readonly taskBytes: number;
  private readonly sink: MemorySink;
  private readonly body: BodyPlan;
  private readonly graph: StageGraph;
  /** What the round reads as its first input: that of the node, then what the round before wrote. */
  private current: ExchangeRead;
  /** The runs of `current` are of this iteration, and it removes them. */
  private ownsCurrent = false;
  private skippedDirectories = 0;

  constructor(options: IterateOptions) {
    const { node, plan, reads, memoryBytes } = options;
    const half = Math.max(Math.floor(memoryBytes / 2), ITERATE_MEMORY_BYTES_MIN);
    this.options = options;
    this.taskBytes = half;
    this.storage = memoryStorage(half, options.storage);
    this.current = reads[0] ?? emptyRead();
    this.sink = new MemorySink(`result of ${node.name}`, {
      storage: this.storage,
      memoryBytes: Math.max(Math.floor(half / 4), ITERATE_MEMORY_BYTES_MIN / 4),
    });
    this.body = bodyPlan(node, plan, (index) => this.source(index), this.sink.sink);
    this.graph = buildStages(this.body.plan, BODY_FACTS);
  }

  /** Runs all rounds; resolves with a reader of the result. */
  async run(): Promise<MergeReader> {
    const { node } = this.options;
    for (let isDone = false; !isDone && this.rounds < node.rounds; ) {
      this.rounds++;
      await this.round();
      const next = { ...emptyRead(), runs: this.sink.take() };
      isDone = this.isDone(next, this.rounds);
      if (this.ownsCurrent) this.remove(this.current.runs);
      this.current = next;
      this.ownsCurrent = true;
    }
    return this.open(this.current, this.ownsCurrent);
  }

  close(): void {
    if (this.ownsCurrent) this.remove(this.current.runs);
    this.remove(this.sink.take());
    this.ownsCurrent = false;
  }

  private source(index: number): ReturnType<typeof memorySource> {
    const label = index === 0 ? `input of ${this.options.node.name}` : `input ${index}`;
    return memorySource(label, () =>
      index === 0
        ? this.open(this.current, this.ownsCurrent)
        : this.open(this.options.reads[index] ?? emptyRead(), false),
    );
  }

  private open(read: ExchangeRead, isOwn: boolean): MergeReader {
    return createMergeReader({
      read,
      storage: isOwn ? this.storage : this.options.storage,
      memoryBytes: Math.max(Math.floor(this.taskBytes / 8), ITERATE_MEMORY_BYTES_MIN / 4),
    });
  }

  /** All stages of the body, one task after the other. What they exchange is gone when they are done. */
  private async round(): Promise<void> {
    const { plan, sources } = this.body;
    const split: Split = { index: 0, bytes: 0, label: '', data: null };
    const splits = Object.fromEntries([...sources.values()].map((node) => [node, [split]]));
    const results: Record<number, TaskResult[]> = {};
    try {
      for (const stage of this.graph.stages) {
        const done: TaskResult[] = [];
        results[stage.id] = done;
        const tasks = planTasks(plan, this.graph, stage.id, {
          splits,
          results,
          packBytes: 1,
          memoryBytes: this.taskBytes,
        });
        for (const task of tasks) done.push(await this.runTask(task));
      }
    } finally {
      for (const result of Object.values(results).flat())
        for (const { runs } of result.exchanges)
          this.remove(runs.flatMap(({ segments }) => segments));
    }
  }

  private async runTask(task: TaskPlan): Promise<TaskResult> {
    const { options, storage, body, graph } = this;
    // Nothing of a task goes into its directory: its runs go to the storage, its result to the sink.
    const { directory } = options;
    const skippedDirectory =
      options.skippedDirectory === undefined
        ? undefined
        : `${options.skippedDirectory}/${++this.skippedDirectories}`;
    if (skippedDirectory !== undefined) options.env.fs.makeDirectory(skippedDirectory);
    const result = await options.runTask(
      body.plan,
      graph,
      {
        ...task,
        attempt: 1,
        directory,
        writes: task.writes.map((write) => ({ ...write, directory })),
        skippedDirectory,
        skippedRecordsMax: options.skippedRecordsMax - this.skippedRecords,
      },
      storage,
    );
    this.skippedRecords += result.skipped.records;
    this.skippedParts.push(...result.skipped.parts);
    this.spills += result.metrics.spills;
    this.spilledBytes += result.metrics.spilledBytes;
    return result;
  }

  private isDone(next: ExchangeRead, round: number): boolean {
    const { node } = this.options;
    if (node.isFixpoint && this.isSame(next)) return true;
    if (node.until === undefined) return false;
    const previous = valuesOf(this.open(this.current, this.ownsCurrent));
    const values = valuesOf(this.open(next, true));
    try {
      return node.until(previous, values, round);
    } catch (error) {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new MillraceError(
        'ML_USER_FUNCTION',
        `${node.name}: ${text}, in until of round ${round}`,
        {
          cause: error,
          fields: { operator: node.name, round },
        },
      );
    }
  }

  /** Whether the round gave what it was given: the same keys and values, byte for byte, in the same order. */
  private isSame(next: ExchangeRead): boolean {
    const before = this.open(this.current, this.ownsCurrent);
    const after = this.open(next, true);
    try {
      for (;;) {
        const goesOn = before.next();
        if (after.next() !== goesOn) return false;
        if (!goesOn) return true;
        if (!isSameRecord(before, after)) return false;
      }
    } finally {
      before.close();
      after.close();
    }
  }

  private remove(runs: readonly RunSegment[]): void {
    for (const path of new Set(runs.map((run) => run.path))) this.storage.remove(path);
  }
}

/** Nothing of it depends on where the iteration runs. With one partition a round has no more tasks than stages. */
const BODY_FACTS: PlanFacts = { sourceBytes: {}, partitions: 1, memoryBytes: JOB_MEMORY_BYTES };

function emptyRead(): ExchangeRead {
  return { exchange: 0, partition: 0, runs: [], range: undefined };
}

function valuesOf(reader: MergeReader): unknown[] {
  const values: unknown[] = [];
  try {
    while (reader.next())
      values.push(decodeValue(reader.buffer, reader.valueStart, reader.valueEnd));
  } finally {
    reader.close();
  }
  return values;
}

function isSameRecord(left: MergeReader, right: MergeReader): boolean {
  const isSameKey =
    left.buffer.compare(right.buffer, right.keyStart, right.keyEnd, left.keyStart, left.keyEnd) ===
    0;
  return (
    isSameKey &&
    left.buffer.compare(
      right.buffer,
      right.valueStart,
      right.valueEnd,
      left.valueStart,
      left.valueEnd,
    ) === 0
  );
}
