/** Fields of tables: by name, and what RabbitMQ calls their types. */
import {
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
} from '../../wire/amqp/field-table.ts';

export type FieldType =
  | 'void'
  | 'bool'
  | 'signedint'
  | 'long'
  | 'double'
  | 'longstr'
  | 'binary'
  | 'timestamp'
  | 'decimal'
  | 'array'
  | 'table';

const INT_MAX = 2 ** 31 - 1;

export function fieldType(value: FieldValue): FieldType {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'longstr';
  if (typeof value === 'bigint') return 'long';
  if (typeof value !== 'number') return objectType(value);
  if (!Number.isInteger(value)) return 'double';
  return value <= INT_MAX && value >= -INT_MAX - 1 ? 'signedint' : 'long';
}

function objectType(value: Exclude<FieldValue, string | boolean | number | bigint>): FieldType {
  if (value === null) return 'void';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Uint8Array) return 'binary';
  if (value instanceof FieldTimestamp) return 'timestamp';
  return value instanceof FieldDecimal ? 'decimal' : 'table';
}

/** A field by its name; what every object has is none. */
export function fieldOf(table: FieldTable, name: string): FieldValue | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** For messages. */
export function shownField(value: FieldValue): string {
  return typeof value === 'object' ? fieldType(value) : String(value);
}
