/**
 * A flow on a log in memory: all tasks of its topology, dealt out to workers, each with a transaction of its own. Nothing happens by
 * itself: who has it says which task reads and processes, when a worker commits, and when one dies. So every order of events can be
 * played, and the same one again.
 *
 * @example
 * const cluster = await MemoryCluster.open({ plan, topics: { orders: 2 }, workers: 2 });
 * cluster.produce('orders', [{ key: 'a', value: '{"total":1}', timestamp: 0 }]);
 * await cluster.run();
 * cluster.log.records('revenue');
 */
import { assert } from '../core/errors.ts';
import type { TopicPartition } from '../client/log.ts';
import { planTopology } from '../engine/stream/planning/plan-topology.ts';
import { openMemoryState } from '../engine/stream/state/task-state.ts';
import type { TaskState } from '../engine/stream/state/store.ts';
import { GlobalTables } from '../engine/stream/task/global-tables.ts';
import { openTask } from '../engine/stream/task/open-task.ts';
import type { StreamTask } from '../engine/stream/task.ts';
import type { TaskId, Topology } from '../engine/stream/topology.ts';
import type { Plan } from '../flow/plan.ts';
import { ManualClock } from './manual-clock.ts';
import { type LogEnds, type MemoryRecord, MemoryLog } from './memory-log.ts';
import { MemoryTransaction } from './memory-transaction.ts';

export interface MemoryClusterOptions {
  readonly plan: Plan;
  /** Partitions of topics that are there before the flow starts: at least those that it reads. */
  readonly topics: Readonly<Record<string, number>>;
  /** Of repartition topics. Default: as many as their input has. */
  readonly partitions?: number;
  /** Default 1. */
  readonly workers?: number;
  /** Default: stands at 0. */
  readonly clock?: ManualClock;
  /** Default: no bound. */
  readonly timestampAheadMsMax?: number;
  /** Opens the state of a task. Default: in memory. */
  readonly openState?: (id: TaskId) => Promise<TaskState>;
}

/** What was committed, and when. */
export interface ClusterMoment {
  readonly ends: LogEnds;
  readonly committed: ReadonlyMap<string, Committed>;
  readonly nowMs: number;
}

interface Committed extends TopicPartition {
  readonly offset: number;
  readonly metadata: string;
}

/** A task that runs. */
export interface ClusterTask {
  readonly id: TaskId;
  readonly task: StreamTask;
  /** By input: what is fetched next. */
  readonly reading: Map<string, number>;
  /** Wall clock at which it wants a turn; Infinity: it does not. */
  nextTick: number;
}

const FETCH_BYTES = 64 * 1024;
/** Rounds without end are a mistake. */
const ROUNDS_MAX = 100_000;

export class ClusterWorker {
  readonly transaction: MemoryTransaction;
  tasks: ClusterTask[] = [];
  globals: GlobalTables | undefined;
  readonly globalsReading = new Map<string, number>();

  constructor(log: MemoryLog) {
    this.transaction = new MemoryTransaction(log);
  }
}

export class MemoryCluster {
  readonly log = new MemoryLog();
  readonly clock: ManualClock;
  readonly topology: Topology;
  readonly workers: readonly ClusterWorker[];
  /** Of the group: by topic and partition. */
  #committed = new Map<string, Committed>();
  readonly #options: MemoryClusterOptions;

  private constructor(options: MemoryClusterOptions) {
    this.#options = options;
    this.clock = options.clock ?? new ManualClock(0);
    const topics = Object.entries(options.topics);
    this.log.createTopics(topics.map(([name, partitions]) => ({ name, partitions, configs: {} })));
    this.topology = planTopology(options.plan, this.log.topics(), {
      partitions: options.partitions,
    });
    this.log.createTopics([...this.topology.internalTopics, ...this.topology.outputTopics]);
    this.workers = Array.from({ length: options.workers ?? 1 }, () => new ClusterWorker(this.log));
  }

