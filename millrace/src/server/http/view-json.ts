/** Answers and events of views as JSON. */
import type { AsOf } from '../../engine/stream/views/as-of.ts';
import type { ViewChange, ViewRow } from '../../engine/stream/views/view-row.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { keyToJson, valueToJson } from './json-text.ts';

/** Times are ISO texts. */
export function rowToJson(row: ViewRow): JsonObject {
  return { ...placeToJson(row), value: valueToJson(row.value), ...timeOf(row) };
}

/** A row that is gone has the value null, and is marked: a value can be null, too. */
export function changeToJson(change: ViewChange): JsonObject {
  const { value } = change;
  return {
    ...placeToJson(change),
    value: valueToJson(value),
    ...(value === undefined ? { deleted: true } : {}),
    ...timeOf(change),
  };
}

function placeToJson({ key, start, end }: ViewChange): JsonObject {
  return {
    key: keyToJson(key),
    ...(start === undefined ? {} : { start: timeToJson(start) }),
    ...(end === undefined ? {} : { end: timeToJson(end) }),
  };
}

function timeOf({ time }: ViewChange): JsonObject {
  return time === undefined ? {} : { time: timeToJson(time) };
}

export function asOfToJson({ partitions, watermark, committedAt }: AsOf): JsonObject {
  return {
    partitions,
    watermark: watermark === undefined ? null : timeToJson(watermark),
    committedAt: committedAt === undefined ? null : timeToJson(committedAt),
  };
}

/** Milliseconds since 1970 where it is no time that ISO can write. */
export function timeToJson(ms: number): Json {
  if (!Number.isFinite(ms)) return null;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? ms : date.toISOString();
}
