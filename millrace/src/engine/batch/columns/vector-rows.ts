/**
 * Row objects from the vectors of a batch. A function is generated for each set of columns, so that all rows have one hidden class.
 *
 * Text: a native call for each field would cost more than all else, and a substring keeps its parent alive. So rows that are neighbours, or
 * nearly, are made into one string of LINE_BLOCK_BYTES at most, as the readers of rows do, and one that stands alone into its own; fields are
 * cut from it.
 *
 * @hot
 */
import { isAscii } from 'node:buffer';
import { LINE_BLOCK_BYTES } from '../../../core/limits.ts';
import { decodeText } from '../../../core/text-escape.ts';
import type { ColumnValue } from '../../../flow/columns.ts';
import type { RowColumn, RowProgram } from './compile-lane.ts';
import { type LaneMemory, NULL_END } from './lane-memory.ts';
import { type Batch, NULL_BOOLEAN } from './vectors.ts';

export type ColumnRow = Readonly<Record<string, ColumnValue>>;

type CutText = (start: number, end: number) => string | null;
type MakeRow = (i32: Int32Array, row: number) => ColumnRow;

/** Rows with so many columns are still made by one expression: V8 would not optimise much larger functions. */
const EXPRESSION_COLUMNS_MAX = 500;

export class VectorRows {
  private readonly memory: LaneMemory;
  private readonly batch: Batch;
  private readonly columns: readonly RowColumn[];
  /** Of the ranges of rows, in numbers of 32 bits. */
  private readonly rowsAt: number;
  private readonly hasText: boolean;
  private readonly makeRow: MakeRow;
  /** What [textStart, textEnd) is as a string; nothing is in there, where fields are to be decoded one by one. */
  private text = '';
  private textStart = 0;
  private textEnd = NOWHERE;
  /** Not every byte is a unit of the string: `units` says which one it is. */
  private hasUnits = false;
  private readonly units = new Uint16Array(UNITS_BYTES_MAX + 1);
  /** Where the rows end that were looked at for that. */
  private seenEnd = 0;
  private isAsciiChunk = false;

  constructor({ memory, columns, source }: RowProgram, batch: Batch) {
    this.memory = memory;
    this.batch = batch;
    this.columns = columns;
    this.rowsAt = source.rows >> 2;
    this.hasText = columns.some(({ vector }) => vector.kind === 'text');
    this.makeRow = rowMaker(columns, (start, end) => {
      if (start < this.textStart || end > this.textEnd)
        return end === NULL_END ? null : decodeText(this.memory.buffer, start, end);
      const from = start - this.textStart;
      const to = end - this.textStart;
      if (!this.hasUnits) return this.text.substring(from, to);
      return this.text.substring(this.units[from] as number, this.units[to]);
    });
  }

  /** A new chunk is at [start, end) of the memory. */
  begin(start: number, end: number): void {
    this.isAsciiChunk = isAscii(this.memory.buffer.subarray(start, end));
    this.hasUnits = false;
  }

  /** The batch has changed. */
  prepare(): void {
    for (const { vector } of this.columns) vector.prepare();
    this.textEnd = NOWHERE;
    this.seenEnd = 0;
  }

  /** One of the rows of the batch, which are made in their order. */
  make(row: number): ColumnRow {
    const { i32 } = this.memory;
    if (this.hasText && (i32[this.rowsAt + row * 2 + 1] as number) > this.seenEnd)
      this.decodeFrom(row);
    return this.makeRow(i32, row);
  }

