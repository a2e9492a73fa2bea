/** A queue as those see it who open and close it. */
import type { PartitionLog } from '../../log/types.ts';
import type { Queue } from './queue.ts';

export interface OpenedQueue extends Queue {
  /** Of a queue over a topic: partitions that the topic has got since. They are read from their beginning. Others have just one log. */
  addLogs(logs: readonly PartitionLog[]): Promise<void>;
}
