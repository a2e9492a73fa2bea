/** Messages that no segment of a queue's log can hold: whoever publishes without confirms is not told that they were refused. */
import { QUEUE_LARGE_TOLD_MS } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { QueueTotals } from './queue-totals.ts';

export class LargeMessages {
  private readonly context: Pick<QueueContext, 'env' | 'logger'>;
  private readonly where: Readonly<Record<'vhost' | 'queue', string>>;
  private readonly totals: QueueTotals;
  private toldMs = -Infinity;
  private untold = 0;

  constructor(
    context: Pick<QueueContext, 'env' | 'logger'>,
    { vhost, name }: Pick<QueueDefinition, 'vhost' | 'name'>,
    totals: QueueTotals,
  ) {
    this.context = context;
    this.where = { vhost, queue: name };
    this.totals = totals;
  }

  /** So many were refused by `log`. */
  refused(messages: number, log: PartitionLog): void {
    if (messages === 0) return;
    this.totals.dropped += messages;
    this.untold += messages;
    const { env, logger } = this.context;
    const nowMs = env.clock.monotonicMs();
    if (nowMs - this.toldMs < QUEUE_LARGE_TOLD_MS) return;
    this.toldMs = nowMs;
    const { segmentBytes } = log.config;
    const fields = { ...this.where, messages: this.untold, segmentBytes };
    logger.warn('Messages are larger than the segments of their queue and are refused', fields);
    this.untold = 0;
  }
}
