/** Makes a task of a stage: inputs, operators and exits, connected. */
import { assert } from '../../../core/errors.ts';
import type { Env } from '../../../core/env.ts';
import { CLOCK_WRITERS_MAX } from '../../../core/stream-limits.ts';
import type { TopicPartition } from '../../../client/log.ts';
import { createOperator } from '../operators/create-operator.ts';
import type { TaskState } from '../state/store.ts';
import type { StreamTask, TaskOutput } from '../task.ts';
import { ClockStore, type StoredTime } from '../time/clock-store.ts';
import { type TimeInput, TimeTracker } from '../time/time-tracker.ts';
import type { StageInput, StreamStage, TaskId, Topology } from '../topology.ts';
import { ExchangeExit } from './exchange-exit.ts';
import { ExchangeFeed } from './exchange-feed.ts';
import type { GlobalTables } from './global-tables.ts';
import { SeveralFeeds } from './several-feeds.ts';
import { isSilent } from './silent-inputs.ts';
import { SinkExit } from './sink-exit.ts';
import { SourceFeed, type SourceFeedOptions } from './source-feed.ts';
import { type CreateOperator, StageOperators } from './stage-operators.ts';
import { StageTask, type TaskParts } from './stage-task.ts';
import { HeldFailures, TaskFailures } from './task-failures.ts';
import { type Feed, TaskInput } from './task-input.ts';

export interface OpenTaskOptions {
  readonly topology: Topology;
  readonly id: TaskId;
  /** Open, and not restored: the task opens its stores in it, and closes it. */
  readonly state: TaskState;
  readonly output: TaskOutput;
  readonly env: Pick<Env, 'clock' | 'timers'>;
  /** Something that waited is done: the task is to be processed. Called from timers and promises. */
  readonly wake: () => void;
  /** Of the worker; complete before `begin`. Needed where the stage has globals. */
  readonly globals?: GlobalTables | undefined;
  /** How far ahead of the wall clock the time of a record may be; Infinity: no bound. Default TIMESTAMP_AHEAD_MS_MAX. */
  readonly timestampAheadMsMax?: number | undefined;
  /** For tests. */
  readonly createOperator?: CreateOperator;
}

/** The changelog of a store. */
export function changelogOf(flow: string, store: string): string {
  return `${flow}-${store}-changelog`;
}

export function openTask(options: OpenTaskOptions): Promise<StreamTask> {
  const { topology, id, state, output, env } = options;
  const stage = topology.stages[id.stage];
  assert(stage !== undefined, 'a task is of a stage of its topology');
  const failures = new TaskFailures({
    letters: topology.deadLetters,
    output,
    partition: id.partition,
    clock: env.clock,
  });
  const connecting = new Connecting(options, stage, failures);
  // Stores are opened when the operators are made: their changelogs are known then.
  const changelogs: (TopicPartition & { readonly store: string })[] = [];
  const task = new StageTask({
    id,
    clock: env.clock,
    state,
    output,
    failures,
    changelogs,
    connect: (connected) => connecting.connect(connected),
  });
  for (const { name, isLogged } of state.stores) {
    if (isLogged === false) continue;
    const topic = changelogOf(topology.plan.name, name);
    changelogs.push({ topic, partition: id.partition, store: name });
  }
  return Promise.resolve(task);
}

class Connecting {
  private readonly options: OpenTaskOptions;
  private readonly stage: StreamStage;
  private readonly failures: TaskFailures;

  constructor(options: OpenTaskOptions, stage: StreamStage, failures: TaskFailures) {
    this.options = options;
    this.stage = stage;
    this.failures = failures;
  }

  connect(task: Pick<StageTask, 'wake'>): TaskParts {
    const { stage, failures } = this;
    const { topology, env, state, globals } = this.options;
    const operators = new StageOperators({
      plan: topology.plan,
      stage,
      createOperator: this.options.createOperator ?? createOperator,
      host: {
        ...env,
        state,
        failures,
        owners: new Map(),
        wake: () => {
          task.wake();
          this.options.wake();
        },
      },
      globalTable: (node) => globals?.table(node),
    });
    const tracker = new TimeTracker(
      stage.inputs.map((input) => this.timeOf(input)),
      env.clock.nowMs(),
    );
    const { sinks, exchanges } = this.exits(operators);
    const inputs = this.inputs(operators, tracker, task);
    return { operators, tracker, sinks, exchanges, inputs, clockStores: this.clockStores() };
  }

