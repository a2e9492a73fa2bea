/** Opening a queue. */
import type { OpenedQueue } from './opened-queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { WorkQueue } from './work-queue.ts';

/** Opens the queue over its logs. Synchronous; `ready` of the queue resolves when it can be used. */
export function openQueue(context: QueueContext, definition: QueueDefinition): OpenedQueue {
  return new WorkQueue(context, definition);
}
