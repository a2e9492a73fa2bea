/**
 * Producer state against a naive model that keeps every batch ever written and works each answer out from all of them.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BatchFacts, ProducerState } from '../../src/log/producer-state.ts';

const { array, assert, constantFrom, integer, property, record } = fc;

interface Sent {
  readonly producerId: number;
  readonly epoch: number;
  /** Relative to what the producer should send: 0 = as it should be. */
  readonly sequenceOff: number;
  readonly records: number;
  readonly kind: 'data' | 'transactional' | 'commit' | 'abort' | 'repeat';
  /** For `repeat`: how many batches back. */
  readonly back: number;
}

interface Written {
  readonly producerId: number;
  readonly epoch: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly kind: 'data' | 'transactional' | 'commit' | 'abort';
}

const RING = 2 ** 31;

/** Everything is worked out from the whole history, each time. */
class Model {
  readonly written: Written[] = [];
  nextOffset = 0;

  private of(producerId: number): Written[] {
    return this.written.filter((batch) => batch.producerId === producerId);
  }

  epoch(producerId: number): number {
    return Math.max(-1, ...this.of(producerId).map(({ epoch }) => epoch));
  }

  /** Batches with sequences of the current epoch, newest last. */
  sequenced(producerId: number): Written[] {
    const epoch = this.epoch(producerId);
    return this.of(producerId).filter(
      (batch) => batch.epoch === epoch && (batch.kind === 'data' || batch.kind === 'transactional'),
    );
  }

  openSince(producerId: number): number {
    let since = -1;
    for (const batch of this.of(producerId)) {
      if (batch.kind === 'transactional' && since === -1) since = batch.firstOffset;
      if (batch.kind === 'commit' || batch.kind === 'abort') since = -1;
    }
    return since;
  }

  answer(facts: BatchFacts): string {
    const known = this.of(facts.producerId);
    if (known.length === 0) return 'accepted';
    const epoch = this.epoch(facts.producerId);
    if (facts.marker !== 'none') return facts.epoch < epoch ? 'INVALID_PRODUCER_EPOCH' : 'accepted';
    const sequenced = this.sequenced(facts.producerId);
    const repeated = sequenced
      .slice(-5)
      .find(
        (batch) =>
          facts.epoch === epoch &&
          batch.firstSequence === facts.baseSequence &&
          batch.lastSequence === facts.lastSequence,
      );
    if (repeated !== undefined) return `duplicate of ${repeated.firstOffset}`;
    if (facts.epoch < epoch) return 'INVALID_PRODUCER_EPOCH';
    const last = facts.epoch === epoch ? sequenced.at(-1)?.lastSequence : undefined;
    const expected = last === undefined ? 0 : (last + 1) % RING;
    if (facts.baseSequence !== expected) return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    const isOpen = this.openSince(facts.producerId) !== -1;
    if (isOpen && !facts.isTransactional) return 'INVALID_TXN_STATE';
    return 'accepted';
  }

  apply(facts: BatchFacts): void {
    const kind =
      facts.marker === 'none' ? (facts.isTransactional ? 'transactional' : 'data') : facts.marker;
    this.written.push({
      producerId: facts.producerId,
      epoch: facts.epoch,
      firstSequence: facts.baseSequence,
      lastSequence: facts.lastSequence,
      firstOffset: facts.firstOffset,
      lastOffset: facts.lastOffset,
      kind,
    });
    this.nextOffset = facts.lastOffset + 1;
  }
}

const sent = record({
  producerId: integer({ min: 1, max: 3 }),
  epoch: integer({ min: 0, max: 2 }),
  sequenceOff: constantFrom(0, 0, 0, 0, 0, 1, -1, 7, RING - 2),
  records: integer({ min: 1, max: 4 }),
  kind: constantFrom(
    ...(['data', 'transactional', 'transactional', 'commit', 'abort', 'repeat'] as const),
  ),
  back: integer({ min: 1, max: 7 }),
});

