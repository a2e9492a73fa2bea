/**
 * Kafka clients over the wire, written for the broker to be killed under them: they connect again for as long as it
 * takes, send again what idempotence makes safe, and write down what they asked and what they were told. The history is
 * judged by `kafka-checker.ts`.
 *
 * The client in `raw-client.ts` adds nothing of its own: no retries, no metadata, no batching, so that what is seen is
 * the broker.
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ApiKey,
  RawClient,
  type RequestOf,
  type ResponseOf,
} from '../../groups/raw-client.ts';
import { errorName } from '../../../src/wire/kafka/error-codes.ts';
import { encodeBatch } from '../../../src/wire/kafka/records/record-batch-builder.ts';
import {
  attributes,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
} from '../../../src/wire/kafka/records/record-batch.ts';
import { readEndTransactionMarker } from '../../../src/wire/kafka/records/control-records.ts';
import { readRecords } from '../../../src/wire/kafka/records/record-reader.ts';
import type { KafkaEvent, Op } from '../kafka-history.ts';

const RETRY_MS = 20;
/** What a client is to try again: the broker is not ready, or another of its own requests is. */
const RETRIABLE = new Set([
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'CONCURRENT_TRANSACTIONS',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'KAFKA_STORAGE_ERROR',
  'REQUEST_TIMED_OUT',
  'UNSTABLE_OFFSET_COMMIT',
]);

/** The broker answered with an error that ends the operation, but not the client. */
export class Refusal extends Error {
  readonly code: string;

