/**
 * What the arguments of a queue mean, and which make no sense: what RabbitMQ refuses is refused in its words.
 *
 * An argument that no queue knows is ignored; one that the type at hand does not have is refused.
 *
 * Source: RabbitMQ's documentation of queues, quorum queues, streams, time to live and length limits (4.x).
 */
import {
  CONSUMER_TIMEOUT_MS_DEFAULT,
  DELIVERY_LIMIT_DEFAULT,
  QUEUE_TIME_MS_MAX,
} from '../../core/queue-limits.ts';
import type { FieldTable, FieldValue } from '../../wire/amqp/field-table.ts';
import type { QueueOutcome, QueueRefusal, QueueSettings } from '../queues/queue.ts';
import { fieldOf, fieldType, shownField } from './field-values.ts';

type QueueType = QueueSettings['type'];

/** Why a value makes no sense, in RabbitMQ's words; undefined when it does. */
type Check = (value: FieldValue, table: FieldTable) => string | undefined;

interface Argument {
  readonly check: Check;
  /** The types of queues that have it. */
  readonly of: readonly QueueType[];
}

/** What RabbitMQ allows, and no more than a topic can have. */
const SEGMENT_BYTES_MAX = 2_147_483_647;
const ALL: readonly QueueType[] = ['classic', 'quorum', 'stream'];
const QUEUES: readonly QueueType[] = ['classic', 'quorum'];

/** In RabbitMQ's order of checks; ours last. */
const ARGUMENTS: ReadonlyMap<string, Argument> = new Map(
  Object.entries({
    'x-queue-type': { check: checkType, of: ALL },
    'x-expires': { check: checkExpires, of: QUEUES },
    'x-message-ttl': { check: checkTime, of: QUEUES },
    'x-dead-letter-exchange': { check: checkText, of: QUEUES },
    'x-dead-letter-routing-key': { check: checkDeadLetterKey, of: QUEUES },
    'x-dead-letter-strategy': {
      check: oneOf(['at-most-once', 'at-least-once'], 'invalid_dlx_strategy'),
      of: ['quorum'],
    },
    'x-max-length': { check: checkCount, of: QUEUES },
    'x-max-length-bytes': { check: checkCount, of: ALL },
    'x-max-in-memory-length': { check: checkCount, of: ['quorum'] },
    'x-max-in-memory-bytes': { check: checkCount, of: ['quorum'] },
    'x-max-priority': { check: checkPriority, of: ['classic'] },
    'x-overflow': {
      check: oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], 'invalid_overflow'),
      of: QUEUES,
    },
    'x-queue-mode': {
      check: oneOf(['default', 'lazy'], (mode) => `"unsupported queue mode '${mode}'"`),
      of: ['classic'],
    },
    'x-queue-version': { check: checkVersion, of: ['classic'] },
    'x-queue-master-locator': { check: checkText, of: ['classic'] },
    'x-queue-leader-locator': {
      check: oneOf(
        ['client-local', 'balanced', 'random', 'least-leaders'],
        'invalid_queue_locator_arg',
      ),
      of: ALL,
    },
    'x-single-active-consumer': { check: checkBoolean, of: QUEUES },
    'x-delivery-limit': { check: checkInteger, of: ['quorum', 'classic'] },
    'x-consumer-timeout': { check: checkCount, of: ALL },
    'x-quorum-initial-group-size': { check: checkSize, of: ['quorum'] },
    'x-quorum-target-group-size': { check: checkSize, of: ['quorum'] },
    'x-initial-cluster-size': { check: checkSize, of: ['stream'] },
    'x-max-age': { check: checkAge, of: ['stream'] },
    'x-stream-max-segment-size-bytes': { check: checkSegment, of: ['stream'] },
    'x-stream-filter-size-bytes': { check: checkFilterSize, of: ['stream'] },
    'x-key-ordered': { check: checkBoolean, of: QUEUES },
    'x-dedupe-window': { check: checkTime, of: QUEUES },
    'x-source-topic': { check: checkSourceTopic, of: ['classic', 'quorum'] },
    'x-source-offset': { check: checkSourceOffset, of: ['classic', 'quorum'] },
  } satisfies Record<string, Argument>),
);

