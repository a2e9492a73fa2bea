/**
 * Global tables of a worker: all of them, in memory, shared by its tasks. Their topics are read from the beginning at every start, whole,
 * before any task begins, and followed from then on. Nothing orders them and the records of streams.
 *
 * They are beside the transaction: a record that cannot be read is counted, and shown, under a policy that skips; else it ends the flow.
 */
import { assert } from '../../../core/errors.ts';
import type { Env } from '../../../core/env.ts';
import type { LogRecords, TopicPartition } from '../../../client/log.ts';
import { createOperator } from '../operators/create-operator.ts';
import type { ReadableTable } from '../operators/operator.ts';
import { findGlobalChains } from '../planning/global-chains.ts';
import type { ReadableStore } from '../state/store.ts';
import { openMemoryState } from '../state/task-state.ts';
import { TimeTracker } from '../time/time-tracker.ts';
import type { StageInput, StreamStage, Topology } from '../topology.ts';
import { SourceFeed } from './source-feed.ts';
import { StageOperators } from './stage-operators.ts';
import { TaskFailures } from './task-failures.ts';
import { TaskInput } from './task-input.ts';

export interface GlobalTablesOptions {
  readonly topology: Topology;
  readonly env: Pick<Env, 'clock' | 'timers'>;
  readonly timestampAheadMsMax?: number | undefined;
}

export class GlobalTables {
  /** Topics to be read whole: all their partitions, from the beginning. */
  readonly topics: readonly string[];
  private readonly options: GlobalTablesOptions;
  private readonly state = openMemoryState({ isLogged: false });
  private readonly stage: StreamStage;
  private readonly operators: StageOperators;
  private readonly tracker: TimeTracker;
  private readonly failures: TaskFailures;
  private readonly inputs = new Map<string, TaskInput[]>();
  private readonly read = new Map<string, TopicPartition & { readonly offset: number }>();
  private readonly nodes: ReadonlySet<number>;
  /** What a promise has brought: the next `add` throws it. */
  private failure: { readonly error: unknown } | undefined;

  constructor(options: GlobalTablesOptions) {
    this.options = options;
    const { topology, env } = options;
    this.stage = globalStage(topology);
    this.topics = [...new Set(this.stage.inputs.map(({ topic }) => topic))];
    this.nodes = new Set(this.stage.nodes.map(({ node }) => node));
    this.failures = new TaskFailures({
      letters: topology.deadLetters,
      output: { append: () => undefined },
      partition: 0,
      clock: env.clock,
    });
    this.operators = new StageOperators({
      plan: topology.plan,
      stage: this.stage,
      createOperator,
      host: {
        ...env,
        state: this.state,
        failures: this.failures,
        owners: new Map(),
        wake: () => this.resume(),
      },
      globalTable: () => undefined,
    });
    const times = this.stage.inputs.map(() => ({
      outOfOrderMs: 0,
      idleMs: undefined,
      writers: 0,
      isSilent: false,
    }));
    this.tracker = new TimeTracker(times, env.clock.nowMs());
  }

  /** A global table, or what was made of one. */
  table(node: number): ReadableTable | undefined {
    if (!this.nodes.has(node)) return undefined;
    return this.operators.tableOf({ node });
  }

  /** What others may read of a table. */
  committedView(store: string): ReadableStore | undefined {
    return this.state.committedView(store);
  }

  /** Where reading goes on, of each partition: records before are in the tables. */
  get positions(): readonly (TopicPartition & { readonly offset: number })[] {
    return [...this.read.values()];
  }

  /** Records that were skipped. */
  get skipped(): number {
    return this.failures.letters;
  }

  /**
   * Takes what was fetched. Records are in the table when it returns.
   * @throws {MillraceError} what stops the flow
   */
  add(records: LogRecords): void {
    if (this.failure !== undefined) throw this.failure.error;
    const key = `${records.topic} ${records.partition}`;
    let inputs = this.inputs.get(key);
    if (inputs === undefined) {
      inputs = this.open(records);
      this.inputs.set(key, inputs);
    }
    for (const input of inputs) {
      input.add(records);
      this.drain(input);
    }
    const { topic, partition, next } = records;
    this.read.set(key, { topic, partition, offset: next });
    this.state.committed(new Map());
  }

  /** Whether each of these partitions was read to its end. */
  isComplete(partitions: ReadonlyMap<string, number>): boolean {
    for (const topic of this.topics)
      for (let partition = 0; partition < (partitions.get(topic) ?? 1); partition++) {
        const inputs = this.inputs.get(`${topic} ${partition}`);
        if (inputs === undefined || !inputs.every((input) => input.hasBeenAtEnd)) return false;
      }
    return true;
  }

  close(): Promise<void> {
    this.operators.close();
    return this.state.close();
  }

  private open({ topic, partition }: LogRecords): TaskInput[] {
    return this.stage.inputs.flatMap((input, number): TaskInput[] => {
      if (input.topic !== topic || input.from.kind !== 'source') return [];
      const feed = this.feed(input, number, () => made);
      const { failures } = this;
      const made: TaskInput = new TaskInput(
        { topic, partition },
        {
          feed,
          clocks: [number],
          onRecord: (at, offset) => {
            failures.input = at;
            failures.offset = offset;
          },
        },
      );
      return [made];
    });
  }

  private feed(input: StageInput, number: number, made: () => TaskInput): SourceFeed {
    const { topology, env, timestampAheadMsMax } = this.options;
    const { from } = input;
    assert(from.kind === 'source', 'a global table is read from a topic');
    return new SourceFeed({
      name: topology.plan.nodes[from.node]?.name ?? input.topic,
      port: from.port,
      receiver: this.operators.receiverOf(from),
      tracker: this.tracker,
      input: number,
      failures: this.failures,
      clock: env.clock,
      timestampAheadMsMax,
      isWaiting: () => made().isWaiting,
      settled: (isReady, failure) => {
        this.failure ??= failure;
        made().settle(isReady);
        this.resume();
      },
    });
  }

  private drain(input: TaskInput): void {
    const { tracker, operators } = this;
    while (!operators.isFull && input.head() === 'ready') {
      input.take();
      operators.time.raise(tracker.now);
      input.feed.deliver();
      operators.settle();
    }
    input.hasBeenAtEnd ||= input.isAtEnd;
  }

  /** In a turn of a promise, or a timer. */
  private resume(): void {
    try {
      this.operators.resume();
      for (const inputs of this.inputs.values()) for (const input of inputs) this.drain(input);
      this.state.committed(new Map());
    } catch (error) {
      this.failure ??= { error };
    }
  }
}

/** All that is made of global tables, as if it were a stage. */
function globalStage({ plan, stages }: Topology): StreamStage {
  const chains = findGlobalChains(plan.nodes);
  const nodes = plan.nodes
    .filter(({ id, kind }) => chains.has(id) && kind !== 'source')
    .map(({ id }) => ({ node: id }));
  const inputs = new Map<number, StageInput>();
  for (const stage of stages)
    for (const input of stage.globals)
      if (input.from.kind === 'source') inputs.set(input.from.node, input);
  return { id: -1, partitions: 1, nodes, inputs: [...inputs.values()], globals: [], exits: [] };
}
