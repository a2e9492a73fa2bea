/**
 * The input of a task whose stage aggregates columns of a text source: it computes on the bytes of its splits and writes the groups into
 * the exchange itself. Splits that cannot be computed on bytes are read as rows, which go the way of all records; both write the same
 * accumulators for the same keys.
 */
import { assert, MillraceError } from '../../../core/errors.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import type { Plan } from '../../../flow/plan.ts';
import type {
  ByteChunk,
  ChunkReader,
  ReadContext,
  Split,
  SplitReader,
} from '../../../flow/source.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { TaskInput } from '../inputs/task-input.ts';
import type { Mark } from '../operators/failures.ts';
import type { Emit } from '../record-input.ts';
import type { Stage } from '../stage.ts';
import { type ColumnLane, type LaneEvents, openLane } from './column-lane.ts';
import { findLane, type LanePlan } from './find-lane.ts';
import { longLine } from './long-line.ts';

export interface ColumnInputOptions {
  readonly plan: Plan;
  readonly stage: Stage;
  readonly splits: readonly Split[];
  readonly context: ReadContext;
  /** Of the exchange that the stage ends in. Its owner finishes it, when `read` has returned true. */
  readonly writer: ExchangeWriter;
  readonly partitions: number;
  /** What the lane may hold besides the writer's buffer. */
  readonly memoryBytes: number;
}

/** undefined: the stage does not run on bytes. */
export function openColumnInput(options: ColumnInputOptions): ColumnInput | undefined {
  const lanePlan = findLane(options.plan, options.stage);
  return lanePlan === undefined ? undefined : new ColumnInput(options, lanePlan);
}

/** A row is malformed: the reader of rows will say how. */
class LaneFault extends Error {}

export class ColumnInput implements TaskInput {
  /** As in SplitInput, where rows are read. */
  needsDrain = false;
  private readonly options: ColumnInputOptions;
  private readonly lanePlan: LanePlan;
  private readonly events: LaneEvents;
  private index = 0;
  private bytesBefore = 0;
  private chunks: ChunkReader | undefined;
  private chunk: ByteChunk | undefined;
  private rows: SplitReader | undefined;
  private lane: ColumnLane | undefined;
  /** Names that the lane was made for, as one text. */
  private laneHeader = '';
  /** Of lanes that are no more, and rows that went to `emit`. */
  private recordsBefore = 0;

  constructor(options: ColumnInputOptions, lanePlan: LanePlan) {
    const { writer, partitions } = options;
    this.options = options;
    this.lanePlan = lanePlan;
    this.events = {
      output: (key, keyStart, keyEnd, value, valueStart, valueEnd) => {
        const partition = partitionOfKey(key, keyStart, keyEnd, partitions);
        writer.append(partition, key, keyStart, keyEnd, value, valueStart, valueEnd);
      },
      tooLong: (at) => {
        this.tooLong(at);
      },
      malformed: () => {
        throw new LaneFault();
      },
    };
  }

  get records(): number {
    return this.recordsBefore + (this.lane?.rows ?? 0);
  }

  get bytes(): number {
    return this.bytesBefore + ((this.chunks ?? this.rows)?.consumedBytes ?? 0);
  }

  /** Bytes held in memory now, besides the writer's. */
  get heldBytes(): number {
    return this.lane?.heldBytes ?? 0;
  }

  read(emit: Emit): boolean | Promise<boolean> {
    if (this.needsDrain) {
      this.needsDrain = false;
      const closed = this.endReader();
      if (closed instanceof Promise) return closed.then(() => false);
    }
    if (this.rows !== undefined) return this.readRows(this.rows, emit);
    this.chunks ??= this.openChunks();
    if (this.chunks === undefined) {
      this.dropLane();
      return true;
    }
    const chunk = this.chunks.next();
    return chunk instanceof Promise ? chunk.then((some) => this.take(some)) : this.take(chunk);
  }

  position(): string {
    return this.rows?.position() ?? this.locateStart();
  }

