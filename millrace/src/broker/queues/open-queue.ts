/** Opening a queue. */
import { assert } from '../../core/errors.ts';
import type { OpenedQueue } from './opened-queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { StreamQueue } from './stream-queue.ts';
import { WorkQueue } from './work-queue.ts';

/** Opens the queue over its logs. Synchronous; `ready` of the queue resolves when it can be used. */
export function openQueue(context: QueueContext, definition: QueueDefinition): OpenedQueue {
  const { settings, logs } = definition;
  if (settings.type !== 'stream' || settings.sourceTopic !== undefined)
    return new WorkQueue(context, definition);
  const [log] = logs;
  assert(log !== undefined && logs.length === 1, 'a stream is one log');
  return new StreamQueue(context, definition, log);
}
