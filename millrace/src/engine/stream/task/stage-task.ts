/**
 * A task: a stage × a partition. Records of its inputs go through its operators, the lowest timestamp first; what comes out is appended to
 * a transaction that somebody else commits.
 *
 * Invariant: after `abort` everything is as after the last `committed`, or `begin`: state, clocks, positions, and what operators keep in
 * memory, for which they are made anew.
 *
 * @hot `process` per record; the rest per fetch, tick or commit.
 */
import { assert, MillraceError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/env.ts';
import type { LogRecords, TopicPartition } from '../../../client/log.ts';
import type { TaskState } from '../state/store.ts';
import type { StreamTask, TaskDetails, TaskMetrics, TaskOutput } from '../task.ts';
import type { ClockStore } from '../time/clock-store.ts';
import { decodeClock, encodeClock } from '../time/clock-metadata.ts';
import type { TimeTracker } from '../time/time-tracker.ts';
import type { TaskId } from '../topology.ts';
import { CallWatch } from './call-watch.ts';
import type { ExchangeExit } from './exchange-exit.ts';
import type { SinkExit } from './sink-exit.ts';
import type { StageOperators } from './stage-operators.ts';
import type { TaskFailures } from './task-failures.ts';
import type { TaskInput } from './task-input.ts';

/** What a task is connected to; made anew when it begins, and after an abort. */
export interface TaskParts {
  readonly operators: StageOperators;
  readonly tracker: TimeTracker;
  readonly inputs: readonly TaskInput[];
  readonly sinks: readonly SinkExit[];
  readonly exchanges: readonly ExchangeExit[];
  /** Of exchanges with very many writers. */
  readonly clockStores: readonly ClockStore[];
}

export interface StageTaskOptions {
  readonly id: TaskId;
  readonly clock: Clock;
  readonly state: TaskState;
  readonly output: TaskOutput;
  readonly failures: TaskFailures;
  readonly changelogs: StreamTask['changelogs'];
  /** Connects everything, with inputs that have not been read. */
  readonly connect: (task: StageTask) => TaskParts;
}

type Committed = TopicPartition & { readonly offset: number; readonly metadata: string };

export class StageTask implements StreamTask {
  readonly id: TaskId;
  readonly inputs: readonly TopicPartition[];
  readonly state: TaskState;
  readonly changelogs: StreamTask['changelogs'];
  private readonly options: StageTaskOptions;
  private readonly clock: Clock;
  private readonly calls: CallWatch;
  private parts: TaskParts;
  /** Of the last commit, by the number of the input. */
  private committedInputs: (Committed | undefined)[];
  private hasChanged = false;
  private isPrepared = false;
  /** `wake` was called. */
  private isWoken = false;
  /** What a promise of a serde has brought: it stops the task in its next turn. */
  private failure: { readonly error: unknown } | undefined;
  private isClosed = false;
  /** What was counted by parts that are gone: up to the last commit. */
  private counted: TaskMetrics = { recordsIn: 0, recordsOut: 0, lateDropped: 0, skipped: 0 };
  private committedMetrics: TaskMetrics = this.counted;
  private committedLetters = 0;

  constructor(options: StageTaskOptions) {
    this.options = options;
    this.id = options.id;
    this.state = options.state;
    this.clock = options.clock;
    this.parts = options.connect(this);
    this.inputs = this.parts.inputs.map(({ topic, partition }) => ({ topic, partition }));
    this.changelogs = options.changelogs;
    this.committedInputs = this.inputs.map(() => undefined);
    this.calls = new CallWatch(() => this.parts.operators.all);
  }

  begin(committed: readonly Committed[]): void {
    this.committedInputs = this.inputs.map((input) =>
      committed.find(
        ({ topic, partition }) => topic === input.topic && partition === input.partition,
      ),
    );
    this.connectAnew();
  }

  add(records: LogRecords): void {
    this.inputOf(records)?.add(records);
  }

  bufferedBytes(input: TopicPartition): number {
    return this.inputOf(input)?.bytes ?? 0;
  }

  process(recordsMax: number): number {
    this.throwFailure();
    if (this.isWoken) this.resume();
    this.lookAtEnds();
    let count = 0;
    while (count < recordsMax) {
      try {
        if (this.processOne()) count++;
        else break;
      } catch (error) {
        this.refuse(error);
      }
    }
    const { time } = this.parts.operators;
    this.hasChanged ||= count > 0 || time.hasAdvanced;
    time.hasAdvanced = false;
    if (count > 0) this.lookAtEnds();
    return count;
  }

  tick(nowMs: number): number {
    this.throwFailure();
    const { operators, tracker, exchanges } = this.parts;
    this.lookAtEnds();
    const { time } = operators;
    let next = operators.tick(nowMs);
    next = Math.min(next, tracker.tick(nowMs, time.wanted));
    this.timePassed();
    operators.settle();
    this.hasChanged ||= time.hasAdvanced;
    time.hasAdvanced = false;
    next = Math.min(
      next,
      operators.pending === 0 ? Number.POSITIVE_INFINITY : this.calls.look(nowMs),
    );
    // News for the next stage is worth a commit, also when nothing was processed.
    const counting = tracker.counting;
    const isNews = exchanges.some((exit) => exit.isNews(counting));
    return isNews ? Math.min(next, nowMs + 1) : next;
  }

  raiseTime(time: number): void {
    const { tracker, operators } = this.parts;
    tracker.raise(time);
    this.timePassed();
    operators.time.hasAdvanced = false;
    this.hasChanged = true;
  }

  get watermark(): number {
    return this.parts.operators.time.now;
  }

  get pending(): number {
    return this.parts.operators.pending;
  }

  get isDirty(): boolean {
    const { exchanges, inputs, tracker } = this.parts;
    if (this.hasChanged || this.isPrepared) return true;
    if (inputs.some((input, index) => input.next !== this.committedInputs[index]?.offset))
      return true;
    return exchanges.some((exit) => exit.isNews(tracker.counting));
  }

  prepareCommit(): void {
    this.throwFailure();
    assert(this.pending === 0, 'a task commits when nothing waits');
    if (!this.isDirty) return;
    this.isPrepared = true;
    const { exchanges, tracker, clockStores } = this.parts;
    const { output } = this.options;
    for (const clock of clockStores) clock.save(tracker.state(clock.input));
    const { partition } = this.id;
    const topics = new Map(this.changelogs.map(({ store, topic }) => [store, topic]));
    this.state.flush((store, key, value, time) => {
      const topic = topics.get(store);
      assert(topic !== undefined, 'a store that is logged has a changelog');
      output.append(topic, partition, time >= 0 ? Math.floor(time) : 0, key, value);
    });
    const { counting } = tracker;
    for (const exit of exchanges) if (exit.isNews(counting)) exit.mark(counting);
  }

  offsets(): readonly Committed[] {
    if (!this.isPrepared) return [];
    const { inputs, tracker } = this.parts;
    return inputs.flatMap(({ topic, partition, next, clocks }): Committed[] => {
      if (next === undefined) return [];
      const times = clocks.map((clock) => tracker.state(clock));
      const metadata = encodeClock({ now: this.watermark, inputs: times });
      return [{ topic, partition, offset: next, metadata }];
    });
  }

  committed(nextOffset: (changelog: TopicPartition) => number | undefined): void {
    if (!this.isPrepared) return;
    const offsets = this.offsets();
    this.committedInputs = this.inputs.map(({ topic, partition }) =>
      offsets.find((input) => input.topic === topic && input.partition === partition),
    );
    const checkpoints = new Map<string, number>();
    for (const changelog of this.changelogs) {
      const next = nextOffset(changelog);
      if (next !== undefined) checkpoints.set(changelog.store, next);
    }
    this.state.committed(checkpoints);
    for (const exit of this.parts.exchanges) exit.commit();
    this.committedMetrics = this.metrics;
    this.committedLetters = this.options.failures.letters;
    this.isPrepared = false;
    this.hasChanged = false;
  }

  abort(): void {
    this.state.abort();
    const { failures } = this.options;
    failures.letters = this.committedLetters;
    // Those are counted where they are.
    const { skipped } = this.committedMetrics;
    this.counted = { ...this.committedMetrics, skipped: skipped - failures.letters };
    this.connectAnew();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.leave();
    await this.state.close();
  }

  get metrics(): TaskMetrics {
    const { inputs, operators, sinks, exchanges } = this.parts;
    const total = { ...this.counted };
    for (const { records } of inputs) total.recordsIn += records;
    for (const { records } of [...sinks, ...exchanges]) total.recordsOut += records;
    for (const { context } of operators.all) {
      total.lateDropped += context.lateDropped;
      total.skipped += context.nullDropped;
    }
    total.skipped += this.options.failures.letters;
    return total;
  }

  details(): TaskDetails {
    const { inputs, operators } = this.parts;
    return {
      nodes: operators.all.map(({ name, outlet, level, context }) => ({
        name,
        watermark: level.now,
        recordsOut: outlet.records,
        lateDropped: context.lateDropped,
        failed: context.failures,
      })),
      inputs: inputs.map(({ topic, partition, lagRecords, bytes }) => ({
        topic,
        partition,
        lagRecords,
        bufferedBytes: bytes,
      })),
    };
  }

  /** An operator, or a serde, has what it waited for. */
  wake(failure?: { readonly error: unknown }): void {
    this.isWoken = true;
    this.failure ??= failure;
  }

  /** False when nothing can be processed now. */
  private processOne(): boolean {
    const { operators, tracker } = this.parts;
    if (operators.isFull) return false;
    const input = this.nextInput();
    // Markers have told the time of others.
    if (tracker.now > operators.time.now) this.timePassed();
    if (input === undefined) return false;
    input.take();
    if (tracker.now > operators.time.now) operators.time.raise(tracker.now);
    input.feed.deliver();
    operators.settle();
    return true;
  }

  /** The one whose next record is the earliest; undefined: none has one, or one may still get an earlier one. */
  private nextInput(): TaskInput | undefined {
    const { inputs } = this.parts;
    let earliest: TaskInput | undefined;
    let isHeldBack = false;
    for (const input of inputs) {
      const head = input.head();
      if (head === 'ready') {
        if (earliest === undefined || input.headTime < earliest.headTime) earliest = input;
      } else if (head !== 'empty') isHeldBack = true;
    }
    if (isHeldBack || earliest === undefined) return undefined;
    const { failures } = this.options;
    failures.input = earliest;
    failures.offset = earliest.headOffset;
    failures.time = earliest.headTime;
    return earliest;
  }

  /** T has gone on without a record. */
  private timePassed(): void {
    const { operators, tracker } = this.parts;
    if (tracker.now <= operators.time.now) return;
    operators.time.raise(tracker.now);
    operators.settle();
  }

  private resume(): void {
    this.isWoken = false;
    this.hasChanged = true;
    this.calls.reset();
    this.parts.operators.resume();
  }

  private lookAtEnds(): void {
    const { inputs, tracker } = this.parts;
    const nowMs = this.clock.nowMs();
    for (const input of inputs) {
      for (const clock of input.clocks) {
        if (input.hasDelivered) tracker.active(clock, nowMs);
        tracker.atEnd(clock, input.isAtEnd, nowMs);
      }
      input.hasDelivered = false;
    }
  }

  /** What an operator has not said of a record itself. */
  private refuse(error: unknown): void {
    const { failures } = this.options;
    const isOfRecord =
      error instanceof MillraceError &&
      (error.code === 'ML_KEY_INVALID' || error.code === 'ML_VALUE_INVALID');
    if (!isOfRecord || !failures.skips) throw failures.located(error);
    failures.take(error, {
      operator: failures.input?.topic ?? '',
      record: undefined,
      code: 'ML_USER_FUNCTION',
    });
  }

  /** Everything as at the last commit; inputs are to be read from there. */
  private connectAnew(): void {
    this.leave();
    this.failure = undefined;
    this.isWoken = false;
    this.hasChanged = false;
    this.isPrepared = false;
    const told = this.parts.exchanges;
    this.parts = this.options.connect(this);
    const { exchanges, inputs, tracker, operators } = this.parts;
    for (const [index, exit] of exchanges.entries()) exit.restore(told[index]);
    for (const [index, input] of inputs.entries()) {
      const committed = this.committedInputs[index];
      input.reset(committed?.offset);
      const saved = decodeClock(committed?.metadata ?? '');
      if (saved === undefined) continue;
      for (const [number, clock] of input.clocks.entries())
        tracker.restore(clock, saved.inputs[number], saved.now);
    }
    for (const clock of this.parts.clockStores)
      tracker.restore(clock.input, clock.read(), tracker.now);
    operators.time.restore(tracker.now);
    this.calls.reset();
  }

  /** Nothing that was waited for comes any more. */
  private leave(): void {
    this.parts.operators.close();
    for (const input of this.parts.inputs) input.reset(undefined);
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.options.failures.located(this.failure.error);
  }

  private inputOf({ topic, partition }: TopicPartition): TaskInput | undefined {
    return this.parts.inputs.find(
      (input) => input.topic === topic && input.partition === partition,
    );
  }
}
