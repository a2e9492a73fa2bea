/**
 * Entries of a table in the order of their keys: one cursor per partition, merged.
 *
 * Invariant: a cursor stands on the entry that it gives next, inside the bounds. Of equal keys (a table that is not partitioned by
 * hash) only that of the last file is given.
 */
import { ByteWriter } from '../../core/byte-writer.ts';
import { MillraceError } from '../../core/errors.ts';
import { compareKeys, encodeKey } from '../../core/key-codec.ts';
import { TABLE_BATCH_ENTRIES } from '../../core/limits.ts';
import type { Block } from './table-block.ts';
import type { TableFile } from './table-file.ts';
import type { Snapshot } from './table-snapshot.ts';

export interface RangeOptions<K> {
  /** First key. Default: from the beginning. */
  readonly from?: K;
  /** First key that does not belong to it. Default: to the end. */
  readonly to?: K;
  /** Only keys that begin with this: a string, bytes, or an array of the first elements of arrays. */
  readonly prefix?: unknown;
  /** From the last key to the first. Default false. */
  readonly reverse?: boolean;
  /** At most so many entries. Default: all. */
  readonly limit?: number;
}

export interface TableEntry<K, V> {
  readonly key: K;
  readonly value: V;
}

export async function* readRange<K, V>(
  snapshot: Snapshot,
  options: RangeOptions<K>,
): AsyncGenerator<TableEntry<K, V>[], void> {
  const { limit = Number.MAX_SAFE_INTEGER } = options;
  if (!Number.isSafeInteger(limit) || limit < 0)
    throw new MillraceError('ML_CONFIG_INVALID', `limit is a whole number, not ${limit}`);
  const bounds = boundsOf(options);
  snapshot.acquire();
  try {
    const merge = new Merge(snapshot.files, bounds, options.reverse === true);
    await merge.begin();
    let left = limit;
    while (left > 0) {
      const batch = await merge.take<K, V>(Math.min(left, TABLE_BATCH_ENTRIES));
      if (batch.length === 0) return;
      left -= batch.length;
      yield batch;
    }
  } finally {
    snapshot.release();
  }
}

export async function collectRange<K, V>(
  snapshot: Snapshot,
  options: RangeOptions<K>,
): Promise<TableEntry<K, V>[]> {
  const all: TableEntry<K, V>[] = [];
  for await (const batch of readRange<K, V>(snapshot, options))
    for (const entry of batch) all.push(entry);
  return all;
}

/** Encoded keys: from the first that belongs to it to the first that does not. */
interface Bounds {
  readonly from: Buffer | undefined;
  readonly to: Buffer | undefined;
}

function boundsOf<K>(options: RangeOptions<K>): Bounds {
  let from = 'from' in options ? encoded(options.from) : undefined;
  let to = 'to' in options ? encoded(options.to) : undefined;
  if (options.prefix !== undefined) {
    const prefix = encodedPrefix(options.prefix);
    const after = successor(prefix);
    if (from === undefined || Buffer.compare(prefix, from) > 0) from = prefix;
    if (after !== undefined && (to === undefined || Buffer.compare(after, to) < 0)) to = after;
  }
  return { from, to };
}

function encoded(key: unknown): Buffer {
  const writer = new ByteWriter();
  encodeKey(key, writer);
  return writer.buffer.subarray(0, writer.length);
}

/** What the encodings of all keys begin with that begin with `prefix`. */
function encodedPrefix(prefix: unknown): Buffer {
  const bytes = encoded(prefix);
  if (typeof prefix === 'string' || prefix instanceof Uint8Array) return bytes;
  // Without the mark of its end, an array is the beginning of longer ones.
  if (Array.isArray(prefix)) return bytes.subarray(0, -1);
  throw new MillraceError('ML_KEY_INVALID', 'a prefix is a string, bytes or an array', {
    hint: 'Use from and to for keys of other kinds',
  });
}

/** The first bytes that are after everything that begins with `prefix`. */
function successor(prefix: Buffer): Buffer | undefined {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end--;
  if (end === 0) return undefined;
  const after = Buffer.from(prefix.subarray(0, end));
  after[end - 1] = (after[end - 1] ?? 0) + 1;
  return after;
}

/** One file, walked from a bound to the other. */
class Cursor {
  readonly file: TableFile;
  /** Number of the file: of equal keys the higher one wins. */
  readonly rank: number;
  block: Block | undefined;
  number = 0;
  private entry = 0;
  private readonly bounds: Bounds;
  private readonly isReverse: boolean;

  constructor(file: TableFile, rank: number, bounds: Bounds, isReverse: boolean) {
    this.file = file;
    this.rank = rank;
    this.bounds = bounds;
    this.isReverse = isReverse;
  }

