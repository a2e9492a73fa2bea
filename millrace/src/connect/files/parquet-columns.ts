/** Columns of a Parquet file: which types there are, how they are found out, and what a value becomes in each. */
import type { ParquetWriter } from 'hyparquet-writer';
import { MillraceError } from '../../core/errors.ts';
import { typeName } from './sink-lines.ts';

/** `int` is a whole number of 64 bits, `number` a double, `date` a time in milliseconds, `json` anything as JSON. */
export type ParquetType = 'string' | 'number' | 'int' | 'boolean' | 'date' | 'bytes' | 'json';

export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
}

type Row = Readonly<Record<string, unknown>>;
type SchemaElement = ConstructorParameters<typeof ParquetWriter>[0]['schema'][number];

/** A value for each type, as the library wants it; every column may hold null. */
type ParquetValue = string | number | bigint | boolean | Date | Uint8Array | null;

const ELEMENTS: Readonly<Record<ParquetType, Omit<SchemaElement, 'name'>>> = {
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  number: { type: 'DOUBLE' },
  int: { type: 'INT64' },
  boolean: { type: 'BOOLEAN' },
  date: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  bytes: { type: 'BYTE_ARRAY' },
  json: { type: 'BYTE_ARRAY', converted_type: 'JSON' },
};

export const PARQUET_TYPES: ReadonlySet<string> = new Set(Object.keys(ELEMENTS));

export function schemaOf(columns: readonly ParquetColumn[]): SchemaElement[] {
  const leaves = columns.map(({ name, type }) => ({
    name,
    ...ELEMENTS[type],
    repetition_type: 'OPTIONAL' as const,
  }));
  return [{ name: 'root', num_children: columns.length }, ...leaves];
}

/** Columns in the order in which the rows name them first. A column of nulls alone is one of strings. */
export function columnsOf(rows: readonly Row[], label: string): ParquetColumn[] {
  const types = new Map<string, ParquetType | undefined>();
  for (const row of rows)
    for (const name of Object.keys(row)) {
      const before = types.get(name);
      const found = typeOf(row[name]);
      if (found === undefined || before === found) {
        if (!types.has(name)) types.set(name, found);
        continue;
      }
      types.set(name, before === undefined ? found : common(before, found, name, label));
    }
  return [...types].map(([name, type]) => ({ name, type: type ?? 'string' }));
}

/** Columns that were found out from other rows: a row may lack some, which are null then, but has no others. */
export function checkNames(row: Row, names: ReadonlySet<string>, label: string): void {
  for (const name in row) {
    if (names.has(name)) continue;
    throw new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `${label}: this row has a column ${name}; those before have ${[...names].join(', ')}`,
      {
        hint: "Name the columns and their types: { columns: { name: 'string', … } }",
        fields: { column: name },
      },
    );
  }
}

/** What the library gets for `value`. */
export function convert(value: unknown, column: ParquetColumn, label: string): ParquetValue {
  if (value === null || value === undefined) return null;
  switch (column.type) {
    case 'string':
      if (typeof value === 'string') return value;
      break;
    case 'number':
      if (typeof value === 'number') return value;
      if (typeof value === 'bigint') return Number(value);
      break;
    case 'int':
      if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value;
      if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value;
      break;
    case 'date':
      if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
      break;
    case 'bytes':
      if (value instanceof Uint8Array) return value;
      break;
    case 'json':
      return jsonOf(value, column, label);
  }
  throw invalid(value, column, label);
}

/** About what a row takes in memory, to bound a row group. */
export function roughBytes(row: Row): number {
  let bytes = 16;
  for (const name in row) {
    const value = row[name];
    if (typeof value === 'string') bytes += 16 + value.length;
    else if (value instanceof Uint8Array) bytes += 64 + value.length;
    else bytes += typeof value === 'object' && value !== null ? 128 : 8;
  }
  return bytes;
}

/** undefined: null, which every column may hold. */
function typeOf(value: unknown): ParquetType | undefined {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    case 'bigint':
      return 'int';
    case 'number':
      return 'number';
    case 'object':
      if (value === null) return undefined;
      if (value instanceof Date) return 'date';
      return value instanceof Uint8Array ? 'bytes' : 'json';
    case 'undefined':
    case 'function':
    case 'symbol':
      return undefined;
  }
}

function common(a: ParquetType, b: ParquetType, name: string, label: string): ParquetType {
  const isNumeric = (type: ParquetType): boolean => type === 'int' || type === 'number';
  if (isNumeric(a) && isNumeric(b)) return 'number';
  throw new MillraceError('ML_SINK_VALUE_INVALID', `${label}: column ${name} holds ${a} and ${b}`, {
    hint: `Map ${name} to one type, or name it: { columns: { ${name}: 'json' } }`,
    fields: { column: name },
  });
}

function jsonOf(value: unknown, column: ParquetColumn, label: string): string {
  // The library makes text of it: what it cannot do is found out here, where the column is known.
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return JSON.parse(text) as string;
  } catch {
    // Falls through: a cycle, or a bigint.
  }
  throw invalid(value, column, label);
}

function invalid(value: unknown, { name, type }: ParquetColumn, label: string): MillraceError {
  const shown = typeof value === 'number' || typeof value === 'bigint' ? ` (${value})` : '';
  return new MillraceError(
    'ML_SINK_VALUE_INVALID',
    `${label}: column ${name} is of type ${type}; this is ${typeName(value)}${shown}`,
    {
      hint: `Map ${name} to ${type}, or name its type: { columns: { ${name}: … } }`,
      fields: { column: name },
    },
  );
}
