/** Kafka's JSON form of a message, which its own tools read and write: only the fields of the version, bytes in base64. */
import type { Field, Fields, Message, ScalarKind } from '../../src/wire/kafka/schema.ts';
import { defaultValue, isPresent, type Value } from './message-arbitrary.ts';

export function toKafkaJson(message: Message, version: number, value: Value): Value {
  return structToJson(message.fields, version, value);
}

/** @throws when the JSON has other fields than the message has in this version */
export function fromKafkaJson(message: Message, version: number, json: Value): Value {
  return structFromJson(message.fields, version, json);
}

function structToJson(fields: Fields, version: number, value: Value): Value {
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([, field]) => isPresent(field, version))
      .map(([name, field]) => [name, fieldToJson(field, version, value[name])]),
  );
}

function fieldToJson(field: Field, version: number, value: unknown): unknown {
  if (value === null) return null;
  if (field.kind === 'struct') return structToJson(field.fields ?? {}, version, value as Value);
  if (field.kind !== 'array') return scalarToJson(field.kind, value);
  return (value as readonly unknown[]).map((element) =>
    isStructs(field)
      ? structToJson(field.fields ?? {}, version, element as Value)
      : scalarToJson(elementKind(field), element),
  );
}

function scalarToJson(kind: ScalarKind, value: unknown): unknown {
  if (kind === 'uuid') {
    return Buffer.from((value as string).replaceAll('-', ''), 'hex').toString('base64url');
  }
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}

function structFromJson(fields: Fields, version: number, json: Value): Value {
  const rest = new Set(Object.keys(json));
  const value: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const present = isPresent(field, version);
    if (rest.delete(name) !== present) {
      throw new TypeError(`${name} is ${present ? 'not' : ''} in the JSON`);
    }
    value[name] = present ? fieldFromJson(field, version, json[name]) : defaultValue(field);
  }
  if (rest.size > 0) throw new TypeError(`only the JSON has ${[...rest].join(', ')}`);
  return value;
}

function fieldFromJson(field: Field, version: number, json: unknown): unknown {
  if (json === null) return null;
  if (field.kind === 'struct') return structFromJson(field.fields ?? {}, version, json as Value);
  if (field.kind !== 'array') return scalarFromJson(field.kind, json);
  return (json as readonly unknown[]).map((element) =>
    isStructs(field)
      ? structFromJson(field.fields ?? {}, version, element as Value)
      : scalarFromJson(elementKind(field), element),
  );
}

function scalarFromJson(kind: ScalarKind, json: unknown): unknown {
  if (kind === 'bytes' || kind === 'records') return Buffer.from(json as string, 'base64');
  if (kind !== 'uuid') return json;
  return Buffer.from(json as string, 'base64url')
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function isStructs(field: Field): boolean {
  return field.element === undefined || field.element === 'struct';
}

function elementKind(field: Field): ScalarKind {
  if (field.element === undefined || field.element === 'struct') throw new TypeError('not scalars');
  return field.element;
}
