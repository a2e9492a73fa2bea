/**
 * Runs a flow for a test: all tasks of it, on a log in memory, by a clock that stands still. Whatever a call brings about has happened, and
 * is committed, when it resolves.
 *
 * Invariant: the last call can be undone and done again. What it began with is kept as positions in the log: state follows from that, as it
 * does after a crash.
 */
import { MillraceError } from '../core/errors.ts';
import { TEST_ROUNDS_MAX, TEST_TICKS_MAX } from '../core/stream-limits.ts';
import type { ConsumedRecord, NewRecord, TopicGiven } from '../door/records.ts';
import { portOf } from '../door/records.ts';
import { DURATION_FORMS, type Duration, millisecondsOf } from '../flow/durations.ts';
import type { DeadLetter } from '../flow/plan.ts';
import type { Readable } from '../flow/source.ts';
import type { TopicPort } from '../flow/topic-port.ts';
import type { ClusterMoment, ClusterWorker, MemoryCluster } from './memory-cluster.ts';
import type { Patience } from './patience.ts';
import { decodeRecord, encodeRecord } from './test-records.ts';
import { readState, type StateReader } from './test-state.ts';
import { portsOf } from './test-topics.ts';

/**
 * A flow under test, which `testFlow` makes. Every call but those that read does all that it brings about, commits that, and rejects with what
 * the flow fails with: the flow has stopped then, and later calls are rejected with the same, unless `crash` or `redeliver` start it again.
 * Calls are done one after the other.
 */
export interface TestDriver extends AsyncDisposable {
  /**
   * Writes records to a topic that the flow reads, by the serdes of the topic, and lets the flow process them.
   * @param topic the topic, or its name: then the serdes are those that the flow gives it
   * @param records one or several; a record without a timestamp has the time of the clock, one without a partition goes where its key says,
   * and without a key to partition 0
   * @throws {MillraceError} ML_TOPIC_MISSING, ML_SINK_VALUE_INVALID, ML_TIMESTAMP_INVALID; what the flow fails with
   * @example
   * await driver.send(topic('orders', { value: json<Order>() }), { key: 'o1', value: order, timestamp: 1_000 });
   * await driver.send('orders', [{ value: order }, { value: null }]);
   */
  send<Value, Key, WrittenValue, WrittenKey>(
    topic: TopicGiven<Value, Key, WrittenValue, WrittenKey>,
    records: NewRecord<WrittenValue, WrittenKey> | readonly NewRecord<WrittenValue, WrittenKey>[],
  ): Promise<void>;
  /**
   * Lets time pass by the wall clock, stopping wherever something is due: idle topics, wall timers of `process`, `emit: { every }`, timeouts of
   * `mapAsync`. Event time does not move by it, unless topics are idle.
   * @example
   * await driver.advance('5 minutes');
   */
  advance(by: Duration): Promise<void>;
  /**
   * Lets event time come to `to`, as if every partition of every topic that the flow reads had a record that late, which nobody sees: windows
   * close, joins give up, timers fire. A partition counts from then on, as one that has had a record.
   * @param to milliseconds since 1970, or a Date
   * @example
   * await driver.advanceTime(new Date('2026-01-01T00:05:00Z'));
   */
  advanceTime(to: number | Date): Promise<void>;
  /** All records of a topic, in the order in which they were written; those of one commit, partition by partition. @throws {MillraceError}
   * ML_TOPIC_MISSING, ML_INPUT_MALFORMED when the serdes are not those that it was written with */
  outputs<Value = unknown, Key = unknown>(
    topic: string | Readable<Value, Key>,
  ): readonly ConsumedRecord<Value, Key>[];
  /** Those that have come since they were taken last. */
  take<Value = unknown, Key = unknown>(
    topic: string | Readable<Value, Key>,
  ): readonly ConsumedRecord<Value, Key>[];
  /**
   * What the operator of that name has, as of the last commit: a table, an aggregate, the windows that are open, the state of `process`.
   * @throws {MillraceError} ML_USAGE: there is no such state
   * @example
   * const spent = driver.state<number, string>('spent').get('ann');
   */
  state<Value = unknown, Key = unknown>(name: string): StateReader<Value, Key>;
  /**
   * The process dies where it hurts most: everything that the last call has done is lost just before it is committed, at every stage of the
   * flow. Another process takes over: state is made anew from the changelogs, and the records are read again. What is written must be what was
   * written before, unless functions of the flow keep something outside of its state.
   */
  crash(): Promise<void>;
  /** Commits fail: the last call is done again, and at every stage of the flow its first transaction is aborted when all of it was written.
   * The process goes on, with the state of the last commit, and gets the records a second time. */
  redeliver(): Promise<void>;
  /** Records that came too late and were dropped: `.late(topic)` writes them instead. */
  readonly lateRecords: number;
  /** What `onError: skipTo(topic)` has written. */
  readonly deadLetters: readonly DeadLetter[];
  /** How far event time has come: the lowest of all tasks that have one; -Infinity: none has. */
  readonly watermark: number;
  /** The wall clock, milliseconds since 1970. */
  readonly now: number;
  /** Ends it. Idempotent. `await using` calls it. */
  close(): Promise<void>;
}