  static async open(options: MemoryClusterOptions): Promise<MemoryCluster> {
    const cluster = new MemoryCluster(options);
    await cluster.deal(() => 0);
    return cluster;
  }

  produce(topic: string, records: readonly MemoryRecord[]): void {
    this.log.produce(topic, records);
  }

  get tasks(): readonly ClusterTask[] {
    return this.workers.flatMap(({ tasks }) => tasks);
  }

  /** Deals out all tasks anew: those that are open are closed without a commit, as after a rebalance. @param choose a number below n */
  async deal(choose: (n: number) => number): Promise<void> {
    for (const worker of this.workers) await this.#stop(worker);
    for (const stage of this.topology.stages)
      for (let partition = 0; partition < stage.partitions; partition++) {
        const worker = this.workers[choose(this.workers.length)];
        assert(worker !== undefined, 'a worker is chosen among those that are there');
        await this.#start(worker, { stage: stage.id, partition });
      }
  }

  /** The worker dies, and comes back with what is committed. */
  async crash(worker: ClusterWorker): Promise<void> {
    const ids = worker.tasks.map(({ id }) => id);
    await this.#stop(worker);
    for (const id of ids) await this.#start(worker, id);
  }

  /** What is committed now. */
  moment(): ClusterMoment {
    const nowMs = this.clock.nowMs();
    return { ends: this.log.ends(), committed: new Map(this.#committed), nowMs };
  }

  /** Everything is as it was then, as if no transaction since had been committed: all workers come back with what was committed. */
  async goBack({ ends, committed, nowMs }: ClusterMoment): Promise<void> {
    const ids = this.workers.map(({ tasks }) => tasks.map(({ id }) => id));
    for (const worker of this.workers) await this.#stop(worker);
    this.log.truncate(ends);
    this.#committed = new Map(committed);
    this.clock.goBack(nowMs);
    for (const [index, worker] of this.workers.entries())
      for (const id of ids[index] ?? []) await this.#start(worker, id);
  }

  /** Goes back to the last commit, with the same tasks. */
  abort(worker: ClusterWorker): void {
    worker.transaction.abort();
    for (const { task, reading } of worker.tasks) {
      task.abort();
      for (const input of task.inputs) reading.set(nameOf(input), this.#offsetOf(input));
    }
  }

  /** Fetches for one input of a task: more of it, or that there is no more. @returns whether there was something */
  fetch({ task, reading }: ClusterTask, input: TopicPartition, bytesMax = FETCH_BYTES): boolean {
    const offset = reading.get(nameOf(input)) ?? 0;
    const records = this.log.read({ ...input, offset }, bytesMax);
    reading.set(nameOf(input), records.next);
    task.add(records);
    return records.bytes.length > 0;
  }

  /** All or nothing of what the tasks of a worker have done. */
  async commit(worker: ClusterWorker): Promise<boolean> {
    await this.drain(worker);
    if (!worker.tasks.some(({ task }) => task.isDirty)) return false;
    for (const { task } of worker.tasks) task.prepareCommit();
    const offsets = worker.tasks.flatMap(({ task }) => task.offsets());
    worker.transaction.commit();
    for (const at of offsets) this.#committed.set(nameOf(at), at);
    for (const { task } of worker.tasks)
      task.committed((changelog) => worker.transaction.nextOffset(changelog));
    return true;
  }

  /** A commit that fails when everything of it has been sent: the worker goes back to the last one. */
  async failCommit(worker: ClusterWorker): Promise<void> {
    await this.drain(worker);
    for (const { task } of worker.tasks) {
      task.prepareCommit();
      task.offsets();
    }
    this.abort(worker);
  }

  /** Waits for promises of the program. */
  async drain(worker: ClusterWorker): Promise<void> {
    for (let round = 0; worker.tasks.some(({ task }) => task.pending > 0); round++) {
      assert(round < ROUNDS_MAX, 'promises of the program are settled');
      await new Promise<void>((resolve) => this.clock.immediate(resolve));
      for (const { task } of worker.tasks) task.process(0);
    }
  }

  /** Reads, processes and commits until nothing is left to do at this time. */
  async run(): Promise<void> {
    for (let round = 0; ; round++) {
      assert(round < ROUNDS_MAX, 'a flow comes to rest');
      let isBusy = false;
      for (const worker of this.workers) {
        this.followGlobals(worker);
        for (const running of worker.tasks) if (this.turn(running)) isBusy = true;
        if (await this.commit(worker)) isBusy = true;
      }
      if (!isBusy) return;
    }
  }

  /** Fetches for all inputs of a task, and processes. @returns whether there was something to do */
  turn(running: ClusterTask): boolean {
    const { task } = running;
    let isBusy = false;
    for (const input of task.inputs) if (this.fetch(running, input)) isBusy = true;
    if (task.process(Number.MAX_SAFE_INTEGER) > 0) isBusy = true;
    running.nextTick = task.tick(this.clock.nowMs());
    return isBusy || task.pending > 0;
  }

  /** Lets time pass by the wall clock, and runs what that brings about. */
  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.run();
  }

  async close(): Promise<void> {
    for (const worker of this.workers) await this.#stop(worker);
  }

  /** Brings the global tables of a worker up to date. */
  followGlobals(worker: ClusterWorker): void {
    const { globals, globalsReading } = worker;
    if (globals === undefined) return;
    for (const topic of globals.topics)
      for (let partition = 0; partition < this.log.partitionsOf(topic); partition++) {
        const name = nameOf({ topic, partition });
        for (;;) {
          const offset = globalsReading.get(name) ?? 0;
          const records = this.log.read({ topic, partition, offset }, FETCH_BYTES);
          globals.add(records);
          globalsReading.set(name, records.next);
          if (records.next >= records.end) break;
        }
      }
  }

  #offsetOf(input: TopicPartition): number {
    return this.#committed.get(nameOf(input))?.offset ?? 0;
  }

  async #stop(worker: ClusterWorker): Promise<void> {
    worker.transaction.abort();
    for (const { task } of worker.tasks) await task.close();
    await worker.globals?.close();
    worker.tasks = [];
    worker.globals = undefined;
    worker.globalsReading.clear();
  }

