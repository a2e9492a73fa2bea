/** What programs say of a message, as AMQP has it; and back. Also for flows, which write and read queues as topics. */
import {
  EXCHANGE_HEADER,
  PROPERTIES_HEADER,
  ROUTING_KEY_HEADER,
} from '../../broker/queues/message.ts';
import type { PeekedMessage } from '../../wire/amqp/management.ts';
import type { DeadLetterReason } from '../../broker/queues/queue.ts';
import { type FieldTable, FieldTimestamp, type FieldValue } from '../../wire/amqp/field-table.ts';
import {
  type BasicProperties,
  decodeProperties,
  encodeProperties,
} from '../../wire/amqp/properties.ts';

export interface MessageFields {
  /** 0: at once. */
  readonly delayMs: number;
  readonly priority: number;
  readonly key: string | undefined;
  readonly dedupeKey: string | undefined;
  readonly id: string | undefined;
  readonly expiresInMs: number | undefined;
  readonly headers: Readonly<Record<string, string | number | boolean | null>>;
}

export { encodeProperties } from '../../wire/amqp/properties.ts';

/** Headers with a meaning of their own. */
const DELAY = 'x-delay';
const DEDUPE_KEY = 'x-dedupe-key';
const KEY = 'x-key';
/** When it was enqueued, in milliseconds: the property `timestamp` has seconds. */
const ENQUEUED = 'timestamp_in_ms';
const COUNT = 'x-delivery-count';
const OWN: ReadonlySet<string> = new Set([DELAY, DEDUPE_KEY, KEY, ENQUEUED, COUNT]);

const PERSISTENT = 2;
const SECOND_MS = 1000;

/** @param nowMs when it is enqueued; undefined: is not said */
export function messageProperties(
  fields: MessageFields,
  contentType: string,
  nowMs: number | undefined,
): BasicProperties {
  const { delayMs, priority, key, dedupeKey, id, expiresInMs } = fields;
  const headers: Record<string, FieldValue> = { ...fields.headers };
  if (delayMs > 0) headers[DELAY] = delayMs;
  if (dedupeKey !== undefined) headers[DEDUPE_KEY] = dedupeKey;
  if (key !== undefined) headers[KEY] = key;
  if (nowMs !== undefined) headers[ENQUEUED] = nowMs;
  return {
    contentType,
    deliveryMode: PERSISTENT,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(priority === 0 ? {} : { priority }),
    ...(expiresInMs === undefined ? {} : { expiration: String(expiresInMs) }),
    ...(id === undefined ? {} : { messageId: id }),
    ...(nowMs === undefined ? {} : { timestamp: Math.floor(nowMs / SECOND_MS) }),
  };
}

/** The type of a body that a serde of this name writes. */
export function contentTypeOf(serde: string): string {
  return CONTENT_TYPES.get(serde) ?? 'application/octet-stream';
}

const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  ['json', 'application/json'],
  ['string', 'text/plain; charset=utf-8'],
  ['text', 'text/plain; charset=utf-8'],
  ['bytes', 'application/octet-stream'],
  ['msgpack', 'application/vnd.msgpack'],
  ['avro', 'application/vnd.apache.avro'],
  ['protobuf', 'application/x-protobuf'],
]);

/** What is known of a message beside its body. */
export interface MessageFacts {
  readonly id: string | undefined;
  readonly key: string | undefined;
  readonly priority: number;
  /** Milliseconds since 1970. */
  readonly enqueuedAtMs: number | undefined;
  /** How often it came back. */
  readonly deliveryCount: number;
  /** Without those that have a meaning of their own. Tables and lists as objects and arrays. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly contentType: string | undefined;
}

export function messageFacts(properties: BasicProperties): MessageFacts {
  const { headers = {}, messageId, timestamp, priority = 0, contentType } = properties;
  const ms = numberOf(headers[ENQUEUED]);
  const seconds = timestamp === undefined ? undefined : timestamp * SECOND_MS;
  return {
    id: messageId,
    key: textOf(headers[KEY]),
    priority,
    enqueuedAtMs: ms ?? seconds,
    deliveryCount: numberOf(headers[COUNT]) ?? 0,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.has(name))),
    contentType,
  };
}

function numberOf(value: FieldValue | undefined): number | undefined {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' ? value : undefined;
}

function textOf(value: FieldValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The headers of a record that is a message, and was published straight to its queue. */
export function recordHeaders(
  properties: BasicProperties,
): readonly { readonly key: string; readonly value: Buffer }[] {
  return [{ key: PROPERTIES_HEADER, value: encodeProperties(properties) }];
}

/** Of a record of a queue's topic. */
export interface RecordFacts extends MessageFacts {
  readonly exchange: string;
  readonly routingKey: string;
}

/** What a record of a queue says beside its value; one that no queue has written has its own headers as text. */
export function recordFacts(
  headers: readonly { readonly key: string; readonly value: Buffer | null }[],
): RecordFacts {
  let exchange = '';
  let routingKey = '';
  let properties: BasicProperties | undefined;
  const others: Record<string, string> = {};
  for (const { key, value } of headers)
    if (key === EXCHANGE_HEADER) exchange = value?.toString() ?? '';
    else if (key === ROUTING_KEY_HEADER) routingKey = value?.toString() ?? '';
    else if (key === PROPERTIES_HEADER && value !== null)
      properties = decodeProperties(value, 0, value.length);
    else others[key] = value?.toString() ?? '';
  const facts = messageFacts(properties ?? { headers: others satisfies FieldTable });
  return { ...facts, exchange, routingKey };
}

/** How a message died that is a dead letter; the last time, if it was one before. */
export interface Death {
  readonly reason: DeadLetterReason | undefined;
  readonly queue: string | undefined;
  readonly timeMs: number | undefined;
}

const REASONS: readonly DeadLetterReason[] = ['rejected', 'expired', 'maxlen', 'delivery_limit'];

/** Of its headers: what `x-death` says. */
export function deathOf(headers: Readonly<Record<string, unknown>>): Death {
  const deaths: unknown = headers['x-death'];
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  const { queue, reason, time } =
    typeof last === 'object' && last !== null ? (last as Record<string, unknown>) : {};
  return {
    reason: REASONS.find((known) => known === reason),
    queue: typeof queue === 'string' ? queue : undefined,
    timeMs: time instanceof FieldTimestamp ? time.seconds * SECOND_MS : undefined,
  };
}

/** A message that somebody has looked at. */
export interface LookedAt extends MessageFacts {
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly body: Buffer;
}

/** As the answer to `peek` has it. */
export function lookedAt(message: PeekedMessage): LookedAt {
  const { exchange, routingKey, properties, body, redelivered, deliveryCount } = message;
  const bytes = Buffer.from(properties, 'base64');
  return {
    ...messageFacts(decodeProperties(bytes, 0, bytes.length)),
    deliveryCount,
    exchange,
    routingKey,
    redelivered,
    body: Buffer.from(body, 'base64'),
  };
}
