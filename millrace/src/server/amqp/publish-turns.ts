/**
 * Whose turn it is to publish, among all connections: what a message costs is known when it is routed, and one that leads to a thousand
 * queues is a thousand messages, as a thousand that lead to one queue each are a thousand batches. When a turn of the event loop has done its part, whoever publishes next waits, and others (who connect,
 * ask, or are due a heartbeat) are dealt with first.
 *
 * Invariants
 * - In one turn at most AMQP_TURN_BYTES of copies, and of what further batches count as, are appended, and one message more.
 * - While most files that the process can have open are written and not synced nobody publishes.
 * - Bytes appended and not durable, of all connections together, stay within AMQP_UNDURABLE_BYTES_MAX and a piece of one connection.
 * - Those who wait go on in the order in which they came, one of them in a turn.
 *
 * @hot
 */
import type { Env } from '../../core/env.ts';
import {
  AMQP_FILES_MS,
  AMQP_TURN_BYTES,
  AMQP_UNDURABLE_BYTES_MAX,
} from '../../core/queue-limits.ts';

export class PublishTurns {
  private readonly env: Env;
  private readonly isShortOfFiles: () => boolean;
  /** Of copies and further batches, in this turn. */
  private spentBytes = 0;
  private undurableBytes = 0;
  private waiting: (() => void)[] = [];
  private isScheduled = false;

  /** @param isShortOfFiles each further queue may open one, and too few are left */
  constructor(env: Env, isShortOfFiles: () => boolean = () => false) {
    this.env = env;
    this.isShortOfFiles = isShortOfFiles;
  }

  /** Whoever publishes now has to wait for `next`. */
  get isOver(): boolean {
    return (
      this.spentBytes >= AMQP_TURN_BYTES ||
      this.undurableBytes >= AMQP_UNDURABLE_BYTES_MAX ||
      this.isShortOfFiles()
    );
  }

  /** Resolves when it is the turn of whoever asks; then it may publish until `isOver`, one message in any case. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.schedule();
    });
  }

  /** A message went to several queues: bytes of all copies but the first; or to another one than those before it. */
  spend(bytes: number): void {
    this.spentBytes += bytes;
    this.schedule();
  }

  /** So much is on its way to the disk. */
  hold(bytes: number): void {
    this.undurableBytes += bytes;
  }

  /** So much is there. */
  release(bytes: number): void {
    this.undurableBytes -= bytes;
    if (this.waiting.length > 0) this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.env.timers.immediate(() => this.turn());
  }

  private turn(): void {
    this.isScheduled = false;
    this.spentBytes = 0;
    if (this.waiting.length === 0) return;
    if (this.isShortOfFiles()) {
      this.isScheduled = true;
      this.env.timers.after(AMQP_FILES_MS, () => this.turn());
      return;
    }
    // When there is room `release` sees to it.
    if (this.isOver) return;
    this.waiting.shift()?.();
    if (this.waiting.length > 0) this.schedule();
  }
}
