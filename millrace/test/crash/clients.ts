/**
 * Producers and a transaction coordinator as they behave outside of the store: they wait for acknowledgements, send
 * again what was not acknowledged after a crash, in order, and end every transaction that they began.
 */
import { encodeEndTransactionMarker } from '../../src/wire/kafka/records/control-records.ts';
import { addSequence } from '../../src/wire/kafka/records/record-batch.ts';
import type { AppendResult } from '../../src/log/types.ts';
import type { ClientSide } from './client-side.ts';
import { encode, type NewBatch, type NewRecord } from './facts.ts';
import type { BatchFact } from './log-history.ts';
import { type Attempt, expectedFact, type KnownLog, type Producer } from './world.ts';

/** As Kafka's max.in.flight.requests.per.connection. */
const IN_FLIGHT_MAX = 5;
const KEYS = 12;
const RETRY_MS = 20;

/** Drives one producer until the life is over. */
export async function produce(life: ClientSide, producer: Producer): Promise<void> {
  const { random } = life.world;
  await catchUp(life, producer);
  while (life.takeOperation()) {
    if (producer.isTransactional) await transactionStep(life, producer);
    else {
      const log = life.world.pick(life.world.logs);
      if (log === undefined) await life.pause(5);
      else await sendNew(life, producer, log);
    }
    if (random.chance(0.3)) await life.pause(random.between(0, 3));
  }
}

/** After a start: everything that was not acknowledged is sent again, and an open transaction may be given up. */
async function catchUp(life: ClientSide, producer: Producer): Promise<void> {
  for (const attempts of producer.unacked.values())
    for (const attempt of attempts) attempt.isSent = false;
  const { transaction } = producer;
  if (producer.producerId < 0) {
    // Nobody could tell a second copy from the first: what was not acknowledged is given up.
    producer.unacked.clear();
    return;
  }
  const mayHaveLost =
    life.powerWasCut && [...producer.nextSequence.keys()].some((log) => log.lossy);
  if (mayHaveLost || (transaction?.outcome === 'open' && life.world.random.chance(0.5)))
    fence(producer);
  for (const log of Array.from(producer.unacked.keys())) await resend(life, producer, log);
}

/** What a coordinator does with a producer that comes back: the next epoch aborts what the last one left open. */
function fence(producer: Producer): void {
  const { transaction } = producer;
  producer.epoch++;
  producer.unacked.clear();
  producer.nextSequence.clear();
  if (transaction === undefined) return;
  transaction.outcome = 'abort';
  for (const log of transaction.logs) transaction.unmarked.add(log);
}

async function transactionStep(life: ClientSide, producer: Producer): Promise<void> {
  const { world } = life;
  const { random } = world;
  producer.transaction ??= { logs: new Set(), outcome: 'open', unmarked: new Set() };
  const { transaction } = producer;
  if (transaction.outcome !== 'open') {
    await endTransaction(life, producer);
    return;
  }
  if (transaction.logs.size === 0 || random.chance(0.6)) {
    const log = world.pick(world.logs);
    if (log === undefined) return;
    transaction.logs.add(log);
    await sendNew(life, producer, log);
    return;
  }
  if (random.chance(0.1)) {
    fence(producer);
    return;
  }
  // A transaction may commit only when all of it was acknowledged.
  for (const log of Array.from(producer.unacked.keys()))
    if (!(await acknowledged(life, producer, log))) return;
  if (producer.transaction !== transaction) return;
  transaction.outcome = random.chance(0.7) ? 'commit' : 'abort';
  for (const log of transaction.logs) transaction.unmarked.add(log);
}

async function endTransaction(life: ClientSide, producer: Producer): Promise<void> {
  const { transaction } = producer;
  if (transaction === undefined) return;
  for (const log of Array.from(transaction.unmarked)) {
    const end = appendMarker(life, producer, log, transaction.outcome === 'commit');
    if (end < 0) {
      await life.pause(RETRY_MS);
      return;
    }
    if (!(await life.durable(log, end))) return;
    transaction.unmarked.delete(log);
  }
  producer.transaction = undefined;
}

/** Returns the end offset, or -1 when the log refused. */
export function appendMarker(
  life: ClientSide,
  producer: Pick<Producer, 'producerId' | 'epoch'>,
  log: KnownLog,
  commit: boolean,
): number {
  const { producerId, epoch } = producer;
  const timestampMs = life.nowMs();
  const bytes = encodeEndTransactionMarker(
    { producerId, producerEpoch: epoch, commit, coordinatorEpoch: 0 },
    { timestampMs },
  );
  const fact = (baseOffset: number): BatchFact => ({
    baseOffset,
    lastOffset: baseOffset,
    bytes: bytes.length,
    producerId,
    producerEpoch: epoch,
    baseSequence: -1,
    transactional: true,
    control: commit ? 'commit' : 'abort',
    markerMs: timestampMs,
    leaderEpoch: life.leaderEpoch,
    records: [],
  });
  const result = life.append(log, bytes, 'control', (baseOffset) => [fact(baseOffset)]);
  if (result === undefined) return -1;
  if (result.ok) return result.lastOffset + 1;
  life.refused(log, result.error);
  return -1;
}

