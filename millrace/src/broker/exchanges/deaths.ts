/**
 * What is written on a dead letter: header `x-death` says where and why it died, the last time first; one entry for each queue and reason, with
 * how often.
 *
 *   x-death  [{count, reason, queue, time (of the first time), exchange, routing-keys, original-expiration?}, …]
 *   x-first-death-reason, -queue, -exchange: of the first death; x-last-death-…: of this one
 *
 * Source: RabbitMQ's documentation of dead letter exchanges (4.x).
 */
import { FieldTimestamp, type FieldTable, type FieldValue } from '../../wire/amqp/field-table.ts';
import {
  type BasicProperties,
  decodeProperties,
  encodeProperties,
  type HeaderChanges,
  withProperties,
} from '../../wire/amqp/properties.ts';
import type { QueueMessage } from '../queues/message.ts';
import type { DeadLetterReason } from '../queues/queue.ts';
import { fieldOf } from './field-values.ts';

export interface Death {
  readonly queue: string;
  readonly reason: DeadLetterReason;
  readonly message: QueueMessage;
  /** Where it goes with another key: other keys of it (CC) count no more. */
  readonly routingKey: string | undefined;
  readonly nowMs: number;
}

/** What a dead letter has. It does not expire again, nor is it delayed again. */
export interface DeadLetterFacts {
  readonly properties: Buffer;
  /** As `x-death`, this death first. */
  readonly deaths: readonly FieldTable[];
}

/** All else that was published stays byte by byte: clients see the types of headers, of numbers too. */
export function factsOfDeath(death: Death): DeadLetterFacts {
  const given = death.message.properties;
  const read = readable(given);
  const { expiration, headers = {} } = read ?? {};
  const deaths = deathsWith(death, headers, expiration);
  const changes = { expiration: undefined, headers: headersOfDeath(death, headers, deaths) };
  return { properties: withProperties(read === undefined ? NONE : given, changes), deaths };
}

const NONE = encodeProperties({});

/** undefined for what a Kafka client wrote, and is no properties: it has none then. */
function readable(properties: Buffer): BasicProperties | undefined {
  try {
    return decodeProperties(properties);
  } catch {
    return undefined;
  }
}

function deathsWith(
  { queue, reason, message, nowMs }: Death,
  headers: FieldTable,
  expiration: string | undefined,
): readonly FieldTable[] {
  const deaths = deathsIn(headers).map(counted);
  const known = deaths.find((entry) => entry['queue'] === queue && entry['reason'] === reason);
  if (known !== undefined)
    return [
      { ...known, count: BigInt(countOf(known) + 1) },
      ...deaths.filter((other) => other !== known),
    ];
  const first: Record<string, FieldValue> = {
    count: 1n,
    reason,
    queue,
    time: new FieldTimestamp(Math.floor(nowMs / 1000)),
    exchange: message.exchange,
    'routing-keys': [message.routingKey, ...texts(fieldOf(headers, 'CC'))],
  };
  if (expiration !== undefined) first['original-expiration'] = expiration;
  return [first, ...deaths];
}

function headersOfDeath(
  { queue, reason, message, routingKey }: Death,
  before: FieldTable,
  deaths: readonly FieldTable[],
): HeaderChanges {
  const { exchange } = message;
  const isFirst = (name: string): boolean => (fieldOf(before, name) ?? null) === null;
  return {
    BCC: undefined,
    'x-delay': undefined,
    ...(routingKey === undefined ? {} : { CC: undefined }),
    'x-death': deaths,
    ...(isFirst('x-first-death-reason') ? { 'x-first-death-reason': reason } : {}),
    ...(isFirst('x-first-death-queue') ? { 'x-first-death-queue': queue } : {}),
    ...(isFirst('x-first-death-exchange') ? { 'x-first-death-exchange': exchange } : {}),
    'x-last-death-reason': reason,
    'x-last-death-queue': queue,
    'x-last-death-exchange': exchange,
  };
}

/**
 * Whether a dead letter would go in a circle when it came to this queue: it died there before, and nobody has rejected it since. Of what is
 * rejected somebody knows, so it may go round.
 */
export function isCircle(queue: string, deaths: readonly FieldTable[]): boolean {
  for (const death of deaths) {
    if (death['reason'] === ('rejected' satisfies DeadLetterReason)) return false;
    if (death['queue'] === queue) return true;
  }
  return false;
}

/** The entries of `x-death`, the last first; what is none is left out. */
function deathsIn(headers: FieldTable): readonly FieldTable[] {
  const listed = fieldOf(headers, 'x-death');
  if (!Array.isArray(listed)) return [];
  return (listed as readonly FieldValue[]).filter(isDeath);
}

function isDeath(value: FieldValue): value is FieldTable {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const { queue, reason } = value as FieldTable;
  return typeof queue === 'string' && typeof reason === 'string';
}

/** Its count as a long, as RabbitMQ writes it: clients in which numbers have types ask for one. */
function counted(death: FieldTable): FieldTable {
  return fieldOf(death, 'count') === undefined
    ? death
    : { ...death, count: BigInt(countOf(death)) };
}

function countOf(death: FieldTable): number {
  const count = Number(death['count'] ?? 0);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

function texts(value: FieldValue | undefined): string[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly FieldValue[]).filter((item) => typeof item === 'string');
}
