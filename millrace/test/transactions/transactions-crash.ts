/**
 * Transactions on a whole broker and a simulated machine: producers write to several partitions and commit offsets in transactions,
 * commit, abort, fall silent or are fenced by a second instance, while the power goes at any step, also during recovery. At the end
 * every transaction is in all of its partitions or in none, as was acknowledged, and nothing is left open.
 */
import type { Broker } from '../../src/broker/broker.ts';
import { produce, transactionalProducer } from '../../src/broker/produce.ts';
import type { TransactionRequest } from '../../src/broker/transactions/transaction-table.ts';
import type { Env } from '../../src/core/env.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type { Isolation } from '../../src/log/types.ts';
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import { readRecords } from '../../src/wire/kafka/records/record-reader.ts';
import {
  attributes,
  batchEnd,
  isControl,
  producerId,
} from '../../src/wire/kafka/records/record-batch.ts';
import { openSimBroker } from '../kafka/sim-broker.ts';

const TOPICS = ['left', 'right'] as const;
const PARTITIONS = 2;
const PRODUCERS = 3;
const TRANSACTIONS = 6;
const LIVES = 4;
/** Steps of a life in which the power may go. */
const STEPS = 1500;
const TIMEOUT_MS = 20_000;
const SETTINGS = { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500 };

type Outcome = 'committed' | 'aborted' | 'unknown';

interface Written {
  readonly topic: string;
  readonly partition: number;
  readonly value: string;
}

/** A transaction as its client saw it. */
interface Transaction {
  readonly name: string;
  readonly group: string;
  /** Acknowledged writes. */
  readonly written: Written[];
  /** The offset that it committed for its group; undefined unless acknowledged. */
  offset: number | undefined;
  outcome: Outcome;
}

export interface TransactionsCrashReport {
  readonly cuts: number;
  readonly committed: number;
  readonly aborted: number;
  readonly unknown: number;
  readonly fenced: number;
}

export class TransactionsCrash {
  private readonly machine: SimMachine;
  private readonly transactions: Transaction[] = [];
  private nextName = 0;
  private fenced = 0;

  constructor(seed: number) {
    this.machine = new SimMachine(seed);
  }

  /** @throws {Error} that says which promise was broken */
  async run(): Promise<TransactionsCrashReport> {
    let cuts = 0;
    let env = this.machine.boot();
    for (let life = 1; life <= LIVES; life++) {
      const last = life === LIVES;
      if (!last) {
        const step = this.machine.stepCount + 1 + Math.floor(env.random.next() * STEPS);
        this.machine.cutAtStep(step, env.random.next() < 0.7 ? 'power' : 'kill');
      }
      try {
        await this.machine.run(this.live(env, last));
      } catch (error) {
        if (!(error instanceof SimPowerCut)) throw error;
        cuts++;
      }
      if (!last) env = this.machine.reboot();
    }
    const count = (outcome: Outcome): number =>
      this.transactions.filter((each) => each.outcome === outcome).length;
    return {
      cuts,
      committed: count('committed'),
      aborted: count('aborted'),
      unknown: count('unknown'),
      fenced: this.fenced,
    };
  }

  private async live(env: Env, last: boolean): Promise<void> {
    const broker = await openSimBroker(env, SETTINGS);
    for (const topic of TOPICS) {
      if (broker.topics.get(topic) === undefined)
        await broker.topics.create({ name: topic, partitions: PARTITIONS, overrides: {} });
    }
    const producers = Array.from({ length: PRODUCERS }, (_, index) =>
      this.produceAll(broker, env, index),
    );
    await Promise.all(producers);
    if (!last) return;
    // Whoever fell silent is timed out by the broker.
    await env.timers.sleep(3 * TIMEOUT_MS);
    await this.check(broker);
    await broker.close();
  }

