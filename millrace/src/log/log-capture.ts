/**
 * What a checkpoint takes from one log: its state as it is now, and then that what the state is about becomes durable.
 *
 * Invariant: `captureLog` runs in one go. Everything below the `endOffset` that it returns is in segments, transaction
 * indexes and the record itself; `syncLog` makes exactly that, or more, durable.
 */
import { SEGMENT_UNINDEXED_BYTES_MAX } from '../core/limits.ts';
import type { LogRecord } from './checkpoint-format.ts';
import { isDiskFull } from './disk-space.ts';
import type { DiskLog } from './partition-log.ts';
import type { Segment } from './segment.ts';
import { NO_STORED_INDEXES } from './segment-indexes.ts';
import { NO_STORED_ABORTED } from './transaction-index.ts';

/** @param isLast the store is being closed */
export function captureLog(log: DiskLog, isLast: boolean): LogRecord {
  const { active } = log;
  log.isDirty = false;
  for (const segment of log.segments) storeIndexes(log, segment, isLast);
  return {
    id: log.id,
    logStartOffset: Math.max(log.logStartOffset, log.nextLogStartOffset),
    endOffset: log.logEndOffset,
    segmentBaseOffset: active?.baseOffset ?? -1,
    segmentBytes: active?.sizeBytes ?? 0,
    indexes: active?.indexes.storedState ?? NO_STORED_INDEXES,
    aborted: active?.aborted.storedState ?? NO_STORED_ABORTED,
    compactedTo: log.compactedTo,
    gapsBelow: log.gapsBelow,
    appendTimeMs: log.appendTimeMs,
    needsScan: log.durability.needsScan,
    epochs: log.epochs.all(),
    producers: [...log.producerState.all()],
  };
}

/** Makes durable what the capture before was about, with the index files that it has written. */
export async function syncLog(log: DiskLog, isLast: boolean): Promise<void> {
  for (const segment of log.segments) {
    await segment.sync();
    await segment.aborted.sync();
    // The last checkpoint knows the CRC of those of the active segment: losing them costs time, nothing else.
    if (segment.isSealed || !isLast) await segment.syncIndexes();
  }
}

function storeIndexes(log: DiskLog, segment: Segment, isLast: boolean): void {
  // Every aborted transaction below the recovery point must be in the file, and the file under its name.
  if (segment.aborted.write()) log.context.onNamesChanged(log.directory);
  // Of the active segment now and then only: a start reads what its index files lack.
  const isWanted =
    segment.isSealed || isLast || segment.indexes.unindexedBytes > SEGMENT_UNINDEXED_BYTES_MAX;
  if (!isWanted) return;
  try {
    segment.storeIndexes();
  } catch (error) {
    // What a full disk does not take is rebuilt from the batches when it is missed.
    if (!isDiskFull(error)) throw error;
  }
}
