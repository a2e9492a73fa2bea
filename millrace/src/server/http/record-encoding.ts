/**
 * Records of topics as JSON, both ways:
 *
 *   {"partition": 0, "offset": 12, "timestamp": 1767225600000, "key": "a", "value": {"total": 3}, "headers": {"trace": "x"}}
 *
 * Who asks says how keys and values are written: as `json`, as `text` (UTF-8), as `base64`. Bytes that are not that are written as the next
 * of these that they are, and `keyEncoding` or `valueEncoding` says so, so that nothing has two meanings and what was read can be written.
 *
 * A header is text; {"$bytes": "<base64>"} when it is no UTF-8; an array where its name occurs more than once.
 */
import { isUtf8 } from 'node:buffer';
import type { RecordBytes, RecordHeader } from '../../client/log.ts';
import { HTTP_RECORD_HEADERS_MAX } from '../../core/http-limits.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { badRequest } from './http-errors.ts';

export type Encoding = 'json' | 'text' | 'base64';

export interface Encodings {
  readonly key: Encoding;
  readonly value: Encoding;
}

/** A record as somebody sends it. */
export interface GivenRecord {
  readonly partition: number | undefined;
  readonly timestamp: number | undefined;
  readonly key: RecordBytes | null;
  readonly value: RecordBytes | null;
  readonly headers: readonly RecordHeader[];
}

const ENCODINGS: readonly string[] = ['json', 'text', 'base64'];

export function encodingOf(name: string, text: unknown): Encoding {
  if (typeof text === 'string' && ENCODINGS.includes(text)) return text as Encoding;
  throw badRequest(400, `${name} is json, text or base64`, 'Leave it out for what is usual');
}

/** The record that the reader stands on. */
export function recordToJson(
  record: RecordReader,
  partition: number,
  encodings: Encodings,
): string {
  const { data, offset, timestamp } = record;
  const key = fieldToJson('key', data, record.keyStart, record.keyEnd, encodings.key);
  const value = fieldToJson('value', data, record.valueStart, record.valueEnd, encodings.value);
  const headers = record.headerCount === 0 ? '{}' : headersToJson(record);
  return `{"partition":${partition},"offset":${offset},"timestamp":${timestamp},${key},${value},"headers":${headers}}`;
}

