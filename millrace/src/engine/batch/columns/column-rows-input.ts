/**
 * The input of a task whose stage begins with conditions on the columns of a text source: it filters the bytes of its splits, and pushes the
 * rows that pass into the operator behind the conditions. Splits that cannot be filtered on bytes are read as rows, which go through
 * all operators.
 *
 * When a row is found to be malformed, or too long, the rest of its split is read as rows too: the reader of rows knows what to say, and when.
 * The records that it gives again are left out.
 */
import { assert } from '../../../core/errors.ts';
import type { Plan } from '../../../flow/plan.ts';
import type {
  ByteChunk,
  ChunkReader,
  ReadContext,
  Split,
  SplitReader,
} from '../../../flow/source.ts';
import type { TaskInput } from '../inputs/task-input.ts';
import type { Mark } from '../operators/failures.ts';
import type { Emit } from '../record-input.ts';
import type { Stage } from '../stage.ts';
import { findRowLane, type RowLanePlan } from './find-lane.ts';
import type { ScanEvents } from './lane-scan.ts';
import { openRowLane, type RowLane, type RowTarget } from './row-lane.ts';

export interface ColumnRowsOptions {
  readonly splits: readonly Split[];
  readonly context: ReadContext;
  /** What is behind a step of the stage. */
  readonly behind: (step: number) => RowTarget;
}

/** undefined: the stage does not begin on bytes. */
export function openColumnRows(
  plan: Plan,
  stage: Stage,
  options: ColumnRowsOptions,
): ColumnRowsInput | undefined {
  const lanePlan = findRowLane(plan, stage);
  if (lanePlan === undefined) return undefined;
  const input = new ColumnRowsInput(options, lanePlan);
  const { layout } = lanePlan;
  // Without headers all files are alike: splits need not be opened to see that there is no lane for them.
  const isKnown = layout.kind !== 'csv' || !layout.hasHeader;
  return isKnown && !input.prepareLane(undefined) ? undefined : input;
}

/** A row is malformed or too long: the reader of rows will say how. */
class LaneFault extends Error {}

const EVENTS: ScanEvents = {
  tooLong: () => {
    throw new LaneFault();
  },
  malformed: () => {
    throw new LaneFault();
  },
};

export class ColumnRowsInput implements TaskInput {
  /** What is behind wants a rest, or the split is at its end: its reader knows the places of records that wait. */
  needsDrain = false;
  private readonly options: ColumnRowsOptions;
  private readonly lanePlan: RowLanePlan;
  private index = 0;
  private bytesBefore = 0;
  /** Of the split, before it was read again. */
  private bytesSeen = 0;
  private chunks: ChunkReader | undefined;
  private rows: SplitReader | undefined;
  private lane: RowLane | undefined;
  private target: RowTarget | undefined;
  /** Names that the lane was made for, as one text. */
  private laneHeader = '';
  private state: 'between' | 'in-chunk' | 'faulty' | 'ended' = 'between';
  /** Where the row is that was read last, while none is worked on. */
  private lastMark: Mark = '';
  private recordsBefore = 0;
  /** Of the split: records that its lane has read, and what its reader has said was malformed. */
  private taken = 0;
  private refused = 0;
  /** Records that its reader of rows gives again. */
  private again = 0;

  constructor(options: ColumnRowsOptions, lanePlan: RowLanePlan) {
    this.options = options;
    this.lanePlan = lanePlan;
  }

  get records(): number {
    return this.recordsBefore + this.taken;
  }

  get bytes(): number {
    const reader = this.chunks ?? this.rows;
    return this.bytesBefore + Math.max(this.bytesSeen, reader?.consumedBytes ?? 0);
  }

  /** Bytes held in memory now. */
  get heldBytes(): number {
    return this.lane?.heldBytes ?? 0;
  }

  read(emit: Emit): boolean | Promise<boolean> {
    if (this.state === 'in-chunk') return this.pushRows();
    this.needsDrain = false;
    if (this.state === 'ended') {
      const closed = this.endReader();
      if (closed instanceof Promise) return closed.then(() => false);
    }
    if (this.state === 'faulty') return this.goOnWithRows();
    if (this.rows !== undefined) return this.readRows(this.rows, emit);
    this.chunks ??= this.openChunks();
    if (this.chunks === undefined) return true;
    const chunk = this.chunks.next();
    return chunk instanceof Promise ? chunk.then((some) => this.take(some)) : this.take(chunk);
  }

  position(): string {
    return this.locate(this.mark());
  }