/** What happens to the transactions of a call: `abort`, `crash`: the first one of each batch is lost when all of it was written. */
type Fate = 'commit' | 'abort' | 'crash';

/** Something a call does, before the flow goes on by itself. */
interface Step {
  readonly before: ClusterMoment;
  readonly lateBefore: number;
  readonly play: (fate: Fate) => Promise<void>;
}

export class FlowDriver implements TestDriver {
  readonly #cluster: MemoryCluster;
  readonly #ports: ReadonlyMap<string, TopicPort>;
  readonly #patience: Patience;
  readonly #taken = new Map<string, number>();
  /** The last call that did something. */
  #step: Step | undefined;
  #work: Promise<unknown> = Promise.resolve();
  /** Late records that were counted by tasks that are gone. */
  #late = 0;
  /** What has stopped the flow. */
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;

  /** @param patience waits for promises of the program */
  constructor(cluster: MemoryCluster, patience: Patience) {
    this.#cluster = cluster;
    this.#patience = patience;
    this.#ports = portsOf(cluster.topology.plan);
  }

  async send(
    topic: string | Readable,
    records: NewRecord<unknown, unknown> | readonly NewRecord<unknown, unknown>[],
  ): Promise<void> {
    const port = this.#portOf(topic);
    const list = isMany(records) ? records : [records];
    await this.#queue(() => {
      const { clock, log } = this.#cluster;
      const { name } = this.#existing(port);
      const partitions = log.partitionsOf(name);
      const encoded = list.map((record) =>
        encodeRecord(port, record, { nowMs: clock.nowMs(), partitions }),
      );
      return this.#begin((fate) => {
        this.#cluster.produce(name, encoded);
        return this.#rest(fate);
      });
    });
  }

  async advance(by: Duration): Promise<void> {
    const ms = millisecondsOf(by);
    if (ms === undefined)
      throw new MillraceError('ML_USAGE', `${JSON.stringify(by)} is no length of time`, {
        hint: `It must be ${DURATION_FORMS}`,
      });
    if (this.#patience.isWaiting) {
      // What a call waits for may be this very time.
      this.#cluster.clock.advance(ms);
      await this.#do((fate) => this.#rest(fate));
    } else await this.#do((fate) => this.#advance(ms, fate));
  }

  async advanceTime(to: number | Date): Promise<void> {
    const time = typeof to === 'number' ? to : to.getTime();
    if (!Number.isSafeInteger(time) || time < 0)
      throw new MillraceError('ML_USAGE', `${String(to)} is no time since 1970`, {
        hint: 'Give whole milliseconds, or a Date',
      });
    await this.#do(async (fate) => {
      await this.#rest('commit');
      for (const worker of this.#cluster.workers) await this.#raise(worker, time, fate);
      await this.#rest(fate);
    });
  }

  outputs<Value, Key>(topic: string | Readable<Value, Key>): readonly ConsumedRecord<Value, Key>[] {
    const port = this.#existing(this.#portOf(topic));
    return this.#cluster.log
      .inOrder(port.name)
      .map((record) => decodeRecord(port, record) as ConsumedRecord<Value, Key>);
  }

  take<Value, Key>(topic: string | Readable<Value, Key>): readonly ConsumedRecord<Value, Key>[] {
    const all = this.outputs(topic);
    const { name } = this.#portOf(topic);
    const taken = this.#taken.get(name) ?? 0;
    this.#taken.set(name, all.length);
    return all.slice(taken);
  }

  state<Value, Key>(name: string): StateReader<Value, Key> {
    this.#refuseClosed();
    return readState(this.#cluster, name) as StateReader<Value, Key>;
  }

  crash(): Promise<void> {
    return this.#again('crash');
  }

  redeliver(): Promise<void> {
    return this.#again('abort');
  }

  get lateRecords(): number {
    return this.#late + this.#lateOf(this.#cluster.workers);
  }

  get deadLetters(): readonly DeadLetter[] {
    const { deadLetters } = this.#cluster.topology;
    if (deadLetters === undefined) return [];
    const { port } = deadLetters;
    return this.#cluster.log
      .inOrder(port.name)
      .map((record) => decodeRecord(port, record).value)
      .map((letter) => (typeof letter === 'string' ? JSON.parse(letter) : letter) as DeadLetter);
  }

  get watermark(): number {
    const times = this.#cluster.tasks.map(({ task }) => task.watermark);
    const known = times.filter((time) => time > Number.NEGATIVE_INFINITY);
    return known.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...known);
  }

  get now(): number {
    return this.#cluster.clock.nowMs();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#work.catch(() => {});
    await this.#cluster.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** One after the other. */
  #queue(work: () => Promise<void>): Promise<void> {
    this.#refuseClosed();
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }

  #do(play: Step['play']): Promise<void> {
    return this.#queue(() => this.#begin(play));
  }

  #begin(play: Step['play']): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const before = this.#cluster.moment();
    this.#step = { before, lateBefore: this.lateRecords, play };
    return this.#play(play, 'commit');
  }

  #again(fate: Fate): Promise<void> {
    return this.#queue(async () => {
      const step = this.#step;
      await this.#cluster.goBack(step?.before ?? this.#cluster.moment());
      this.#late = step?.lateBefore ?? this.#late;
      await this.#play(step?.play ?? ((how) => this.#rest(how)), fate);
    });
  }

  /** A flow that has failed has stopped, with what was committed. */
  async #play(play: Step['play'], fate: Fate): Promise<void> {
    try {
      await play(fate);
      this.#failure = undefined;
    } catch (error) {
      this.#failure = { error };
      for (const worker of this.#cluster.workers) this.#cluster.abort(worker);
      throw error;
    }
  }

  /** Reads, processes and commits until nothing is left to do at this time. */
  async #rest(fate: Fate): Promise<void> {
    // Who comes back after a crash has something to tell the next stage: that must not go on for ever.
    const { stages } = this.#cluster.topology;
    const losses = new Map(this.#cluster.workers.map((worker) => [worker, stages.length]));
    for (let round = 0; ; round++) {
      if (round > TEST_ROUNDS_MAX) throw endless(this.#cluster.topology.plan.name);
      let isBusy = false;
      for (const worker of this.#cluster.workers) {
        const left = losses.get(worker) ?? 0;
        losses.set(worker, left - 1);
        if (await this.#turn(worker, left > 0 ? fate : 'commit')) isBusy = true;
      }
      if (!isBusy) return;
    }
  }

  async #turn(worker: ClusterWorker, fate: Fate): Promise<boolean> {
    const isBusy = this.#process(worker);
    await this.#patience.drain(worker);
    if (fate !== 'commit' && worker.tasks.some(({ task }) => task.isDirty)) {
      await this.#lose(worker, fate);
      this.#process(worker);
      await this.#patience.drain(worker);
    }
    return (await this.#cluster.commit(worker)) || isBusy;
  }

  #process(worker: ClusterWorker): boolean {
    this.#cluster.followGlobals(worker);
    let isBusy = false;
    for (const running of worker.tasks) if (this.#cluster.turn(running)) isBusy = true;
    return isBusy;
  }

  /** All that was done since the last commit, when everything of it has been written. */
  async #lose(worker: ClusterWorker, fate: 'abort' | 'crash'): Promise<void> {
    await this.#cluster.failCommit(worker);
    if (fate === 'abort') return;
    this.#late += this.#lateOf([worker]);
    await this.#cluster.crash(worker);
  }

  async #raise(worker: ClusterWorker, time: number, fate: Fate): Promise<void> {
    const raise = (): void => {
      for (const { task } of worker.tasks) task.raiseTime(time);
    };
    raise();
    await this.#patience.drain(worker);
    if (fate !== 'commit') {
      await this.#lose(worker, fate);
      this.#process(worker);
      raise();
    }
    await this.#patience.drain(worker);
    await this.#cluster.commit(worker);
  }

  /** Stops wherever something is due. */
  async #advance(ms: number, fate: Fate): Promise<void> {
    const { clock } = this.#cluster;
    const until = clock.nowMs() + ms;
    await this.#rest(fate);
    for (let tick = 0; clock.nowMs() < until; tick++) {
      if (tick > TEST_TICKS_MAX) throw endless(this.#cluster.topology.plan.name);
      const due = Math.min(
        ...this.#cluster.tasks.map(({ nextTick }) => nextTick),
        clock.nextMs ?? Number.POSITIVE_INFINITY,
      );
      const next = Math.min(until, Math.max(due, clock.nowMs() + 1));
      clock.advance(next - clock.nowMs());
      await this.#rest(fate);
    }
  }

  #lateOf(workers: readonly ClusterWorker[]): number {
    return workers.reduce(
      (sum, { tasks }) => tasks.reduce((total, { task }) => total + task.metrics.lateDropped, sum),
      0,
    );
  }

  /** A name stands for the topic as the flow describes it. */
  #portOf(given: string | Readable): TopicPort {
    const port = portOf(given);
    return typeof given === 'string' ? (this.#ports.get(given) ?? port) : port;
  }

  #existing(port: TopicPort): TopicPort {
    this.#refuseClosed();
    const { log } = this.#cluster;
    if (log.partitionsOf(port.name) > 0) return port;
    throw new MillraceError('ML_TOPIC_MISSING', `topic ${port.name} does not exist in this test`, {
      fields: { topic: port.name },
      hint: `The flow reads and writes ${[...this.#ports.keys()].join(', ')}; others can be named in the option topics`,
    });
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new MillraceError('ML_ABORTED', 'the driver is closed');
  }
}

function endless(flow: string): MillraceError {
  return new MillraceError('ML_USAGE', `flow '${flow}' does not come to rest`, {
    hint: 'A topic that it writes may be one that it reads, or a wall timer may set itself again and again: advance by less',
  });
}

function isMany<T>(given: T | readonly T[]): given is readonly T[] {
  return Array.isArray(given);
}