  async #start(worker: ClusterWorker, id: TaskId): Promise<void> {
    const { topology, clock } = this;
    const timestampAheadMsMax = this.#options.timestampAheadMsMax ?? Number.POSITIVE_INFINITY;
    const env = { clock, timers: clock };
    worker.globals ??= new GlobalTables({ topology, env, timestampAheadMsMax });
    this.followGlobals(worker);
    const state = await (this.#options.openState?.(id) ?? Promise.resolve(openMemoryState()));
    const task = await openTask({
      topology,
      id,
      state,
      env,
      output: worker.transaction,
      globals: worker.globals,
      timestampAheadMsMax,
      // Who runs the cluster looks at `pending`.
      wake: () => undefined,
    });
    const { partitions } = topology.stages[id.stage] ?? { partitions: 1 };
    this.log.createTopics(
      task.changelogs.map(({ topic }) => ({ name: topic, partitions, configs: {} })),
    );
    for (const { store, ...at } of task.changelogs) {
      for (const { key, value } of this.log.records(at.topic, at.partition))
        state.restore(store, key ?? Buffer.alloc(0), value);
      await state.restored(store, this.log.end(at));
    }
    const committed = task.inputs.flatMap((input) => this.#committed.get(nameOf(input)) ?? []);
    task.begin(committed);
    const reading = new Map(task.inputs.map((input) => [nameOf(input), this.#offsetOf(input)]));
    worker.tasks.push({ id, task, reading, nextTick: 0 });
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
