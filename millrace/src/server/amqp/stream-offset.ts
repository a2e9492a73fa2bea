/**
 * `x-stream-offset`, the argument of basic.consume that says where a consumer of a stream begins: `first`, `last`, `next`, an offset, a
 * timestamp, or how long ago ("1h", as RabbitMQ writes intervals: Y, M, D, h, m, s).
 */
import { type FieldValue, FieldTimestamp } from '../../wire/amqp/field-table.ts';
import type { StreamOffset } from '../../broker/queues/queue.ts';

const INTERVAL = /^(\d{1,9})([YMDhms])$/;
const DAY_MS = 86_400_000;
const UNIT_MS: Readonly<Record<string, number>> = {
  Y: 365 * DAY_MS,
  M: 30 * DAY_MS,
  D: DAY_MS,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
};

/** @returns undefined for what means nothing */
export function parseStreamOffset(value: FieldValue, nowMs: number): StreamOffset | undefined {
  if (value === 'first' || value === 'last' || value === 'next') return { kind: value };
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && value >= 0
      ? { kind: 'offset', offset: value }
      : undefined;
  if (value instanceof FieldTimestamp)
    return { kind: 'timestamp', timestampMs: value.seconds * 1_000 };
  const [, count, unit] = (typeof value === 'string' ? INTERVAL.exec(value) : null) ?? [];
  const unitMs = UNIT_MS[unit ?? ''];
  if (unitMs === undefined) return undefined;
  return { kind: 'timestamp', timestampMs: Math.max(0, nowMs - Number(count) * unitMs) };
}
