/**
 * Filters the bytes of a source: chunks of rows in, row objects out, of those rows alone that pass. As `column-lane.ts`, but what is
 * behind it takes rows one by one, and may want a rest after any of them.
 *
 * ```
 * chunk → window → scan: rows and fields → where… → rows as objects
 * ```
 *
 * @hot
 */
import type { ByteChunk } from '../../../flow/source.ts';
import { compileRows, type LaneSegment, type LaneSteps, type RowProgram } from './compile-lane.ts';
import { LaneScan, type ScanEvents } from './lane-scan.ts';
import { VectorRows } from './vector-rows.ts';

/** Takes a row; false: no more of them now. */
export interface RowTarget {
  push(value: unknown, key: unknown): boolean;
}

/** A lane for files of this layout and header; undefined: their rows are to be decoded. */
export function openRowLane(steps: LaneSteps, events: ScanEvents): RowLane | undefined {
  const program = compileRows(steps);
  const segment = program?.segments[0];
  if (program === undefined || segment === undefined) return undefined;
  return new RowLane(program, segment, new LaneScan(program, steps.layout, events));
}

export class RowLane {
  /** Rows of the source in the batches that were scanned. */
  rows = 0;
  /** Where the row that was scanned last begins in the chunk. */
  lastStart = 0;
  private readonly program: RowProgram;
  private readonly segment: LaneSegment;
  private readonly scan: LaneScan;
  private readonly objects: VectorRows;
  /** The row of the batch that comes next. */
  private row = 0;

  constructor(program: RowProgram, segment: LaneSegment, scan: LaneScan) {
    this.program = program;
    this.segment = segment;
    this.scan = scan;
    this.objects = new VectorRows(program, segment.batch);
  }

  get heldBytes(): number {
    return this.program.memory.bytes;
  }

  /** Where the row that was pushed last begins in the chunk. */
  get rowStart(): number {
    return this.startOf(this.row - 1);
  }

  /** Takes whole rows. */
  begin(chunk: ByteChunk): void {
    const { scan, segment } = this;
    scan.begin(chunk);
    this.objects.begin(scan.at, scan.end);
    segment.batch.set(0);
    this.row = 0;
    this.lastStart = chunk.start;
  }

  /** Pushes the rows of the chunk that pass, from where it left off. False when the target wants a rest. */
  push(target: RowTarget): boolean {
    const { objects, segment } = this;
    const { batch } = segment;
    do {
      while (this.row < batch.rows) {
        const row = objects.make(this.row++);
        if (!target.push(row, undefined)) return false;
      }
    } while (this.nextBatch());
    return true;
  }

  private nextBatch(): boolean {
    const { scan, segment } = this;
    // Until it is known that all rows of the next batch are good there is none.
    segment.batch.set(0);
    this.row = 0;
    if (!scan.next()) return false;
    const { batch } = segment;
    this.rows += batch.rows;
    if (batch.rows > 0) this.lastStart = this.startOf(batch.rows - 1);
    scan.filter(segment);
    if (batch.rows > 0) this.objects.prepare();
    return true;
  }

  private startOf(row: number): number {
    const { memory, source } = this.program;
    return this.scan.placeOf(memory.i32[(source.rows >> 2) + row * 2] as number);
  }
}
