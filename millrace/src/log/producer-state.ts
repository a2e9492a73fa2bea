/**
 * What one log knows of the producers that write to it: for idempotence (KIP-98) the last batches of each, so that a
 * batch sent twice is recognised and a gap refused; for transactions which are open, and so where the last stable
 * offset is.
 *
 * Invariants
 * - State is a function of the batches in the log below its end (plus what expired): recovery rebuilds it from a
 *   checkpoint and the batches behind it.
 * - `check` changes nothing; `apply` never fails.
 * - Per producer at most PRODUCER_BATCHES_KEPT batches, in the order of their offsets.
 *
 * Source: KIP-98, KIP-360 (a producer id that is not known may begin at any sequence), Kafka's rules for markers.
 */
import { addSequence, NO_PRODUCER_EPOCH, NO_SEQUENCE } from '../wire/kafka/records/record-batch.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import type { ActiveProducer } from './types.ts';

/** As many batches as a client may have under way (max.in.flight.requests.per.connection). */
export const PRODUCER_BATCHES_KEPT = 5;

/** A batch as its producer's state remembers it. */
export interface KeptBatch {
  lastSequence: number;
  lastOffset: number;
  /** Last offset minus first offset. */
  offsetDelta: number;
  timestampMs: number;
}

export interface ProducerEntry {
  readonly producerId: number;
  /** -1 until a batch was seen. */
  epoch: number;
  /** Of the coordinator that wrote the last marker; -1 = none. */
  coordinatorEpoch: number;
  lastTimestampMs: number;
  /** First offset of the open transaction; -1 = none. */
  transactionStart: number;
  readonly batches: KeptBatch[];
}

/** The fields of a batch that matter here. One object is reused for many batches. */
export class BatchFacts {
  producerId = -1;
  epoch = -1;
  baseSequence = -1;
  lastSequence = -1;
  firstOffset = 0;
  lastOffset = 0;
  /** Largest of the batch. */
  maxTimestampMs = -1;
  leaderEpoch = -1;
  isTransactional = false;
  /** The log has stamped it with the time of its append, `maxTimestampMs`. */
  isAppendTime = false;
  /** For a control batch that ends a transaction. */
  marker: 'none' | 'commit' | 'abort' = 'none';
  coordinatorEpoch = -1;
}

/** Why a batch is refused, or the batch that it repeats. */
export type ProducerVerdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'duplicate'; readonly batch: KeptBatch }
  | { readonly kind: 'refused'; readonly error: ErrorName; readonly message: string };

const ACCEPTED: ProducerVerdict = { kind: 'accepted' };

/** A transaction that a marker has ended. */
export interface EndedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly isAborted: boolean;
}

export class ProducerState {
  private readonly entries = new Map<number, ProducerEntry>();
  /** Producer id by first offset of its open transaction; in the order of the offsets, as they were begun. */
  private readonly open = new Map<number, number>();

  constructor(entries: readonly ProducerEntry[] = []) {
    for (const entry of entries) this.entries.set(entry.producerId, entry);
    const open = entries.filter((entry) => entry.transactionStart !== -1);
    open.sort((a, b) => a.transactionStart - b.transactionStart);
    for (const entry of open) this.open.set(entry.transactionStart, entry.producerId);
  }

  get count(): number {
    return this.entries.size;
  }

  /** First offset of the oldest open transaction; Infinity when none is open. */
  get firstOpenOffset(): number {
    for (const offset of this.open.keys()) return offset;
    return Infinity;
  }

  get(producerId: number): ProducerEntry | undefined {
    return this.entries.get(producerId);
  }

  all(): IterableIterator<ProducerEntry> {
    return this.entries.values();
  }

  /** Whether the batch may be appended. `facts.producerId` is not -1. */
  check(facts: BatchFacts, origin: 'client' | 'internal' | 'control'): ProducerVerdict {
    const entry = this.entries.get(facts.producerId);
    if (origin === 'control' || facts.marker !== 'none') return checkMarker(entry, facts);
    if (entry === undefined) return ACCEPTED;
    if (origin === 'client' && facts.baseSequence !== NO_SEQUENCE) {
      const duplicate = findDuplicate(entry, facts);
      if (duplicate !== undefined) return { kind: 'duplicate', batch: duplicate };
    }
    if (facts.epoch < entry.epoch)
      return refused(
        'INVALID_PRODUCER_EPOCH',
        `epoch ${facts.epoch} of producer ${facts.producerId} is older than its current one, ${entry.epoch}`,
      );
    if (origin === 'client') {
      const gap = checkSequence(entry, facts);
      if (gap !== undefined) return gap;
    }
    if (entry.transactionStart !== -1 && !facts.isTransactional)
      return refused(
        'INVALID_TXN_STATE',
        `producer ${facts.producerId} has an open transaction and writes outside of it`,
      );
    return ACCEPTED;
  }

