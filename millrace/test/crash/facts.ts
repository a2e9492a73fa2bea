/** Records whose bytes follow from their id, and record batches as the facts of a history. */
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import type { Compression } from '../../src/wire/kafka/records/compression.ts';
import { readEndTransactionMarker } from '../../src/wire/kafka/records/control-records.ts';
import {
  attributes,
  baseOffset,
  baseSequence,
  batchCheckText,
  batchEnd,
  BATCH_OK,
  checkBatch,
  isControl,
  isTransactional,
  lastOffset,
  leaderEpoch,
  maxTimestamp,
  producerEpoch,
  producerId,
} from '../../src/wire/kafka/records/record-batch.ts';
import { RecordReader } from '../../src/wire/kafka/records/record-reader.ts';
import type { BatchFact, RecordFact } from './log-history.ts';

export interface NewRecord {
  /** Unique over the history. */
  readonly id: string;
  readonly key: string | null;
  readonly tombstone: boolean;
  readonly timestampMs: number;
  /** Size of the value, 0 and up. */
  readonly valueBytes: number;
}

export interface NewBatch {
  readonly records: readonly NewRecord[];
  readonly compression?: Compression;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
}

const FILLER = '.'.repeat(4096);

/** Bytes that follow from the id: a record whose value is not this one was not written. */
function valueOf(id: string, bytes: number): string {
  return (id + FILLER).slice(0, bytes);
}

export function encode(batch: NewBatch): Buffer {
  const { records, ...options } = batch;
  return encodeBatch(
    records.map((record) => ({
      timestamp: record.timestampMs,
      key: record.key,
      value: record.tombstone ? null : valueOf(record.id, record.valueBytes),
      headers: [{ key: record.id, value: null }],
    })),
    options,
  );
}

/** The batches that lie back to back in `bytes`, decoded; a batch that is not whole and good throws. */
export function factsOf(bytes: Buffer): BatchFact[] {
  const facts: BatchFact[] = [];
  const reader = new RecordReader();
  for (let at = 0; at < bytes.length; ) {
    const check = checkBatch(bytes, at, bytes.length);
    if (check !== BATCH_OK)
      throw new Error(`at ${at} of ${bytes.length}: ${batchCheckText(check)}`);
    const end = batchEnd(bytes, at, bytes.length);
    facts.push(factOf(bytes, at, end, reader));
    at = end;
  }
  return facts;
}

function factOf(bytes: Buffer, at: number, end: number, reader: RecordReader): BatchFact {
  const flags = attributes(bytes, at);
  const marker = readEndTransactionMarker(bytes, at, end);
  const records: RecordFact[] = [];
  if (!isControl(flags)) {
    reader.open(bytes, at, end);
    while (reader.next()) records.push(recordOf(reader));
  }
  return {
    baseOffset: baseOffset(bytes, at),
    lastOffset: lastOffset(bytes, at),
    bytes: end - at,
    producerId: producerId(bytes, at),
    producerEpoch: producerEpoch(bytes, at),
    baseSequence: baseSequence(bytes, at),
    transactional: isTransactional(flags),
    control: controlOf(isControl(flags), marker),
    markerMs: isControl(flags) ? maxTimestamp(bytes, at) : -1,
    leaderEpoch: leaderEpoch(bytes, at),
    records,
  };
}

function controlOf(
  isControlBatch: boolean,
  marker: { readonly commit: boolean } | undefined,
): BatchFact['control'] {
  if (!isControlBatch) return 'none';
  if (marker === undefined) return 'emptied';
  return marker.commit ? 'commit' : 'abort';
}

function recordOf(reader: RecordReader): RecordFact {
  const value = reader.value();
  const id = reader.headers()[0]?.key ?? '';
  const asWritten = value === null || value.toString('latin1') === valueOf(id, value.length);
  return {
    offset: reader.offset,
    id: asWritten ? id : `changed ${id}`,
    key: reader.key()?.toString() ?? null,
    tombstone: value === null,
    timestampMs: reader.timestamp,
  };
}
