/**
 * Appends records, those of all callers together: while one group is on its way to the disk, the next one collects.
 *
 *     produce → encoded → queued → a group: appended, flushed, acknowledged → places
 *
 * Invariant: a group has less than a batch of each partition, so that its records are at offsets that follow one another.
 */
import { topicMissing } from '../client/kafka/refusal.ts';
import type { Log, LogProducer, RecordBytes, RecordHeader } from '../client/log.ts';
import { MillraceError } from '../core/errors.ts';
import { LOG_BATCH_BYTES, PRODUCE_TOPIC_MS } from '../core/limits.ts';
import { partitionOf } from '../core/murmur2.ts';
import type { Serde } from '../flow/serde.ts';
import type { TopicPort } from '../flow/topic-port.ts';
import type { NewRecord, RecordPlace } from './records.ts';

/** Room that a record needs in a batch besides key and value, without headers. */
const OVERHEAD_BYTES = 64;
/** Of one partition in a group: less than a batch, whatever there is besides. */
const GROUP_BYTES = LOG_BATCH_BYTES / 2;
const NO_HEADERS: readonly RecordHeader[] = [];

interface Encoded {
  readonly partition: number;
  readonly timestamp: number;
  readonly key: RecordBytes | null;
  readonly value: RecordBytes | null;
  readonly headers: readonly RecordHeader[];
  readonly bytes: number;
}

/** The records of one call. */
interface Call {
  readonly topic: string;
  readonly records: readonly Encoded[];
  readonly places: RecordPlace[];
  next: number;
  readonly resolve: (places: readonly RecordPlace[]) => void;
  readonly reject: (error: unknown) => void;
}

/** How many records of a partition a group has, and how large they are. */
interface Share {
  readonly topic: string;
  readonly partition: number;
  count: number;
  bytes: number;
}

/** A record that was appended and is not acknowledged yet. */
interface Sent {
  readonly call: Call;
  readonly share: Share;
  readonly index: number;
}

