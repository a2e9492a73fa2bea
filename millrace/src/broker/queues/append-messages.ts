/** Messages into a log: batches of a bounded size, as few as that allows. A message that no segment can hold is refused by itself. */
import { QUEUE_BATCH_BYTES_MAX } from '../../core/queue-limits.ts';
import type { PartitionLog, Refused } from '../../log/types.ts';
import type { QueueMessage } from './message.ts';
import { encodeMessages, recordBytes } from './message-record.ts';

export interface AppendedBatch {
  readonly baseOffset: number;
  readonly data: Buffer;
  readonly messages: readonly QueueMessage[];
}

export interface Appended {
  /** Positions of messages that were not taken, rising. Mostly empty. */
  readonly refused: readonly number[];
  /** So many of them, the first ones, are larger than the log will ever take. */
  readonly tooLarge: number;
  /** Why, when `refused` is not empty: `full` if all of them are too large, `disk-full` if nothing more can be appended for now. */
  readonly reason: 'full' | 'disk-full' | undefined;
}

const ALL: Appended = { refused: [], tooLarge: 0, reason: undefined };

/**
 * Appends in order, until the log takes nothing more.
 * @param onAppended is told of each batch that was taken
 */
export function appendMessages(
  log: PartitionLog,
  messages: readonly QueueMessage[],
  onAppended: (batch: AppendedBatch) => void,
): Appended {
  const bytesMax = Math.min(QUEUE_BATCH_BYTES_MAX, Math.floor(log.config.segmentBytes / 2));
  let refused: number[] | undefined;
  let messagesMax = Infinity;
  let first = 0;
  while (first < messages.length) {
    const count = Math.min(messagesMax, batchCount(messages, first, bytesMax));
    const batch = count === messages.length ? messages : messages.slice(first, first + count);
    const data = encodeMessages(batch);
    const appended = log.append(data, { origin: 'internal' });
    if (appended.ok) onAppended({ baseOffset: appended.baseOffset, data, messages: batch });
    else if (!isTooLarge(appended)) return stopped(messages, first, refused);
    else if (count > 1) {
      // Names that are not ASCII have taken more than was reckoned with: each of these messages may fit.
      messagesMax = Math.ceil(count / 2);
      continue;
    } else (refused ??= []).push(first);
    first += count;
    messagesMax = Infinity;
  }
  return refused === undefined ? ALL : { refused, tooLarge: refused.length, reason: 'full' };
}

function isTooLarge({ error }: Refused): boolean {
  return error === 'RECORD_LIST_TOO_LARGE' || error === 'MESSAGE_TOO_LARGE';
}

/** The log takes nothing more: what is left, from `first` on, is refused with what was too large. */
function stopped(
  messages: readonly QueueMessage[],
  first: number,
  tooLarge: readonly number[] = [],
): Appended {
  const refused = [...tooLarge];
  for (let index = first; index < messages.length; index++) refused.push(index);
  return { refused, tooLarge: tooLarge.length, reason: 'disk-full' };
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
