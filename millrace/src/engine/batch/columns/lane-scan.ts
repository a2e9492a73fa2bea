/**
 * The first part of every lane: finds the rows of chunks, batch by batch, and leaves out what is no row of the source. What is done with a
 * batch is up to who asks for it.
 *
 * @hot
 */
import type { ByteChunk } from '../../../flow/source.ts';
import type { LaneSegment, ScanProgram } from './compile-lane.ts';
import type { TextLayout } from './lane-columns.ts';
import { unquoteRow } from './quoted-row.ts';
import { QUOTED } from './scan-kernel.ts';
import { BATCH_ROWS, type BooleanVector, NULL_BOOLEAN } from './vectors.ts';

export interface ScanEvents {
  /** The row at `at` in the chunk is longer than the limit: returns when it is to be left out. */
  tooLong(at: number): void;
  /** A row is malformed. */
  malformed(): never;
}

export class LaneScan {
  /** Where the rest of the chunk is in the window. */
  at = 0;
  end = 0;
  /** Rows of the batch, with those that were left out. */
  rows = 0;
  isLongPossible = false;
  private readonly program: ScanProgram;
  private readonly layout: TextLayout;
  private readonly events: ScanEvents;
  private chunkStart = 0;
  /** The quotes of the row at `at` are never closed. */
  private isOpen = false;
  private readonly keeps = new Uint8Array(BATCH_ROWS);
  private readonly selected = new Int32Array(BATCH_ROWS + 1);

  constructor(program: ScanProgram, layout: TextLayout, events: ScanEvents) {
    this.program = program;
    this.layout = layout;
    this.events = events;
  }

  /** Takes whole rows. */
  begin({ buffer, start, end }: ByteChunk): void {
    const { memory, window, scratch } = this.program;
    const bytes = end - start;
    memory.resize(window, bytes + 1);
    buffer.copy(memory.buffer, window.start, start, end);
    let stop = window.start + bytes;
    // The last row of a file may lack its line end.
    if (buffer[end - 1] !== LF) memory.buffer[stop++] = LF;
    scratch.clear();
    this.at = window.start;
    this.end = stop;
    this.isOpen = false;
    this.chunkStart = start;
    this.isLongPossible = bytes > this.layout.lineBytesMax;
  }

  /** Where the byte at an address of the window is in the chunk. */
  placeOf(address: number): number {
    return this.chunkStart + address - this.program.window.start;
  }

  /** The next rows are in the batch of the first segment. False at the end of the chunk. */
  next(): boolean {
    const { kernels, memory, next, segments, scratch, source } = this.program;
    const [first] = segments;
    if (this.isOpen) this.events.malformed();
    if (this.at >= this.end || first === undefined) return false;
    this.rows = kernels.scan(this.at, this.end, BATCH_ROWS);
    this.at = memory.i32[next >> 2] as number;
    this.isOpen = this.rows < BATCH_ROWS && this.at < this.end;
    scratch.clear();
    const kept = this.checkRows(this.rows);
    first.batch.set(kept);
    if (source.strict.length > 0) this.checkTypes(kept);
    return true;
  }

  /** Takes the rows that the conditions of a segment do not hold for out of its batch. */
  filter(segment: LaneSegment): void {
    const { batch, conditions } = segment;
    for (const condition of conditions) {
      if (batch.rows === 0) return;
      condition.prepare();
      batch.set(this.compact(segment, batch.rows, condition));
    }
  }

  /** Rows that are too long, or malformed. Returns how many are left. */
  private checkRows(rows: number): number {
    const { source, memory } = this.program;
    const kept = this.isLongPossible ? this.dropLong(rows) : rows;
    if (source.flags === 0) return kept;
    const { i32 } = memory;
    const at = source.flags >> 2;
    const separators = source.columnCount - 1;
    for (let row = 0; row < rows; row++) {
      const flags = i32[at + row] as number;
      if (flags !== separators) this.checkQuoted(row, flags);
    }
    return kept;
  }

  private checkQuoted(row: number, flags: number): void {
    const { memory, scratch, source } = this.program;
    const { events } = this;
    const at = (source.rows >> 2) + row * 2;
    const start = memory.i32[at] as number;
    const end = memory.i32[at + 1] as number;
    const isWhole =
      (flags & ~QUOTED) === source.columnCount - 1 &&
      (source.isMultiline || !hasLineEnd(memory.buffer, start, end));
    const place = { row, start, end };
    if (!isWhole || !unquoteRow(memory, scratch, source.quoting, place, source.fields))
      events.malformed();
  }

  private dropLong(rows: number): number {
    const { source, memory, segments } = this.program;
    const { layout, events } = this;
    const at = source.rows >> 2;
    for (let row = 0; row < rows; row++) {
      const start = memory.i32[at + row * 2] as number;
      const end = memory.i32[at + row * 2 + 1] as number;
      const isLong = end - start > layout.lineBytesMax;
      this.keeps[row] = isLong ? 0 : 1;
      if (!isLong) continue;
      // Of CSV only the reader of rows knows which of several errors is the first.
      if (layout.kind === 'csv') events.malformed();
      events.tooLong(this.placeOf(start));
    }
    return this.compact(segments[0], rows, { values: this.keeps });
  }

  /** A text that is not of its column's type, and not empty. */
  private checkTypes(rows: number): void {
    const { source, memory } = this.program;
    for (const { vector, text } of source.strict) {
      vector.prepare();
      const { i32 } = memory;
      const at = text.ranges >> 2;
      for (let row = 0; row < rows; row++) {
        const value = vector.values[row] as number;
        const isNull = vector.kind === 'number' ? value !== value : value === NULL_BOOLEAN;
        if (isNull && (i32[at + row * 2] as number) < (i32[at + row * 2 + 1] as number))
          this.events.malformed();
      }
    }
  }

  /** Takes the rows whose mark is not 1 out of a segment. Returns how many are left. */
  private compact(
    segment: LaneSegment | undefined,
    rows: number,
    { values: keeps }: Pick<BooleanVector, 'values'>,
  ): number {
    let kept = 0;
    const { selected } = this;
    for (let row = 0; row < rows; row++) {
      selected[kept] = row;
      if (keeps[row] === 1) kept++;
    }
    if (kept === rows || segment === undefined) return rows;
    const { i32 } = this.program.memory;
    for (const ranges of segment.ranges) {
      const at = ranges >> 2;
      for (let row = 0; row < kept; row++) {
        const from = at + (selected[row] as number) * 2;
        i32[at + row * 2] = i32[from] as number;
        i32[at + row * 2 + 1] = i32[from + 1] as number;
      }
    }
    return kept;
  }
}

const LF = 0x0a;

function hasLineEnd(buffer: Buffer, start: number, end: number): boolean {
  const at = buffer.indexOf(LF, start);
  return at >= 0 && at < end;
}
