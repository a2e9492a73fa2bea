/** A topic as a place: what `f.read`, `f.table` and `write` take. */
import { TOPIC_PARTITIONS_MAX } from '../../core/limits.ts';
import { flowError, type Operator } from '../../flow/draft.ts';
import type { Duration } from '../../flow/durations.ts';
import { described, durationOf, functionOf, requireInteger } from '../../flow/operator-builder.ts';
import type { Serde } from '../../flow/serde.ts';
import type { OptionalKey, Sink, Writable, WriteContext } from '../../flow/sink.ts';
import type { Readable, Source } from '../../flow/source.ts';
import type { TopicPort } from '../../flow/topic-port.ts';
import type { TimeSpec } from '../../flow/windows.ts';
import { serdeOf, type SerdeName, type SerdeTypes, text } from './serdes.ts';
import { openTimedTopicPart, openTopicPart, publishParts } from './topic-sink.ts';
import { topicSource } from './topic-source.ts';

type SerdeGiven = SerdeName | Serde<unknown>;
/** What is read: text where nothing else was said. */
type Read<S> =
  S extends Serde<infer T> ? T : S extends SerdeName ? SerdeTypes[S] : SerdeTypes['string'];
/** What may be written: anything where nothing else was said, else what the serde takes; null and undefined are no bytes. */
type Written<S> =
  S extends Serde<infer T>
    ? T | null | undefined
    : S extends SerdeName
      ? SerdeTypes[S] | null | undefined
      : unknown;

/** Where nothing was said. */
type Unsaid = undefined;

export interface TopicOptions<Value, Key> {
  /** How values are written: `json()`, `string()`, `bytes()`, `msgpack()`, `avro(…)`, `protobuf(…)`, or a name of the first four. Default: text is
   * read; text and bytes are written as they are, all else as JSON. */
  readonly value?: Value;
  /** How keys are written. Default: the same. */
  readonly key?: Key;
  /** What becomes of time in it. */
  readonly time?: TopicTime<Read<Value>, Read<Key>>;
  /** Partitions to read, in this order, where it is read as far as it goes. Default: all, from 0. */
  readonly partitions?: readonly number[];
  /** How it is made, when it is not there and a flow writes it. */
  readonly create?: TopicCreation;
}

export interface TopicTime<V, K> {
  /** The event time of a record: milliseconds since 1970, or a Date. Default: the timestamp of the record. */
  readonly of?: (value: V, key: K) => number | Date;
  /** How much later than the latest one a record may come and still be in time. Default 0. */
  readonly outOfOrder?: Duration;
  /** A partition that has had no records for so long, by the wall clock, does not hold up time any more. Default: time waits for
   * every partition that has had a record. */
  readonly idle?: Duration;
}

/** How a topic is made. */
export interface TopicCreation {
  /** 1 to 10,000. Default: what the broker does by itself (`num.partitions`). */
  readonly partitions?: number;
  /** Settings of the topic, such as `cleanup.policy`. */
  readonly configs?: Readonly<Record<string, string>>;
}

/** A topic that can be read and written. */
export interface Topic<Value, Key, WrittenValue = Value, WrittenKey = Key>
  extends Readable<Value, Key>,
    Writable<WrittenValue, OptionalKey<WrittenKey>> {
  readonly name: string;
}

/**
 * A topic of the log of `--data`, or of the brokers that `--brokers` names. `f.read` gives the values of its records, `f.readKeyed` the
 * keys, too, `f.table` the latest value of each key. A record without a value, or without a key, has null there, whatever the serde:
 * say so in its type where it happens, `json<Order | null>()`.
 *
 * Written to it, streams without keys give records without keys, and tables their changes: the new value, or none (a tombstone) where
 * a key is deleted.
 *
 * When it runs: ML_CONNECT_FAILED, ML_TOPIC_MISSING, ML_INPUT_MALFORMED with partition and offset,
 * ML_OFFSET_OUT_OF_RANGE when records were deleted while they were read.
 * @param name 1 to 249 letters, digits, `.`, `_`, `-`
 * @throws {MillraceError} ML_FLOW_INVALID for options that cannot be
 * @example
 * const orders = topic('orders', { value: json<Order>(), time: { of: (order) => order.placedAt, outOfOrder: '5s', idle: '30s' } });
 * f.read(orders).keyBy((order) => order.customerId)
 */
