/** Avro: the bytes of single values, without a header, by one schema that both sides know. */
import type { Serde } from '../../flow/serde.ts';
import { requireOptional } from '../optional-package.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { type AvroType, avroGuard } from './avro-guard.ts';
import { withSchema } from './schema-serde.ts';

interface Library {
  readonly Type: { forSchema(schema: unknown): AvroType };
}

/**
 * Avro, by a schema as JSON, or by a type of the package avsc, which must be installed (`npm install avsc`). Records are plain objects as
 * avsc makes them. The type is what the program says it is; a schema of another kind (any Standard Schema) may check more.
 * @throws {MillraceError} ML_PACKAGE_MISSING
 * @throws {Error} of avsc, for a schema that is none
 * @example
 * const reading = { type: 'record', name: 'Reading', fields: [{ name: 'celsius', type: 'double' }] };
 * topic('readings', { value: avro<{ celsius: number }>(reading) })
 */
export function avro<T = unknown>(
  schema: AvroType | object | string,
  check?: StandardSchema<T>,
): Serde<T> {
  const type = typeOf(schema);
  const guard = avroGuard(type);
  return withSchema<T>(
    {
      name: `avro ${type.name ?? type.typeName} ${type.fingerprint?.().toString('hex') ?? ''}`.trim(),
      decode: (buffer, start, end) => {
        const bytes = buffer.subarray(start, end);
        try {
          guard?.(bytes);
          return plain(type.fromBuffer(bytes));
        } catch (cause) {
          throw new Error(`it is not Avro of its schema: ${reasonOf(cause)}`, { cause });
        }
      },
      encode: (value) => {
        try {
          return type.toBuffer(value);
        } catch (cause) {
          throw new Error(`it does not fit its Avro schema: ${reasonOf(cause)}`, { cause });
        }
      },
    },
    check,
  );
}

function typeOf(schema: AvroType | object | string): AvroType {
  if (isType(schema)) return schema;
  const library = requireOptional('avsc', 'Avro') as Library;
  return library.Type.forSchema(schema);
}

function isType(schema: object | string): schema is AvroType {
  return typeof schema === 'object' && 'fromBuffer' in schema && 'toBuffer' in schema;
}

/** avsc gives records a class of their own; records of streams are plain data. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array || value instanceof Date) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    // Set by itself, that name would be the prototype.
    if (name === '__proto__')
      Object.defineProperty(copy, name, { ...MEMBER, value: plain(member) });
    else copy[name] = plain(member);
  }
  return copy;
}

const MEMBER = Object.freeze({ enumerable: true, configurable: true, writable: true });

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
