/**
 * The states of all queues on disk: `__queue_state`, one compacted partition.
 *
 *   head     floor, next, notes, and where the log ended, of (queue, partition)
 *   chunk    what is settled, marked and counted of QUEUE_CHUNK_OFFSETS offsets; a tombstone when the floor has passed it
 *   dedupe   until when a key is remembered; a tombstone when that is over
 *
 * A flush writes whatever has changed, of all queues together, at most so much at a time that a compaction keeps up. What it cannot write
 * stays changed, and is tried again; in memory nothing is lost by that.
 *
 * Invariants
 * - Flushes, openings and removals write one after the other.
 * - Of one state chunks come before the head that tells of the same changes, and tombstones of chunks behind it: whichever prefix of them is
 *   durable, nothing is settled that was not, and what the head says is settled stays so. Keys come behind the head that knows of their messages.
 * - A state is not written before it was brought in line with its log (`attach`), nor after it was removed.
 *
 * Why an opening writes before it resolves, and how a log that was cut is recognized: docs/formats/queue-state.md.
 */
import { Background } from '../../../core/background.ts';
import type { Env, Timer } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/log.ts';
import {
  DEDUPE_SWEEP_MS,
  QUEUE_STATE_BYTES_PER_SECOND,
  QUEUE_STATE_FLUSH_MS,
  QUEUE_STATE_RETRY_MS,
} from '../../../core/queue-limits.ts';
import type { InternalLog } from '../../internal-log.ts';
import { PartitionState, type StateChanges } from './partition-state.ts';
import type { QueuedLog, QueueState, QueueStateId, QueueStates } from './queue-state.ts';
import { replayStates } from './state-replay.ts';
import { StateWriter } from './state-writer.ts';

export interface QueueStatesOptions {
  readonly env: Env;
  readonly logger: Logger;
  /** Of `__queue_state`. */
  readonly log: InternalLog;
}

/**
 * Reads the states of all queues.
 * @throws {MillraceError} ML_STATE_DAMAGED, ML_DATA_NEWER
 */
export async function openQueueStates(options: QueueStatesOptions): Promise<QueueStates> {
  const states = new StoredStates(options);
  await states.load();
  return states;
}

class StoredStates implements QueueStates {
  private readonly env: Env;
  private readonly logger: Logger;
  private readonly log: InternalLog;
  private readonly background: Background;
  private states = new Map<string, PartitionState>();
  /** The same by queue. */
  private readonly ofQueue = new Map<string, Set<PartitionState>>();
  /** States that have changed since they were written. */
  private readonly dirty = new Set<PartitionState>();
  /** Brought in line with their logs, and not written since: not to be used before that. */
  private readonly adjusted = new Set<PartitionState>();
  /** What writes now, or did last; never rejects. */
  private writing: Promise<void> = Promise.resolve();
  /** The flush that has begun last. */
  private flushing: Promise<void> = Promise.resolve();
  /** The flush that has not begun: it will write whatever has changed until then. */
  private waiting: Promise<void> | undefined;
  private timer: Timer | undefined;
  private sweepTimer: Timer | undefined;
  /** Until then flushes hold back, by the monotonic clock. */
  private holdsUntilMs = 0;
  private isClosed = false;

  constructor({ env, logger, log }: QueueStatesOptions) {
    this.env = env;
    this.logger = logger;
    this.log = log;
    this.background = new Background((error) => {
      logger.error('The state of queues could not be written', { error });
    });
  }

  async load(): Promise<void> {
    this.states = await replayStates(this.log, {
      logger: this.logger,
      create: (id) => new PartitionState(id, (state) => this.changed(state)),
    });
    for (const state of this.states.values()) this.know(state);
    this.sweepLater();
  }

  private know(state: PartitionState): void {
    const { queueId } = state.id;
    const known = this.ofQueue.get(queueId);
    if (known === undefined) this.ofQueue.set(queueId, new Set([state]));
    else known.add(state);
  }

  private forget(state: PartitionState): void {
    const { queueId } = state.id;
    const known = this.ofQueue.get(queueId);
    known?.delete(state);
    if (known?.size === 0) this.ofQueue.delete(queueId);
    if (this.states.get(keyOf(state.id)) === state) this.states.delete(keyOf(state.id));
  }

