/**
 * Runs one after the other, each from its beginning to its end.
 *
 * @hot
 */
import type { MergeReader, RunStorage } from '../exchange.ts';
import { KeptKey } from './kept-key.ts';
import { isValueKey, keyBytesOf, keyWord, valueBytesOf } from './run-format.ts';
import type { ReadBuffer, RunPart } from './segment-cursor.ts';
import { createReadBuffer, SegmentCursor } from './segment-cursor.ts';

export class ConcatReader implements MergeReader {
  buffer: Buffer;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  isSameKey = false;
  records = 0;
  bytes = 0;

  private readonly parts: readonly RunPart[];
  private readonly storage: RunStorage;
  private readonly memory: ReadBuffer;
  private readonly kept: KeptKey;
  private cursor: SegmentCursor | undefined = undefined;
  private part = 0;

  constructor(parts: readonly RunPart[], storage: RunStorage, memoryBytes: number) {
    this.parts = parts;
    this.storage = storage;
    const needed = parts.reduce((most, { index }) => Math.max(most, index.blockBytesMax), 0);
    this.memory = createReadBuffer(Math.max(needed, memoryBytes & ~3));
    this.buffer = this.memory.bytes;
    this.kept = new KeptKey(this.memory);
  }

  next(): boolean {
    let { cursor } = this;
    const { kept } = this;
    if (cursor !== undefined) {
      if (cursor.isLastOfBlock) kept.save(cursor.at);
      else kept.point(cursor.at);
    }
    while (cursor === undefined || !cursor.advance()) {
      cursor = this.open();
      if (cursor === undefined) return false;
    }
    const { words } = this.memory;
    const { at } = cursor;
    const start = keyWord(words, at) * 4;
    const end = start + keyBytesOf(words, at);
    const valueBytes = valueBytesOf(words, at);
    this.keyStart = start;
    this.keyEnd = end;
    if (isValueKey(words, at)) {
      this.valueStart = start;
      this.valueEnd = end;
    } else {
      this.valueStart = end;
      this.valueEnd = end + valueBytes;
    }
    this.isSameKey = kept.equals(at);
    this.records++;
    this.bytes += end - start + valueBytes;
    return true;
  }

  close(): void {
    this.cursor?.close();
    this.cursor = undefined;
    this.part = this.parts.length;
  }

  private open(): SegmentCursor | undefined {
    this.cursor?.close();
    this.cursor = undefined;
    const part = this.parts[this.part];
    if (part === undefined) return undefined;
    this.part++;
    const { segment, index, range, seek } = part;
    const region = { buffer: this.memory, start: 0, end: (this.memory.bytes.length - 16) & ~3 };
    this.cursor = new SegmentCursor(segment, index, this.storage, region, range, seek);
    return this.cursor;
  }
}
