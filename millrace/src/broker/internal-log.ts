/**
 * An internal compacted topic as a state machine's journal: `__consumer_offsets`, `__transaction_state`, and the metadata
 * log are each one partition of one topic, replayed at start into memory and appended to before anything is answered.
 */
import type { Env } from '../core/env.ts';
import { assert, MillraceError } from '../core/errors.ts';
import { INTERNAL_READ_BYTES_MAX } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import type { PartitionLog } from '../log/types.ts';
import {
  encodeEndTransactionMarker,
  readEndTransactionMarker,
} from '../wire/kafka/records/control-records.ts';
import {
  attributes,
  baseOffset,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { RecordBatchBuilder } from '../wire/kafka/records/record-batch-builder.ts';
import { RecordReader } from '../wire/kafka/records/record-reader.ts';

export interface InternalRecord {
  readonly key: Buffer;
  /** null is a tombstone. */
  readonly value: Buffer | null;
}

/** A producer whose transaction carries the records (TxnOffsetCommit); absent for the coordinator's own records. */
export interface InternalProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** What replay hands over, in log order: a batch of records, or the end of a transaction. */
export type ReplayedBatch =
  | {
      readonly kind: 'records';
      readonly baseOffset: number;
      readonly timestampMs: number;
      /** undefined unless the batch belongs to a transaction. */
      readonly producer: InternalProducer | undefined;
      readonly records: readonly InternalRecord[];
    }
  | {
      readonly kind: 'marker';
      readonly baseOffset: number;
      readonly producer: InternalProducer;
      readonly committed: boolean;
    };

export interface InternalLog {
  readonly log: PartitionLog;
  /** Appends the records as one batch. Resolves when they are durable; state that answers clients changes after that.
   * Records of calls made in one order become durable, and resolve, in that order.
   * @throws {MillraceError} ML_DISK_FULL (retriable), ML_LOG_FAILED when the process is about to stop */
  append(records: readonly InternalRecord[], producer?: InternalProducer): Promise<void>;
  /** Ends a producer's transaction in this log with a commit or abort marker. Durable when it resolves. */
  appendMarker(
    producer: InternalProducer,
    committed: boolean,
    coordinatorEpoch: number,
  ): Promise<void>;
  /** Visits everything from the log start offset to the end, in order. */
  replay(visit: (batch: ReplayedBatch) => void): Promise<void>;
}

export interface InternalLogOptions {
  readonly log: PartitionLog;
  readonly env: Env;
  readonly logger: Logger;
  /** What replay does about batches that are damaged on disk: refuse to start, or go on without them, loudly. */
  readonly onDamage: 'refuse' | 'skip';
}

/** An internal log over a partition log that nobody else appends to. */
export function openInternalLog(options: InternalLogOptions): InternalLog {
  const { log, env } = options;
  return {
    log,
    append: (records, producer) =>
      store(log, encodeRecords(records, env.clock.nowMs(), producer), 'internal'),
    appendMarker: (producer, committed, coordinatorEpoch) => {
      const timestampMs = env.clock.nowMs();
      const marker = { ...producer, commit: committed, coordinatorEpoch };
      return store(log, encodeEndTransactionMarker(marker, { timestampMs }), 'control');
    },
    replay: (visit) => replay(options, visit),
  };
}

async function store(
  log: PartitionLog,
  batch: Buffer,
  origin: 'internal' | 'control',
): Promise<void> {
  const appended = log.append(batch, { origin });
  if (appended.ok) {
    await log.whenDurable(appended.lastOffset + 1);
    return;
  }
  const { topicId, partition } = log.id;
  const code = appended.error === 'KAFKA_STORAGE_ERROR' ? 'ML_DISK_FULL' : 'ML_ASSERT';
  throw new MillraceError(
    code,
    `an internal record was refused with ${appended.error}: ${appended.message}`,
    { fields: { topicId, partition, error: appended.error } },
  );
}

function encodeRecords(
  records: readonly InternalRecord[],
  timestampMs: number,
  producer: InternalProducer | undefined,
): Buffer {
  const builder = new RecordBatchBuilder(
    producer === undefined ? {} : { ...producer, transactional: true },
  );
  for (const { key, value } of records) builder.append(timestampMs, key, value);
  return builder.finish();
}

async function replay(
  options: InternalLogOptions,
  visit: (batch: ReplayedBatch) => void,
): Promise<void> {
  const { log } = options;
  let offset = log.logStartOffset;
  while (offset < log.highWatermark) {
    const result = await log.read(offset, {
      maxBytes: INTERNAL_READ_BYTES_MAX,
      atLeastOneBatch: true,
      isolation: 'read_uncommitted',
    });
    try {
      if (result.error === 'CORRUPT_MESSAGE' && options.onDamage === 'skip') {
        options.logger.error('damaged state is skipped', { ...log.id, offset });
        offset++;
        continue;
      }
      if (result.error !== 'NONE') throw damaged(log, offset, result.error);
      offset = visitBatches(result.records, visit, offset);
    } finally {
      result.release();
    }
  }
}

/** Visits whole batches and returns the offset after them. */
function visitBatches(
  records: Buffer,
  visit: (batch: ReplayedBatch) => void,
  fromOffset: number,
): number {
  const reader = new RecordReader();
  let next = fromOffset;
  for (let at = 0, end: number; (end = batchEnd(records, at, records.length)) !== -1; at = end) {
    next = lastOffset(records, at) + 1;
    const replayed = decodeBatch(reader, records, at, end);
    if (replayed !== undefined) visit(replayed);
  }
  assert(next > fromOffset, 'a replay advances with every read');
  return next;
}

/** undefined for a batch that compaction has emptied. */
function decodeBatch(
  reader: RecordReader,
  buffer: Buffer,
  position: number,
  end: number,
): ReplayedBatch | undefined {
  if (recordCount(buffer, position) === 0) return undefined;
  const flags = attributes(buffer, position);
  const producer = {
    producerId: producerId(buffer, position),
    producerEpoch: producerEpoch(buffer, position),
  };
  if (isControl(flags)) {
    const marker = readEndTransactionMarker(buffer, position, end);
    if (marker === undefined) return undefined;
    const at = baseOffset(buffer, position);
    return { kind: 'marker', baseOffset: at, producer, committed: marker.commit };
  }
  reader.open(buffer, position, end);
  const records: InternalRecord[] = [];
  while (reader.next()) {
    // Copies: what the state machine keeps must not keep the whole read in memory.
    const key = reader.key();
    const value = reader.value();
    records.push({
      key: key === null ? Buffer.alloc(0) : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
    });
  }
  return {
    kind: 'records',
    baseOffset: baseOffset(buffer, position),
    timestampMs: maxTimestamp(buffer, position),
    producer: isTransactional(flags) ? producer : undefined,
    records,
  };
}

function damaged(log: PartitionLog, offset: number, error: string): MillraceError {
  const { topicId, partition } = log.id;
  return new MillraceError(
    'ML_STATE_DAMAGED',
    `the broker's own log ${topicId}-${partition} cannot be read at offset ${offset}: ${error}`,
    { fields: { topicId, partition, offset, error } },
  );
}
