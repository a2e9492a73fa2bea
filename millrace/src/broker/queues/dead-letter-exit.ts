/**
 * How messages leave a queue that were not accepted: to where dead letters go, and if that is not possible for now, later; or nowhere.
 */
import { QUEUE_RETRY_MS, QUEUE_TURN_MESSAGES } from '../../core/queue-limits.ts';
import type { HeldDelivery } from './held-delivery.ts';
import type { QueueMessage } from './message.ts';
import type { PartitionOwner } from './partition-contents.ts';
import type { DeadLetterReason } from './queue.ts';
import type { QueuePartition } from './queue-partition.ts';
import type { QueueTotals } from './queue-totals.ts';

/** A message that was with somebody and is to leave. */
export interface Burial {
  readonly partition: QueuePartition;
  readonly delivery: HeldDelivery;
  readonly reason: DeadLetterReason;
}

export class DeadLetterExit {
  /** There is an exchange for them. */
  readonly isOpen: boolean;
  /** Those that have to be read first, or found no room, in their order. */
  readonly waiting: Burial[] = [];
  private readonly owner: Pick<PartitionOwner, 'queue' | 'context' | 'wantTurn'>;
  private readonly totals: QueueTotals;
  /** How many were tried at once since the last turn. */
  private tried = 0;
  /** Nothing is tried before this time; monotonic. */
  private blockedUntilMs = 0;

  constructor(owner: Pick<PartitionOwner, 'queue' | 'context' | 'wantTurn'>, totals: QueueTotals) {
    this.owner = owner;
    this.totals = totals;
    this.isOpen = owner.queue.settings.deadLetterExchange !== undefined;
  }

  /** @returns false: the message has to stay, for now */
  leave(message: QueueMessage | undefined, reason: DeadLetterReason): boolean {
    const { totals } = this;
    const outcome = this.isOpen && message !== undefined ? this.send(message, reason) : 'nowhere';
    if (outcome === 'refused') return false;
    if (outcome === 'nowhere') totals.dropped++;
    totals.left[reason]++;
    return true;
  }

  private send(message: QueueMessage, reason: DeadLetterReason): 'moved' | 'nowhere' | 'refused' {
    if (this.isBlocked) return 'refused';
    const { context, queue } = this.owner;
    const outcome = context.deadLetters(queue, message, reason);
    if (outcome === 'refused') {
      this.blockedUntilMs = context.env.clock.monotonicMs() + QUEUE_RETRY_MS;
      this.owner.wantTurn();
    }
    return outcome;
  }

  /** Nothing can leave as a dead letter for now. */
  get isBlocked(): boolean {
    return this.owner.context.env.clock.monotonicMs() < this.blockedUntilMs;
  }

  /** When it can be tried again, milliseconds since 1970; Infinity: it can be now. */
  get unblockedMs(): number {
    const { clock } = this.owner.context.env;
    const waitMs = this.blockedUntilMs - clock.monotonicMs();
    return waitMs > 0 ? clock.nowMs() + waitMs : Infinity;
  }

  /** Now, or as soon as it is possible; not more at once than in a turn. */
  bury(burial: Burial): void {
    const isLate = this.waiting.length > 0 || this.tried++ >= QUEUE_TURN_MESSAGES;
    if (isLate || !this.tryNow(burial)) this.waiting.push(burial);
  }

  /** Tries those that wait, at most `count`. @returns how many it has looked at */
  again(count: number): number {
    this.tried = 0;
    let done = 0;
    for (const burial of this.waiting) {
      if (done >= count || !this.tryNow(burial)) break;
      done++;
    }
    this.waiting.splice(0, done);
    return done;
  }

  private tryNow({ partition, delivery, reason }: Burial): boolean {
    let message: QueueMessage | undefined;
    if (this.isOpen) {
      const found = delivery.kept ?? partition.messageAt(delivery.offset);
      if (found === 'later') return false;
      message = found;
    }
    if (!this.leave(message, reason)) return false;
    partition.gone(delivery);
    delivery.kept = undefined;
    return true;
  }
}
