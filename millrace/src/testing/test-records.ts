/** Records of tests on their way into topics, and out of them: written and read by the serdes of the topic. */
import type { RecordBytes } from '../client/log.ts';
import { MillraceError } from '../core/errors.ts';
import type { ConsumedRecord, NewRecord } from '../door/records.ts';
import type { Serde } from '../flow/serde.ts';
import type { TopicPort } from '../flow/topic-port.ts';
import type { MemoryRecord, PlacedRecord } from './memory-log.ts';

/** @throws {MillraceError} ML_SINK_VALUE_INVALID, ML_TIMESTAMP_INVALID, ML_TOPIC_MISSING */
export function encodeRecord(
  port: TopicPort,
  record: NewRecord<unknown, unknown>,
  { nowMs, partitions }: { readonly nowMs: number; readonly partitions: number },
): MemoryRecord {
  const { timestamp = nowMs, partition, headers = {} } = record;
  if (
    partition !== undefined &&
    !(Number.isInteger(partition) && partition >= 0 && partition < partitions)
  )
    throw new MillraceError(
      'ML_TOPIC_MISSING',
      `a record is for partition ${partition} of topic ${port.name}, which has ${partitions}, counted from 0`,
      { fields: { topic: port.name, partition } },
    );
  const ms = typeof timestamp === 'number' ? timestamp : timestamp.getTime();
  if (!Number.isSafeInteger(ms) || ms < -1)
    throw new MillraceError(
      'ML_TIMESTAMP_INVALID',
      `the time of a record for topic ${port.name} is ${String(timestamp)}`,
      { fields: { topic: port.name }, hint: 'Give whole milliseconds since 1970, or a Date' },
    );
  return {
    key: bytesOf(port, 'key', record.key),
    value: bytesOf(port, 'value', record.value),
    timestamp: ms,
    headers: Object.entries(headers).map(([key, value]) => ({ key, value: headerBytes(value) })),
    ...(partition === undefined ? {} : { partition }),
  };
}

/** @throws {MillraceError} ML_INPUT_MALFORMED, with topic, partition and offset */
export function decodeRecord(
  port: TopicPort,
  record: PlacedRecord,
): ConsumedRecord<unknown, unknown> {
  const { timestamp, partition, offset } = record;
  return {
    topic: port.name,
    partition,
    offset,
    timestamp,
    key: decoded(port, 'key', record),
    value: decoded(port, 'value', record),
    headers: record.headers.map(({ key, value }) => ({ name: key, value })),
  };
}

function bytesOf(port: TopicPort, what: 'key' | 'value', data: unknown): RecordBytes | null {
  if (data === undefined || data === null) return null;
  try {
    const bytes = port[what].encode(data);
    // The serde may use its memory again.
    return typeof bytes === 'string' ? bytes : Buffer.from(bytes);
  } catch (cause) {
    throw new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `the ${what} of a record cannot be written to topic ${port.name}: ${reasonOf(cause)}`,
      { cause, fields: { topic: port.name } },
    );
  }
}

function headerBytes(value: string | Uint8Array | null): Buffer | null {
  if (value === null) return null;
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value);
}

function decoded(port: TopicPort, what: 'key' | 'value', record: PlacedRecord): unknown {
  const bytes = record[what];
  if (bytes === null) return null;
  const serde: Serde<unknown> = port[what];
  const { partition, offset } = record;
  const at = `topic ${port.name} partition ${partition} offset ${offset}`;
  let value: unknown;
  try {
    value = serde.decode(bytes, 0, bytes.length);
  } catch (cause) {
    throw new MillraceError(
      'ML_INPUT_MALFORMED',
      `the ${what} of the record at ${at} cannot be decoded: ${reasonOf(cause)}`,
      { cause, fields: { topic: port.name, partition, offset } },
    );
  }
  if (!(value instanceof Promise)) return value;
  value.catch(() => {});
  throw new MillraceError('ML_USAGE', `the schema of ${at} answers with a promise`, {
    hint: 'Read it with a topic that has the same serde, without the schema',
  });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
