/**
 * Reads the offsets [from, to) of one partition.
 *
 * @hot Per fetch, not per record, something is awaited; except for serdes that return promises.
 */
import { DEFAULT_BROKERS, parseAddresses } from '../../client/kafka/addresses.ts';
import { Cluster } from '../../client/kafka/cluster.ts';
import { type FetchedRecords, visibleBatches } from '../../client/kafka/fetched-records.ts';
import { KafkaLogReader } from '../../client/kafka/log-reader.ts';
import { MillraceError } from '../../core/errors.ts';
import { LOG_REQUEST_MS } from '../../core/limits.ts';
import { decodeText } from '../../core/text-escape.ts';
import type { ReadContext, SplitReader } from '../../flow/source.ts';
import type { Serde } from '../../flow/serde.ts';
import type { TopicPort } from '../../flow/topic-port.ts';

export interface TopicSplit {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** What is to be known of the topic. */
export interface ReadPort<Value, Key> extends Pick<TopicPort, 'unwrap'> {
  readonly value: Serde<Value>;
  readonly key: Serde<Key>;
}

type Batches = ReturnType<typeof visibleBatches>;
type Batch = Batches extends Generator<infer Reader> ? Reader : never;
type Emit<Value, Key> = (value: Value, key: Key) => boolean;

const POLL_MS = 1000;
/** Of a record that is malformed, so much is told. */
const RAW_BYTES_MAX = 1024;

export class TopicReader<Value, Key> implements SplitReader<Value, Key> {
  consumedBytes = 0;
  /** Of the record that is emitted: milliseconds since 1970; -1: none. */
  timestamp = -1;
  private readonly split: TopicSplit;
  private readonly bytes: number;
  private readonly context: ReadContext;
  private readonly port: ReadPort<Value, Key>;
  private cluster: Cluster | undefined;
  private reader: KafkaLogReader | undefined;
  /** Batches of what was fetched last, and the one that is being read. */
  private batches: Batches | undefined;
  private batch: Batch | undefined;
  /** Offset after what was fetched. */
  private next: number;
  private offset: number;
  /** Of the record that is being read. */
  private value: Value | Promise<Value> | undefined;
  private key: Key | Promise<Key> | undefined;

  /** @param bytes of the split, about; 0 when unknown */
  constructor(split: TopicSplit, bytes: number, context: ReadContext, port: ReadPort<Value, Key>) {
    this.split = split;
    this.bytes = bytes;
    this.context = context;
    this.port = port;
    this.next = this.offset = split.from;
  }

  async read(emit: Emit<Value, Key>): Promise<boolean> {
    if (this.batches === undefined) {
      if (this.next >= this.split.to) return true;
      const fetched = await this.fetch();
      this.batches = visibleBatches(fetched);
      this.next = fetched.next;
      this.consumedBytes += fetched.bytes.length;
      if (this.bytes > 0) this.consumedBytes = Math.min(this.consumedBytes, this.bytes);
    }
    while ((this.batch ??= this.nextBatch()) !== undefined) {
      const isDone = this.emitBatch(this.batch, emit);
      // A promise is of one record: the batch goes on behind it.
      if (isDone instanceof Promise) {
        if (!(await isDone)) return false;
      } else if (isDone) this.batch = undefined;
      else return false;
    }
    this.batches = undefined;
    return false;
  }

  position(): string {
    return this.locate(this.offset);
  }

  mark(): number {
    return this.offset;
  }

  locate(mark: number): string {
    return `topic ${this.split.topic} partition ${this.split.partition} offset ${mark}`;
  }

  async close(): Promise<void> {
    this.reader?.close();
    await this.cluster?.close();
  }

  private nextBatch(): Batch | undefined {
    const next = this.batches?.next();
    return next === undefined || next.done === true ? undefined : next.value;
  }

  /** What comes next, of which there is something. */
  private async fetch(): Promise<FetchedRecords> {
    const { topic, partition } = this.split;
    const { env, brokers } = this.context;
    this.cluster ??= await Cluster.connect(env, parseAddresses(brokers ?? DEFAULT_BROKERS));
    if (this.reader === undefined) {
      this.reader = new KafkaLogReader(this.cluster, { uncommitted: false });
      this.reader.assign([{ topic, partition, offset: this.next }]);
    }
    const startMs = env.clock.monotonicMs();
    while (env.clock.monotonicMs() - startMs < LOG_REQUEST_MS) {
      const [fetched] = await this.reader.poll(POLL_MS);
      if (fetched !== undefined && fetched.next > fetched.from) return fetched;
    }
    throw new MillraceError(
      'ML_BROKER_REFUSED',
      `${this.locate(this.next)}: the broker gives no records from there, although the partition went to offset ${this.split.to}`,
      { retriable: true, fields: { topic, partition, offset: this.next } },
    );
  }

  /** False when `emit` paused it. A promise, of what `emit` said of one record, where a serde gives one. */
  private emitBatch(batch: Batch, emit: Emit<Value, Key>): boolean | Promise<boolean> {
    const { from, to } = this.split;
    while (batch.next()) {
      if (batch.offset < from) continue;
      if (batch.offset >= to) return true;
      this.offset = batch.offset;
      this.timestamp = batch.timestamp;
      if (!this.decode(batch)) continue;
      const { value, key } = this;
      if (value instanceof Promise || key instanceof Promise)
        return this.emitLater(value as Value, key as Key, batch, emit);
      if (!emit(value as Value, key as Key)) return false;
    }
    return true;
  }

  private async emitLater(
    value: Value | Promise<Value>,
    key: Key | Promise<Key>,
    batch: Batch,
    emit: Emit<Value, Key>,
  ): Promise<boolean> {
    try {
      [this.value, this.key] = await Promise.all([value, key]);
      this.unwrap(batch);
    } catch (error) {
      this.refuse(error, batch);
      return true;
    }
    return emit(this.value, this.key);
  }

  /** Sets `value` and `key`. False when they are malformed, and skipped. */
  private decode(batch: Batch): boolean {
    const { data } = batch;
    try {
      this.value = decodeField(this.port.value, data, batch.valueStart, batch.valueEnd);
      this.key = decodeField(this.port.key, data, batch.keyStart, batch.keyEnd);
      if (!(this.value instanceof Promise || this.key instanceof Promise)) this.unwrap(batch);
      return true;
    } catch (error) {
      this.refuse(error, batch);
      return false;
    }
  }

  /** The value with what its record carries, where the topic wants that. */
  private unwrap(batch: Batch): void {
    const { unwrap } = this.port;
    if (unwrap === undefined) return;
    const { key } = this;
    const headers = batch.headers();
    this.value = unwrap(this.value, { key, timestamp: this.timestamp, headers }) as Value;
  }

  private refuse(cause: unknown, { data, valueStart, valueEnd }: Batch): void {
    const { topic, partition } = this.split;
    const { offset } = this;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new MillraceError(
      'ML_INPUT_MALFORMED',
      `${this.position()}: the record cannot be decoded: ${reason}`,
      { cause, fields: { topic, partition, offset } },
    );
    const end = Math.min(valueEnd, valueStart + RAW_BYTES_MAX);
    this.context.malformed(error, valueStart < 0 ? '' : decodeText(data, valueStart, end));
  }
}

function decodeField<T>(serde: Serde<T>, data: Buffer, start: number, end: number): T | Promise<T> {
  return start < 0 ? (null as T) : serde.decode(data, start, end);
}
