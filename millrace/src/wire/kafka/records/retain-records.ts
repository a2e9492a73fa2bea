/**
 * A batch with some of its records left out: what compaction writes.
 *
 * Owns: which parts of a batch survive. Offsets of the records that stay, base offset, last offset, producer id, epoch
 * and base sequence, leader epoch, codec and kind of timestamps are kept, so that consumers see gaps instead of
 * shifts, and the last sequence number of a producer stays known although its records are gone. As in Kafka, base
 * timestamp and maximum are those of what stays, a decided delete horizon is kept, and a batch without records is a
 * header alone, with the maximum timestamp it had.
 *
 * Source: KIP-534 (delete horizon); Kafka's documentation of log compaction.
 */
import {
  attributes,
  baseOffset,
  baseSequence,
  batchBytes,
  compressionOf,
  deleteHorizon,
  HEADER_BYTES,
  isAppendTime,
  isControl,
  isTransactional,
  lastOffset,
  leaderEpoch,
  maxTimestamp,
  NO_TIMESTAMP,
  producerEpoch,
  producerId,
} from './record-batch.ts';
import { compressionName } from './compression.ts';
import { type BatchOptions, RecordBatchBuilder } from './record-batch-builder.ts';
import { type DecodeLimits, RecordReader } from './record-reader.ts';
import { VARINT_BYTES_MAX, VARLONG_BYTES_MAX } from './varint.ts';

/** What a record has before its tail, at most: length, attributes and timestamp delta. */
const RECORD_OVERHEAD_BYTES = VARINT_BYTES_MAX + 1 + VARLONG_BYTES_MAX;

export interface RetainOptions {
  /**
   * Milliseconds since 1970: from when the tombstones of the batch may be dropped, as a rule now + delete.retention.ms.
   * Written only when a record that stays calls for it and the batch has no horizon yet: one that it has is kept.
   * Default: none is written.
   */
  readonly deleteHorizonMs?: number;
  /**
   * What calls for a horizon. `tombstones` (default): a record without a value. `any`: every record; meant for the marker of
   * a transaction of which nothing else is left.
   */
  readonly deleteHorizonFor?: 'tombstones' | 'any';
  readonly limits?: DecodeLimits;
}

/**
 * The batch at `position` with only those records that `keep` answers true for.
 * @param keep sees one reader on each record and must not hold on to it.
 * @returns a new batch, complete with its CRC; or, when everything stays as it is, a VIEW of the original. It may be
 * empty (`recordCount` 0): whether an empty batch is worth keeping is the caller's to say.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function retainRecords(
  buffer: Buffer,
  position: number,
  keep: (record: RecordReader) => boolean,
  options: RetainOptions = {},
): Buffer {
  const end = position + batchBytes(buffer, position);
  const reader = new RecordReader();
  reader.open(buffer, position, end, options.limits);
  const count = reader.remaining;
  // The horizon moves the base timestamp, so it must be known before the first record is written: decide, then write.
  const kept = new Uint8Array(count);
  const any = options.deleteHorizonFor === 'any';
  let keptCount = 0;
  let keptBytes = 0;
  let needsHorizon = false;
  for (let index = 0; reader.next(); index++) {
    if (!keep(reader)) continue;
    kept[index] = 1;
    keptCount++;
    keptBytes += RECORD_OVERHEAD_BYTES + reader.headersEnd - reader.tailStart;
    if (any || reader.valueStart < 0) needsHorizon = true;
  }
  const decided = deleteHorizon(buffer, position);
  const wanted = needsHorizon ? (options.deleteHorizonMs ?? NO_TIMESTAMP) : NO_TIMESTAMP;
  const horizon = decided === NO_TIMESTAMP ? wanted : decided;
  if (keptCount === count && horizon === decided) return buffer.subarray(position, end);
  if (keptCount === 0) return emptyBatch(buffer, position);
  const builder = new RecordBatchBuilder(
    builderOptions(buffer, position, horizon),
    HEADER_BYTES + keptBytes,
  );
  reader.rewind();
  for (let index = 0; reader.next(); index++) {
    if (kept[index] === 0) continue;
    builder.skipTo(reader.offset);
    builder.appendEncoded(reader.timestamp, reader.data, reader.tailStart, reader.headersEnd);
  }
  return builder.finish();
}

/** The batch at `position` without its records: the header alone, as compaction keeps it for its sequence numbers. */
export function emptyBatch(buffer: Buffer, position: number): Buffer {
  // Without records there is nothing to delete later, so no horizon either.
  const options = builderOptions(buffer, position, NO_TIMESTAMP);
  return new RecordBatchBuilder(options).finish(maxTimestamp(buffer, position));
}

function builderOptions(buffer: Buffer, position: number, horizon: number): BatchOptions {
  const flags = attributes(buffer, position);
  return {
    compression: compressionName(compressionOf(flags)),
    baseOffset: baseOffset(buffer, position),
    lastOffset: lastOffset(buffer, position),
    leaderEpoch: leaderEpoch(buffer, position),
    producerId: producerId(buffer, position),
    producerEpoch: producerEpoch(buffer, position),
    baseSequence: baseSequence(buffer, position),
    transactional: isTransactional(flags),
    control: isControl(flags),
    ...(isAppendTime(flags) ? { appendTimeMs: maxTimestamp(buffer, position) } : {}),
    ...(horizon === NO_TIMESTAMP ? {} : { deleteHorizonMs: horizon }),
  };
}