  /** Takes in a batch that was appended. Returns the transaction that it ends, if any. */
  apply(facts: BatchFacts): EndedTransaction | undefined {
    const entry = this.entryOf(facts.producerId);
    if (facts.epoch > entry.epoch || entry.epoch === NO_PRODUCER_EPOCH) {
      entry.epoch = facts.epoch;
      entry.batches.length = 0;
    }
    entry.lastTimestampMs = facts.maxTimestampMs;
    if (facts.marker !== 'none') return this.applyMarker(entry, facts);
    if (facts.baseSequence !== NO_SEQUENCE) keepBatch(entry, facts);
    if (facts.isTransactional && entry.transactionStart === -1) {
      entry.transactionStart = facts.firstOffset;
      this.open.set(facts.firstOffset, facts.producerId);
    }
    return undefined;
  }

  /** Forgets producers whose last batch is older than `beforeMs` and that have no open transaction. Returns how many. */
  expire(beforeMs: number): number {
    let count = 0;
    for (const entry of this.entries.values()) {
      if (entry.lastTimestampMs >= beforeMs || entry.transactionStart !== -1) continue;
      this.entries.delete(entry.producerId);
      count++;
    }
    return count;
  }

  active(): ActiveProducer[] {
    return [...this.entries.values()].map((entry) => ({
      producerId: entry.producerId,
      producerEpoch: entry.epoch,
      lastSequence: lastSequenceOf(entry),
      lastTimestampMs: entry.lastTimestampMs,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTransactionStartOffset: entry.transactionStart,
    }));
  }

  private entryOf(producerId: number): ProducerEntry {
    let entry = this.entries.get(producerId);
    if (entry === undefined) {
      entry = {
        producerId,
        epoch: NO_PRODUCER_EPOCH,
        coordinatorEpoch: -1,
        lastTimestampMs: -1,
        transactionStart: -1,
        batches: [],
      };
      this.entries.set(producerId, entry);
    }
    return entry;
  }

  private applyMarker(entry: ProducerEntry, facts: BatchFacts): EndedTransaction | undefined {
    entry.coordinatorEpoch = facts.coordinatorEpoch;
    const firstOffset = entry.transactionStart;
    if (firstOffset === -1) return undefined;
    entry.transactionStart = -1;
    this.open.delete(firstOffset);
    return {
      producerId: facts.producerId,
      firstOffset,
      lastOffset: facts.lastOffset,
      isAborted: facts.marker === 'abort',
    };
  }
}

/** Sequence number of the last record of the producer; -1 when none is known. */
function lastSequenceOf(entry: ProducerEntry): number {
  return entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE;
}

function findDuplicate(entry: ProducerEntry, facts: BatchFacts): KeptBatch | undefined {
  if (facts.epoch !== entry.epoch) return undefined;
  for (const batch of entry.batches) {
    if (batch.lastSequence !== facts.lastSequence) continue;
    // The first sequence follows from the last and the number of records, in the ring of 2^31 numbers.
    if (addSequence(facts.baseSequence, batch.offsetDelta) === batch.lastSequence) return batch;
  }
  return undefined;
}

function checkSequence(entry: ProducerEntry, facts: BatchFacts): ProducerVerdict | undefined {
  if (facts.epoch !== entry.epoch) {
    if (facts.baseSequence === 0 || entry.epoch === NO_PRODUCER_EPOCH) return undefined;
    return refused(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `the first sequence of producer ${facts.producerId} under its new epoch ${facts.epoch} is ${facts.baseSequence}, not 0`,
    );
  }
  const last = lastSequenceOf(entry);
  const expected = last === NO_SEQUENCE ? 0 : addSequence(last, 1);
  if (facts.baseSequence === expected) return undefined;
  return refused(
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    `sequence ${facts.baseSequence} of producer ${facts.producerId} does not follow ${last}`,
  );
}

function checkMarker(entry: ProducerEntry | undefined, facts: BatchFacts): ProducerVerdict {
  if (entry === undefined) return ACCEPTED;
  if (facts.epoch < entry.epoch)
    return refused(
      'INVALID_PRODUCER_EPOCH',
      `the marker's epoch ${facts.epoch} of producer ${facts.producerId} is older than its current one, ${entry.epoch}`,
    );
  if (facts.coordinatorEpoch < entry.coordinatorEpoch)
    return refused(
      'TRANSACTION_COORDINATOR_FENCED',
      `the marker comes from coordinator epoch ${facts.coordinatorEpoch}; ${entry.coordinatorEpoch} was here before`,
    );
  return ACCEPTED;
}

function keepBatch(entry: ProducerEntry, facts: BatchFacts): void {
  const { batches } = entry;
  const oldest = batches.length === PRODUCER_BATCHES_KEPT ? batches.shift() : undefined;
  const kept = oldest ?? { lastSequence: 0, lastOffset: 0, offsetDelta: 0, timestampMs: 0 };
  kept.lastSequence = facts.lastSequence;
  kept.lastOffset = facts.lastOffset;
  kept.offsetDelta = facts.lastOffset - facts.firstOffset;
  kept.timestampMs = facts.maxTimestampMs;
  batches.push(kept);
}

function refused(error: ErrorName, message: string): ProducerVerdict {
  return { kind: 'refused', error, message };
}
