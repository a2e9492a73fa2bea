/**
 * Turns the chunks of a split into records: what the readers of all row formats have in common. A subclass decodes one chunk.
 *
 * @hot `decode` is called per chunk; everything per record is in the subclass.
 */
import type { ByteChunk, ReadContext, SplitReader } from '../../flow/source.ts';
import type { FileSplit } from './file-split.ts';
import type { RowChunks } from './row-chunks.ts';

export type EmitRow<Value> = (value: Value, key: undefined) => boolean;

export abstract class RowReader<Value> implements SplitReader<Value, undefined> {
  protected readonly chunks: RowChunks;
  protected readonly split: FileSplit;
  protected readonly context: ReadContext;
  /** Whether the chunk of `chunks` is only partly decoded. */
  private isInChunk = false;
  /** The mark of the last record of the chunk that was done last. */
  private lastMark: number;

  constructor(chunks: RowChunks, split: FileSplit, context: ReadContext) {
    this.chunks = chunks;
    this.split = split;
    this.context = context;
    this.lastMark = chunks.mark(0);
  }

  read(emit: EmitRow<Value>): boolean | Promise<boolean> {
    if (this.isInChunk) return this.decodeChunk(emit);
    const chunk = this.chunks.next();
    if (chunk instanceof Promise) return chunk.then((chunk) => this.take(chunk, emit));
    return this.take(chunk, emit);
  }

  get consumedBytes(): number {
    return this.chunks.consumedBytes;
  }

  position(): string {
    return this.chunks.locateMark(this.mark());
  }

  mark(): number {
    return this.isInChunk ? this.chunks.mark(this.rowStart()) : this.lastMark;
  }

  locate(mark: number): string {
    return this.chunks.locateMark(mark);
  }

  close(): void {
    this.chunks.close();
  }

  /** A new chunk is there: `decode` begins at its start. */
  protected abstract begin(chunk: ByteChunk): void;
  /**
   * Decodes the chunk from where it left off. False when `emit` paused it, a promise when something has to be waited for, else true.
   */
  protected abstract decode(emit: EmitRow<Value>): boolean | Promise<boolean>;
  /** Where the row that was emitted last, or is being decoded, begins in the buffer. */
  protected abstract rowStart(): number;

  private take(chunk: ByteChunk | undefined, emit: EmitRow<Value>): boolean | Promise<boolean> {
    if (chunk === undefined) return true;
    this.isInChunk = true;
    this.begin(chunk);
    return this.decodeChunk(emit);
  }

  private decodeChunk(emit: EmitRow<Value>): boolean | Promise<boolean> {
    const isDone = this.decode(emit);
    if (isDone instanceof Promise) return isDone.then((isDone) => this.setDone(isDone));
    return this.setDone(isDone);
  }

  /** Never the end of the split: that is known when there is no chunk any more. */
  private setDone(isChunkDone: boolean): boolean {
    if (isChunkDone) this.lastMark = this.mark();
    this.isInChunk = !isChunkDone;
    return false;
  }
}
