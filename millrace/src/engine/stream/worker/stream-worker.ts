/**
 * A worker of a flow: one member of its group, one transactional producer, one reader, many tasks, one thread.
 *
 *   join ─▶ restore ─▶ fetch ─▶ process ─▶ … every 100 ms: drain, flush, offsets, end of the transaction, merge of the overlays ─▶ …
 *
 * Invariant: what a task has in its base state, the offsets that the group has committed, and what others can read of its results are
 * of one transaction. Every way out of a failure goes back to the last commit: the transaction is aborted, the overlays dropped, and
 * the inputs read again from there. A worker that has been replaced (fenced) writes nothing more, and ends with ML_GROUP_FENCED.
 *
 * Source: KIP-447 (one transaction per thread, fenced by the generation of the group), KIP-345 (static members).
 */
import { refusedWith } from '../../../client/kafka/refusal.ts';
import type { LogProducer, LogReader, TopicPartition } from '../../../client/log.ts';
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import {
  STREAM_BUFFER_BYTES,
  STREAM_DIRTY_BYTES_MAX,
  STREAM_IDLE_MS,
  STREAM_INPUT_BYTES_MAX,
  STREAM_INPUT_BYTES_MIN,
  STREAM_RETRY_MS_MAX,
  STREAM_RETRY_MS_MIN,
  STREAM_RETRY_MS_TOTAL,
  STREAM_SLICE_MS,
  STREAM_TICK_MS,
  STREAM_TURN_WAIT_MS,
  STREAM_UNSENT_BYTES_MAX,
} from '../../../core/stream-limits.ts';
import type { TaskOutput } from '../task.ts';
import type { TaskId } from '../topology.ts';
import { GroupShare } from './group-share.ts';
import { topicGone } from './start-positions.ts';
import { TopicBounds } from './topic-bounds.ts';
import { WorkerTasks } from './worker-tasks.ts';
import type { TaskRun } from './task-run.ts';
import type { CommitStep, WorkerOptions, WorkerStatus } from './worker-types.ts';

export class StreamWorker {
  readonly #options: WorkerOptions;
  readonly #env: Env;
  readonly #share: GroupShare;
  readonly #tasks: WorkerTasks;
  readonly #reader: LogReader;
  readonly #bounds: TopicBounds;
  /** undefined: between a failure and the next try. */
  #producer: LogProducer | undefined;
  #isStopping = false;
  #hasGlobals = false;
  #isJoining = false;
  #leaving: Promise<void> | undefined;
  /** The durable parts of the tasks take in the last commit. */
  #settling: Promise<unknown> = Promise.resolve();
  #hasJoined = false;
  /** There was something to process in the last turn. */
  #isBusy = false;
  /** The group has been without this member since the last join. */
  #wasLost = false;
  #mustJoin = true;
  #isDirty = false;
  #announced = false;
  #commitDueMs = 0;
  /** When the last commit began. */
  #committedMs = 0;
  #records = 0;
  #commits = 0;
  #commitMs = 0;
  /** Since when it has been failing; undefined: it does not. */
  #failingSinceMs: number | undefined;
  #retryMs = STREAM_RETRY_MS_MIN;
  #woken = false;
  #onWake: (() => void) | undefined;

  constructor(options: WorkerOptions) {
    const { log } = options;
    this.#options = options;
    this.#env = log.env;
    this.#reader = log.reader({ uncommitted: false });
    this.#bounds = new TopicBounds(log.env.clock);
    const output: TaskOutput = {
      append: (topic, partition, timestamp, key, value, headers) => {
        if (!this.#bounds.isEmpty) this.#bounds.check(topic, { timestamp, key, value, headers });
        this.#open().append(topic, partition, timestamp, key, value, headers);
      },
    };
    const host = {
      output,
      wake: () => {
        this.#wake();
      },
    };
    this.#tasks = new WorkerTasks(options, this.#reader, host);
    this.#share = new GroupShare(options, {
      tasks: () => (this.#hasJoined ? this.#tasks.ids() : options.claims),
      onRebalance: () => {
        this.#wake();
      },
    });
  }

