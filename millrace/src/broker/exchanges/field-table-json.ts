/**
 * Tables as JSON, without loss: definitions are kept in it.
 *
 *   null, true, "text", 12, [ … ]      stand for themselves
 *   {"long":"9007199254740993"}        an integer beyond 2^53        {"double":"NaN"}       NaN, Infinity, -Infinity, -0
 *   {"bytes":"AQI="}                   base64                        {"timestamp":1700000000}  seconds
 *   {"decimal":[2,314]}                scale, value                  {"table":{ … }}        a table inside a table
 *
 * NOTE: persistent format (docs/formats/queue-definitions.md).
 */
import type { Json, JsonObject } from '../../core/json.ts';
import { TABLE_DEPTH_MAX } from '../../core/queue-limits.ts';
import {
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
} from '../../wire/amqp/field-table.ts';

/** Names are sorted: equal tables are equal texts. */
export function tableToJson(table: FieldTable): JsonObject {
  return Object.fromEntries(
    Object.keys(table)
      .sort()
      .map((name) => [name, valueToJson(table[name] ?? null)]),
  );
}

function valueToJson(value: FieldValue): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { double: Object.is(value, -0) ? '-0' : String(value) };
  if (typeof value === 'bigint') return { long: String(value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  if (value instanceof FieldTimestamp) return { timestamp: value.seconds };
  if (value instanceof FieldDecimal) return { decimal: [value.scale, value.value] };
  if (Array.isArray(value)) return value.map((item: FieldValue) => valueToJson(item));
  return { table: tableToJson(value as FieldTable) };
}

/** undefined for what is no such table. */
export function tableFromJson(json: unknown, depth = 0): FieldTable | undefined {
  if (json === null || typeof json !== 'object' || Array.isArray(json)) return undefined;
  if (depth > TABLE_DEPTH_MAX) return undefined;
  const fields: [string, FieldValue][] = [];
  for (const [name, item] of Object.entries(json)) {
    const value = valueFromJson(item, depth);
    if (value === undefined) return undefined;
    fields.push([name, value]);
  }
  return Object.fromEntries(fields);
}

function valueFromJson(json: unknown, depth: number): FieldValue | undefined {
  if (json === null || typeof json === 'boolean' || typeof json === 'string') return json;
  if (typeof json === 'number') return json;
  if (typeof json !== 'object' || depth > TABLE_DEPTH_MAX) return undefined;
  if (Array.isArray(json)) {
    const items = json.map((item: unknown) => valueFromJson(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  const fields = Object.entries(json);
  const [field] = fields;
  return field === undefined || fields.length > 1 ? undefined : taggedFromJson(...field, depth);
}

const DOUBLES = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['-0', -0],
]);

function taggedFromJson(tag: string, json: unknown, depth: number): FieldValue | undefined {
  switch (tag) {
    case 'long':
      return typeof json === 'string' && /^-?\d{1,19}$/.test(json) ? BigInt(json) : undefined;
    case 'double':
      return typeof json === 'string' ? DOUBLES.get(json) : undefined;
    case 'bytes':
      return typeof json === 'string' ? Buffer.from(json, 'base64') : undefined;
    case 'timestamp':
      return typeof json === 'number' ? new FieldTimestamp(json) : undefined;
    case 'decimal':
      return decimalFromJson(json);
    case 'table':
      return tableFromJson(json, depth + 1);
    default:
      return undefined;
  }
}

function decimalFromJson(json: unknown): FieldDecimal | undefined {
  if (!Array.isArray(json) || json.length !== 2) return undefined;
  const [scale, value] = json as unknown[];
  return typeof scale === 'number' && typeof value === 'number'
    ? new FieldDecimal(scale, value)
    : undefined;
}