function factsOf(model: Model, batch: Sent): BatchFacts {
  const facts = new BatchFacts();
  facts.producerId = batch.producerId;
  facts.epoch = batch.epoch;
  facts.firstOffset = model.nextOffset;
  facts.maxTimestampMs = 1000 + model.nextOffset;
  if (batch.kind === 'commit' || batch.kind === 'abort') {
    facts.marker = batch.kind;
    facts.coordinatorEpoch = 1;
    facts.isTransactional = true;
    facts.lastOffset = facts.firstOffset;
    return facts;
  }
  const sequenced = model.sequenced(batch.producerId);
  const old = batch.kind === 'repeat' ? sequenced.at(-batch.back) : undefined;
  if (old !== undefined) {
    facts.epoch = old.epoch;
    facts.baseSequence = old.firstSequence;
    facts.lastSequence = old.lastSequence;
    facts.lastOffset = facts.firstOffset + (old.lastOffset - old.firstOffset);
    facts.isTransactional = old.kind === 'transactional';
    return facts;
  }
  const isSame = batch.epoch === model.epoch(batch.producerId);
  const last = isSame ? sequenced.at(-1)?.lastSequence : undefined;
  const right = last === undefined ? 0 : last + 1;
  facts.baseSequence = (((right + batch.sequenceOff) % RING) + RING) % RING;
  facts.lastSequence = (facts.baseSequence + batch.records - 1) % RING;
  facts.lastOffset = facts.firstOffset + batch.records - 1;
  facts.isTransactional = batch.kind === 'transactional';
  return facts;
}

test('every batch is answered as the whole history says, and open transactions are known', () => {
  assert(
    property(array(sent, { maxLength: 60 }), (batches) => {
      const model = new Model();
      let state = new ProducerState();
      for (const [index, batch] of batches.entries()) {
        const facts = factsOf(model, batch);
        const verdict = state.check(facts, facts.marker === 'none' ? 'client' : 'control');
        const answer =
          verdict.kind === 'accepted'
            ? 'accepted'
            : verdict.kind === 'refused'
              ? verdict.error
              : `duplicate of ${verdict.batch.lastOffset - verdict.batch.offsetDelta}`;
        expect(answer).toBe(model.answer(facts));
        if (verdict.kind !== 'accepted') continue;
        const openBefore = model.openSince(facts.producerId);
        const ended = state.apply(facts);
        model.apply(facts);
        expect(ended?.firstOffset ?? -1).toBe(facts.marker === 'none' ? -1 : openBefore);
        const open = [1, 2, 3].map((id) => model.openSince(id)).filter((offset) => offset >= 0);
        expect(state.firstOpenOffset).toBe(Math.min(Infinity, ...open));
        // As a checkpoint would keep it.
        if (index % 7 === 3) state = new ProducerState(structuredClone([...state.all()]));
      }
      for (const producer of state.active()) {
        expect(producer.producerEpoch).toBe(model.epoch(producer.producerId));
        const last = model.sequenced(producer.producerId).at(-1)?.lastSequence ?? -1;
        expect(producer.lastSequence).toBe(last);
        expect(producer.currentTransactionStartOffset).toBe(model.openSince(producer.producerId));
      }
    }),
    { numRuns: 400 },
  );
});

test('sequence numbers wrap from 2^31-1 to 0', () => {
  const state = new ProducerState();
  const facts = new BatchFacts();
  facts.producerId = 1;
  facts.epoch = 0;
  facts.baseSequence = RING - 2;
  facts.lastSequence = 1;
  facts.lastOffset = 3;
  // An unknown producer may begin anywhere (KIP-360).
  expect(state.check(facts, 'client').kind).toBe('accepted');
  state.apply(facts);
  expect(state.check(facts, 'client')).toMatchObject({
    kind: 'duplicate',
    batch: { lastOffset: 3 },
  });
  facts.baseSequence = 2;
  facts.lastSequence = 2;
  expect(state.check(facts, 'client').kind).toBe('accepted');
});

test('a marker of an older coordinator is fenced', () => {
  const state = new ProducerState();
  const facts = new BatchFacts();
  facts.producerId = 1;
  facts.epoch = 0;
  facts.marker = 'commit';
  facts.coordinatorEpoch = 5;
  state.apply(facts);
  facts.coordinatorEpoch = 4;
  expect(state.check(facts, 'control')).toMatchObject({ error: 'TRANSACTION_COORDINATOR_FENCED' });
});

test('producers that have not written for long are forgotten, but not those with an open transaction', () => {
  const state = new ProducerState();
  for (const producerId of [1, 2]) {
    const facts = new BatchFacts();
    facts.producerId = producerId;
    facts.epoch = 0;
    facts.baseSequence = 0;
    facts.lastSequence = 0;
    facts.maxTimestampMs = 1000;
    facts.isTransactional = producerId === 2;
    facts.firstOffset = facts.lastOffset = producerId;
    state.apply(facts);
  }
  expect(state.expire(1000)).toBe(0);
  expect(state.expire(1001)).toBe(1);
  expect(state.get(1)).toBeUndefined();
  expect(state.get(2)?.transactionStart).toBe(2);
});
