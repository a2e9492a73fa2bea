/** What has happened in a queue since the start. */
import type { DeadLetterReason } from './queue.ts';

export class QueueTotals {
  published = 0;
  delivered = 0;
  redelivered = 0;
  acknowledged = 0;
  dropped = 0;
  readonly left: Record<DeadLetterReason, number> = {
    rejected: 0,
    expired: 0,
    maxlen: 0,
    delivery_limit: 0,
  };
}
