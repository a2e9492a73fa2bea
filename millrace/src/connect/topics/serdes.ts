/** How the bytes of keys and values become values. What has no bytes (null) is null, whatever the serde. */
import { ByteWriter } from '../../core/byte-writer.ts';
import { decodeText, encodeText } from '../../core/text-escape.ts';
import type { Serde } from '../../flow/serde.ts';
import { findJsonFault } from '../json-fault.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { msgpack } from './msgpack-serde.ts';
import { withSchema } from './schema-serde.ts';

/** By name: what `'json'`, `'string'`, `'bytes'` and `'msgpack'` stand for. */
export interface SerdeTypes {
  readonly json: unknown;
  readonly string: string;
  readonly bytes: Buffer;
  readonly msgpack: unknown;
}
export type SerdeName = keyof SerdeTypes;

/**
 * JSON. The type is what the program says it is, unless a schema (any Standard Schema) checks it: what is read, and what is written.
 * @example topic('orders', { value: json<Order>() })
 */
export function json<T = unknown>(schema?: StandardSchema<T>): Serde<T> {
  return withSchema<T>(
    {
      name: 'json',
      decode: (buffer, start, end) => parse(decodeText(buffer, start, end)),
      encode: toJson,
    },
    schema,
  );
}

/** Text in UTF-8; bytes that are not survive as lone surrogates, as in `files.lines`. */
export function string(): Serde<string> {
  return {
    name: 'string',
    decode: decodeText,
    encode: (value: unknown) => {
      if (typeof value === 'string') return textBytes(value);
      throw new Error(`it is no string, but ${kindOf(value)}`);
    },
  };
}

/** The bytes themselves. */
export function bytes(): Serde<Buffer> {
  return {
    name: 'bytes',
    decode: (buffer, start, end) => Buffer.from(buffer.subarray(start, end)),
    encode: (value: unknown) => {
      if (value instanceof Uint8Array) return value;
      throw new Error(`it is no bytes, but ${kindOf(value)}`);
    },
  };
}

/** Where a program says nothing: text is read; text and bytes are written as they are, and all else as JSON. */
export function text(): Serde<unknown> {
  return {
    name: 'text',
    decode: decodeText,
    encode: (value) => {
      if (typeof value === 'string') return textBytes(value);
      return value instanceof Uint8Array ? value : toJson(value);
    },
  };
}

/** The serde that a program gave, or that a name stands for; undefined for what is neither. */
export function serdeOf(given: unknown): Serde<unknown> | undefined {
  switch (given) {
    case 'json':
      return json();
    case 'string':
      return string();
    case 'bytes':
      return bytes();
    case 'msgpack':
      return msgpack();
    default:
      return isSerde(given) ? given : undefined;
  }
}

function isSerde(given: unknown): given is Serde<unknown> {
  return (
    typeof given === 'object' &&
    given !== null &&
    'name' in given &&
    typeof given.name === 'string' &&
    'decode' in given &&
    typeof given.decode === 'function' &&
    'encode' in given &&
    typeof given.encode === 'function'
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fault = findJsonFault(text);
    const where = fault === undefined ? '' : ` at character ${fault.index + 1}: ${fault.what}`;
    throw new Error(`it is not JSON${where}`, { cause });
  }
}

function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (cause) {
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new Error(`JSON cannot write it: ${reason}`, { cause });
  }
  if (text === undefined) throw new Error(`JSON cannot write ${kindOf(value)}`);
  return text;
}

/** The text, or its bytes where it holds lone surrogates, which stand for bytes that are no UTF-8. */
function textBytes(value: string): string | Uint8Array {
  if (value.isWellFormed()) return value;
  const writer = new ByteWriter();
  encodeText(value, writer);
  return writer.buffer.subarray(0, writer.length);
}

function kindOf(value: unknown): string {
  if (value instanceof Uint8Array) return 'bytes';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`.replace('a object', 'an object');
}
