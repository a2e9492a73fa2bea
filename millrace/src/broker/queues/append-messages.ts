/** Messages into a log: batches of a bounded size, as few as that allows. */
import { QUEUE_BATCH_BYTES_MAX } from '../../core/queue-limits.ts';
import type { PartitionLog } from '../../log/types.ts';
import type { QueueMessage } from './message.ts';
import { encodeMessages, recordBytes } from './message-record.ts';

export interface AppendedBatch {
  readonly baseOffset: number;
  readonly data: Buffer;
  readonly messages: readonly QueueMessage[];
}

/**
 * Appends in order until the log refuses.
 * @param onAppended is told of each batch that was taken
 * @returns how many messages were taken
 */
export function appendMessages(
  log: PartitionLog,
  messages: readonly QueueMessage[],
  onAppended: (batch: AppendedBatch) => void,
): number {
  const bytesMax = Math.min(QUEUE_BATCH_BYTES_MAX, Math.floor(log.config.segmentBytes / 2));
  let taken = 0;
  while (taken < messages.length) {
    const count = batchCount(messages, taken, bytesMax);
    const batch = count === messages.length ? messages : messages.slice(taken, taken + count);
    const data = encodeMessages(batch);
    const appended = log.append(data, { origin: 'internal' });
    if (!appended.ok) break;
    onAppended({ baseOffset: appended.baseOffset, data, messages: batch });
    taken += count;
  }
  return taken;
}

/** Why the log has refused this message: it will never fit, and others may; or nothing can be appended for now. */
export function whyRefused(
  log: PartitionLog,
  message: QueueMessage | undefined,
): 'full' | 'disk-full' {
  const isTooLarge =
    message !== undefined && encodeMessages([message]).length > log.config.segmentBytes;
  return isTooLarge ? 'full' : 'disk-full';
}

/** How many messages from `first` on go into one batch. */
function batchCount(messages: readonly QueueMessage[], first: number, bytesMax: number): number {
  let bytes = 0;
  for (let index = first; index < messages.length; index++) {
    bytes += recordBytes(messages[index] as QueueMessage);
    if (bytes > bytesMax) return Math.max(1, index - first);
  }
  return messages.length - first;
}
