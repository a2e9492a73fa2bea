/** Writes the records of a program: encodes them, and finds their partitions. */
import { type ByteRecord, GroupedProducer } from '../client/grouped-producer.ts';
import type { Log, RecordBytes, RecordHeader } from '../client/log.ts';
import { MillraceError } from '../core/errors.ts';
import type { Serde } from '../flow/serde.ts';
import type { TopicPort } from '../flow/topic-port.ts';
import type { NewRecord, RecordPlace } from './records.ts';

const NO_HEADERS: readonly RecordHeader[] = [];

export class RecordProducer {
  readonly #log: Log;
  readonly #grouped: GroupedProducer;

  constructor(log: Log) {
    this.#log = log;
    this.#grouped = new GroupedProducer(log);
  }

  /** @throws {MillraceError} ML_SINK_VALUE_INVALID: nothing is written then; ML_TOPIC_MISSING, ML_RECORDS_TOO_LARGE, ML_DISK_FULL, … */
  async produce(
    port: TopicPort,
    records: readonly NewRecord<unknown, unknown>[],
  ): Promise<readonly RecordPlace[]> {
    if (records.length === 0) return [];
    const { name, create } = port;
    // A topic that does not exist is made as it is described.
    const partitions = await this.#grouped.partitionsOf({ name, ...create });
    return this.#grouped.append(
      name,
      records.map((record, index) => this.#encode(port, record, index, partitions)),
    );
  }

  /** Waits for what is under way. Idempotent. */
  close(): Promise<void> {
    return this.#grouped.close();
  }

  #encode(
    { name, key: keySerde, value: valueSerde }: TopicPort,
    record: NewRecord<unknown, unknown>,
    index: number,
    partitions: number,
  ): ByteRecord {
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
    };
  }

  #partition(
    { partition }: NewRecord<unknown, unknown>,
    key: RecordBytes | null,
    at: { readonly topic: string; readonly index: number; readonly partitions: number },
  ): number {
    const { topic, index, partitions } = at;
    if (partition === undefined) return this.#grouped.partitionFor(key, partitions);
    if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return partition;
    throw new MillraceError(
      'ML_TOPIC_MISSING',
      `record ${index} is for partition ${partition} of topic ${topic}, which has ${partitions}, counted from 0`,
      { fields: { topic, partition } },
    );
  }
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
