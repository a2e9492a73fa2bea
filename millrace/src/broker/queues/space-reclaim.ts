/**
 * Gives space of settled messages back to the disk, now and then, in the background: what lies before the first unsettled one at once, the
 * rest where most of a segment is settled. So one stuck message keeps one segment, not the log. While the disk is full, at once.
 */
import type { Background } from '../../core/background.ts';
import type { Env, Timer } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import {
  QUEUE_RECLAIM_AGAIN_MS,
  QUEUE_RECLAIM_FULL_MS,
  QUEUE_RECLAIM_MS,
  QUEUE_RECLAIM_OFFSETS,
} from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { QueueState, QueueStates } from './state/queue-state.ts';

export interface SpaceReclaimContext {
  readonly env: Env;
  readonly logger: Logger;
  readonly states: QueueStates;
  readonly background: Background;
}

export class SpaceReclaim {
  private readonly context: SpaceReclaimContext;
  private settledOffsets = 0;
  private settledBytes = 0;
  private lastMs = -Infinity;
  private timer: Timer | undefined;
  /** When it comes; monotonic. */
  private timerMs = Infinity;
  private isRunning = false;
  private isClosed = false;

  constructor(context: SpaceReclaimContext) {
    this.context = context;
  }

  /** So many more were settled. */
  settled(offsets: number, bodyBytes: number): void {
    this.settledOffsets += offsets;
    this.settledBytes += bodyBytes;
  }

  /** Begins when it is worth it, or later if it was done a short while ago. */
  look(log: PartitionLog, state: QueueState): void {
    if (this.isRunning || this.isClosed) return;
    const isMuch = log.isDiskFull
      ? this.settledOffsets > 0
      : this.settledOffsets >= QUEUE_RECLAIM_OFFSETS ||
        this.settledBytes * 2 >= log.config.segmentBytes;
    if (!isMuch) return;
    const leastMs = log.isDiskFull ? QUEUE_RECLAIM_FULL_MS : QUEUE_RECLAIM_MS;
    const waitMs = this.lastMs + leastMs - this.context.env.clock.monotonicMs();
    if (waitMs <= 0) this.start(log, state);
    else this.startLater(log, state, Math.ceil(waitMs));
  }

  /** Unless it begins earlier anyway. */
  private startLater(log: PartitionLog, state: QueueState, delayMs: number): void {
    const { env } = this.context;
    const atMs = env.clock.monotonicMs() + delayMs;
    if (this.isClosed || this.timerMs <= atMs) return;
    this.stopTimer();
    this.timerMs = atMs;
    this.timer = env.timers.after(delayMs, () => {
      this.stopTimer();
      if (!this.isRunning && !this.isClosed) this.start(log, state);
    });
  }

  private stopTimer(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.timerMs = Infinity;
  }

  private start(log: PartitionLog, state: QueueState): void {
    this.stopTimer();
    this.lastMs = this.context.env.clock.monotonicMs();
    this.settledOffsets = 0;
    this.settledBytes = 0;
    this.isRunning = true;
    const running = this.run(log, state).then(
      (bytesFreed) => {
        this.isRunning = false;
        // What was settled meanwhile waits for nobody…
        this.look(log, state);
        // …and what was written last can be given back after the next checkpoint only.
        if (bytesFreed > 0 || this.settledOffsets > 0)
          this.startLater(log, state, QUEUE_RECLAIM_AGAIN_MS);
      },
      (error: unknown) => {
        this.isRunning = false;
        this.context.logger.warn('A queue could not give space back', { ...log.id, error });
        this.startLater(log, state, QUEUE_RECLAIM_MS);
      },
    );
    this.context.background.run('reclaim of a queue', running);
  }

  private async run(log: PartitionLog, state: QueueState): Promise<number> {
    // What is settled must be known after a crash too, before its records go.
    const floor = Math.min(state.floor, log.highWatermark);
    const below = Math.min(state.next, log.lastStableOffset);
    await this.context.states.flush();
    if (this.isClosed) return 0;
    const before = log.sizeBytes;
    if (floor > log.logStartOffset) await log.deleteRecordsBefore(floor);
    if (this.isClosed) return 0;
    const result = await log.reclaim(
      {
        in: (from, to) => state.unsettledIn(from, to),
        has: (offset) => !state.isSettled(offset),
        // What was settled since then may have become a dead letter that is not durable yet: our record of it comes behind that.
        known: () => this.context.states.flush(),
      },
      { below },
    );
    return Math.max(result.bytesFreed, before - log.sizeBytes);
  }

  close(): void {
    this.isClosed = true;
    this.stopTimer();
  }
}
