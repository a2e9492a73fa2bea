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
import { compileLane, type LaneProgram, type LaneSource } from './compile-lane.ts';
import type { GroupOutput } from './lane-groups.ts';
import { LaneScan, type ScanEvents } from './lane-scan.ts';
import { BATCH_ROWS } from './vectors.ts';

export interface LaneEvents extends ScanEvents {
  /** Takes the groups when the table is full, and at the end. */
  readonly output: GroupOutput;
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
  private readonly scanned: LaneScan;
  private readonly memoryBytes: number;

  constructor(program: LaneProgram, options: LaneOptions) {
    this.program = program;
    this.options = options;
    this.scanned = new LaneScan(program, options.layout, options.events);
    // Addresses have 31 bits.
    this.memoryBytes = Math.min(options.memoryBytes, LANE_BYTES_MAX);
  }

  get heldBytes(): number {
    return this.program.memory.bytes + this.program.groups.heldBytes;
  }

  /** Takes whole rows. */
  scan(chunk: ByteChunk): void {
    const { scanned } = this;
    scanned.begin(chunk);
    if (this.program.isTextOnly && !scanned.isLongPossible) this.scanText(scanned.at, scanned.end);
    else
      while (scanned.next()) {
        this.rows += scanned.rows;
        this.run(0);
      }
  }

  /** Hands on all groups. */
  finish(): void {
    this.program.groups.flush(this.options.events.output);
  }

  /** The words of a whole chunk: a line end is between words anyway. */
  private scanText(from: number, end: number): void {
    const { kernels, memory, next, scratch } = this.program;
    for (let at = from; at < end; at = memory.i32[next >> 2] as number)
      this.rows += kernels.scan(at, end, BATCH_ROWS);
    scratch.clear();
    this.runWords(1, this.explode(0, from, end, 0));
  }

  /** The rows of segment `index`, which are in its batch. */
  private run(index: number): void {
    const { segments, groups } = this.program;
    const segment = segments[index];
    if (segment === undefined) return;
    const { batch } = segment;
    this.scanned.filter(segment);
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
}
