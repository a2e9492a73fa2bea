/** Runs column aggregations on bytes and on rows, and gives both results in a form that can be compared. */
import { decodeKey, encodeKey } from '../../src/core/key-codec.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { decodeValue } from '../../src/core/value-codec.ts';
import { ColumnInput } from '../../src/engine/batch/columns/column-input.ts';
import type { LaneStep, TextLayout } from '../../src/engine/batch/columns/lane-columns.ts';
import type { ExchangeWriter } from '../../src/engine/batch/exchange.ts';
import {
  explodeColumn,
  rowAggregation,
  selectColumns,
  whereCondition,
} from '../../src/engine/batch/operators/row-functions.ts';
import type { ColumnAggregates, Expression } from '../../src/flow/columns.ts';
import { rowOfLine } from '../../src/flow/functions.ts';
import type { ColumnAggregateNode, Plan } from '../../src/flow/plan.ts';
import type { Source } from '../../src/flow/source.ts';
import { planContext, readContext, type ReadOptions, readValues } from '../files/read-harness.ts';

export interface Query {
  readonly steps: readonly LaneStep[];
  readonly aggregate: ColumnAggregateNode;
}

export const where = (condition: Expression): LaneStep => ({
  kind: 'where',
  id: 0,
  name: 'where',
  inputs: [],
  condition,
});
export const select = (columns: Readonly<Record<string, Expression>>): LaneStep => ({
  kind: 'select',
  id: 0,
  name: 'select',
  inputs: [],
  columns,
});
export const explode = (column: string, expression: Expression): LaneStep => ({
  kind: 'explode',
  id: 0,
  name: 'explode',
  inputs: [],
  column,
  expression,
});
export const aggregate = (
  by: readonly string[],
  aggregates: ColumnAggregates,
): ColumnAggregateNode => ({
  kind: 'columnAggregate',
  id: 0,
  name: 'agg',
  inputs: [],
  by,
  aggregates,
});

export interface RunOptions extends ReadOptions {
  readonly memoryBytes?: number;
  /** Gets the rows that were not computed on bytes; otherwise they are an error. */
  readonly rows?: unknown[];
}

export interface LaneResult {
  /** By encoded key, in their order. */
  readonly rows: readonly unknown[];
  readonly records: number;
  readonly bytes: number;
  /** Records that went into the exchange. */
  readonly written: number;
}

/** What the bytes of a source give. */
export async function runOnBytes(
  source: Source,
  query: Query,
  options: RunOptions,
): Promise<LaneResult> {
  const groups = new Map<string, unknown>();
  const { init, merge, finish } = rowAggregation(query.aggregate);
  let written = 0;
  const writer = {
    append(
      _partition: number,
      key: Buffer,
      keyStart: number,
      keyEnd: number,
      value: Buffer,
      valueStart: number,
      valueEnd: number,
    ) {
      written++;
      const name = key.toString('hex', keyStart, keyEnd);
      const state = decodeValue(value, valueStart, valueEnd);
      groups.set(name, merge(groups.get(name) ?? init(), state));
    },
  } as unknown as ExchangeWriter;
  const { splits } = await source.plan(planContext(options));
  const input = new ColumnInput(
    {
      plan: { onError: { kind: 'fail' } } as unknown as Plan,
      stage: undefined as never,
      splits,
      context: readContext(options),
      writer,
      partitions: 3,
      memoryBytes: options.memoryBytes ?? 1 << 26,
    },
    { source, layout: source.columns as TextLayout, ...query },
  );
  const emit = (row: unknown): boolean => {
    if (options.rows === undefined) throw new Error('this does not run on bytes');
    options.rows.push(row);
    return true;
  };
  try {
    while (!(await input.read(emit)));
    const rows = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      rows: rows.map(([key, state]) => finish(state, keyOf(query, Buffer.from(key, 'hex')))),
      records: input.records,
      bytes: input.bytes,
      written,
    };
  } finally {
    await input.close();
  }
}

function keyOf({ aggregate: { by } }: Query, bytes: Buffer): unknown {
  return by.length === 0 ? [] : decodeKey(bytes, 0, bytes.length);
}

/** What the definition gives on the rows of a source. */
export async function runOnRows(
  source: Source,
  query: Query,
  options: RunOptions,
): Promise<readonly unknown[]> {
  let rows = await readValues(source, options);
  if (source.columns?.kind === 'line') rows = rows.map(rowOfLine);
  for (const step of query.steps) {
    if (step.kind === 'where') rows = rows.filter((row) => whereCondition(step)(row, undefined));
    if (step.kind === 'select') rows = rows.map((row) => selectColumns(step)(row, undefined));
    if (step.kind === 'explode')
      rows = rows.flatMap((row) => explodeColumn(step)(row, undefined) as unknown[]);
  }
  const { key, init, add, finish } = rowAggregation(query.aggregate);
  const groups = new Map<string, unknown>();
  for (const row of rows) {
    const name = encodedHex(key(row));
    groups.set(name, add(groups.get(name) ?? init(), row));
  }
  // Keys go through their encoding, which knows no -0.
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, state]) => finish(state, keyOf(query, Buffer.from(name, 'hex'))));
}

function encodedHex(key: unknown): string {
  const writer = new ByteWriter();
  encodeKey(key, writer);
  return writer.buffer.toString('hex', 0, writer.length);
}