  /** Goes to the first entry. False: there is none. */
  async begin(): Promise<boolean> {
    const { bounds, file, isReverse } = this;
    if (file.blocks === 0) return false;
    const start = isReverse ? bounds.to : bounds.from;
    let number = isReverse ? file.blocks - 1 : 0;
    if (start !== undefined) {
      number = file.blockOf(start, 0, start.length);
      if (number < 0 && isReverse) return false;
      number = Math.max(0, number);
    }
    const block = await this.load(number);
    const bound = start === undefined ? undefined : block.lowerBound(start, 0, start.length);
    if (isReverse) this.entry = bound ?? block.count;
    else this.entry = (bound ?? 0) - 1;
    return this.next();
  }

  /** Goes on to the next entry, if its block is at hand. undefined: `loadNext` has to be awaited. */
  tryNext(): boolean | undefined {
    const { block } = this;
    if (block === undefined) return false;
    this.entry += this.isReverse ? -1 : 1;
    if (this.entry < 0 || this.entry >= block.count) return undefined;
    block.select(this.entry);
    return this.isInside(block);
  }

  async loadNext(): Promise<boolean> {
    const number = this.number + (this.isReverse ? -1 : 1);
    if (number < 0 || number >= this.file.blocks) return false;
    const block = await this.load(number);
    this.entry = this.isReverse ? block.count - 1 : 0;
    block.select(this.entry);
    return this.isInside(block);
  }

  private async next(): Promise<boolean> {
    return this.tryNext() ?? this.loadNext();
  }

  private async load(number: number): Promise<Block> {
    const block = await this.file.read(number);
    this.number = number;
    this.block = block;
    return block;
  }

  private isInside(block: Block): boolean {
    const bound = this.isReverse ? this.bounds.from : this.bounds.to;
    if (bound === undefined) return true;
    const order = compareKeys(block.buffer, block.keyStart, block.keyEnd, bound, 0, bound.length);
    return this.isReverse ? order >= 0 : order < 0;
  }
}

class Merge {
  /** Those that have an entry, as a heap: the first gives its entry next. */
  private heap: Cursor[] = [];
  private readonly cursors: readonly Cursor[];
  private readonly isReverse: boolean;
  /** The key that was given last, where several files may hold it. */
  private last: Buffer | undefined;

  constructor(files: readonly TableFile[], bounds: Bounds, isReverse: boolean) {
    this.isReverse = isReverse;
    this.cursors = files.map((file, rank) => new Cursor(file, rank, bounds, isReverse));
  }

  async begin(): Promise<void> {
    const isThere = await Promise.all(this.cursors.map((cursor) => cursor.begin()));
    this.heap = this.cursors.filter((_, index) => isThere[index] === true);
    for (let index = (this.heap.length >>> 1) - 1; index >= 0; index--) this.sink(index);
  }

  /** The next entries, at most `count`; fewer only at the end. */
  async take<K, V>(count: number): Promise<TableEntry<K, V>[]> {
    const batch: TableEntry<K, V>[] = [];
    while (batch.length < count) {
      const [cursor] = this.heap;
      const block = cursor?.block;
      if (cursor === undefined || block === undefined) break;
      if (!this.isRepeated(block)) {
        const { file, number } = cursor;
        batch.push({
          key: file.keyOf(block, number) as K,
          value: file.valueOf(block, number) as V,
        });
      }
      const hasNext = cursor.tryNext() ?? (await cursor.loadNext());
      if (!hasNext) {
        const moved = this.heap.pop();
        if (this.heap.length === 0) break;
        if (moved !== undefined) this.heap[0] = moved;
      }
      this.sink(0);
    }
    return batch;
  }

  private isRepeated(block: Block): boolean {
    if (this.cursors.length === 1) return false;
    const { last } = this;
    const { buffer, keyEnd, keyStart } = block;
    if (last !== undefined && compareKeys(buffer, keyStart, keyEnd, last, 0, last.length) === 0)
      return true;
    this.last = buffer.subarray(keyStart, keyEnd);
    return false;
  }

  private sink(from: number): void {
    const { heap } = this;
    const moved = heap[from];
    if (moved === undefined) return;
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.isBefore(heap[child + 1], heap[child])) child++;
      if (!this.isBefore(heap[child], moved)) break;
      heap[at] = heap[child] as Cursor;
      at = child;
    }
    heap[at] = moved;
  }

  private isBefore(a: Cursor | undefined, b: Cursor | undefined): boolean {
    const x = a?.block;
    const y = b?.block;
    if (a === undefined || b === undefined || x === undefined || y === undefined) return false;
    const order = compareKeys(x.buffer, x.keyStart, x.keyEnd, y.buffer, y.keyStart, y.keyEnd);
    if (order === 0) return a.rank > b.rank;
    return this.isReverse ? order > 0 : order < 0;
  }
}
