/** What TypeScript would refuse: programs run without a compiler that looks at their types. */
import { MillraceError } from '../../core/errors.ts';
import type { ColumnType } from '../../flow/columns.ts';

const SINK = ['layout', 'partBytes', 'compression'];
const LINES = ['lineBytesMax'];
const CSV = [...LINES, 'columns', 'header', 'separator', 'quote', 'multiline', ...SINK];

/** Options of each function of `files`. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  lines: [...LINES, ...SINK],
  ndjson: [...LINES, 'schema', ...SINK],
  csv: CSV,
  tsv: CSV,
  delimited: [...LINES, 'separator', 'repeatable', 'fields'],
  parquet: ['columns', ...SINK],
  documents: ['documentBytesMax'],
  table: ['partitions'],
};

const COLUMN_TYPES: ReadonlySet<unknown> = new Set(['string', 'number', 'boolean']);

/**
 * An option that is spelt wrongly would be left out without a word.
 * @throws {MillraceError} ML_FLOW_INVALID
 */
export function checkOptions(format: string, options: unknown): void {
  const known = KNOWN[format] ?? [];
  if (typeof options !== 'object' || options === null)
    throw new MillraceError(
      'ML_FLOW_INVALID',
      `files.${format}: its options are an object, not ${JSON.stringify(options)}`,
      { hint: `It takes ${known.join(', ')}` },
    );
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw new MillraceError('ML_FLOW_INVALID', `files.${format} has no option ${name}`, {
        hint: `It takes ${known.join(', ')}`,
      });
}

/** @throws {MillraceError} ML_FLOW_INVALID */
export function checkColumnType(column: string, type: unknown): asserts type is ColumnType {
  if (COLUMN_TYPES.has(type)) return;
  throw new MillraceError(
    'ML_FLOW_INVALID',
    `column ${column} has the type ${JSON.stringify(type)}, which there is not`,
    { hint: "The types are 'string', 'number' and 'boolean'; map the record for anything else" },
  );
}