  private timeOf(input: StageInput): TimeInput {
    const { from } = input;
    const silent = isSilent(this.options.topology.plan, this.stage, input);
    if (from.kind === 'exchange')
      return {
        outOfOrderMs: 0,
        idleMs: undefined,
        writers: from.exchange.writers,
        isSilent: silent,
      };
    const { outOfOrderMs, idleMs } = from.port.time;
    return { outOfOrderMs, idleMs, writers: 0, isSilent: silent };
  }

  private clockStores(): readonly ClockStore[] {
    return this.stage.inputs.flatMap(({ from }, input): ClockStore[] => {
      if (from.kind === 'source' || from.exchange.writers <= CLOCK_WRITERS_MAX) return [];
      const { name, writers } = from.exchange;
      const store = this.options.state.store<StoredTime>({ name: `${name}-clock` });
      return [new ClockStore(input, writers, store)];
    });
  }

  private inputs(
    operators: StageOperators,
    tracker: TimeTracker,
    task: Pick<StageTask, 'wake'>,
  ): readonly TaskInput[] {
    const { failures, stage } = this;
    const { partition } = this.options.id;
    const topics = [...new Set(stage.inputs.map(({ topic }) => topic))];
    return topics.map((topic): TaskInput => {
      const clocks: number[] = [];
      const feeds: Feed[] = [];
      const isSeveral = stage.inputs.filter((input) => input.topic === topic).length > 1;
      const held = isSeveral ? new HeldFailures(failures) : undefined;
      for (const [number, input] of stage.inputs.entries()) {
        if (input.topic !== topic) continue;
        clocks.push(number);
        const feed = feeds.length;
        feeds.push(
          this.feed(input, number, {
            operators,
            tracker,
            failures: held ?? failures,
            isWaiting: () => made.isWaiting,
            settled: (isReady, failure) => {
              const decoded = several?.settle(feed, isReady) ?? (isReady ? 'ready' : 'skipped');
              if (decoded !== 'waits') made.settle(decoded === 'ready');
              task.wake(failure);
              this.options.wake();
            },
          }),
        );
      }
      const [only] = feeds;
      const several = held === undefined ? undefined : new SeveralFeeds(feeds, held);
      const feed = several ?? only;
      assert(feed !== undefined, 'an input of a stage is read');
      const made: TaskInput = new TaskInput(
        { topic, partition },
        {
          feed,
          clocks,
          onRecord: (at, offset) => {
            failures.input = at;
            failures.offset = offset;
          },
        },
      );
      return made;
    });
  }

  private feed(
    { topic, from }: StageInput,
    input: number,
    parts: {
      readonly operators: StageOperators;
      readonly tracker: TimeTracker;
    } & Pick<SourceFeedOptions, 'isWaiting' | 'settled' | 'failures'>,
  ): Feed {
    const { env, topology, timestampAheadMsMax } = this.options;
    const { tracker, settled, isWaiting, failures } = parts;
    const receiver = parts.operators.receiverOf(from);
    const { clock } = env;
    if (from.kind === 'exchange')
      return new ExchangeFeed({
        topic,
        receiver,
        tracker,
        input,
        failures: this.failures,
        clock,
      });
    const name = topology.plan.nodes[from.node]?.name ?? topic;
    const { port } = from;
    return new SourceFeed({
      name,
      port,
      receiver,
      tracker,
      input,
      failures,
      clock,
      timestampAheadMsMax,
      isWaiting,
      settled,
    });
  }

  private exits(operators: StageOperators): Pick<TaskParts, 'sinks' | 'exchanges'> {
    const { failures } = this;
    const { output, topology, id, env } = this.options;
    const { nodes } = topology.plan;
    const sinks: SinkExit[] = [];
    const exchanges: ExchangeExit[] = [];
    for (const exit of this.stage.exits) {
      if (exit.kind === 'sink') {
        const node = nodes[exit.node];
        assert(node !== undefined, 'an exit is of a node of the plan');
        const { name, inputs } = node;
        const { port, partitions } = exit;
        const sink = new SinkExit({
          name,
          port,
          partitions,
          partition: id.partition,
          output,
          failures,
        });
        operators.exit({ node: inputs[0] ?? -1 }, sink);
        sinks.push(sink);
      } else {
        const { exchange } = exit;
        const made = new ExchangeExit({
          exchange,
          name: nodes[exchange.from.node]?.name ?? exchange.name,
          partition: id.partition,
          output,
          failures,
          nowMs: () => env.clock.nowMs(),
          time: () => operators.timeBehind(exchange.from),
          until: () => operators.until(exchange.from),
        });
        operators.exit(exchange.from, made);
        exchanges.push(made);
      }
    }
    return { sinks, exchanges };
  }
}
