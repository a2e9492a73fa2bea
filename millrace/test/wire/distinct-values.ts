/** A message in which every number and string is another one: a field read wrongly shows as a value of no field. */
import type { Field, Fields, Message } from '../../src/wire/kafka/schema.ts';
import { defaultValue, isPresent, type Value } from './message-arbitrary.ts';

/** One of everything, two of every array element; records are empty, and there are no errors: a client that sees one stops. */
export function distinctMessage(message: Message, version: number): Value {
  return struct(message.fields, version, { next: 1000 });
}

/** Every scalar in a value, as text. */
export function leaves(value: unknown): string[] {
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('hex')];
  if (Array.isArray(value)) return value.flatMap(leaves);
  if (value instanceof Map) return [...value].flatMap(leaves);
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(leaves);
  return [String(value)];
}

interface Counter {
  next: number;
}

function struct(fields: Fields, version: number, counter: Counter): Value {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [
      name,
      isPresent(field, version) ? fieldValue(name, field, version, counter) : defaultValue(field),
    ]),
  );
}

function fieldValue(name: string, field: Field, version: number, counter: Counter): unknown {
  const { kind, fields = {}, element = 'struct' } = field;
  if (kind === 'struct') return struct(fields, version, counter);
  if (kind !== 'array') return scalar(name, kind, counter);
  if (name === 'recordErrors') return [];
  return [0, 1].map(() =>
    element === 'struct' ? struct(fields, version, counter) : scalar(name, element, counter),
  );
}

function scalar(name: string, kind: string, counter: Counter): unknown {
  const number = counter.next++;
  if (/errorCode$/i.test(name)) return 0;
  switch (kind) {
    case 'bool':
      return true;
    case 'int8':
      return number % 100;
    case 'string':
      return `text-${number}`;
    case 'uuid':
      return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
    case 'bytes':
      return Buffer.from(`bytes-${number}`);
    case 'records':
      return Buffer.alloc(0);
    default:
      return number;
  }
}
