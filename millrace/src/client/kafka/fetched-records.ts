/**
 * The records of one partition in one Fetch answer. Owns: what a reader sees of them: none before the offset it asked for, no
 * control records, and, when it reads committed data, none of aborted transactions.
 *
 * Source: KIP-98 (transactions), KIP-74 (a batch may be cut off at the end of an answer, and may begin before what was asked).
 */
import { MillraceError } from '../../core/errors.ts';
import { readEndTransactionMarker } from '../../wire/kafka/records/control-records.ts';
import {
  attributes,
  BATCH_INCOMPLETE,
  BATCH_OK,
  batchBytes,
  batchCheckText,
  batchEnd,
  checkBatch,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
} from '../../wire/kafka/records/record-batch.ts';
import { RecordReader } from '../../wire/kafka/records/record-reader.ts';

export interface FetchedRecords {
  readonly partition: number;
  /** The offset that was asked for. */
  readonly from: number;
  /** The offset to ask for next. */
  readonly next: number;
  /** Whole batches whose CRC was checked, and perhaps the beginning of one more. */
  readonly bytes: Buffer;
  /** Transactions to leave out, by ascending first offset; empty for readers of uncommitted data. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[];
}

/** The offset after the last whole batch, or `from` when there is none. Looks at batch headers only. */
export function nextOffset(bytes: Buffer, from: number): number {
  let next = from;
  for (let at = 0; ; at += batchBytes(bytes, at)) {
    const check = checkBatch(bytes, at, bytes.length);
    if (check === BATCH_INCOMPLETE) return next;
    if (check !== BATCH_OK) throw damaged(batchCheckText(check), next);
    next = Math.max(next, lastOffset(bytes, at) + 1);
  }
}

/**
 * Goes through the batches that have records to show.
 * @returns one reader, opened anew on each of them; the records of the first may begin before `fetched.from`
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function* visibleBatches(fetched: FetchedRecords): Generator<RecordReader> {
  const { bytes, from, aborted } = fetched;
  const reader = new RecordReader();
  const aborting = new Set<number>();
  let nextAborted = 0;
  for (let at = 0, end; (end = batchEnd(bytes, at, bytes.length)) !== -1; at = end) {
    const flags = attributes(bytes, at);
    const last = lastOffset(bytes, at);
    for (; nextAborted < aborted.length; nextAborted++) {
      const transaction = aborted[nextAborted];
      if (transaction === undefined || transaction.firstOffset > last) break;
      aborting.add(transaction.producerId);
    }
    if (isControl(flags)) {
      const marker = readEndTransactionMarker(bytes, at, end);
      if (marker?.commit === false) aborting.delete(marker.producerId);
      continue;
    }
    if (last < from || (isTransactional(flags) && aborting.has(producerId(bytes, at)))) continue;
    reader.open(bytes, at, end);
    yield reader;
  }
}

function damaged(what: string, offset: number): MillraceError {
  return new MillraceError('ML_RECORDS_MALFORMED', `${what} at offset ${offset}`, {
    fields: { offset },
  });
}
