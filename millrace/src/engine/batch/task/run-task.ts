/**
 * Runs one task in this process: its input pushes records through the operators of the stage into sinks and exchanges. Between chunks
 * it waits for what operators and sinks have to wait for, tells how far it is, and gives others their turn.
 */
import type { Env } from '../../../core/env.ts';
import { assert, MillraceError } from '../../../core/errors.ts';
import { TASK_TURN_MS } from '../../../core/limits.ts';
import type { IterateNode, Plan, PlanNode, SourceNode } from '../../../flow/plan.ts';
import type { Sink, SinkWriter, WriteContext } from '../../../flow/sink.ts';
import type { ReadContext } from '../../../flow/source.ts';
import { type ByteInput, openByteInput, openLineOutput } from './byte-inputs.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import { openInput, openJoin, openReader } from '../inputs/open-input.ts';
import { SplitInput } from '../inputs/split-input.ts';
import type { TaskInput } from '../inputs/task-input.ts';
import { IterateInput } from '../iterate/iterate.ts';
import { loadBroadcasts } from './load-broadcasts.ts';
import { divideMemory, type TaskMemory } from './memory.ts';
import { Failures } from '../operators/failures.ts';
import { buildPipeline, type Pipeline } from './pipeline.ts';
import type { Stage, StageGraph, TaskProgress, TaskResult, TaskSpec } from '../stage.ts';

/** What a task needs of the process that it runs in. */
export interface TaskEnvironment {
  readonly env: Env;
  /** Directory that relative paths of sources start from. */
  readonly directory: string;
  /** `--brokers`. */
  readonly brokers: string | undefined;
  /** Where runs are kept: called once per task with the directory of the attempt. Opens the runs of other tasks too. */
  storage(directory: string): RunStorage;
  /** The task ends with ML_ABORTED soon after it fires. */
  readonly signal: AbortSignal;
  /** Called after each chunk of input. */
  onProgress(progress: TaskProgress): void;
}

/**
 * Runs one attempt at one task and resolves when its runs and parts are written. After a rejection files may be left in the directories of
 * the attempt: their owner removes them. One task at a time per plan object: the counters of the plan are its.
 * @throws {MillraceError} ML_USER_FUNCTION, ML_INPUT_MALFORMED, ML_TOO_MANY_SKIPPED, ML_ABORTED, what sources, sinks and runs throw
 */
export async function runTask(
  plan: Plan,
  graph: StageGraph,
  spec: TaskSpec,
  environment: TaskEnvironment,
): Promise<TaskResult> {
  const task = new Task(plan, graph, spec, environment);
  try {
    return await task.run();
  } catch (error) {
    await task.abort();
    throw error;
  } finally {
    await task.close();
  }
}

class Task {
  private readonly plan: Plan;
  private readonly graph: StageGraph;
  private readonly spec: TaskSpec;
  private readonly environment: TaskEnvironment;
  private readonly stage: Stage;
  private readonly root: PlanNode;
  private readonly startMs: number;
  private readonly storage: RunStorage;
  private readonly failures: Failures;
  private readonly memory: TaskMemory;
  private readonly broadcastBytes: number;
  private readonly pipeline: Pipeline;
  private input: TaskInput | undefined;
  /** The input, when the root is an iteration: it has tasks of its own, and what became of them counts. */
  private iterate: IterateInput | undefined;
  /** The input, when it computes on bytes. */
  private bytes: ByteInput | undefined;
  private records = 0;
  private isPaused = false;
  private memoryBytesMax = 0;
  private turnMs: number;

