/**
 * Keys and values as JSON, for who asks over HTTP.
 *
 * Keys come back as they go out, so that a key of an answer can be asked with. What JSON has no word for is an object with one field:
 *
 *   {"$date": "2026-01-31T12:00:00.000Z"} · {"$bigint": "12"} · {"$bytes": "<base64>"} · {"$number": "NaN"} · {"$undefined": true}
 *
 * Values are for reading: dates are ISO texts, bigints texts, bytes base64, a Map the list of its pairs, a Set a list, NaN and the infinities
 * null.
 */
import { MillraceError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { KEY_DEPTH_MAX } from '../../core/limits.ts';

export function keyToJson(key: unknown): Json {
  switch (typeof key) {
    case 'string':
    case 'boolean':
      return key;
    case 'number':
      return Number.isFinite(key) ? key : { $number: String(key) };
    case 'bigint':
      return { $bigint: String(key) };
    case 'object':
      return key === null ? null : objectKeyToJson(key);
    case 'undefined':
    case 'function':
    case 'symbol':
      return { $undefined: true };
  }
}

function objectKeyToJson(key: object): Json {
  if (Array.isArray(key)) return key.map(keyToJson);
  if (key instanceof Date)
    return { $date: Number.isNaN(key.getTime()) ? 'invalid' : key.toISOString() };
  if (key instanceof Uint8Array) return { $bytes: base64(key) };
  return Object.fromEntries(Object.entries(key).map(([name, part]) => [name, keyToJson(part)]));
}

/** @throws {MillraceError} ML_VIEW_REQUEST */
export function keyOfJson(text: string, parameter: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw notKey(parameter, cause instanceof Error ? cause.message : 'it is no JSON');
  }
  return keyOf(json, parameter, 0);
}

function keyOf(json: unknown, parameter: string, depth: number): unknown {
  if (depth > KEY_DEPTH_MAX) throw notKey(parameter, 'it is too deep');
  if (Array.isArray(json)) return json.map((part: unknown) => keyOf(part, parameter, depth + 1));
  if (typeof json !== 'object' || json === null) return json;
  const fields = Object.entries(json);
  const [field] = fields;
  if (fields.length === 1 && field !== undefined && field[0].startsWith('$'))
    return taggedKey(field[0], field[1], parameter);
  const { key, start, end } = json as Partial<Record<string, unknown>>;
  if (fields.length === 3 && typeof start === 'number' && typeof end === 'number' && 'key' in json)
    return { key: keyOf(key, parameter, depth + 1), start, end };
  throw notKey(parameter, 'no key is an object like that');
}

function taggedKey(tag: string, given: unknown, parameter: string): unknown {
  switch (tag) {
    case '$date': {
      const date = new Date(typeof given === 'number' ? given : String(given));
      if (given === 'invalid' || !Number.isNaN(date.getTime())) return date;
      break;
    }
    case '$bigint':
      if (typeof given === 'string' && /^-?\d{1,500}$/.test(given)) return BigInt(given);
      break;
    case '$bytes':
      if (typeof given === 'string') return new Uint8Array(Buffer.from(given, 'base64'));
      break;
    case '$number':
      if (given === 'NaN' || given === 'Infinity' || given === '-Infinity') return Number(given);
      break;
    case '$undefined':
      if (given === true) return undefined;
      break;
  }
  throw notKey(parameter, `${tag} says nothing that is known`);
}

function notKey(parameter: string, why: string): MillraceError {
  return new MillraceError('ML_VIEW_REQUEST', `${parameter} is no key in JSON: ${why}`, {
    hint: 'Write "text", 42, true, null, ["a", 1], {"$date": "2026-01-31T12:00:00Z"}, {"$bigint": "12"} or {"$bytes": "<base64>"}; or leave out keys=json for plain text',
  });
}

export function valueToJson(value: unknown): Json {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'bigint':
      return String(value);
    case 'object':
      return value === null ? null : objectToJson(value);
    case 'undefined':
    case 'function':
    case 'symbol':
      return null;
  }
}

function objectToJson(value: object): Json {
  if (Array.isArray(value)) return value.map(valueToJson);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return base64(value);
  if (value instanceof Map)
    return [...value].map(([key, each]) => [valueToJson(key), valueToJson(each)]);
  if (value instanceof Set) return [...value].map(valueToJson);
  const fields = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(fields.map(([name, each]) => [name, valueToJson(each)]));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
