/** Whether something was taken out of a log: by compaction, or by retention. */
import type { LogRecords } from '../log.ts';
import {
  baseOffset,
  batchEnd,
  lastOffset,
  lastOffsetDelta,
  recordCount,
} from '../../wire/kafka/records/record-batch.ts';

/**
 * Every offset of a log is that of a record, visible or not, until compaction takes some out.
 * @param from the offset that was asked for
 * @returns the first offset from there on that may be missing; undefined: none is
 */
export function firstGap({ bytes }: Pick<LogRecords, 'bytes'>, from: number): number | undefined {
  let expected = from;
  for (let at = 0, end; (end = batchEnd(bytes, at, bytes.length)) !== -1; at = end) {
    const last = lastOffset(bytes, at);
    if (last < expected) continue;
    if (baseOffset(bytes, at) > expected) return expected;
    if (recordCount(bytes, at) !== lastOffsetDelta(bytes, at) + 1) return expected;
    expected = last + 1;
  }
  return undefined;
}
