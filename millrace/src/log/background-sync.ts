/**
 * Syncing big segments ahead of the checkpoint, one at a time: so that a checkpoint finds little to do, and the device is
 * never asked for hundreds of megabytes at once while commits wait.
 */
import type { Segment } from './segment.ts';

export class BackgroundSync {
  private readonly onFatal: (error: unknown) => void;
  private readonly queue = new Set<Segment>();
  private running: Promise<void> | undefined;
  private isClosed = false;

  constructor(onFatal: (error: unknown) => void) {
    this.onFatal = onFatal;
  }

  add(segment: Segment): void {
    if (this.isClosed) return;
    this.queue.add(segment);
    this.running ??= this.run();
  }

  /** Begins nothing new, and waits for what is under way. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.queue.clear();
    await this.running;
  }

  private async run(): Promise<void> {
    // Not inside the append that asks for it.
    await Promise.resolve();
    try {
      for (const segment of this.queue) {
        this.queue.delete(segment);
        await segment.sync();
      }
    } catch (error) {
      this.queue.clear();
      this.onFatal(error);
    }
    this.running = undefined;
  }
}