  constructor(plan: Plan, graph: StageGraph, spec: TaskSpec, environment: TaskEnvironment) {
    const stage = graph.stages[spec.stage];
    assert(stage !== undefined, `no stage ${spec.stage}`);
    this.plan = plan;
    this.graph = graph;
    this.spec = spec;
    this.environment = environment;
    this.stage = stage;
    this.startMs = environment.env.clock.monotonicMs();
    this.turnMs = this.startMs;
    for (const counter of plan.counters) counter.value = 0;
    this.storage = environment.storage(spec.directory);
    this.failures = new Failures({
      open: this.deadLetters(),
      recordsMax: spec.skippedRecordsMax,
    });
    const { steps } = stage;
    const root = plan.nodes[steps[0]?.node ?? -1];
    assert(root !== undefined, `stage ${spec.stage} has no root`);
    this.root = root;
    this.memory = divideMemory(spec.memoryBytes, {
      broadcasts: spec.broadcasts.length,
      readers: root.kind === 'iterate' ? 0 : spec.reads.length,
      root: root.kind === 'join' ? 'join' : root.kind === 'iterate' ? 'iteration' : 'nothing',
      exits: steps.filter((step) => step.exchange !== undefined).length,
    });
    const { env } = environment;
    const broadcasts = loadBroadcasts(plan, graph, spec.broadcasts, {
      storage: this.storage,
      memoryBytes: this.memory.broadcast,
    });
    this.broadcastBytes = broadcasts.heldBytes;
    this.pipeline = buildPipeline({
      plan,
      graph,
      stage,
      writes: spec.writes,
      exitBytes: this.memory.exit,
      storage: this.storage,
      failures: this.failures,
      broadcasts: broadcasts.sides,
      openSink: (node, { directory, task }) => openWriter(node.sink, { env, directory, task }),
    });
  }

  async run(): Promise<TaskResult> {
    const { pipeline, failures } = this;
    const { first } = pipeline;
    const input = this.openInput();
    this.input = input;
    failures.positions = input;
    const emit = (value: unknown, key: unknown): boolean => {
      this.records++;
      if (first.push(value, key)) return true;
      this.isPaused = true;
      return false;
    };
    for (;;) {
      let isDone = input.read(emit);
      if (typeof isDone !== 'boolean') isDone = await isDone;
      if (isDone || this.isPaused || input.needsDrain) {
        await first.drain();
        this.isPaused = false;
      }
      if (failures.isBusy) await failures.drain();
      this.tell(input);
      await this.giveTurn();
      if (isDone) return this.finish(input);
    }
  }

  /** After a failure: what was opened is closed, whatever is in it. */
  async abort(): Promise<void> {
    const { pipeline, failures } = this;
    const aborted = [...pipeline.sinks.map(({ exit }) => exit.abort()), failures.abort()];
    await Promise.allSettled(aborted);
  }

  async close(): Promise<void> {
    await this.input?.close();
  }

  private async finish(input: TaskInput): Promise<TaskResult> {
    const { pipeline, failures, plan } = this;
    const recordsIn = Math.max(this.records, input.records);
    const bytesIn = input.bytes;
    await input.close();
    const exchanges = pipeline.exits.map(({ lane, exit }) => ({ ...exit.finish(), lane }));
    const writes = [];
    for (const { write, exit } of pipeline.sinks) {
      const { node, task } = write;
      writes.push({ node, task, parts: await exit.finish() });
    }
    const { iterate } = this;
    const skipped = {
      records: failures.records + (iterate?.skipped.records ?? 0),
      parts: [...(iterate?.skipped.parts ?? []), ...(await failures.finish())],
    };
    const written = pipeline.sinks.reduce((sum, { exit }) => sum + exit.records, 0);
    const partBytes = writes.flatMap(({ parts }) => parts.map(({ bytes }) => bytes));
    const writers = pipeline.exits.map(({ exit }) => exit.writer);
    const { clock } = this.environment.env;
    return {
      exchanges,
      writes,
      skipped,
      counters: Object.fromEntries(plan.counters.map(({ name, value }) => [name, value])),
      metrics: {
        recordsIn,
        bytesIn,
        recordsOut: written + sum(exchanges.map(({ records }) => records)),
        bytesOut: sum(partBytes) + sum(exchanges.map(({ bytes }) => bytes)),
        spills: sum(writers.map(({ spills }) => spills)) + (input.spills ?? 0),
        spilledBytes:
          sum(writers.map(({ spilledBytes }) => spilledBytes)) + (input.spilledBytes ?? 0),
        ...(iterate === undefined ? {} : { rounds: iterate.rounds }),
        memoryBytesMax: this.memoryBytesMax,
        elapsedMs: clock.monotonicMs() - this.startMs,
      },
    };
  }

