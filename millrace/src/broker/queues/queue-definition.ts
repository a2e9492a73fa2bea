/** What a queue is opened with. */
import type { PartitionLog } from '../../log/types.ts';
import type { QueueSettings } from './queue.ts';

export interface QueueDefinition {
  /** UUID. */
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  /** undefined for a queue without a topic. */
  readonly topic: string | undefined;
  /** Its log; of a queue over a topic, all partitions by number. */
  readonly logs: readonly PartitionLog[];
  /** false: nothing of its state is written. */
  readonly durable: boolean;
}