/** Those that a second declaration must give as the first did. */
export const QUEUE_ARGUMENT_NAMES: readonly string[] = [...ARGUMENTS.keys()];

/**
 * @param queue for messages: `queue 'orders' in vhost '/'`
 * @returns PRECONDITION_FAILED for what makes no sense
 */
export function parseQueueArguments(table: FieldTable, queue: string): QueueOutcome<QueueSettings> {
  const type = typeOf(table);
  for (const [name, { check, of }] of ARGUMENTS) {
    const value = fieldOf(table, name);
    if (value === undefined) continue;
    const fault = name === 'x-queue-type' ? check(value, table) : undefined;
    if (fault !== undefined) return refused(`invalid arg '${name}' for ${queue}: ${fault}`);
    if (!of.includes(type))
      return refused(`invalid arg '${name}' for ${queue} of queue type rabbit_${type}_queue`);
  }
  const letters = fieldOf(table, 'x-dead-letter-exchange');
  if (letters !== undefined && typeof letters !== 'string')
    return refused(
      `invalid type '${fieldType(letters)}' for arg 'x-dead-letter-exchange' in ${queue}`,
    );
  for (const [name, { check }] of ARGUMENTS) {
    const value = fieldOf(table, name);
    const fault = value === undefined ? undefined : check(value, table);
    if (fault !== undefined) return refused(`invalid arg '${name}' for ${queue}: ${fault}`);
  }
  return { ok: true, value: settingsOf(table, type) };
}

function settingsOf(table: FieldTable, type: QueueType): QueueSettings {
  const priorities = count(table, 'x-max-priority');
  const timeoutMs = count(table, 'x-consumer-timeout') ?? CONSUMER_TIMEOUT_MS_DEFAULT;
  const limit = count(table, 'x-delivery-limit') ?? DELIVERY_LIMIT_DEFAULT;
  const sourceTopic = text(table, 'x-source-topic');
  const age = text(table, 'x-max-age');
  return {
    type,
    maxLength: count(table, 'x-max-length'),
    maxLengthBytes: count(table, 'x-max-length-bytes'),
    overflow: (text(table, 'x-overflow') ?? 'drop-head') as QueueSettings['overflow'],
    messageTtlMs: count(table, 'x-message-ttl'),
    expiresMs: count(table, 'x-expires'),
    deadLetterExchange: text(table, 'x-dead-letter-exchange'),
    deadLetterRoutingKey: text(table, 'x-dead-letter-routing-key'),
    deadLetterStrategy: (text(table, 'x-dead-letter-strategy') ??
      'at-most-once') as QueueSettings['deadLetterStrategy'],
    deliveryLimit: limit < 0 ? undefined : limit,
    maxPriority: priorities === 0 ? undefined : priorities,
    singleActiveConsumer: fieldOf(table, 'x-single-active-consumer') === true,
    consumerTimeoutMs: timeoutMs === 0 ? undefined : timeoutMs,
    keyOrdered: fieldOf(table, 'x-key-ordered') === true,
    dedupeWindowMs: count(table, 'x-dedupe-window'),
    maxAgeMs: age === undefined ? undefined : ageMs(age),
    segmentBytes: count(table, 'x-stream-max-segment-size-bytes'),
    sourceTopic,
    sourceOffset:
      sourceTopic === undefined
        ? undefined
        : ((text(table, 'x-source-offset') ?? 'next') as 'first' | 'next'),
  };
}

function typeOf(table: FieldTable): QueueType {
  const type = fieldOf(table, 'x-queue-type');
  return type === 'quorum' || type === 'stream' ? type : 'classic';
}

/** A checked integer. */
function count(table: FieldTable, name: string): number | undefined {
  const value = fieldOf(table, name);
  return value === undefined ? undefined : Number(value);
}

/** A checked text. */
function text(table: FieldTable, name: string): string | undefined {
  const value = fieldOf(table, name);
  return typeof value === 'string' ? value : undefined;
}

function checkInteger(value: FieldValue): string | undefined {
  const type = fieldType(value);
  return type === 'signedint' || type === 'long' ? undefined : `"expected integer, got ${type}"`;
}

function checkCount(value: FieldValue): string | undefined {
  return (
    checkInteger(value) ?? (Number(value) < 0 ? `{value_negative,${shownField(value)}}` : undefined)
  );
}