  private openInput(): TaskInput {
    const { plan, graph, spec, stage, root: node, storage, memory, failures, pipeline } = this;
    if (node.kind === 'source') {
      const splits = spec.splits.flatMap(({ splits: some }) => some);
      const context = this.readContext(node);
      const { source } = node;
      const exitBytes = memory.exit;
      const common = { plan, graph, stage, source, splits, context, pipeline, exitBytes };
      this.bytes = openByteInput(common);
      return this.bytes ?? new SplitInput(splits, (split) => source.open(split, context));
    }
    if (node.kind === 'iterate') {
      this.iterate = this.openIterate(node);
      return this.iterate;
    }
    const options = { node, reads: spec.reads, storage, memory, failures };
    if (node.kind === 'sort') {
      const { sinks } = pipeline;
      const open = (): MergeReader => openReader(options, 0);
      const paused = (): void => {
        this.isPaused = true;
      };
      const lines = openLineOutput({ plan, graph, stage, sinks, open, paused });
      if (lines !== undefined) return lines;
    }
    if (node.kind !== 'join') return openInput(options);
    assert(pipeline.pairs !== undefined, `${node.name} has no pairs`);
    const strategy = stage.joins.find((join) => join.node === node.id)?.strategy ?? 'sort-merge';
    return openJoin({ ...options, node, strategy, pair: pipeline.pairs.pair });
  }

  private readContext(node: SourceNode): ReadContext {
    const { failures, environment } = this;
    const { env, directory, brokers } = environment;
    return {
      env,
      directory,
      brokers,
      malformed: (error, raw) => {
        failures.malformed(node.name, error, raw);
      },
    };
  }

  private openIterate(node: IterateNode): IterateInput {
    const { plan, spec, storage, memory, environment } = this;
    const { env } = environment;
    const { reads, directory, skippedDirectory, skippedRecordsMax } = spec;
    return new IterateInput({
      node,
      plan,
      reads,
      storage,
      env,
      directory,
      skippedDirectory,
      skippedRecordsMax,
      memoryBytes: memory.root,
      runTask: (body, graph, task, runs) =>
        runTask(body, graph, task, {
          ...environment,
          storage: () => runs,
          onProgress: () => {},
        }),
    });
  }

  /** Opens the sink of dead letters, where they are taken. */
  private deadLetters(): (() => SinkWriter<unknown, unknown>) | undefined {
    const { plan, spec, environment } = this;
    const { skippedDirectory: directory, task } = spec;
    const { onError } = plan;
    if (onError.kind === 'fail' || directory === undefined) return undefined;
    return () => openWriter(onError.sink, { env: environment.env, directory, task });
  }

  private tell(input: TaskInput): void {
    const { pipeline, memory } = this;
    let heldBytes = memory.reader * this.spec.reads.length + memory.root;
    heldBytes += this.broadcastBytes + (this.bytes?.heldBytes ?? 0);
    for (const { exit } of pipeline.exits) heldBytes += exit.heldBytes;
    this.memoryBytesMax = Math.max(this.memoryBytesMax, heldBytes);
    this.environment.onProgress({
      recordsIn: Math.max(this.records, input.records),
      bytesIn: input.bytes,
    });
  }

  /** Frames, signals and timers of the process wait while a task computes: every so often it is their turn. */
  private async giveTurn(): Promise<void> {
    const { env, signal } = this.environment;
    const nowMs = env.clock.monotonicMs();
    if (nowMs - this.turnMs >= TASK_TURN_MS) {
      await new Promise<void>((resolve) => {
        env.timers.immediate(resolve);
      });
      this.turnMs = env.clock.monotonicMs();
    }
    if (signal.aborted) throw new MillraceError('ML_ABORTED', 'the task was cancelled');
  }
}

/** The types of a sink say what the language lets into it; here records are records. */
function openWriter(sink: Sink, context: WriteContext): SinkWriter<unknown, unknown> {
  return (sink as unknown as Sink<unknown, unknown>).open(context);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