function fieldToJson(
  name: 'key' | 'value',
  data: Buffer,
  start: number,
  end: number,
  encoding: Encoding,
): string {
  if (start < 0) return `"${name}":null`;
  if (encoding === 'base64') return `"${name}":"${data.toString('base64', start, end)}"`;
  if (!isUtf8(data.subarray(start, end)))
    return `"${name}":"${data.toString('base64', start, end)}","${name}Encoding":"base64"`;
  const text = data.toString('utf8', start, end);
  if (encoding === 'text') return `"${name}":${JSON.stringify(text)}`;
  if (!isJson(text)) return `"${name}":${JSON.stringify(text)},"${name}Encoding":"text"`;
  // As it was written, to the last digit. Between tokens a line end means no more than a space, and inside of texts there is none.
  const line = text.replace(/[\r\n]/g, ' ');
  return line.trim() === 'null' ? `"${name}":null,"${name}Encoding":"json"` : `"${name}":${line}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function headersToJson(record: RecordReader): string {
  const fields = new Map<string, string[]>();
  for (const { key, value } of record.headers()) {
    const text = headerToJson(value);
    const same = fields.get(key);
    if (same === undefined) fields.set(key, [text]);
    else same.push(text);
  }
  const texts = [...fields].map(([key, values]) => {
    const [only] = values;
    return `${JSON.stringify(key)}:${values.length === 1 ? only : `[${values.join(',')}]`}`;
  });
  return `{${texts.join(',')}}`;
}

function headerToJson(value: Buffer | null): string {
  if (value === null) return 'null';
  if (isUtf8(value)) return JSON.stringify(value.toString('utf8'));
  return `{"$bytes":"${value.toString('base64')}"}`;
}

const FIELDS: readonly string[] = [
  'key',
  'value',
  'headers',
  'timestamp',
  'partition',
  'keyEncoding',
  'valueEncoding',
];

/** @throws {MillraceError} ML_HTTP_REQUEST, naming the record */
export function recordOfJson(json: unknown, index: number, encodings: Encodings): GivenRecord {
  const what = `record ${index}`;
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw badRequest(
      400,
      `${what} is no object`,
      'Write {"key": "a", "value": …}; bytes that are to be the value as they are: with another content type than JSON',
    );
  const fields = json as Partial<Record<string, unknown>>;
  for (const name of Object.keys(fields))
    if (!FIELDS.includes(name))
      throw badRequest(
        400,
        `${what} has a field '${name.slice(0, 100)}' that means nothing here`,
        `There are ${FIELDS.join(', ')}; your own fields belong into "value"`,
      );
  const { keyEncoding = encodings.key, valueEncoding = encodings.value } = fields;
  return {
    partition: integerOf(fields['partition'], `the partition of ${what}`),
    timestamp: integerOf(fields['timestamp'], `the timestamp of ${what}`),
    key: bytesOfJson(fields['key'], encodingOf(`keyEncoding of ${what}`, keyEncoding), {
      what: `the key of ${what}`,
      isNullSaid: fields['keyEncoding'] === 'json',
    }),
    value: bytesOfJson(fields['value'], encodingOf(`valueEncoding of ${what}`, valueEncoding), {
      what: `the value of ${what}`,
      isNullSaid: fields['valueEncoding'] === 'json',
    }),
    headers: headersOfJson(fields['headers'], what),
  };
}

function integerOf(json: unknown, what: string): number | undefined {
  if (json === undefined || json === null) return undefined;
  if (typeof json === 'number' && Number.isSafeInteger(json) && json >= 0) return json;
  throw badRequest(400, `${what} is no whole number from 0 on`, 'Leave it out for what is usual');
}

function bytesOfJson(
  json: unknown,
  encoding: Encoding,
  { what, isNullSaid }: { readonly what: string; readonly isNullSaid: boolean },
): RecordBytes | null {
  if (json === undefined || (json === null && !isNullSaid)) return null;
  switch (encoding) {
    case 'json':
      return jsonText(json, what);
    case 'text':
      if (typeof json === 'string') return json;
      throw badRequest(400, `${what} is no text`, 'Write it in quotes, or ask for json');
    case 'base64':
      if (typeof json === 'string') return base64Bytes(json, what);
      throw badRequest(400, `${what} is no base64`, 'Write base64 in quotes');
  }
}

function jsonText(json: unknown, what: string): string {
  try {
    return JSON.stringify(json);
  } catch {
    throw badRequest(
      400,
      `${what} is nested too deep`,
      'Send it as bytes, with another content type',
    );
  }
}

function base64Bytes(text: string, what: string): Buffer {
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0)
    return Buffer.from(text, 'base64');
  throw badRequest(400, `${what} is no base64`, 'Write A-Z a-z 0-9 + / with = at the end');
}

function headersOfJson(json: unknown, what: string): RecordHeader[] {
  if (json === undefined || json === null) return [];
  if (typeof json !== 'object' || Array.isArray(json))
    throw badRequest(400, `the headers of ${what} are no object`, 'Write {"name": "text"}');
  const headers: RecordHeader[] = [];
  for (const [key, given] of Object.entries(json))
    for (const value of Array.isArray(given) ? (given as unknown[]) : [given])
      headers.push({ key, value: headerOfJson(value, `header '${key.slice(0, 100)}' of ${what}`) });
  if (headers.length <= HTTP_RECORD_HEADERS_MAX) return headers;
  throw badRequest(400, `${what} has more than ${HTTP_RECORD_HEADERS_MAX} headers`);
}

function headerOfJson(json: unknown, what: string): RecordBytes | null {
  if (json === null || typeof json === 'string') return json;
  const bytes = typeof json === 'object' ? (json as { $bytes?: unknown }).$bytes : undefined;
  if (typeof bytes === 'string') return base64Bytes(bytes, what);
  throw badRequest(400, `${what} is no text`, 'Write it in quotes, or {"$bytes": "<base64>"}');
}