  async open(
    id: QueueStateId,
    log: QueuedLog,
    options: { readonly durable: boolean; readonly startOffset?: number },
  ): Promise<QueueState> {
    const { durable, startOffset } = options;
    if (!durable) {
      const state = new PartitionState(id, undefined);
      state.attach(log, startOffset);
      return state;
    }
    const key = keyOf(id);
    const state =
      this.states.get(key) ?? new PartitionState(id, (changed) => this.changed(changed));
    this.states.set(key, state);
    this.know(state);
    const isNew = state.storedHead === undefined;
    const isChanged = state.attach(log, startOffset);
    if (state.dedupe.expire(this.env.clock.nowMs())) state.changed();
    if (isChanged && !isNew)
      this.logger.info('The state of a queue was brought in line with its log', {
        ...id,
        floor: state.floor,
        next: state.next,
      });
    if (isChanged) this.adjusted.add(state);
    // Also when an opening before this one could not write it.
    if (this.adjusted.has(state)) await this.flush();
    this.adjusted.delete(state);
    return state;
  }

  flush(): Promise<void> {
    if (this.waiting !== undefined) return this.waiting;
    // Whatever could not be written is dirty again.
    if (this.dirty.size === 0) return this.flushing;
    const flushed = this.exclusively(() => {
      this.waiting = undefined;
      return this.write();
    });
    this.waiting = flushed;
    this.flushing = flushed;
    return flushed;
  }

  async remove(queueId: string): Promise<void> {
    const removed = [...(this.ofQueue.get(queueId) ?? [])];
    for (const state of removed) state.detach();
    await this.exclusively(async () => {
      const writer = new StateWriter(this.log);
      for (const state of removed) {
        this.dirty.delete(state);
        await writer.removal(state);
      }
      await writer.send();
      for (const state of removed) this.forget(state);
    });
  }

  ids(): readonly string[] {
    return [...this.ofQueue.keys()];
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.timer?.cancel();
    this.sweepTimer?.cancel();
    try {
      await this.flush();
    } catch (error) {
      this.logger.error('What queues have settled last was not written: it will come again', {
        error,
      });
    }
    await this.background.settled();
  }

  // ---- Inside -------------------------------------------------------------------------------------------------------

  private changed(state: PartitionState): void {
    this.dirty.add(state);
    const waitMs = this.holdsUntilMs - this.env.clock.monotonicMs();
    this.flushIn(Math.max(QUEUE_STATE_FLUSH_MS, waitMs));
  }

  private flushIn(delayMs: number): void {
    if (this.timer !== undefined || this.isClosed) return;
    this.timer = this.env.timers.after(delayMs, () => {
      this.timer = undefined;
      this.background.run('flush', this.flushAgain());
    });
  }

  /** A flush that nobody waits for: a full disk is waited for. */
  private async flushAgain(): Promise<void> {
    try {
      await this.flush();
    } catch (error) {
      if (!(error instanceof MillraceError) || !error.retriable) throw error;
      this.logger.warn('The state of queues waits for space on the disk', { error });
    }
  }

  private exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.writing.then(work);
    this.writing = done.catch(() => {});
    return done;
  }

  private async write(): Promise<void> {
    const taken: [PartitionState, StateChanges][] = [];
    const states = [...this.dirty];
    this.dirty.clear();
    const writer = new StateWriter(this.log);
    try {
      for (const state of states) {
        const changes = state.takeChanges();
        taken.push([state, changes]);
        await writer.changes(state, changes);
      }
      await writer.send();
    } catch (error) {
      for (const state of states.slice(taken.length)) this.dirty.add(state);
      for (const [state, changes] of taken) state.putBack(changes);
      if (error instanceof MillraceError && error.retriable) {
        this.timer?.cancel();
        this.timer = undefined;
        this.flushIn(QUEUE_STATE_RETRY_MS);
      }
      throw error;
    } finally {
      const holdMs = (writer.bytesWritten / QUEUE_STATE_BYTES_PER_SECOND) * 1000;
      this.holdsUntilMs = this.env.clock.monotonicMs() + holdMs;
    }
  }

  /** Now and then, keys that are remembered no longer are forgotten on disk, too. */
  private sweepLater(): void {
    this.sweepTimer = this.env.timers.after(DEDUPE_SWEEP_MS, () => {
      const nowMs = this.env.clock.nowMs();
      for (const state of this.states.values())
        if (state.isAttached && state.dedupe.expire(nowMs)) state.changed();
      if (!this.isClosed) this.sweepLater();
    });
  }
}

function keyOf({ queueId, partition }: QueueStateId): string {
  return `${partition}/${queueId}`;
}