  mark(): Mark {
    const { chunks, lane, rows, state } = this;
    if (rows !== undefined) return rows.mark();
    if (state !== 'in-chunk' || chunks === undefined || lane === undefined) return this.lastMark;
    return chunks.mark(lane.rowStart);
  }

  locate(mark: Mark): string {
    if (typeof mark !== 'number') return mark;
    return this.rows?.locate(mark) ?? this.chunks?.locateMark(mark) ?? '';
  }

  close(): void | Promise<void> {
    return this.closeReader();
  }

  /**
   * Makes a lane for the files with this header, of as many steps as there can be, with one condition at least. False when there
   * is none.
   */
  prepareLane(header: readonly string[] | undefined): boolean {
    const key = JSON.stringify(header ?? null);
    if (key === this.laneHeader) return this.lane !== undefined;
    this.laneHeader = key;
    this.lane = undefined;
    const { layout, steps } = this.lanePlan;
    for (let count = steps.length; count > 0; count--) {
      const nodes = steps.slice(0, count).map(({ node }) => node);
      const last = steps[count - 1];
      if (last === undefined || !nodes.some(({ kind }) => kind === 'where')) return false;
      this.lane = openRowLane({ layout, header, steps: nodes }, EVENTS);
      if (this.lane === undefined) continue;
      this.target = this.options.behind(last.index);
      return true;
    }
    return false;
  }

  private openChunks(): ChunkReader | undefined {
    const { splits, context } = this.options;
    const split = splits[this.index];
    if (split === undefined) return undefined;
    this.lastMark = '';
    const chunks = this.lanePlan.source.openBytes?.(split, {
      ...context,
      malformed: (error, raw) => {
        this.refused++;
        context.malformed(error, raw);
      },
    });
    this.lastMark = chunks?.mark(0) ?? '';
    return chunks;
  }

  private take(chunk: ByteChunk | undefined): boolean | Promise<boolean> {
    if (chunk === undefined) return this.endSplit();
    if (!this.prepareLane(this.chunks?.header)) return this.goOnWithRows();
    this.lane?.begin(chunk);
    this.state = 'in-chunk';
    return this.pushRows();
  }

  /** Of the chunk, as far as they are wanted. Never the end of all. */
  private pushRows(): boolean {
    const { lane, target, chunks } = this;
    assert(lane !== undefined && target !== undefined, 'the chunk has a lane');
    const before = lane.rows;
    try {
      this.needsDrain = !lane.push(target);
      if (!this.needsDrain) {
        this.state = 'between';
        this.lastMark = chunks?.mark(lane.lastStart) ?? '';
      }
    } catch (error) {
      if (!(error instanceof LaneFault)) throw error;
      this.state = 'faulty';
      this.needsDrain = false;
    }
    this.taken += lane.rows - before;
    return false;
  }

  /** Reads the split as rows, from behind those that were taken. Its marks are those of the chunks: records may wait. */
  private goOnWithRows(): boolean | Promise<boolean> {
    this.bytesSeen = this.chunks?.consumedBytes ?? 0;
    this.again = this.taken;
    this.state = 'between';
    const closed = this.closeReader();
    this.rows = this.openRows();
    return closed instanceof Promise ? closed.then(() => false) : false;
  }

  private openRows(): SplitReader {
    const { splits, context } = this.options;
    const split = splits[this.index];
    assert(split !== undefined, 'the split is there');
    let known = this.refused;
    return this.lanePlan.source.open(split, {
      ...context,
      malformed: (error, raw) => {
        if (known > 0) known--;
        else context.malformed(error, raw);
      },
    });
  }

  private readRows(rows: SplitReader, emit: Emit): boolean | Promise<boolean> {
    const isDone = rows.read((value, key) => {
      if (this.again > 0) {
        this.again--;
        return true;
      }
      this.recordsBefore++;
      return emit(value, key);
    });
    if (isDone instanceof Promise) return isDone.then((isDone) => isDone && this.endSplit());
    return isDone && this.endSplit();
  }

  /** The reader is kept until the next call: it knows the places of records that wait. */
  private endSplit(): boolean {
    this.state = 'ended';
    this.needsDrain = true;
    return false;
  }

  private endReader(): void | Promise<void> {
    this.bytesBefore = this.bytes;
    this.recordsBefore += this.taken;
    this.bytesSeen = this.taken = this.refused = this.again = 0;
    this.state = 'between';
    this.index++;
    return this.closeReader();
  }

  private closeReader(): void | Promise<void> {
    const reader = this.chunks ?? this.rows;
    this.chunks = undefined;
    this.rows = undefined;
    return reader?.close();
  }
}
