/**
 * Settling very many messages, of all connections: in pieces, between which others have their turn. Hundreds of thousands come back at once
 * when a client that had them is gone.
 *
 * Invariants
 * - In one turn of the event loop AMQP_SETTLE_PIECE messages are settled at most.
 * - What came first is settled first, the oldest of it before the others.
 */
import type { Delivery, Queue, SettleOptions, Settlement } from '../../broker/queues/queue.ts';
import type { Env } from '../../core/env.ts';
import { AMQP_SETTLE_PIECE } from '../../core/queue-limits.ts';

interface Work {
  readonly deliveries: readonly Delivery[];
  readonly how: Settlement;
  readonly options: SettleOptions | undefined;
  /** So many are done. */
  done: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SettleTurns {
  private readonly env: Env;
  /** In this turn. */
  private spent = 0;
  private readonly waiting: Work[] = [];
  private isScheduled = false;

  constructor(env: Env) {
    this.env = env;
  }

  /** @returns what resolves when all are settled; undefined: they are */
  settle(
    deliveries: readonly Delivery[],
    how: Settlement,
    options?: SettleOptions,
  ): Promise<void> | undefined {
    if (deliveries.length === 0) return undefined;
    this.schedule();
    if (this.waiting.length === 0 && this.spent + deliveries.length <= AMQP_SETTLE_PIECE) {
      this.spent += deliveries.length;
      settleAll(deliveries, how, options);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ deliveries, how, options, done: 0, resolve, reject });
    });
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.env.timers.immediate(() => this.turn());
  }

  private turn(): void {
    this.isScheduled = false;
    this.spent = 0;
    for (let [work] = this.waiting; work !== undefined; [work] = this.waiting) {
      if (this.spent >= AMQP_SETTLE_PIECE) break;
      this.goOn(work);
    }
    if (this.waiting.length > 0) this.schedule();
  }

  /** Settles what this turn has room for. */
  private goOn(work: Work): void {
    const { deliveries, how, options, done } = work;
    const piece = deliveries.slice(done, done + AMQP_SETTLE_PIECE - this.spent);
    this.spent += piece.length;
    work.done += piece.length;
    const isLast = work.done === deliveries.length;
    if (isLast) this.waiting.shift();
    try {
      settleAll(piece, how, options);
      if (isLast) work.resolve();
    } catch (error) {
      if (!isLast) this.waiting.shift();
      work.reject(error);
    }
  }
}

/** Settles at their queues, in the order of the tags. */
export function settleAll(
  deliveries: readonly Delivery[],
  how: Settlement,
  options?: SettleOptions,
): void {
  const [first] = deliveries;
  if (first === undefined) return;
  if (deliveries.length === 1 || deliveries.every(({ queue }) => queue === first.queue)) {
    first.queue.settle(deliveries, how, options);
    return;
  }
  const byQueue = new Map<Queue, Delivery[]>();
  for (const delivery of deliveries) {
    const known = byQueue.get(delivery.queue);
    if (known === undefined) byQueue.set(delivery.queue, [delivery]);
    else known.push(delivery);
  }
  for (const [queue, own] of byQueue) queue.settle(own, how, options);
}
