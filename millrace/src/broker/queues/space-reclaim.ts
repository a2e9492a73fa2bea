/**
 * Gives space of settled messages back to the disk, now and then, in the background: what lies before the first unsettled one at once, the
 * rest where most of a segment is settled. So one stuck message keeps one segment, not the log.
 */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import { QUEUE_RECLAIM_MS, QUEUE_RECLAIM_OFFSETS } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { QueueState, QueueStates } from './state/queue-state.ts';

export interface SpaceReclaimContext {
  readonly env: Env;
  readonly states: QueueStates;
  readonly background: Background;
}

export class SpaceReclaim {
  private readonly context: SpaceReclaimContext;
  private settledOffsets = 0;
  private settledBytes = 0;
  private lastMs = -Infinity;
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

  /** Begins when it is worth it. */
  look(log: PartitionLog, state: QueueState): void {
    if (this.isRunning || this.isClosed) return;
    const isMuch =
      this.settledOffsets >= QUEUE_RECLAIM_OFFSETS ||
      this.settledBytes * 2 >= log.config.segmentBytes;
    if (!isMuch) return;
    const nowMs = this.context.env.clock.monotonicMs();
    if (nowMs - this.lastMs < QUEUE_RECLAIM_MS) return;
    this.lastMs = nowMs;
    this.settledOffsets = 0;
    this.settledBytes = 0;
    this.isRunning = true;
    const running = this.run(log, state).finally(() => {
      this.isRunning = false;
    });
    this.context.background.run('reclaim of a queue', running);
  }

  private async run(log: PartitionLog, state: QueueState): Promise<void> {
    // What is settled must be known after a crash too, before its records go.
    const floor = Math.min(state.floor, log.highWatermark);
    const below = Math.min(state.next, log.lastStableOffset);
    await this.context.states.flush();
    if (this.isClosed) return;
    if (floor > log.logStartOffset) await log.deleteRecordsBefore(floor);
    if (this.isClosed) return;
    await log.reclaim(
      {
        in: (from, to) => state.unsettledIn(from, to),
        has: (offset) => !state.isSettled(offset),
      },
      { below },
    );
  }

  close(): void {
    this.isClosed = true;
  }
}
