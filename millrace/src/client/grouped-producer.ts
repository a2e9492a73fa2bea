/**
 * Appends records, those of all callers together: while one group is on its way to the disk, the next one collects.
 *
 *     append → queued → a group: appended, flushed, acknowledged → places
 *
 * Invariant: a group has less than a batch of each partition, so that its records are at offsets that follow one another.
 */
import { MillraceError } from '../core/errors.ts';
import { LOG_BATCH_BYTES, PRODUCE_TOPIC_MS } from '../core/limits.ts';
import { partitionOf } from '../core/murmur2.ts';
import { topicMissing } from './kafka/refusal.ts';
import type {
  Log,
  LogProducer,
  RecordBytes,
  RecordHeader,
  TopicDescription,
  TopicPartition,
  TopicSpec,
} from './log.ts';

/** Room that a record needs in a batch besides key and value, without headers. */
const OVERHEAD_BYTES = 64;
/** Of one partition in a group: less than a batch, whatever there is besides. */
const GROUP_BYTES = LOG_BATCH_BYTES / 2;

/** A record as bytes. Its memory is read until the call has ended. */
export interface ByteRecord {
  readonly partition: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: RecordBytes | null;
  readonly value: RecordBytes | null;
  readonly headers: readonly RecordHeader[];
}

/** Where a record is. */
export interface PlacedAt extends TopicPartition {
  readonly offset: number;
}

/** The records of one call. */
interface Call {
  readonly topic: string;
  readonly records: readonly ByteRecord[];
  readonly places: PlacedAt[];
  next: number;
  readonly resolve: (places: readonly PlacedAt[]) => void;
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

export class GroupedProducer {
  readonly #log: Log;
  readonly #topics = new Map<
    string,
    { readonly found: TopicDescription; readonly askedMs: number }
  >();
  readonly #queue: Call[] = [];
  #producer: LogProducer | undefined;
  #working: Promise<void> | undefined;
  /** The next record without a key goes there. */
  #spread = 0;
  #isClosed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** How many partitions a topic has; one that does not exist is made. @throws {MillraceError} ML_TOPIC_MISSING, ML_ABORTED */
  async partitionsOf(spec: TopicSpec): Promise<number> {
    return (await this.topicOf(spec)).partitions;
  }

  /** The same, and which topic of that name it is. What is said may be some seconds old. */
  async topicOf(spec: TopicSpec): Promise<TopicDescription> {
    if (this.#isClosed) throw closed();
    const { name } = spec;
    const nowMs = this.#log.env.clock.monotonicMs();
    const known = this.#topics.get(name);
    if (known !== undefined && nowMs - known.askedMs < PRODUCE_TOPIC_MS) return known.found;
    const find = async (): Promise<TopicDescription | undefined> =>
      (await this.#log.topics([name])).get(name);
    let found = await find();
    if (found === undefined) {
      await this.#log.createTopics([spec]);
      found = await find();
    }
    if (found === undefined) throw topicMissing(name);
    this.#topics.set(name, { found, askedMs: nowMs });
    return found;
  }

  /** As the default partitioner of Kafka's clients has it where there is a key; else one after the other. */
  partitionFor(key: RecordBytes | null, partitions: number): number {
    if (key === null) return this.#spread++ % partitions;
    return partitionOf(typeof key === 'string' ? Buffer.from(key) : key, partitions);
  }

  /**
   * Resolves when they are on the disk, with where they are, in their order.
   * @throws {MillraceError} ML_TOPIC_MISSING, ML_RECORDS_TOO_LARGE, ML_DISK_FULL, …: some of the records may have been written
   */
  append(topic: string, records: readonly ByteRecord[]): Promise<readonly PlacedAt[]> {
    if (this.#isClosed) return Promise.reject(closed());
    if (records.length === 0) return Promise.resolve([]);
    return this.#enqueue(topic, records);
  }

  /** Resolves when what was appended before is on the disk, or is not going to be. @throws {MillraceError} ML_ABORTED, … */
  async settled(): Promise<void> {
    if (this.#isClosed) throw closed();
    // Nothing, behind all that: it has its turn when that has had it.
    if (this.#working !== undefined) await this.#enqueue('', []);
  }

  /** Waits for what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#working;
    await this.#producer?.close();
  }

  #enqueue(topic: string, records: readonly ByteRecord[]): Promise<readonly PlacedAt[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ topic, records, places: [], next: 0, resolve, reject });
      this.#working ??= this.#work().finally(() => {
        this.#working = undefined;
      });
    });
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
    const nowMs = this.#log.env.clock.nowMs();
    for (const call of this.#queue.slice()) {
      // A partition may refuse its time, and all that is in the batch with it: it goes by itself.
      const isAhead = call.records.some(({ timestamp }) => timestamp > nowMs);
      if (isAhead && sent.length > 0) return;
      for (; call.next < call.records.length; call.next++) {
        const record = call.records[call.next];
        if (record === undefined) break;
        const { partition, timestamp, key, value, headers } = record;
        const bytes = bytesOf(record);
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
      if (isAhead) return;
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

/** That it takes in a batch, at most. */
function bytesOf({ key, value, headers }: ByteRecord): number {
  let bytes = OVERHEAD_BYTES + lengthOf(key) + lengthOf(value);
  for (const header of headers)
    bytes += OVERHEAD_BYTES + Buffer.byteLength(header.key) + lengthOf(header.value);
  return bytes;
}

function lengthOf(data: RecordBytes | null): number {
  if (data === null) return 0;
  return typeof data === 'string' ? Buffer.byteLength(data) : data.length;
}

function closed(): MillraceError {
  return new MillraceError('ML_ABORTED', 'it is closed: nothing can be produced any more');
}
