/**
 * Where a file is cut into splits. Every cut is the beginning of a row: looked for behind `count - 1` evenly spaced positions, so that
 * a row belongs to the split that its first byte was near, and readers need to know nothing of their neighbours.
 *
 * Where quotes may hold line ends, only the whole file before a position says whether the position is inside quotes: the file is
 * read through once for the number of quotes (at some GB/s from the page cache, without making anything of the bytes).
 */
import type { Env, File } from '../../core/env.ts';
import { FILE_READ_BYTES } from '../../core/limits.ts';
import { isOddCount } from './byte-search.ts';
import { openInput, shrunk } from './content.ts';
import type { InputFile } from './file-split.ts';

const LF = 10;

/** How rows end. */
export interface CutRule {
  /** As `quote` of RowChunkOptions. */
  readonly quote: number;
}

/**
 * Ascending positions: the first is 0, the last the size of the file.
 * @param count pieces to aim at; there are fewer where rows are longer than pieces
 */
export function cutFile(env: Env, input: InputFile, count: number, rule: CutRule): number[] {
  const { sizeBytes } = input;
  if (count <= 1) return [0, sizeBytes];
  const file = openInput(env, input.path, input.name);
  try {
    const search = new RowSearch(file, input, rule.quote);
    const cuts = [0];
    for (let index = 1; index < count; index++) {
      const target = Math.floor((sizeBytes / count) * index);
      const last = cuts.at(-1) ?? 0;
      if (target < last) continue;
      const cut = search.rowFrom(target);
      if (cut >= sizeBytes) break;
      if (cut > last) cuts.push(cut);
    }
    cuts.push(sizeBytes);
    return cuts;
  } finally {
    file.close();
  }
}

/** Goes forward through a file in search of beginnings of rows. */
class RowSearch {
  private readonly file: File;
  private readonly input: InputFile;
  private readonly quote: number;
  private readonly buffer: Buffer;
  /** What is before this position is known, as far as it matters: the number of quotes in it is odd. */
  private position = 0;
  private isInQuotes = false;

  constructor(file: File, input: InputFile, quote: number) {
    this.file = file;
    this.input = input;
    this.quote = quote;
    this.buffer = Buffer.allocUnsafeSlow(Math.min(FILE_READ_BYTES, input.sizeBytes));
  }

  /** The first beginning of a row at or behind `target` > 0; the size of the file when there is none. */
  rowFrom(target: number): number {
    // The byte before may be the line end that makes `target` a beginning.
    if (this.quote < 0) this.position = target - 1;
    else this.countTo(target - 1);
    const { sizeBytes } = this.input;
    while (this.position < sizeBytes) {
      const length = this.read(Math.min(this.position + SEARCH_BYTES, sizeBytes));
      const end = this.rowEndIn(length);
      if (end > 0) {
        const start = this.position + end;
        this.position = start;
        this.isInQuotes = false;
        return start;
      }
      this.position += length;
    }
    return sizeBytes;
  }

  /** Counts quotes up to `target`. */
  private countTo(target: number): void {
    while (this.position < target) {
      const length = this.read(target);
      if (isOddCount(this.buffer, 0, length, this.quote)) this.isInQuotes = !this.isInQuotes;
      this.position += length;
    }
  }

  /** Behind the first LF in buffer[0, length) that ends a row; 0 when there is none: then its quotes are counted. */
  private rowEndIn(length: number): number {
    const { buffer, quote } = this;
    for (let at = 0; at < length; ) {
      const found = buffer.indexOf(LF, at);
      const end = found < 0 || found >= length ? length : found;
      if (quote >= 0 && isOddCount(buffer, at, end, quote)) this.isInQuotes = !this.isInQuotes;
      if (end < length && !this.isInQuotes) return end + 1;
      at = end + 1;
    }
    return 0;
  }

  private read(until: number): number {
    const { buffer, position, input } = this;
    const end = Math.min(buffer.length, until - position);
    const length = this.file.read(buffer, 0, end, position);
    if (length === 0) throw shrunk(input.name, input.sizeBytes, this.file.size());
    return length;
  }
}

/** Rows are short as a rule: the search for the end of one reads less at once. */
const SEARCH_BYTES = 16 * 1024;
