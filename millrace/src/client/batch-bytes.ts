/** How large a record is on its way: what brokers compare with `max.message.bytes` is the batch that it is in. */
import {
  type RecordBytes,
  RecordBatchBuilder,
  type RecordHeader,
} from '../wire/kafka/records/record-batch-builder.ts';

/** Bytes of a batch with this record and no other, uncompressed. */
export function batchBytes(
  key: RecordBytes | null,
  value: RecordBytes | null,
  headers?: readonly RecordHeader[],
): number {
  const batch = new RecordBatchBuilder();
  batch.append(0, key, value, headers);
  return batch.bytes;
}

/** No batch with this record is larger; costs no look at its text. @hot */
export function batchBytesMax(key: RecordBytes | null, value: RecordBytes | null): number {
  return OVERHEAD_BYTES + BYTES_PER_UNIT * ((key?.length ?? 0) + (value?.length ?? 0));
}

/** Header of a batch, and of a record with the few headers that records here have. */
const OVERHEAD_BYTES = 512;
/** UTF-8 of one unit of UTF-16. */
const BYTES_PER_UNIT = 3;