  /** One client program: transactions one after the other; now and then it goes silent, or a second instance takes over. */
  private async produceAll(broker: Broker, env: Env, index: number): Promise<void> {
    const transactionalId = `producer-${index}`;
    let identity = await begin(broker, transactionalId);
    let sequence = new Map<string, number>();
    for (let round = 0; round < TRANSACTIONS && identity !== undefined; round++) {
      const transaction: Transaction = {
        name: `t${this.nextName++}`,
        group: `group-${index}`,
        written: [],
        offset: undefined,
        outcome: 'unknown',
      };
      this.transactions.push(transaction);
      const alive = await this.fill(broker, env, identity, transaction, sequence);
      const fate = env.random.next();
      if (!alive || fate < 0.15) {
        // Silent: the next instance fences this one, which aborts what is open.
        const zombie = identity;
        identity = await begin(broker, transactionalId);
        sequence = new Map();
        if (identity !== undefined) transaction.outcome = 'aborted';
        await this.expectFenced(broker, zombie, env);
        continue;
      }
      const commit = fate < 0.7;
      const ended = await broker.transactions.end(identity, commit, false);
      if (ended.error === 'NONE') transaction.outcome = commit ? 'committed' : 'aborted';
    }
  }

  /** Writes and commits offsets; returns false when the producer was told to stop. */
  private async fill(
    broker: Broker,
    env: Env,
    identity: TransactionRequest,
    transaction: Transaction,
    sequence: Map<string, number>,
  ): Promise<boolean> {
    const writes = 1 + Math.floor(env.random.next() * 5);
    for (let count = 0; count < writes; count++) {
      const topic = TOPICS[Math.floor(env.random.next() * TOPICS.length)] ?? 'left';
      const partition = Math.floor(env.random.next() * PARTITIONS);
      const added = await broker.transactions.addPartitions(identity, [{ topic, partition }]);
      if (added !== 'NONE') return false;
      const place = `${topic}-${partition}`;
      const baseSequence = sequence.get(place) ?? 0;
      const value = `${transaction.name}/${count}`;
      const error = await write(broker, identity, { topic, partition, value }, baseSequence);
      if (error !== 'NONE') return false;
      sequence.set(place, baseSequence + 1);
      transaction.written.push({ topic, partition, value });
    }
    if (env.random.next() < 0.5) {
      if ((await broker.transactions.addOffsets(identity)) !== 'NONE') return false;
      const offset = this.nextName;
      const [error] = await broker.transactions.commitOffsets(identity.transactionalId, {
        groupId: transaction.group,
        generation: -1,
        memberId: '',
        instanceId: null,
        producerId: identity.producerId,
        producerEpoch: identity.producerEpoch,
        offsets: [
          { topic: 'left', partition: 0, offset, leaderEpoch: -1, metadata: transaction.name },
        ],
      });
      if (error !== 'NONE') return false;
      transaction.offset = offset;
    }
    return true;
  }

  private async expectFenced(broker: Broker, zombie: TransactionRequest, env: Env): Promise<void> {
    const place = {
      topic: 'left',
      partition: Math.floor(env.random.next() * PARTITIONS),
      value: 'zombie',
    };
    const error = await write(broker, zombie, place, 0);
    if (error === 'NONE') throw new Error('a fenced producer could write');
    const ended = await broker.transactions.end(zombie, true, false);
    if (ended.error === 'NONE') throw new Error('a fenced producer could commit');
    this.fenced++;
  }

  private async check(broker: Broker): Promise<void> {
    const seen = new Set<string>();
    for (const topic of TOPICS) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const log = broker.topics.partition(topic, partition);
        if (log === undefined) throw new Error(`${topic}-${partition} is gone`);
        if (log.lastStableOffset !== log.highWatermark)
          throw new Error(`a transaction hangs in ${topic}-${partition}`);
        for (const value of await readAll(broker, topic, partition, 'read_committed')) {
          if (seen.has(value)) throw new Error(`${value} is there twice`);
          seen.add(value);
        }
      }
    }
    if (seen.has('zombie')) throw new Error('a fenced producer was read');
    for (const transaction of this.transactions) checkOne(transaction, seen);
    const known = new Set(this.transactions.flatMap(({ name }) => name));
    for (const value of seen) {
      if (!known.has(value.split('/')[0] ?? '')) throw new Error(`${value} was never written`);
    }
    this.checkOffsets(broker);
  }

  /** The offset of a group is that of the last committed transaction that carried one, or of one whose fate is unknown. */
  private checkOffsets(broker: Broker): void {
    for (let index = 0; index < PRODUCERS; index++) {
      const group = `group-${index}`;
      const mine = this.transactions.filter(
        (each) => each.group === group && each.offset !== undefined,
      );
      const lastCommitted = mine.findLastIndex(({ outcome }) => outcome === 'committed');
      const possible = mine
        .slice(Math.max(lastCommitted, 0))
        .filter(({ outcome }) => outcome !== 'aborted')
        .map(({ offset }) => offset);
      const found = broker.groups.committedOffset(group, { topic: 'left', partition: 0 })?.offset;
      const nothingYet = lastCommitted < 0 && found === undefined;
      // A write whose answer was lost may have been committed by a transaction that was acknowledged later.
      if (!nothingYet && !possible.includes(found) && !this.isUnacknowledged(group, found))
        throw new Error(`the offset of ${group} is ${found}, not one of ${possible.join(', ')}`);
    }
  }

  private isUnacknowledged(group: string, offset: number | undefined): boolean {
    return this.transactions.some(
      (each) =>
        each.group === group &&
        each.offset === undefined &&
        each.outcome === 'unknown' &&
        offset !== undefined,
    );
  }
}