  mark(): Mark {
    return this.rows?.mark() ?? this.locateStart();
  }

  locate(mark: Mark): string {
    return typeof mark === 'number' ? (this.rows?.locate(mark) ?? '') : mark;
  }

  close(): void | Promise<void> {
    return this.closeReader();
  }

  private openChunks(): ChunkReader | undefined {
    const { splits, context } = this.options;
    const split = splits[this.index];
    return split && this.lanePlan.source.openBytes?.(split, context);
  }

  /** Never the end of all: that is when there is no split any more. */
  private take(chunk: ByteChunk | undefined): boolean | Promise<boolean> {
    const { chunks } = this;
    if (chunk === undefined) return this.endSplit();
    this.chunk = chunk;
    if (!this.prepareLane(chunks?.header)) return this.goOnWithRows();
    try {
      this.lane?.scan(chunk);
    } catch (error) {
      if (error instanceof LaneFault) return this.explainFault();
      throw error;
    }
    return false;
  }

  /** A lane for the files with this header; false when there can be none. */
  private prepareLane(header: readonly string[] | undefined): boolean {
    const key = JSON.stringify(header ?? null);
    if (key === this.laneHeader) return this.lane !== undefined;
    this.dropLane();
    this.laneHeader = key;
    const { layout, steps, aggregate } = this.lanePlan;
    const { memoryBytes } = this.options;
    this.lane = openLane({ layout, header, steps, aggregate, memoryBytes, events: this.events });
    return this.lane !== undefined;
  }

  /** Its groups go out. */
  private dropLane(): void {
    this.lane?.finish();
    this.recordsBefore += this.lane?.rows ?? 0;
    this.lane = undefined;
    this.laneHeader = '';
  }

  /** Nothing of the split was taken yet: a split has one header. */
  private goOnWithRows(): boolean | Promise<boolean> {
    const closed = this.closeReader();
    this.rows = this.openRows();
    return closed instanceof Promise ? closed.then(() => false) : false;
  }

  private openRows(): SplitReader {
    const { splits, context } = this.options;
    const split = splits[this.index];
    assert(split !== undefined, 'the split is there');
    return this.lanePlan.source.open(split, context);
  }

  private readRows(rows: SplitReader, emit: Emit): boolean | Promise<boolean> {
    const isDone = rows.read((value, key) => {
      this.recordsBefore++;
      return emit(value, key);
    });
    if (isDone instanceof Promise) return isDone.then((isDone) => isDone && this.endRows());
    return isDone && this.endRows();
  }

  private endRows(): boolean {
    // The reader is kept until the next call: it knows the places of records that wait.
    this.needsDrain = true;
    return false;
  }

  private endSplit(): boolean | Promise<boolean> {
    const closed = this.endReader();
    return closed instanceof Promise ? closed.then(() => false) : false;
  }

  private endReader(): void | Promise<void> {
    this.bytesBefore = this.bytes;
    this.index++;
    return this.closeReader();
  }

  /** Reads the split again, as rows, up to the one that is malformed. */
  private async explainFault(): Promise<never> {
    await this.closeReader();
    const rows = this.openRows();
    this.rows = rows;
    while (!(await rows.read(() => true)));
    throw new MillraceError('ML_ASSERT', `no row of ${rows.position()} is malformed after all`);
  }

  private tooLong(at: number): void {
    const { chunk, chunks, lanePlan } = this;
    assert(chunk !== undefined && chunks !== undefined, 'a chunk is being scanned');
    const { error, raw } = longLine(chunk, chunks, at, lanePlan.layout.lineBytesMax);
    this.options.context.malformed(error, raw);
  }

  private locateStart(): string {
    const { chunk, chunks } = this;
    return chunk === undefined || chunks === undefined ? '' : chunks.locate(chunk.start);
  }

  private closeReader(): void | Promise<void> {
    const reader = this.chunks ?? this.rows;
    this.chunks = undefined;
    this.chunk = undefined;
    this.rows = undefined;
    return reader?.close();
  }
}
