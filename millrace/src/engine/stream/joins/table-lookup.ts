/** How joins ask a table. */
import { MillraceError } from '../../../core/errors.ts';
import type { ReadableTable, Receiver } from '../operators/operator.ts';

/** The table behind an input. */
export function tableOf(
  context: {
    readonly node: { readonly name: string };
    readonly tables: readonly (ReadableTable | undefined)[];
  },
  input: number,
): ReadableTable {
  const table = context.tables[input];
  if (table !== undefined) return table;
  throw new MillraceError(
    'ML_ASSERT',
    `input ${input} of the join "${context.node.name}" is no table`,
  );
}

/** What a record of that time finds: what was true then, where the table knows; else what is true now. */
export function valueAt(table: ReadableTable, key: unknown, time: number): unknown {
  const value = table.asOf === undefined ? table.get(key) : table.asOf(key, time);
  return value === null ? undefined : value;
}

/** What a row gives together with another one has the later of their times. */
export function laterTime(time: number, table: ReadableTable, key: unknown): number {
  const other = table.timeOf === undefined ? undefined : table.timeOf(key);
  return other !== undefined && other > time ? other : time;
}

/** An input whose records are seen elsewhere: a table that is asked, and does not push. */
export const UNHEARD: Receiver = { receive: () => undefined };