  get status(): WorkerStatus {
    return {
      label: this.#options.label,
      commits: this.#commits,
      commitMs: this.#commitMs,
      tasks: [...this.#tasks.runs()].map((run) => run.status),
    };
  }

  /** The task, when it runs here; for who asks its state. */
  task(id: TaskId): TaskRun | undefined {
    return this.#tasks.get(id);
  }

  /**
   * Works until `stop`. Resolves when all is committed and the group left.
   * @throws {MillraceError} what stopped it; by then its transaction is aborted and its state closed
   */
  async run(): Promise<void> {
    try {
      while (!this.#isStopping) {
        try {
          await this.#turn();
        } catch (error) {
          if (!this.#isCalledOff(error)) await this.#recover(error);
        }
      }
      await this.#finish();
    } catch (error) {
      await this.#giveUp();
      throw error;
    }
  }

  /** Commits, closes and leaves: `run` resolves then. Idempotent. */
  stop(): void {
    this.#isStopping = true;
    // Who waits for other members need not.
    if (this.#isJoining) this.#leaving ??= this.#share.leave();
    this.#wake();
  }

  async #turn(): Promise<void> {
    if (!this.#hasGlobals) {
      await this.#tasks.bootstrap();
      this.#hasGlobals = true;
    }
    if (this.#mustJoin || this.#share.isRebalancing || this.#producer === undefined) {
      await this.#rejoin();
      return;
    }
    if (!this.#tasks.isRestored) await this.#restore();
    const count = this.#process();
    this.#isBusy = count > 0;
    const nextTickMs = this.#tick();
    await this.#holdBack();
    if (this.#mustCommit()) await this.#commit();
    // A disk that has failed is told, also where there is nothing to commit.
    else if (count === 0) await this.#settle();
    await this.#fetch(count > 0 ? 0 : this.#idleMs(nextTickMs));
  }

  /** Rounds over the tasks, until all wait or the slice is used up. */
  #process(): number {
    const { clock } = this.#env;
    const end = clock.monotonicMs() + STREAM_SLICE_MS;
    const now = (): number => clock.monotonicMs();
    let total = 0;
    for (;;) {
      let round = 0;
      for (const run of this.#tasks.running()) round += run.process(now);
      total += round;
      if (round === 0 || now() >= end) break;
      if (this.#open().unsentBytes > STREAM_UNSENT_BYTES_MAX) break;
    }
    if (total > 0) this.#dirty();
    this.#records += total;
    this.#woken = false;
    return total;
  }

  /** @returns when a task wants to be called again, by the wall clock */
  #tick(): number {
    const nowMs = this.#env.clock.nowMs();
    let next = Infinity;
    for (const run of this.#tasks.running()) {
      if (run.nextTick <= nowMs) this.#dirty();
      run.nextTick = run.task.tick(nowMs);
      next = Math.min(next, run.nextTick);
    }
    return next;
  }

  /** The next commit is due one interval after the last one: at once, when nothing was there for so long. */
  #dirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#commitDueMs = this.#committedMs + this.#options.commitIntervalMs;
  }

  #mustCommit(): boolean {
    if (!this.#isDirty) return false;
    if (this.#env.clock.monotonicMs() >= this.#commitDueMs) return true;
    let grown = 0;
    for (const run of this.#tasks.running()) grown += run.task.state.bytes - run.committedBytes;
    return grown > STREAM_DIRTY_BYTES_MAX;
  }

  async #holdBack(): Promise<void> {
    const producer = this.#open();
    if (producer.unsentBytes > STREAM_UNSENT_BYTES_MAX)
      await producer.drained(STREAM_UNSENT_BYTES_MAX / 2);
  }

  #idleMs(nextTickMs: number): number {
    if (this.#woken || !this.#tasks.isRestored) return 0;
    const untilCommit = this.#isDirty
      ? this.#commitDueMs - this.#env.clock.monotonicMs()
      : STREAM_IDLE_MS;
    const untilTick = Math.max(STREAM_TICK_MS, nextTickMs - this.#env.clock.nowMs());
    return Math.max(0, Math.min(untilCommit, untilTick, STREAM_IDLE_MS));
  }

  async #fetch(waitMs: number): Promise<void> {
    // Sockets and timers have their turn, also when records are there all the time.
    if (waitMs === 0) await this.#breathe();
    const share = STREAM_BUFFER_BYTES / Math.max(1, this.#tasks.inputCount);
    const bound = Math.min(STREAM_INPUT_BYTES_MAX, Math.max(STREAM_INPUT_BYTES_MIN, share));
    this.#tasks.resume(bound / 2);
    for (const records of await this.#reader.poll(waitMs)) {
      if (records.next > records.from) this.#dirty();
      this.#tasks.take(records, bound);
    }
  }

  #breathe(): Promise<void> {
    return new Promise((resolve) => {
      this.#env.timers.immediate(resolve);
    });
  }

  async #restore(): Promise<void> {
    // Who has nothing else to do waits for the changelogs; others look at them between two turns.
    const waitMs = this.#tasks.hasRunning ? STREAM_TURN_WAIT_MS : STREAM_IDLE_MS / 10;
    await this.#tasks.restore(this.#isBusy ? 0 : waitMs);
    this.#announce();
  }

  /** Says once after each assignment that all tasks process. */
  #announce(): void {
    if (!this.#tasks.isRestored || this.#announced) return;
    this.#announced = true;
    this.#options.onEvent({
      kind: 'running',
      tasks: this.#tasks.ids().length,
      restoredRecords: this.#tasks.restoredRecords,
    });
  }

  /** All or nothing of what the tasks did since the last commit. */
  async #commit(): Promise<void> {
    const started = this.#env.clock.monotonicMs();
    this.#committedMs = started;
    await this.#drain();
    // A disk that is slower than the commits holds them up, rather than having them pile up in memory.
    await this.#settling;
    const runs = this.#tasks.running().filter((run) => run.isDirty);
    for (const run of runs) run.task.prepareCommit();
    await this.#step('prepared');
    const producer = this.#open();
    await producer.flush();
    await this.#step('flushed');
    const offsets = runs.map((run) => run.offsets());
    const all = offsets.flat();
    // Joining again changes the generation: what was processed under the old one is committed under it, or not at all.
    await producer.commit(
      all.length === 0 ? undefined : { group: this.#share.identity, offsets: all },
    );
    await this.#step('committed');
    const nowMs = this.#env.clock.nowMs();
    const nextOffset = ({ topic, partition }: TopicPartition): number | undefined =>
      producer.nextOffset(topic, partition);
    for (const [index, run] of runs.entries())
      run.committed(offsets[index] ?? [], nextOffset, nowMs);
    this.#settling = this.#settle();
    // The next commit is told.
    this.#settling.catch(() => {});
    this.#committed(started);
  }

  async #settle(): Promise<void> {
    this.#tasks.purge();
    await Promise.all([...this.#tasks.running()].map((run) => run.task.state.settled()));
  }

  #committed(started: number): void {
    this.#isDirty = false;
    this.#failingSinceMs = undefined;
    this.#retryMs = STREAM_RETRY_MS_MIN;
    this.#commits++;
    this.#commitMs = this.#env.clock.monotonicMs() - started;
    this.#options.onEvent({ kind: 'committed', records: this.#records, tookMs: this.#commitMs });
    this.#records = 0;
  }

  /** Waits for the promises of the program, in all tasks; nothing new is admitted meanwhile. */
  async #drain(): Promise<void> {
    for (;;) {
      let pending = 0;
      for (const { task } of this.#tasks.running()) {
        // What has come is put out.
        task.process(0);
        pending += task.pending;
      }
      if (pending === 0) return;
      await this.#untilWoken(STREAM_IDLE_MS);
      // A call that never comes back is told there.
      const nowMs = this.#env.clock.nowMs();
      for (const { task } of this.#tasks.running()) if (task.pending > 0) task.tick(nowMs);
    }
  }

  async #step(step: CommitStep): Promise<void> {
    if (this.#options.atStep !== undefined) await this.#options.atStep(step);
  }

  /** Commits, and joins: at the start, and when the group deals out anew. */
  async #rejoin(): Promise<void> {
    if (this.#isDirty && !this.#mustJoin) await this.#commit();
    this.#mustJoin = true;
    this.#options.onEvent({ kind: 'joining' });
    this.#isJoining = true;
    const { generation, tasks, data, mayKeep } = await this.#share.join().finally(() => {
      this.#isJoining = false;
    });
    // Others may have gone on from the last commit: then what is open here is old.
    this.#wasLost ||= !mayKeep;
    if (this.#wasLost) await this.#tasks.closeOutdated();
    this.#wasLost = false;
    this.#announced = false;
    // Whoever had this id before is fenced in the group by now: what it has open is aborted here.
    this.#producer ??= await this.#openProducer();
    this.#options.onEvent({ kind: 'assigned', generation, tasks, data });
    await this.#tasks.become(tasks);
    // What has failed before begins again with the join.
    this.#mustJoin = false;
    this.#hasJoined = true;
    this.#announce();
  }