function checkTime(value: FieldValue): string | undefined {
  return checkCount(value) ?? atMost(value, QUEUE_TIME_MS_MAX, 'value_too_large');
}

function checkSize(value: FieldValue): string | undefined {
  return checkCount(value) ?? (Number(value) === 0 ? '{value_zero,0}' : undefined);
}

function checkExpires(value: FieldValue): string | undefined {
  return checkSize(value) ?? checkTime(value);
}

function checkPriority(value: FieldValue): string | undefined {
  return checkCount(value) ?? atMost(value, 255, 'max_value_exceeded');
}

function checkVersion(value: FieldValue): string | undefined {
  return (
    checkCount(value) ??
    (Number(value) === 1 || Number(value) === 2
      ? undefined
      : `"unsupported queue version '${shownField(value)}'"`)
  );
}

function checkSegment(value: FieldValue): string | undefined {
  return checkCount(value) ?? atMost(value, SEGMENT_BYTES_MAX, 'value_too_large');
}

function checkFilterSize(value: FieldValue): string | undefined {
  return (
    checkInteger(value) ??
    (Number(value) >= 16 && Number(value) <= 255
      ? undefined
      : `{filter_size_out_of_range,${shownField(value)}}`)
  );
}

function atMost(value: FieldValue, max: number, fault: string): string | undefined {
  return Number(value) > max ? `{${fault},${shownField(value)}}` : undefined;
}

function checkBoolean(value: FieldValue): string | undefined {
  return typeof value === 'boolean' ? undefined : unacceptable(value);
}

function checkText(value: FieldValue): string | undefined {
  return typeof value === 'string' ? undefined : unacceptable(value);
}

function checkType(value: FieldValue): string | undefined {
  return (
    checkText(value) ??
    (ALL.some((type) => type === value)
      ? undefined
      : `"unsupported queue type '${shownField(value)}'"`)
  );
}

function checkDeadLetterKey(value: FieldValue, table: FieldTable): string | undefined {
  return (
    checkText(value) ??
    (fieldOf(table, 'x-dead-letter-exchange') === undefined
      ? 'routing_key_but_no_dlx_defined'
      : undefined)
  );
}

function oneOf(words: readonly string[], fault: string | ((word: string) => string)): Check {
  return (value) => {
    if (typeof value !== 'string') return unacceptable(value);
    if (words.includes(value)) return undefined;
    return typeof fault === 'string' ? fault : fault(value);
  };
}

/** What a queue over a topic cannot have: limits of what is somebody else's. */
const NOT_OVER_TOPICS = ['x-max-length', 'x-max-length-bytes', 'x-overflow', 'x-dedupe-window'];

function checkSourceTopic(value: FieldValue, table: FieldTable): string | undefined {
  if (typeof value !== 'string') return unacceptable(value);
  const other = NOT_OVER_TOPICS.find((name) => fieldOf(table, name) !== undefined);
  return other === undefined ? undefined : `"a queue over a topic has no ${other}"`;
}

function checkSourceOffset(value: FieldValue, table: FieldTable): string | undefined {
  if (fieldOf(table, 'x-source-topic') === undefined) return 'source_offset_but_no_source_topic';
  return oneOf(['first', 'next'], 'invalid_source_offset')(value, table);
}

function checkAge(value: FieldValue): string | undefined {
  if (typeof value !== 'string') return unacceptable(value);
  return ageMs(value) === undefined ? 'invalid_max_age' : undefined;
}

const DAY_MS = 86_400_000;
const AGE_UNITS_MS = new Map([
  ['Y', 365 * DAY_MS],
  ['M', 30 * DAY_MS],
  ['D', DAY_MS],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
]);

/** `7D`: a number with one of Y, M, D, h, m, s. */
function ageMs(age: string): number | undefined {
  const [, amount, unit] = /^(\d{1,9})([YMDhms])$/.exec(age) ?? [];
  const unitMs = AGE_UNITS_MS.get(unit ?? '');
  return unitMs === undefined ? undefined : Number(amount) * unitMs;
}

function unacceptable(value: FieldValue): string {
  return `{unacceptable_type,${fieldType(value)}}`;
}

function refused(message: string): QueueRefusal {
  return { ok: false, error: 'PRECONDITION_FAILED', message };
}
