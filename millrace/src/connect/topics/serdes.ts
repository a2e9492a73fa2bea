/** How the bytes of keys and values become values. What has no bytes (null) is null, whatever the serde. */
import { decodeText } from '../../core/text-escape.ts';
import type { Serde } from '../../flow/serde.ts';
import { findJsonFault } from '../json-fault.ts';
import { issuesText, type SchemaResult, type StandardSchema } from '../standard-schema.ts';

/** By name: what `'json'`, `'string'` and `'bytes'` stand for. */
export interface SerdeTypes {
  readonly json: unknown;
  readonly string: string;
  readonly bytes: Buffer;
}
export type SerdeName = keyof SerdeTypes;

/**
 * JSON. The type is what the program says it is, unless a schema (any Standard Schema) checks it.
 * @example topic('orders', { value: json<Order>() })
 */
export function json<T = unknown>(schema?: StandardSchema<T>): Serde<T> {
  return {
    name: 'json',
    decode: (buffer, start, end) => {
      const value = parse(decodeText(buffer, start, end));
      if (schema === undefined) return value as T;
      const result = schema['~standard'].validate(value);
      return result instanceof Promise ? result.then(checked) : checked(result);
    },
    encode: (value) => {
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) throw new Error(`JSON cannot write ${typeof value}`);
      return text;
    },
  };
}

/** Text in UTF-8; bytes that are not survive as lone surrogates, as in `files.lines`. */
export function string(): Serde<string> {
  return {
    name: 'string',
    decode: decodeText,
    encode: (value) => {
      if (typeof value === 'string') return value;
      throw new Error(`it is no string, but ${typeof value}`);
    },
  };
}

/** The bytes themselves. */
export function bytes(): Serde<Buffer> {
  return {
    name: 'bytes',
    decode: (buffer, start, end) => Buffer.from(buffer.subarray(start, end)),
    encode: (value) => {
      if (value instanceof Uint8Array) return value;
      throw new Error(`it is no bytes, but ${typeof value}`);
    },
  };
}

/** The serde that a name stands for. */
export function serdeOf<T>(given: Serde<T> | SerdeName): Serde<T> {
  if (typeof given !== 'string') return given;
  const made: Serde<unknown> = given === 'json' ? json() : given === 'string' ? string() : bytes();
  return made as Serde<T>;
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

function checked<T>(result: SchemaResult<T>): T {
  if (result.issues === undefined) return result.value;
  throw new Error(`it does not fit its schema: ${issuesText(result.issues)}`);
}