export class RecordProducer {
  readonly #log: Log;
  readonly #topics = new Map<string, { readonly partitions: number; readonly askedMs: number }>();
  readonly #queue: Call[] = [];
  #producer: LogProducer | undefined;
  #working: Promise<void> | undefined;
  /** The next record without a key goes there. */
  #spread = 0;
  #isClosed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @throws {MillraceError} ML_SINK_VALUE_INVALID: nothing is written then; ML_TOPIC_MISSING, ML_RECORDS_TOO_LARGE, ML_DISK_FULL, … */
  async produce(
    port: TopicPort,
    records: readonly NewRecord<unknown, unknown>[],
  ): Promise<readonly RecordPlace[]> {
    if (records.length === 0) return [];
    const partitions = await this.#partitionsOf(port);
    const encoded = records.map((record, index) => this.#encode(port, record, index, partitions));
    return new Promise((resolve, reject) => {
      const { name: topic } = port;
      this.#queue.push({ topic, records: encoded, places: [], next: 0, resolve, reject });
      this.#working ??= this.#work().finally(() => {
        this.#working = undefined;
      });
    });
  }

  /** Waits for what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
    await this.#producer?.close();
  }

  /** A topic that does not exist is made as it is described. */
  async #partitionsOf({ name, create }: TopicPort): Promise<number> {
    if (this.#isClosed) throw closed();
    const nowMs = this.#log.env.clock.monotonicMs();
    const known = this.#topics.get(name);
    if (known !== undefined && nowMs - known.askedMs < PRODUCE_TOPIC_MS) return known.partitions;
    const find = async (): Promise<number | undefined> =>
      (await this.#log.topics([name])).get(name)?.partitions;
    let partitions = await find();
    if (partitions === undefined) {
      await this.#log.createTopics([{ name, ...create }]);
      partitions = await find();
    }
    if (partitions === undefined) throw topicMissing(name);
    this.#topics.set(name, { partitions, askedMs: nowMs });
    return partitions;
  }

  #encode(
    { name, key: keySerde, value: valueSerde }: TopicPort,
    record: NewRecord<unknown, unknown>,
    index: number,
    partitions: number,
  ): Encoded {
    const key = encodeField(keySerde, record.key, { topic: name, index, what: 'key' });
    const value = encodeField(valueSerde, record.value, { topic: name, index, what: 'value' });
    const headers = Object.entries(record.headers ?? {}).map(([header, text]) => ({
      key: header,
      value: text,
    }));
    return {
      partition: this.#partition(record, key, { topic: name, index, partitions }),
      timestamp: timestampOf(record, this.#log.env.clock.nowMs(), { topic: name, index }),
      key,
      value,
      headers: headers.length === 0 ? NO_HEADERS : headers,
      bytes: OVERHEAD_BYTES + bytesOf(key) + bytesOf(value) + headersBytes(headers),
    };
  }

  /** As the default partitioner of Kafka's clients has it where there is a key. */
  #partition(
    { partition }: NewRecord<unknown, unknown>,
    key: RecordBytes | null,
    at: { readonly topic: string; readonly index: number; readonly partitions: number },
  ): number {
    const { topic, index, partitions } = at;
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return partition;
      throw new MillraceError(
        'ML_TOPIC_MISSING',
        `record ${index} is for partition ${partition} of topic ${topic}, which has ${partitions}, counted from 0`,
        { fields: { topic, partition } },
      );
    }
    if (key === null) return this.#spread++ % partitions;
    return partitionOf(typeof key === 'string' ? Buffer.from(key) : key, partitions);
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const sent: Sent[] = [];
      try {
        this.#producer ??= await this.#log.producer({});
        this.#appendGroup(this.#producer, sent);
        await this.#producer.flush();
        this.#acknowledge(this.#producer, sent);
      } catch (error) {
        await this.#fail(error, sent);
      }
      while (this.#queue[0] !== undefined && isDone(this.#queue[0])) {
        const call = this.#queue.shift();
        call?.resolve(call.places);
      }
    }
  }

  /** As much of what is queued as fits. */
  #appendGroup(producer: LogProducer, sent: Sent[]): void {
    const shares = new Map<string, Share>();
    for (const call of this.#queue.slice()) {
      for (; call.next < call.records.length; call.next++) {
        const record = call.records[call.next];
        if (record === undefined) break;
        const { partition, timestamp, key, value, headers, bytes } = record;
        const { topic } = call;
        const name = `${topic} ${partition}`;
        const share = shares.get(name) ?? { topic, partition, count: 0, bytes: 0 };
        if (share.count > 0 && share.bytes + bytes > GROUP_BYTES) return;
        shares.set(name, share);
        try {
          producer.append(topic, partition, timestamp, key, value, headers);
        } catch (error) {
          // Of a record, not of the log: the others go on.
          if (!(error instanceof MillraceError && error.code === 'ML_RECORDS_TOO_LARGE'))
            throw error;
          this.#drop(call, error);
          break;
        }
        sent.push({ call, share, index: share.count++ });
        share.bytes += bytes;
      }
    }
  }

  #acknowledge(producer: LogProducer, sent: readonly Sent[]): void {
    for (const { call, share, index } of sent) {
      const { topic, partition, count } = share;
      const next = producer.nextOffset(topic, partition) ?? count;
      call.places.push({ topic, partition, offset: next - count + index });
    }
  }

  /** What is not known to be written is said to have failed; the producer begins anew. */
  async #fail(error: unknown, sent: readonly Sent[]): Promise<void> {
    const calls = new Set(sent.map(({ call }) => call));
    const [first] = this.#queue;
    if (calls.size === 0 && first !== undefined) calls.add(first);
    for (const call of calls) {
      this.#topics.delete(call.topic);
      this.#drop(call, error);
    }
    try {
      await this.#producer?.abort();
    } catch {
      // Then there is another one for the next call.
      const broken = this.#producer;
      this.#producer = undefined;
      await broken?.close();
    }
  }

  #drop(call: Call, error: unknown): void {
    const at = this.#queue.indexOf(call);
    if (at >= 0) this.#queue.splice(at, 1);
    call.reject(error);
  }
}

function isDone(call: Call): boolean {
  return call.places.length === call.records.length;
}

function encodeField(
  serde: Serde<unknown>,
  data: unknown,
  at: { readonly topic: string; readonly index: number; readonly what: string },
): RecordBytes | null {
  if (data === undefined || data === null) return null;
  try {
    const bytes = serde.encode(data);
    // The serde may use its memory again.
    return typeof bytes === 'string' ? bytes : Buffer.from(bytes);
  } catch (cause) {
    const { topic, index, what } = at;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `the ${what} of record ${index} cannot be written to topic ${topic}: ${reason}`,
      { cause, fields: { topic, index } },
    );
  }
}

function timestampOf(
  { timestamp }: NewRecord<unknown, unknown>,
  nowMs: number,
  at: { readonly topic: string; readonly index: number },
): number {
  if (timestamp === undefined) return nowMs;
  const ms = typeof timestamp === 'number' ? timestamp : timestamp.getTime();
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  const { topic, index } = at;
  throw new MillraceError(
    'ML_TIMESTAMP_INVALID',
    `the time of record ${index} for topic ${topic} is ${String(timestamp)}`,
    { fields: { topic, index } },
  );
}

function bytesOf(data: RecordBytes | null): number {
  if (data === null) return 0;
  return typeof data === 'string' ? Buffer.byteLength(data) : data.length;
}

function headersBytes(headers: readonly RecordHeader[]): number {
  return headers.reduce(
    (sum, { key, value }) => sum + OVERHEAD_BYTES + Buffer.byteLength(key) + bytesOf(value),
    0,
  );
}

function closed(): MillraceError {
  return new MillraceError('ML_ABORTED', 'it is closed: nothing can be produced any more');
}