  /** It was told to stop while it waited. */
  #isCalledOff(error: unknown): boolean {
    return this.#isStopping && error instanceof MillraceError && error.code === 'ML_ABORTED';
  }

  /** Goes back to the last commit. @throws {MillraceError} what cannot pass */
  async #recover(error: unknown): Promise<void> {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code === 'ML_GROUP_LOST' || error.code === 'ML_PRODUCER_FENCED') {
      await this.#lose(error);
      return;
    }
    if (error.code === 'ML_OFFSET_OUT_OF_RANGE') {
      await this.#tasks.skipTaken(error);
      await this.#rollBack();
      return;
    }
    if (refusedWith(error) === 'UNKNOWN_TOPIC_OR_PARTITION')
      throw await topicGone(error, this.#options.log, this.#options.topology);
    if (await this.#bounds.learn(this.#options.log, error)) {
      await this.#rollBack();
      return;
    }
    if (!error.retriable) throw error;
    const nowMs = this.#env.clock.monotonicMs();
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failingSinceMs > STREAM_RETRY_MS_TOTAL) throw error;
    this.#options.onEvent({ kind: 'retrying', error, delayMs: this.#retryMs });
    await this.#rollBack();
    await this.#pause(this.#retryMs);
    this.#retryMs = Math.min(STREAM_RETRY_MS_MAX, this.#retryMs * 2);
  }

  /**
   * The group has gone on without this worker, or its transaction took so long that the broker ended it (the machine was asleep). It joins
   * again under its old name. That fails, and ends it, when another process has that name now.
   */
  async #lose(error: MillraceError): Promise<void> {
    this.#options.onEvent({ kind: 'lost', error });
    this.#mustJoin = true;
    this.#wasLost = true;
    if (error.code === 'ML_GROUP_LOST') {
      await this.#rollBack();
      return;
    }
    this.#drop();
    await this.#producer?.close();
    this.#producer = undefined;
  }

  /** Forgets all since the last commit. */
  #drop(): void {
    this.#isDirty = false;
    this.#records = 0;
    this.#tasks.abort();
  }

  async #rollBack(): Promise<void> {
    this.#drop();
    const producer = this.#producer;
    try {
      await producer?.abort();
    } catch (error) {
      const canPass =
        error instanceof MillraceError && (error.retriable || error.code === 'ML_PRODUCER_FENCED');
      if (!canPass) throw error;
      // A new producer under the same id ends what this one could not.
      this.#producer = undefined;
      await producer?.close();
    }
  }

  /** Ends in order. */
  async #finish(): Promise<void> {
    if (this.#isDirty && !this.#mustJoin) await this.#commit();
    await this.#tasks.finishPurge();
    await this.#tasks.closeAll();
    await this.#producer?.close();
    await (this.#leaving ??= this.#share.leave());
    this.#tasks.close();
    this.#reader.close();
  }

  /** Ends after a failure: what is not committed is dropped. Nothing here may hide the failure. */
  async #giveUp(): Promise<void> {
    const ignore = (): void => {};
    this.#tasks.abort();
    await this.#producer?.abort().catch(ignore);
    await this.#tasks.closeAll().catch(ignore);
    await this.#producer?.close().catch(ignore);
    await (this.#leaving ??= this.#share.leave());
    this.#tasks.close();
    this.#reader.close();
  }

  #openProducer(): Promise<LogProducer> {
    const { log, topology, label, transactionMs } = this.#options;
    return log.producer({
      transactionalId: `${topology.plan.name}-${label}`,
      transactionTimeoutMs: transactionMs,
    });
  }

  #open(): LogProducer {
    if (this.#producer === undefined)
      throw new MillraceError('ML_ASSERT', 'a task put something out between two transactions');
    return this.#producer;
  }

  #wake(): void {
    this.#woken = true;
    this.#onWake?.();
    this.#reader.wake();
    this.#tasks.wake();
  }

  #untilWoken(waitMs: number): Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#onWake = undefined;
        this.#woken = false;
        resolve();
      };
      const timer = this.#env.timers.after(waitMs, end);
      this.#onWake = end;
    });
  }

  /** Ends early when the worker is to stop. */
  async #pause(delayMs: number): Promise<void> {
    const end = new AbortController();
    this.#onWake = () => {
      if (this.#isStopping) end.abort();
    };
    try {
      if (!this.#isStopping) await this.#env.timers.sleep(delayMs, end.signal);
    } catch (error) {
      if (!this.#isStopping) throw error;
    } finally {
      this.#onWake = undefined;
    }
  }
}