function checkOne(transaction: Transaction, seen: ReadonlySet<string>): void {
  const { name, written, outcome } = transaction;
  const there = written.filter(({ value }) => seen.has(value));
  if (outcome === 'committed' && there.length !== written.length)
    throw new Error(
      `${name} was committed, and ${written.length - there.length} of its records are missing`,
    );
  if (outcome === 'aborted' && there.length > 0)
    throw new Error(`${name} was aborted, and ${there[0]?.value} is read`);
  if (there.length > 0 && there.length < written.length)
    throw new Error(`${name} is torn: ${there.length} of ${written.length} records are there`);
}

async function begin(
  broker: Broker,
  transactionalId: string,
): Promise<TransactionRequest | undefined> {
  const {
    error,
    producerId: id,
    producerEpoch,
  } = await broker.transactions.initProducerId({
    transactionalId,
    timeoutMs: TIMEOUT_MS,
    producerId: -1,
    producerEpoch: -1,
  });
  return error === 'NONE' ? { transactionalId, producerId: id, producerEpoch } : undefined;
}

/** As the Produce handler does it: asks the coordinator, appends, waits until it is durable. */
async function write(
  broker: Broker,
  producer: TransactionRequest,
  place: Written,
  baseSequence: number,
): Promise<string> {
  const topic = broker.topics.get(place.topic);
  if (topic === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  const nowMs = broker.env.clock.nowMs();
  const batch = encodeBatch([{ timestamp: nowMs, key: 'key', value: place.value }], {
    producerId: producer.producerId,
    producerEpoch: producer.producerEpoch,
    baseSequence,
    transactional: true,
  });
  const identity = transactionalProducer(batch);
  if (identity === undefined) throw new Error('the batch is transactional');
  const allowed = broker.transactions.mayWrite(identity, place.topic, place.partition);
  if (allowed !== 'NONE') return allowed;
  const produced = produce(topic, place.partition, batch, { allowZstd: true, nowMs });
  if (!produced.ok) return produced.error;
  await produced.log.whenDurable(produced.endOffset);
  return 'NONE';
}

async function readAll(
  broker: Broker,
  topic: string,
  partition: number,
  isolation: Isolation,
): Promise<string[]> {
  const log = broker.topics.partition(topic, partition);
  const values: string[] = [];
  if (log === undefined) return values;
  let offset = log.logStartOffset;
  while (offset < log.lastStableOffset) {
    const result = await log.read(offset, { maxBytes: 1 << 20, atLeastOneBatch: true, isolation });
    if (result.error !== 'NONE' || result.records.length === 0)
      throw new Error(`reading ${topic} at ${offset}: ${result.error}`);
    const aborted = result.abortedTransactions.map((each) => ({ ...each }));
    const { records } = result;
    // As a client does it: an aborted producer's batches are skipped from its first offset to its marker.
    const skipping = new Set<number>();
    for (let at = 0, end: number; (end = batchEnd(records, at, records.length)) !== -1; at = end) {
      const id = producerId(records, at);
      const read = readRecords(records, at, end);
      const first = read[0]?.offset ?? offset;
      offset = (read.at(-1)?.offset ?? first) + 1;
      for (const each of aborted)
        if (each.producerId === id && each.firstOffset <= first) skipping.add(id);
      if (isControl(attributes(records, at))) {
        if (skipping.delete(id)) {
          const index = aborted.findIndex(
            (each) => each.producerId === id && each.firstOffset <= first,
          );
          if (index >= 0) aborted.splice(index, 1);
        }
        continue;
      }
      if (!skipping.has(id)) values.push(...read.map(({ value }) => value?.toString() ?? ''));
    }
    result.release();
  }
  return values;
}