  /** Makes the text of the row, and of those behind it as far as there is hardly anything between them. */
  private decodeFrom(row: number): void {
    const { rowsAt, batch, memory } = this;
    const { i32, buffer } = memory;
    const from = i32[rowsAt + row * 2] as number;
    let to = i32[rowsAt + row * 2 + 1] as number;
    let wanted = to - from;
    for (let next = row + 1; next < batch.rows; next++) {
      const start = i32[rowsAt + next * 2] as number;
      const end = i32[rowsAt + next * 2 + 1] as number;
      wanted += end - start;
      if (end - from > LINE_BLOCK_BYTES || end - from > wanted * SPREAD_MAX) break;
      to = end;
    }
    this.seenEnd = to;
    this.textStart = from;
    this.textEnd = to;
    this.text = this.isAsciiChunk ? buffer.latin1Slice(from, to) : this.decodeOthers(from, to);
  }

  /** The text of bytes that may be no ASCII, or no text at all. */
  private decodeOthers(from: number, to: number): string {
    const text = decodeText(this.memory.buffer, from, to);
    // No character has more units than bytes.
    this.hasUnits = text.length < to - from;
    if (!this.hasUnits) return text;
    if (to - from > UNITS_BYTES_MAX) this.textEnd = NOWHERE;
    else countUnits(text, this.units);
    return text;
  }
}

/** For each byte that begins a character, and for the end: how many units of the text come before. */
function countUnits(text: string, units: Uint16Array): void {
  const { length } = text;
  let at = 0;
  for (let unit = 0; unit < length; unit++) {
    units[at] = unit;
    const code = text.charCodeAt(unit);
    if (code < 0x80) at++;
    else if (code < 0x800) at += 2;
    else if (code < 0xd800 || code > 0xdfff) at += 3;
    else if (code < 0xdc00) {
      at += 4;
      unit++;
    } else at++; // A byte that is no text: see `decodeText`.
  }
  units[at] = length;
}

/** No range ends here or before, not even that of null. */
const NOWHERE = -1;
/** Longer texts are decoded field by field, when bytes are not units. */
const UNITS_BYTES_MAX = 4_096;
/** A text may be so many times as long as the rows in it that are wanted. */
const SPREAD_MAX = 2;

function rowMaker(columns: readonly RowColumn[], text: CutText): MakeRow {
  if (columns.length > EXPRESSION_COLUMNS_MAX) return loopMaker(columns, text);
  const parameters: string[] = [];
  const values: unknown[] = [];
  const members = columns.map(({ name, vector, isGiven }, index) => {
    // In brackets: `__proto__` is a name like any other there.
    const key = `[${JSON.stringify(name)}]`;
    if (vector.kind === 'text') {
      const at = vector.ranges >> 2;
      return `${key}: text(i32[${at} + row * 2], i32[${at + 1} + row * 2])`;
    }
    parameters.push(`v${index}`);
    values.push(vector.values);
    const value = `v${index}[row]`;
    if (vector.kind === 'boolean')
      return `${key}: ${value} === ${NULL_BOOLEAN} ? null : ${value} === 1`;
    return `${key}: ${value} !== ${value} ? null : ${value}${isGiven ? '' : ' + 0'}`;
  });
  const source = `return (i32, row) => ({ ${members.join(', ')} });`;
  // eslint-disable-next-line typescript/no-implied-eval -- names are quoted, all else is ours
  const make = new Function('text', ...parameters, source) as (
    text: CutText,
    ...values: readonly unknown[]
  ) => MakeRow;
  return make(text, ...values);
}

function loopMaker(columns: readonly RowColumn[], text: CutText): MakeRow {
  const valueOf = ({ vector, isGiven }: RowColumn, i32: Int32Array, row: number): ColumnValue => {
    if (vector.kind === 'text') {
      const at = (vector.ranges >> 2) + row * 2;
      return text(i32[at] as number, i32[at + 1] as number);
    }
    const value = vector.values[row] as number;
    if (vector.kind === 'boolean') return value === NULL_BOOLEAN ? null : value === 1;
    return value !== value ? null : isGiven ? value : value + 0;
  };
  return (i32, row) =>
    Object.fromEntries(columns.map((column) => [column.name, valueOf(column, i32, row)]));
}