  constructor(what: string, code: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

/** The history that all clients write into. */
export class Recorder {
  readonly events: KafkaEvent[] = [];
  /** Records acknowledged so far. */
  acknowledged = 0;

  add(event: Omit<KafkaEvent, 'timeMs'>): void {
    this.events.push({ ...event, timeMs: performance.now() });
    if (event.type === 'ok') this.acknowledged += event.ops.filter((op) => op[0] === 'send').length;
  }
}

/** A name for the records of a run: no value is sent twice. */
let nextValue = 0;

export interface ClientOptions {
  readonly name: string;
  readonly port: number;
  readonly recorder: Recorder;
}

/** One client: a connection that comes back, and a process in the history. */
export abstract class KafkaClient {
  protected readonly options: ClientOptions;
  protected isStopping = false;
  private connection: RawClient | undefined;

  constructor(options: ClientOptions) {
    this.options = options;
  }

  /** Does its work until it is stopped and what it began has come to an end. */
  async run(): Promise<void> {
    try {
      await this.work();
    } finally {
      this.close();
    }
  }

  close(): void {
    this.connection?.close();
  }

  stop(): void {
    this.isStopping = true;
  }

  protected abstract work(): Promise<void>;

  /** One request on whatever connection there is. @throws when the connection ends before the answer */
  protected async ask<Key extends ApiKey>(
    key: Key,
    version: number,
    body: RequestOf<Key>,
  ): Promise<ResponseOf<Key>> {
    this.connection ??= await RawClient.open('127.0.0.1', this.options.port);
    try {
      return await this.connection.send(key, version, body);
    } catch (error) {
      this.connection.close();
      this.connection = undefined;
      throw error;
    }
  }

  /** Asks until there is an answer without a retriable error. Only for what may be asked twice. */
  protected async insist<Key extends ApiKey>(
    key: Key,
    version: number,
    body: RequestOf<Key>,
    errorOf: (answer: ResponseOf<Key>) => number,
  ): Promise<ResponseOf<Key>> {
    for (;;) {
      try {
        const answer = await this.ask(key, version, body);
        const code = errorName(errorOf(answer));
        if (code === 'NONE') return answer;
        if (!RETRIABLE.has(code)) throw new Refusal(`request ${key} of ${this.options.name}`, code);
      } catch (error) {
        if (error instanceof Refusal) throw error;
      }
      await pause(RETRY_MS);
    }
  }

  /** Asks once, with retries only while the broker says so; an ended connection ends the operation. */
  protected async once<Key extends ApiKey>(
    key: Key,
    version: number,
    body: RequestOf<Key>,
    errorOf: (answer: ResponseOf<Key>) => number,
  ): Promise<ResponseOf<Key>> {
    for (;;) {
      const answer = await this.ask(key, version, body);
      const code = errorName(errorOf(answer));
      if (code === 'NONE') return answer;
      if (!RETRIABLE.has(code)) throw new Refusal(`request ${key} of ${this.options.name}`, code);
      await pause(RETRY_MS);
    }
  }

  protected say(type: KafkaEvent['type'], f: KafkaEvent['f'], ops: readonly Op[]): void {
    this.options.recorder.add({ process: this.options.name, type, f, ops });
  }

  protected values(count: number): string[] {
    return Array.from({ length: count }, () => `v${nextValue++}`);
  }

  protected async initProducer(
    transactionalId: string | null,
  ): Promise<{ producerId: number; producerEpoch: number }> {
    const body = { transactionalId, transactionTimeoutMs: 60_000 };
    return this.insist(22, 4, body, (answer) => answer.errorCode);
  }
}

export interface Place {
  readonly topic: string;
  readonly partition: number;
}

const nameOf = ({ topic, partition }: Place): string => `${topic}-${partition}`;

interface Batch {
  readonly values: readonly string[];
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

function produceRequest(place: Place, batch: Batch, transactionalId: string | null): RequestOf<0> {
  const records = encodeBatch(
    batch.values.map((value) => ({ timestamp: Date.now(), key: null, value })),
    {
      producerId: batch.producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      transactional: transactionalId !== null,
    },
  );
  return {
    transactionalId,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{ name: place.topic, partitionData: [{ index: place.partition, records }] }],
  };
}

const produceAnswer = (answer: ResponseOf<0>): { errorCode: number; baseOffset: number } => {
  const [partition] = answer.responses[0]?.partitionResponses ?? [];
  if (partition === undefined) throw new Error('an answer to Produce without a partition');
  return partition;
};

const sendsOf = (place: Place, values: readonly string[], baseOffset?: number): Op[] =>
  values.map((value, index) =>
    baseOffset === undefined
      ? ['send', nameOf(place), value]
      : ['send', nameOf(place), value, baseOffset + index],
  );

/** Sends batches to a few partitions, each until it is acknowledged. */
export class IdempotentProducer extends KafkaClient {
  private readonly places: readonly Place[];

  constructor(options: ClientOptions, places: readonly Place[]) {
    super(options);
    this.places = places;
  }

  protected async work(): Promise<void> {
    const { producerId: id, producerEpoch } = await this.initProducer(null);
    const sequences = new Map<Place, number>();
    for (let turn = 0; !this.isStopping; turn++) {
      const place = this.places[turn % this.places.length] as Place;
      const values = this.values(1 + (turn % 3));
      const baseSequence = sequences.get(place) ?? 0;
      const request = produceRequest(
        place,
        { values, producerId: id, producerEpoch, baseSequence },
        null,
      );
      this.say('invoke', 'ops', sendsOf(place, values));
      const answer = await this.insist(0, 8, request, (all) => produceAnswer(all).errorCode);
      this.say('ok', 'ops', sendsOf(place, values, produceAnswer(answer).baseOffset));
      sequences.set(place, baseSequence + values.length);
    }
  }
}

/** Commits rising offsets of a group, and asks for them. */
export class Committer extends KafkaClient {
  private readonly group: string;
  private readonly place: Place;

  constructor(options: ClientOptions, group: string, place: Place) {
    super(options);
    this.group = group;
    this.place = place;
  }

  protected async work(): Promise<void> {
    const { group, place } = this;
    for (let offset = 1; !this.isStopping; offset++) {
      const ops: Op[] = [['commit', group, nameOf(place), offset]];
      this.say('invoke', 'ops', ops);
      await this.insist(8, 7, commitRequest(group, place, offset), (answer) => {
        return answer.topics[0]?.partitions[0]?.errorCode ?? 0;
      });
      this.say('ok', 'ops', ops);
      this.say('invoke', 'ops', []);
      const committed = await fetchCommitted((...args) => this.insist(...args), group, place);
      this.say('ok', 'ops', [['committed', group, nameOf(place), committed]]);
    }
  }
}

function commitRequest(group: string, place: Place, offset: number): RequestOf<8> {
  return {
    groupId: group,
    memberId: '',
    topics: [
      {
        name: place.topic,
        partitions: [
          { partitionIndex: place.partition, committedOffset: offset, committedMetadata: null },
        ],
      },
    ],
  };
}

type AskOffsets = (
  key: 9,
  version: number,
  body: RequestOf<9>,
  errorOf: (answer: ResponseOf<9>) => number,
) => Promise<ResponseOf<9>>;

async function fetchCommitted(ask: AskOffsets, group: string, place: Place): Promise<number> {
  const body = {
    groupId: group,
    topics: [{ name: place.topic, partitionIndexes: [place.partition] }],
    requireStable: true,
  };
  const answer = await ask(
    9,
    7,
    body,
    (all) => all.errorCode || (all.topics[0]?.partitions[0]?.errorCode ?? 0),
  );
  return answer.topics[0]?.partitions[0]?.committedOffset ?? -1;
}

interface Polled {
  readonly records: (readonly [offset: number, value: string])[];
  readonly nextOffset: number;
}

type AskRecords = (
  key: 1,
  version: number,
  body: RequestOf<1>,
  errorOf: (answer: ResponseOf<1>) => number,
) => Promise<ResponseOf<1>>;

/** Committed records of one partition from `offset` on, as a consumer is to work them out (KIP-98). */
async function poll(ask: AskRecords, place: Place, offset: number): Promise<Polled> {
  const body: RequestOf<1> = {
    maxWaitMs: 20,
    minBytes: 1,
    maxBytes: 1 << 20,
    isolationLevel: 1,
    topics: [
      {
        topic: place.topic,
        partitions: [
          { partition: place.partition, fetchOffset: offset, partitionMaxBytes: 1 << 12 },
        ],
      },
    ],
  };
  const answer = await ask(1, 11, body, (all) => all.responses[0]?.partitions[0]?.errorCode ?? 0);
  const partition = answer.responses[0]?.partitions[0];
  const bytes = partition?.records ?? Buffer.alloc(0);
  const waiting = [...(partition?.abortedTransactions ?? [])];
  waiting.sort((a, b) => a.firstOffset - b.firstOffset);
  const skipping = new Set<number>();
  const polled: { records: [number, string][]; nextOffset: number } = {
    records: [],
    nextOffset: offset,
  };
  for (let at = 0, end = batchEnd(bytes, 0, bytes.length); end !== -1; ) {
    const last = lastOffset(bytes, at);
    while ((waiting[0]?.firstOffset ?? Infinity) <= last)
      skipping.add(waiting.shift()?.producerId ?? -1);
    const flags = attributes(bytes, at);
    const producer = producerId(bytes, at);
    if (isControl(flags)) {
      if (readEndTransactionMarker(bytes, at, end)?.commit === false) skipping.delete(producer);
    } else if (!isTransactional(flags) || !skipping.has(producer)) {
      for (const record of readRecords(bytes, at, end))
        if (record.offset >= offset)
          polled.records.push([record.offset, record.value?.toString() ?? '']);
    }
    polled.nextOffset = last + 1;
    at = end;
    end = batchEnd(bytes, at, bytes.length);
  }
  return polled;
}

/** Follows a few partitions from their beginning, and asks for their ends now and then. */
export class Reader extends KafkaClient {
  private readonly places: readonly Place[];

  constructor(options: ClientOptions, places: readonly Place[]) {
    super(options);
    this.places = places;
  }

  protected async work(): Promise<void> {
    const positions = new Map<Place, number>();
    this.say('invoke', 'assign', []);
    this.say('ok', 'assign', []);
    for (let turn = 0; !this.isStopping; turn++) {
      const place = this.places[turn % this.places.length] as Place;
      await this.follow(place, positions);
      if (turn % 20 === 0) await this.end(place);
    }
  }

  /** Reads what there is now of every partition, from the first record to the last. */
  async drain(): Promise<void> {
    this.say('invoke', 'assign', []);
    this.say('ok', 'assign', []);
    const positions = new Map<Place, number>();
    for (const place of this.places) {
      const end = await this.end(place);
      while ((positions.get(place) ?? 0) < end) await this.follow(place, positions);
    }
  }

  private async follow(place: Place, positions: Map<Place, number>): Promise<void> {
    const { records, nextOffset } = await poll(
      (...args) => this.insist(...args),
      place,
      positions.get(place) ?? 0,
    );
    positions.set(place, nextOffset);
    if (records.length === 0) return;
    this.say('invoke', 'ops', []);
    this.say('ok', 'ops', [['poll', { [nameOf(place)]: records }]]);
  }

  private async end(place: Place): Promise<number> {
    const body: RequestOf<2> = {
      replicaId: -1,
      topics: [
        { name: place.topic, partitions: [{ partitionIndex: place.partition, timestamp: -1 }] },
      ],
    };
    this.say('invoke', 'ops', []);
    const answer = await this.insist(2, 5, body, (all) => {
      return all.topics[0]?.partitions[0]?.errorCode ?? 0;
    });
    const offset = answer.topics[0]?.partitions[0]?.offset ?? -1;
    this.say('ok', 'ops', [['end', nameOf(place), offset]]);
    return offset;
  }
}

export interface TransformOptions extends ClientOptions {
  readonly transactionalId: string;
  readonly group: string;
  readonly input: Place;
  readonly outputs: readonly Place[];
}

/** Consumes, and writes to several partitions with the offset that it has come to, all in transactions. */
export class Transformer extends KafkaClient {
  private readonly job: TransformOptions;
  private turn = 0;

  constructor(options: TransformOptions) {
    super(options);
    this.job = options;
  }

  protected async work(): Promise<void> {
    while (!this.isStopping) {
      // Ends what an earlier attempt may have left open, whichever way.
      const producer = await this.initProducer(this.job.transactionalId);
      await this.attempts(producer);
    }
  }

  /** Transactions until one of them fails. */
  private async attempts(producer: { producerId: number; producerEpoch: number }): Promise<void> {
    const { group, input, outputs } = this.job;
    const ask: AskOffsets = (...args) => this.insist(...args);
    let position = Math.max(0, await fetchCommitted(ask, group, input));
    const sequences = new Map<Place, number>();
    while (!this.isStopping) {
      const { records, nextOffset } = await poll(
        (...args) => this.insist(...args),
        input,
        position,
      );
      if (records.length === 0 && nextOffset === position) continue;
      const sends = outputs.map((place) => ({ place, values: this.values(1 + (this.turn % 2)) }));
      const consumed = records.map(([offset]) => offset);
      const isCommit = this.turn++ % 6 !== 5;
      const ops = (offsets: ReadonlyMap<Place, number>): Op[] => [
        ['consumed', group, nameOf(input), consumed],
        ...sends.flatMap(({ place, values }) => sendsOf(place, values, offsets.get(place))),
      ];
      const offsets = new Map<Place, number>();
      const state = { isDecided: false };
      this.say('invoke', 'txn', ops(offsets));
      try {
        await this.transaction(
          producer,
          { sends, sequences, offsets, nextOffset, isCommit },
          state,
        );
      } catch (error) {
        // Before the commit was asked for it cannot happen any more: the next epoch aborts.
        this.say(state.isDecided && isCommit ? 'info' : 'fail', 'txn', ops(new Map()));
        if (error instanceof Refusal && error.code !== 'INVALID_TXN_STATE') throw error;
        return;
      }
      this.say(isCommit ? 'ok' : 'fail', 'txn', ops(offsets));
      if (isCommit) position = nextOffset;
    }
  }

  private async transaction(
    producer: { producerId: number; producerEpoch: number },
    what: {
      readonly sends: readonly { readonly place: Place; readonly values: readonly string[] }[];
      readonly sequences: Map<Place, number>;
      readonly offsets: Map<Place, number>;
      readonly nextOffset: number;
      readonly isCommit: boolean;
    },
    state: { isDecided: boolean },
  ): Promise<void> {
    const { transactionalId, group, input } = this.job;
    const { producerId: id, producerEpoch } = producer;
    const session = { transactionalId, producerId: id, producerEpoch };
    const { sends, sequences, offsets, nextOffset, isCommit } = what;
    const partitions: RequestOf<24> = {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: id,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: sends.map(({ place }) => ({
        name: place.topic,
        partitions: [place.partition],
      })),
    };
    await this.once(24, 3, partitions, (answer) => {
      const results = answer.resultsByTopicV3AndBelow.flatMap((topic) => topic.resultsByPartition);
      return results.find((result) => result.partitionErrorCode !== 0)?.partitionErrorCode ?? 0;
    });
    for (const { place, values } of sends) {
      const baseSequence = sequences.get(place) ?? 0;
      const batch = { values, producerId: id, producerEpoch, baseSequence };
      const request = produceRequest(place, batch, transactionalId);
      const answer = await this.once(0, 8, request, (all) => produceAnswer(all).errorCode);
      offsets.set(place, produceAnswer(answer).baseOffset);
      sequences.set(place, baseSequence + values.length);
    }
    await this.once(25, 3, { ...session, groupId: group }, (answer) => answer.errorCode);
    const committed: RequestOf<28> = {
      ...session,
      groupId: group,
      topics: [
        {
          name: input.topic,
          partitions: [
            {
              partitionIndex: input.partition,
              committedOffset: nextOffset,
              committedMetadata: null,
            },
          ],
        },
      ],
    };
    await this.once(28, 3, committed, (answer) => {
      return answer.topics[0]?.partitions[0]?.errorCode ?? 0;
    });
    state.isDecided = true;
    await this.once(26, 3, { ...session, committed: isCommit }, (answer) => answer.errorCode);
  }
}

/** Creates topics, waiting for the broker to come up. */
export class Admin extends KafkaClient {
  protected work(): Promise<void> {
    return Promise.resolve();
  }

  async createTopics(topics: Readonly<Record<string, number>>): Promise<void> {
    const request: RequestOf<19> = {
      timeoutMs: 30_000,
      topics: Object.entries(topics).map(([name, numPartitions]) => ({
        name,
        numPartitions,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      })),
    };
    await this.insist(19, 5, request, (answer) => {
      return answer.topics.find((topic) => topic.errorCode !== 0)?.errorCode ?? 0;
    });
  }
}
