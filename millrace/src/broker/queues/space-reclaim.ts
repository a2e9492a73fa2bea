/**
 * Gives space of settled messages back to the disk, now and then, in the background: what lies before the first unsettled one at once, the
 * rest where most of a segment is settled. So one stuck message keeps one segment, not the log.
 */
import type { Background } from '../../core/background.ts';
import type { Env, Timer } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import {
  QUEUE_RECLAIM_AGAIN_MS,
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
    const isMuch =
      this.settledOffsets >= QUEUE_RECLAIM_OFFSETS ||
      this.settledBytes * 2 >= log.config.segmentBytes;
    if (!isMuch) return;
    const waitMs = this.lastMs + QUEUE_RECLAIM_MS - this.context.env.clock.monotonicMs();
    if (waitMs <= 0) this.start(log, state);
    else this.timer ??= this.startLater(log, state, Math.ceil(waitMs));
  }

  private startLater(log: PartitionLog, state: QueueState, delayMs: number): Timer {
    return this.context.env.timers.after(delayMs, () => {
      this.timer = undefined;
      if (!this.isRunning && !this.isClosed) this.start(log, state);
    });
  }

  private start(log: PartitionLog, state: QueueState): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.lastMs = this.context.env.clock.monotonicMs();
    this.settledOffsets = 0;
    this.settledBytes = 0;
    this.isRunning = true;
    const running = this.run(log, state).then(
      (bytesFreed) => {
        this.isRunning = false;
        // What was written last can be given back after the next checkpoint only.
        const isMore = bytesFreed > 0 || this.settledOffsets > 0;
        if (isMore && !this.isClosed)
          this.timer ??= this.startLater(log, state, QUEUE_RECLAIM_AGAIN_MS);
      },
      (error: unknown) => {
        this.isRunning = false;
        this.context.logger.warn('A queue could not give space back', { ...log.id, error });
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
    this.timer?.cancel();
    this.timer = undefined;
  }
}