export function topic<
  const Value extends SerdeGiven | Unsaid = Unsaid,
  const Key extends SerdeGiven | Unsaid = Unsaid,
>(
  name: string,
  options: TopicOptions<Value, Key> = {},
): Topic<Read<Value>, Read<Key>, Written<Value>, Written<Key>> {
  const port = portOf(name, options as TopicOptions<unknown, unknown>);
  return Object.freeze({
    name,
    source: () => topicSource(port) as Source<Read<Value>, Read<Key>>,
    sink: () => topicSink(port) as Sink<Written<Value>, OptionalKey<Written<Key>>>,
  });
}

const NAME = /^[A-Za-z0-9._-]{1,249}$/;

function portOf(name: string, options: TopicOptions<unknown, unknown>): TopicPort {
  const operator: Operator = { method: 'topic', name, flow: undefined };
  if (typeof name !== 'string' || !NAME.test(name) || name === '.' || name === '..') {
    throw flowError(
      operator,
      'its name must be 1 to 249 letters, digits, dots, underscores or hyphens',
    );
  }
  const { partitions, create = {} } = options;
  if (partitions !== undefined && !Array.isArray(partitions)) {
    throw flowError(operator, `partitions must be an array, and is ${described(partitions)}`);
  }
  for (const partition of partitions ?? [])
    requireInteger(operator, 'a partition', partition, 0, TOPIC_PARTITIONS_MAX - 1);
  if (create.partitions !== undefined) {
    requireInteger(operator, 'create.partitions', create.partitions, 1, TOPIC_PARTITIONS_MAX);
  }
  return Object.freeze({
    name,
    key: serdeGiven(operator, 'key', options.key),
    value: serdeGiven(operator, 'value', options.value),
    time: timeOf(operator, options.time),
    only: partitions === undefined ? undefined : Object.freeze([...partitions]),
    create: Object.freeze({
      partitions: create.partitions,
      configs: configsOf(operator, create.configs),
    }),
  });
}

function serdeGiven(operator: Operator, what: string, given: unknown): Serde<unknown> {
  if (given === undefined) return text();
  const serde = serdeOf(given);
  if (serde !== undefined) return serde;
  throw flowError(
    operator,
    `${what} must be a serde, such as json(), or one of 'string', 'bytes', 'json' and 'msgpack', and is ${described(given)}`,
  );
}

export function timeOf(operator: Operator, time: TopicTime<never, never> = {}): TimeSpec {
  const { of, outOfOrder = 0, idle } = time;
  return Object.freeze({
    of: of === undefined ? undefined : functionOf(operator, of, 'time.of'),
    outOfOrderMs: durationOf(operator, 'time.outOfOrder', outOfOrder, 0),
    idleMs: idle === undefined ? undefined : durationOf(operator, 'time.idle', idle, 1),
  });
}

function configsOf(operator: Operator, configs: unknown = {}): Readonly<Record<string, string>> {
  const isRecord = typeof configs === 'object' && configs !== null && !Array.isArray(configs);
  const entries = isRecord ? Object.entries(configs) : undefined;
  if (entries?.every(([, value]) => typeof value === 'string') !== true) {
    throw flowError(
      operator,
      `create.configs must be an object of texts, such as { 'cleanup.policy': 'compact' }`,
    );
  }
  return Object.freeze(Object.fromEntries(entries));
}

/** What writes it where a run has an end; without one, the engine writes through the log port. */
export function topicSink(port: TopicPort): Sink {
  const sink = {
    kind: 'sink',
    format: 'topic',
    label: `topic ${port.name}`,
    target: Object.freeze({ kind: 'topic', topic: port.name }),
    topic: port,
    arrangement: 'any',
    partBytes: undefined,
    open: (context: WriteContext) => openTopicPart(port, context),
    publish: publishParts,
  } satisfies Sink;
  return Object.freeze({
    ...sink,
    timed: () =>
      Object.freeze({
        ...sink,
        open: (context: WriteContext) => openTimedTopicPart(port, context),
      }),
  } satisfies Sink);
}
