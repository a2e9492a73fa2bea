/** What RabbitMQ says to arguments, and what they mean. */
import { expect, test } from 'vitest';
import type { FieldTable, FieldValue } from '../../wire/amqp/field-table.ts';
import type { QueueSettings } from '../queues/queue.ts';
import { parseQueueArguments } from './parse-queue-arguments.ts';

const THING = "queue 'q' in vhost '/'";

function settings(table: FieldTable): QueueSettings {
  const parsed = parseQueueArguments(table, THING);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

test('a queue without arguments has the defaults', () => {
  expect(settings({})).toEqual({
    type: 'classic',
    maxLength: undefined,
    maxLengthBytes: undefined,
    overflow: 'drop-head',
    messageTtlMs: undefined,
    expiresMs: undefined,
    deadLetterExchange: undefined,
    deadLetterRoutingKey: undefined,
    deadLetterStrategy: 'at-most-once',
    deliveryLimit: 20,
    maxPriority: undefined,
    singleActiveConsumer: false,
    consumerTimeoutMs: 1_800_000,
    keyOrdered: false,
    dedupeWindowMs: undefined,
    maxAgeMs: undefined,
    segmentBytes: undefined,
    sourceTopic: undefined,
    sourceOffset: undefined,
  });
});

test('arguments mean what they say', () => {
  expect(
    settings({
      'x-queue-type': 'quorum',
      'x-max-length': 10,
      'x-max-length-bytes': 1000n,
      'x-overflow': 'reject-publish',
      'x-message-ttl': 0,
      'x-expires': 5000,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'dead',
      'x-delivery-limit': 0,
      'x-single-active-consumer': true,
      'x-consumer-timeout': 1000,
      'x-key-ordered': true,
      'x-dedupe-window': 60_000,
    }),
  ).toMatchObject({
    type: 'quorum',
    maxLength: 10,
    maxLengthBytes: 1000,
    overflow: 'reject-publish',
    messageTtlMs: 0,
    expiresMs: 5000,
    deadLetterExchange: '',
    deadLetterRoutingKey: 'dead',
    deliveryLimit: 0,
    singleActiveConsumer: true,
    consumerTimeoutMs: 1000,
    keyOrdered: true,
    dedupeWindowMs: 60_000,
  });
  expect(settings({ 'x-delivery-limit': -1 }).deliveryLimit).toBeUndefined();
  expect(settings({ 'x-consumer-timeout': 0 }).consumerTimeoutMs).toBeUndefined();
  expect(settings({ 'x-max-priority': 0 }).maxPriority).toBeUndefined();
  expect(settings({ 'x-max-priority': 255 }).maxPriority).toBe(255);
  expect(settings({ 'x-source-topic': 't' })).toMatchObject({
    sourceTopic: 't',
    sourceOffset: 'next',
  });
});

test.each([
  ['10s', 10_000],
  ['1m', 60_000],
  ['2h', 7_200_000],
  ['1D', 86_400_000],
  ['3M', 90 * 86_400_000],
  ['1Y', 365 * 86_400_000],
])('an age of %s is %d ms', (age, ageMs) => {
  expect(settings({ 'x-queue-type': 'stream', 'x-max-age': age }).maxAgeMs).toBe(ageMs);
});

test.each<[name: string, value: FieldValue, fault: string, rest?: FieldTable]>([
  ['x-message-ttl', -1, '{value_negative,-1}'],
  ['x-message-ttl', 'a', '"expected integer, got longstr"'],
  ['x-message-ttl', 1.5, '"expected integer, got double"'],
  ['x-message-ttl', true, '"expected integer, got bool"'],
  ['x-message-ttl', 4_294_967_296_000, '{value_too_large,4294967296000}'],
  ['x-message-ttl', 2n ** 62n, '{value_too_large,4611686018427387904}'],
  ['x-expires', 0, '{value_zero,0}'],
  ['x-expires', -1, '{value_negative,-1}'],
  ['x-expires', 1e12, '{value_too_large,1000000000000}'],
  ['x-max-length', -1, '{value_negative,-1}'],
  ['x-max-length-bytes', 'a', '"expected integer, got longstr"'],
  ['x-overflow', 'foo', 'invalid_overflow'],
  ['x-overflow', 5, '{unacceptable_type,signedint}'],
  ['x-dead-letter-routing-key', 'a', 'routing_key_but_no_dlx_defined'],
  ['x-dead-letter-routing-key', null, '{unacceptable_type,void}'],
  ['x-dead-letter-strategy', 'foo', 'invalid_dlx_strategy', { 'x-queue-type': 'quorum' }],
  ['x-max-priority', 256, '{max_value_exceeded,256}'],
  ['x-max-priority', -1, '{value_negative,-1}'],
  ['x-single-active-consumer', 'a', '{unacceptable_type,longstr}'],
  ['x-queue-type', 'foo', `"unsupported queue type 'foo'"`],
  ['x-queue-type', ['classic'], '{unacceptable_type,array}'],
  ['x-queue-mode', 'foo', `"unsupported queue mode 'foo'"`],
  ['x-queue-version', 3, `"unsupported queue version '3'"`],
  ['x-queue-leader-locator', 'foo', 'invalid_queue_locator_arg', { 'x-queue-type': 'quorum' }],
  ['x-quorum-initial-group-size', 0, '{value_zero,0}', { 'x-queue-type': 'quorum' }],
  ['x-max-age', '7', 'invalid_max_age', { 'x-queue-type': 'stream' }],
  ['x-max-age', '5x', 'invalid_max_age', { 'x-queue-type': 'stream' }],
  ['x-max-age', 5, '{unacceptable_type,signedint}', { 'x-queue-type': 'stream' }],
  ['x-delivery-limit', 'a', '"expected integer, got longstr"'],
  ['x-key-ordered', 1, '{unacceptable_type,signedint}'],
  ['x-dedupe-window', -5, '{value_negative,-5}'],
  ['x-source-offset', 'first', 'source_offset_but_no_source_topic'],
  ['x-source-offset', 'last', 'invalid_source_offset', { 'x-source-topic': 't' }],
  ['x-source-topic', 't', '"a queue over a topic has no x-max-length"', { 'x-max-length': 5 }],
])('%s = %s is refused: %s', (name, value, fault, rest = {}) => {
  expect(parseQueueArguments({ ...rest, [name]: value }, THING)).toEqual({
    ok: false,
    error: 'PRECONDITION_FAILED',
    message: `invalid arg '${name}' for ${THING}: ${fault}`,
  });
});

test.each([
  ['x-max-priority', 'quorum'],
  ['x-queue-mode', 'quorum'],
  ['x-max-age', 'quorum'],
  ['x-max-age', 'classic'],
  ['x-quorum-initial-group-size', 'classic'],
  ['x-max-length', 'stream'],
  ['x-message-ttl', 'stream'],
  ['x-dead-letter-exchange', 'stream'],
  ['x-expires', 'stream'],
  ['x-single-active-consumer', 'stream'],
])('%s is nothing for a %s queue', (name, type) => {
  expect(parseQueueArguments({ 'x-queue-type': type, [name]: 5 }, THING)).toEqual({
    ok: false,
    error: 'PRECONDITION_FAILED',
    message: `invalid arg '${name}' for ${THING} of queue type rabbit_${type}_queue`,
  });
});

test('an exchange for dead letters has a name', () => {
  expect(parseQueueArguments({ 'x-dead-letter-exchange': 5 }, THING)).toMatchObject({
    message: `invalid type 'signedint' for arg 'x-dead-letter-exchange' in ${THING}`,
  });
});

test('what nobody knows is ignored, also what every object has', () => {
  expect(settings({ 'x-unknown': [5], constructor: 'a' })).toEqual(settings({}));
});