async function sendNew(life: ClientSide, producer: Producer, log: KnownLog): Promise<void> {
  let attempts = producer.unacked.get(log);
  if (attempts === undefined) {
    attempts = [];
    producer.unacked.set(log, attempts);
  }
  if (attempts.length >= IN_FLIGHT_MAX || attempts.some((attempt) => !attempt.isSent)) {
    await acknowledged(life, producer, log);
    return;
  }
  const batch = newBatch(life, producer, log);
  if (encode(batch).length > log.config.segmentBytes) return;
  if (producer.producerId >= 0) {
    const sequence = batch.baseSequence ?? 0;
    producer.nextSequence.set(log, addSequence(sequence, batch.records.length));
    if (life.world.random.chance(0.05)) provoke(life, producer, log, batch);
  }
  if (producer.producerId < 0 && life.world.random.chance(0.15)) {
    sendPair(life, log, batch, newBatch(life, producer, log));
    return;
  }
  const attempt: Attempt = { batch, isSent: false };
  attempts.push(attempt);
  send(life, producer, log, attempt);
  if (life.world.random.chance(0.3)) await acknowledged(life, producer, log);
}

/** Two batches in one append, as the brokers own logs may be written. */
function sendPair(life: ClientSide, log: KnownLog, first: NewBatch, second: NewBatch): void {
  const bytes = [encode(first), encode(second)] as const;
  const all = Buffer.concat(bytes);
  if (all.length > log.config.segmentBytes) return;
  const { leaderEpoch } = life;
  const result = life.append(log, all, 'internal', (baseOffset) => [
    expectedFact(first, bytes[0].length, { baseOffset, leaderEpoch }),
    expectedFact(second, bytes[1].length, {
      baseOffset: baseOffset + first.records.length,
      leaderEpoch,
    }),
  ]);
  if (result?.ok === true) life.whenDurable(log, result.lastOffset + 1, () => {});
  else if (result !== undefined) life.refused(log, result.error);
}

function newBatch(life: ClientSide, producer: Producer, log: KnownLog): NewBatch {
  const { world } = life;
  const { random } = world;
  const records: NewRecord[] = [];
  const count = 1 + random.below(random.chance(0.1) ? 20 : 4);
  const valueBytes = random.below(random.chance(0.2) ? 400 : 40);
  for (let index = 0; index < count; index++)
    records.push({
      id: `${world.id()}`,
      key: log.keyed ? `k${random.below(KEYS)}` : null,
      tombstone: log.keyed && random.chance(0.15),
      // Out of order, as clients' clocks are.
      timestampMs: life.nowMs() - random.below(20),
      valueBytes,
    });
  const compression = random.chance(0.1) ? (random.chance(0.3) ? 'gzip' : 'snappy') : 'none';
  if (producer.producerId < 0) return { records, compression };
  return {
    records,
    compression,
    producerId: producer.producerId,
    producerEpoch: producer.epoch,
    baseSequence: producer.nextSequence.get(log) ?? 0,
    transactional: producer.isTransactional,
  };
}

/** Something that has to be refused: a gap in the sequence, or an epoch that is over. */
function provoke(life: ClientSide, producer: Producer, log: KnownLog, next: NewBatch): void {
  const isNew = (next.baseSequence ?? 0) === 0;
  // A log that does not know the producer takes any sequence; one under a new epoch must begin at 0.
  if (isNew || (producer.unacked.get(log)?.length ?? 0) > 0) return;
  const wrong: NewBatch =
    producer.epoch > 0 && life.world.random.chance(0.5)
      ? { ...next, producerEpoch: producer.epoch - 1 }
      : { ...next, baseSequence: addSequence(next.baseSequence ?? 0, 7) };
  const records = wrong.records.map((record) => ({ ...record, id: `provoked ${record.id}` }));
  const bytes = encode({ ...wrong, records });
  const result = life.append(log, bytes, 'client', (baseOffset) => [
    expectedFact({ ...wrong, records }, bytes.length, {
      baseOffset,
      leaderEpoch: life.leaderEpoch,
    }),
  ]);
  if (result?.ok === true) life.refused(log, 'took a batch that it had to refuse', false);
}

/** Sends all that is not acknowledged again, in order. Returns false when the log does not take it. */
async function resend(life: ClientSide, producer: Producer, log: KnownLog): Promise<boolean> {
  for (const attempt of (producer.unacked.get(log) ?? []).slice()) {
    while (!attempt.isSent) {
      if (!life.isRunning() || !life.world.logs.includes(log)) return false;
      if (!send(life, producer, log, attempt)) await life.pause(RETRY_MS);
    }
  }
  return true;
}

/** Resolves with true when everything sent to the log is acknowledged; false when the life is over. */
async function acknowledged(life: ClientSide, producer: Producer, log: KnownLog): Promise<boolean> {
  if (!(await resend(life, producer, log))) return false;
  while ((producer.unacked.get(log)?.length ?? 0) > 0) {
    if (!life.isRunning() || !life.world.logs.includes(log)) return false;
    await life.pause(1);
  }
  return true;
}

function send(life: ClientSide, producer: Producer, log: KnownLog, attempt: Attempt): boolean {
  const bytes = encode(attempt.batch);
  const result: AppendResult | undefined = life.append(log, bytes, 'client', (baseOffset) => [
    expectedFact(attempt.batch, bytes.length, { baseOffset, leaderEpoch: life.leaderEpoch }),
  ]);
  if (result === undefined) return false;
  if (!result.ok) {
    life.refused(log, result.error);
    return false;
  }
  attempt.isSent = true;
  life.whenDurable(log, result.lastOffset + 1, () => {
    const attempts = producer.unacked.get(log);
    const index = attempts?.indexOf(attempt) ?? -1;
    if (index >= 0) attempts?.splice(index, 1);
  });
  return true;
}
