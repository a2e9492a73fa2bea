/**
 * What comes in through `append`: is it what it should be, and what does it say.
 *
 * Invariant: nothing here changes the batches or the log.
 * @hot
 */
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import {
  attributes,
  BATCH_BAD_ATTRIBUTES,
  BATCH_BAD_COUNTS,
  BATCH_BAD_MAGIC,
  BATCH_BAD_VALUES,
  BATCH_LEGACY_MAGIC,
  BATCH_OK,
  type BatchCheck,
  baseOffset,
  baseSequence,
  batchBytes,
  batchCheckText,
  checkBatch,
  checkOwnBatch,
  checkProducedBatch,
  isAppendTime,
  isControl,
  isTransactional,
  lastOffsetDelta,
  lastSequence,
  leaderEpoch,
  maxTimestamp,
  NO_PRODUCER_ID,
  producerEpoch,
  producerId,
} from '../wire/kafka/records/record-batch.ts';
import { BatchFacts, type ProducerState, type ProducerVerdict } from './producer-state.ts';
import type { AppendOptions, Refused } from './types.ts';

type Origin = AppendOptions['origin'];

const CHECKS = {
  client: checkProducedBatch,
  internal: checkOwnBatch,
  control: checkBatch,
} as const satisfies Record<Origin, typeof checkBatch>;

export interface IntakeLimits {
  /** Of one batch: what the journal can take. */
  readonly batchBytesMax: number;
  /** Of all: what a segment can take. */
  readonly totalBytesMax: number;
}

export class BatchIntake {
  private readonly facts = new BatchFacts();
  private batches: Buffer = Buffer.alloc(0);

  /** Structure of every batch, its CRC unless it is `internal` and was summed when it was built, and the rules of its origin. */
  check(batches: Buffer, origin: Origin, limits: IntakeLimits): Refused | undefined {
    this.batches = batches;
    const end = batches.length;
    if (end === 0) return refuse('INVALID_RECORD', 'there is no record batch');
    if (end > limits.totalBytesMax)
      return refuse('RECORD_LIST_TOO_LARGE', `${end} bytes do not fit into a segment`);
    for (let at = 0; at < end; at += batchBytes(batches, at)) {
      const check = CHECKS[origin](batches, at, end);
      if (check !== BATCH_OK) return refuse(errorOf(check), batchCheckText(check));
      const bytes = batchBytes(batches, at);
      if (bytes > limits.batchBytesMax)
        return refuse('MESSAGE_TOO_LARGE', `a batch of ${bytes} bytes does not fit the journal`);
      if (origin !== 'client') continue;
      const rule = checkClientRules(batches, at);
      if (rule !== undefined) return refuse('INVALID_RECORD', rule);
      if (bytes !== end) return refuse('INVALID_RECORD', 'more than one record batch');
    }
    return undefined;
  }

  /** What the producer state says of batches that were checked; undefined when it accepts all. */
  checkProducers(
    state: ProducerState,
    origin: Origin,
  ): Exclude<ProducerVerdict, { kind: 'accepted' }> | undefined {
    const { batches } = this;
    for (let at = 0; at < batches.length; at += batchBytes(batches, at)) {
      if (producerId(batches, at) === NO_PRODUCER_ID) continue;
      const verdict = state.check(this.read(batches, at), origin);
      if (verdict.kind !== 'accepted') return verdict;
    }
    return undefined;
  }

  /** The facts of the batch at `position`, as it is now. The object is used again by the next call. */
  read(batches: Buffer, position: number): BatchFacts {
    return readFacts(this.facts, batches, position);
  }
}

/** Fills `facts` from the batch at `position`, which has passed `checkBatch`. */
export function readFacts(facts: BatchFacts, batches: Buffer, position: number): BatchFacts {
  const flags = attributes(batches, position);
  facts.producerId = producerId(batches, position);
  facts.firstOffset = baseOffset(batches, position);
  facts.lastOffset = facts.firstOffset + lastOffsetDelta(batches, position);
  facts.maxTimestampMs = maxTimestamp(batches, position);
  facts.leaderEpoch = leaderEpoch(batches, position);
  facts.isTransactional = isTransactional(flags);
  facts.isAppendTime = isAppendTime(flags);
  facts.marker = 'none';
  facts.coordinatorEpoch = -1;
  if (facts.producerId === NO_PRODUCER_ID) return facts;
  facts.epoch = producerEpoch(batches, position);
  facts.baseSequence = baseSequence(batches, position);
  facts.lastSequence = lastSequence(batches, position);
  if (!isControl(flags)) return facts;
  const marker = readEndTransactionMarker(
    batches,
    position,
    position + batchBytes(batches, position),
  );
  if (marker === undefined) return facts;
  facts.marker = marker.commit ? 'commit' : 'abort';
  facts.coordinatorEpoch = marker.coordinatorEpoch;
  return facts;
}

/** What a client's batch must not be; undefined when it is fine. */
function checkClientRules(batches: Buffer, position: number): string | undefined {
  const flags = attributes(batches, position);
  if (isControl(flags)) return 'clients may not write control batches';
  if (producerId(batches, position) === NO_PRODUCER_ID)
    return isTransactional(flags) ? 'a transactional batch has no producer id' : undefined;
  if (producerId(batches, position) < 0) return 'the producer id is negative';
  if (producerEpoch(batches, position) < 0) return 'a batch has a producer id and no epoch';
  if (baseSequence(batches, position) < 0) return 'a batch has a producer id and no sequence';
  return undefined;
}

function errorOf(check: BatchCheck): ErrorName {
  if (check === BATCH_LEGACY_MAGIC || check === BATCH_BAD_MAGIC)
    return 'UNSUPPORTED_FOR_MESSAGE_FORMAT';
  const isContent =
    check === BATCH_BAD_ATTRIBUTES || check === BATCH_BAD_COUNTS || check === BATCH_BAD_VALUES;
  return isContent ? 'INVALID_RECORD' : 'CORRUPT_MESSAGE';
}

function refuse(error: ErrorName, message: string): Refused {
  return { ok: false, error, message };
}
