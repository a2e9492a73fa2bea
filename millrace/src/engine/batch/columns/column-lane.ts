/**
 * A column aggregation over the bytes of a source: chunks of rows in, partial accumulators out. Rows go through in batches; each step
 * works on the vectors of a batch.
 *
 * ```
 * chunk → window → scan: rows and fields → where… → (explode → where…) → groups of keys → accumulators
 * ```
 *
 * What it gives is what `flow/evaluate.ts` gives on rows. Where that cannot be had on bytes `openLane` gives undefined.
 *
 * @hot
 */
import { LANE_BYTES_MAX } from '../../../core/limits.ts';
import type { ByteChunk } from '../../../flow/source.ts';
import {
  compileLane,
  type LaneProgram,
  type LaneSegment,
  type LaneSource,
} from './compile-lane.ts';
import { QUOTED } from './scan-kernel.ts';
import type { GroupOutput } from './lane-groups.ts';
import { unquoteRow } from './quoted-row.ts';
import { BATCH_ROWS, NULL_BOOLEAN } from './vectors.ts';

export interface LaneEvents {
  /** Takes the groups when the table is full, and at the end. */
  readonly output: GroupOutput;
  /** The row at `at` in the chunk is longer than the limit: returns when it is to be left out. */
  tooLong(at: number): void;
  /** A row is malformed. */
  malformed(): never;
}

export interface LaneOptions extends LaneSource {
  /** What tables and buffers may hold. */
  readonly memoryBytes: number;
  readonly events: LaneEvents;
}

/** A lane for files of this layout and header; undefined: their rows are to be decoded. */
export function openLane(options: LaneOptions): ColumnLane | undefined {
  const program = compileLane(options);
  return program === undefined ? undefined : new ColumnLane(program, options);
}

export class ColumnLane {
  /** Rows of the source. */
  rows = 0;
  private readonly program: LaneProgram;
  private readonly options: LaneOptions;
  private readonly memoryBytes: number;
  private chunkStart = 0;
  private isLongPossible = false;
  private readonly keeps = new Uint8Array(BATCH_ROWS);
  private readonly selected = new Int32Array(BATCH_ROWS + 1);

  constructor(program: LaneProgram, options: LaneOptions) {
    this.program = program;
    this.options = options;
    // Addresses have 31 bits.
    this.memoryBytes = Math.min(options.memoryBytes, LANE_BYTES_MAX);
  }

  get heldBytes(): number {
    return this.program.memory.bytes + this.program.groups.heldBytes;
  }

  /** Takes whole rows. */
  scan({ buffer, start, end }: ByteChunk): void {
    const { memory, window, scratch } = this.program;
    const { layout } = this.options;
    const bytes = end - start;
    memory.resize(window, bytes + 1);
    buffer.copy(memory.buffer, window.start, start, end);
    let stop = window.start + bytes;
    // The last row of a file may lack its line end.
    if (buffer[end - 1] !== LF) memory.buffer[stop++] = LF;
    scratch.clear();
    this.chunkStart = start;
    this.isLongPossible = bytes > layout.lineBytesMax;
    if (this.program.isTextOnly && !this.isLongPossible) this.scanText(window.start, stop);
    else this.scanRows(window.start, stop);
  }

  /** Hands on all groups. */
  finish(): void {
    this.program.groups.flush(this.options.events.output);
  }

  private scanRows(from: number, end: number): void {
    const { kernels, memory, next, segments, scratch, source } = this.program;
    const [first] = segments;
    if (first === undefined) return;
    for (let at = from; at < end; ) {
      const rows = kernels.scan(at, end, BATCH_ROWS);
      at = memory.i32[next >> 2] as number;
      this.rows += rows;
      scratch.clear();
      const kept = this.checkRows(rows);
      first.batch.set(kept);
      if (source.strict.length > 0) this.checkTypes(kept);
      this.run(0);
      if (rows === BATCH_ROWS || at >= end) continue;
      // The quotes of the row at `at` are never closed.
      this.options.events.malformed();
    }
  }

  /** The words of a whole chunk: a line end is between words anyway. */
  private scanText(from: number, end: number): void {
    const { kernels, memory, next, scratch } = this.program;
    for (let at = from; at < end; at = memory.i32[next >> 2] as number)
      this.rows += kernels.scan(at, end, BATCH_ROWS);
    scratch.clear();
    this.runWords(1, this.explode(0, from, end, 0));
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
    const { events } = this.options;
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
    const { source, memory, window } = this.program;
    const { layout, events } = this.options;
    const at = source.rows >> 2;
    for (let row = 0; row < rows; row++) {
      const start = memory.i32[at + row * 2] as number;
      const end = memory.i32[at + row * 2 + 1] as number;
      const isLong = end - start > layout.lineBytesMax;
      this.keeps[row] = isLong ? 0 : 1;
      if (!isLong) continue;
      // Of CSV only the reader of rows knows which of several errors is the first.
      if (layout.kind === 'csv') events.malformed();
      events.tooLong(this.chunkStart + start - window.start);
    }
    return this.compact(this.program.segments[0], rows, this.keeps);
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
          this.options.events.malformed();
      }
    }
  }

  /** The rows of segment `index`, which are in its batch. */
  private run(index: number): void {
    const { segments, groups } = this.program;
    const segment = segments[index];
    if (segment === undefined) return;
    const { batch } = segment;
    for (const condition of segment.conditions) {
      if (batch.rows === 0) return;
      condition.prepare();
      batch.set(this.compact(segment, batch.rows, condition.values));
    }
    if (batch.rows === 0) return;
    if (segment.exploded === undefined) {
      groups.add(batch.rows, this.memoryBytes, this.options.events.output);
      return;
    }
    segment.exploded.prepare();
    const { memory } = this.program;
    const at = segment.exploded.ranges >> 2;
    let words = 0;
    for (let row = 0; row < batch.rows; row++) {
      const start = memory.i32[at + row * 2] as number;
      words = this.explode(index, start, memory.i32[at + row * 2 + 1] as number, words);
    }
    this.runWords(index + 1, words);
  }

  /** The words of the text [from, end) become rows of the next segment, behind `words` that are there. Returns how many are there. */
  private explode(index: number, from: number, end: number, words: number): number {
    const { kernels, memory, next } = this.program;
    let filled = words;
    for (let at = from; at < end; ) {
      filled = kernels.words(at, end, BATCH_ROWS, filled);
      at = memory.i32[next >> 2] as number;
      if (at === end) break;
      this.runWords(index + 1, filled);
      filled = 0;
    }
    return filled;
  }

  private runWords(index: number, words: number): void {
    const { scratch, segments } = this.program;
    const segment = segments[index];
    if (words === 0 || segment === undefined) return;
    const { end } = scratch;
    segment.batch.set(words);
    this.run(index);
    // What was made for these words is needed no more; the text itself may be there, too.
    scratch.end = end;
  }

  /** Takes the rows whose mark is not 1 out of a segment. Returns how many are left. */
  private compact(segment: LaneSegment | undefined, rows: number, keeps: Uint8Array): number {
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
