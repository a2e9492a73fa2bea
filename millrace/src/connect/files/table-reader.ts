/**
 * Reads a table: single keys, many keys, ranges in key order. Index and filters are in memory (about 1.3 bytes per key and half a
 * percent of the data); blocks are read when they are needed, and kept up to a bound.
 *
 * @hot A key whose block is kept costs no read and no promise but its own.
 */
import { resolve } from 'node:path';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { encodeKey } from '../../core/key-codec.ts';
import { TABLE_CACHE_BYTES, TABLE_READS_MAX } from '../../core/limits.ts';
import { realEnv } from '../../core/real-env.ts';
import type { Block } from './table-block.ts';
import { BlockCache } from './table-cache.ts';
import type { TableFile } from './table-file.ts';
import { hashOf } from './table-format.ts';
import type { RangeOptions, TableEntry } from './table-range.ts';
import { collectRange, readRange } from './table-range.ts';
import type { Snapshot } from './table-snapshot.ts';
import { openSnapshot, resolveVersion } from './table-snapshot.ts';

export type { RangeOptions, TableEntry } from './table-range.ts';

export interface OpenTableOptions {
  /** Memory for blocks that were read. Default 32 MiB; 0 keeps none. */
  readonly cacheBytes?: number;
  /** For tests: the machine. Default: the real one. */
  readonly env?: Env;
}

/**
 * Opens the newest version of the table at `path`.
 * @param path relative to the working directory
 * @throws {MillraceError} ML_FILE_NOT_FOUND when there is none, ML_TABLE_DAMAGED, ML_PERMISSION
 * @example
 * await using table = await openTable<string, { name: string }>('out/customers');
 * const customer = await table.get('c-17');
 */
export async function openTable<K = unknown, V = unknown>(
  path: string,
  options: OpenTableOptions = {},
): Promise<TableReader<K, V>> {
  const { cacheBytes = TABLE_CACHE_BYTES, env = realEnv() } = options;
  if (!Number.isSafeInteger(cacheBytes) || cacheBytes < 0)
    throw new MillraceError('ML_CONFIG_INVALID', `cacheBytes is 0 or more, not ${cacheBytes}`);
  const absolute = resolve(path);
  const snapshot = await openSnapshot(env, absolute);
  return new TableReader<K, V>(env, absolute, snapshot, cacheBytes);
}

export class TableReader<K = unknown, V = unknown> implements AsyncDisposable {
  private readonly env: Env;
  private readonly path: string;
  private readonly cacheBytes: number;
  private snapshot: Snapshot | undefined;
  private cache: BlockCache;
  private readonly scratch = new ByteWriter();
  private reloading: Promise<boolean> | undefined;

  /** @internal Use `openTable`. */
  constructor(env: Env, path: string, snapshot: Snapshot, cacheBytes: number) {
    this.env = env;
    this.path = path;
    this.snapshot = snapshot;
    this.cacheBytes = cacheBytes;
    this.cache = new BlockCache(cacheBytes, env.clock);
  }

  /** Number of keys. */
  get size(): number {
    return this.current().size;
  }

  /** Changes with each version that a job puts in place. */
  get version(): string {
    return this.current().version;
  }

  /** The value of `key`; undefined when the table does not have it. @throws {MillraceError} ML_KEY_INVALID, ML_TABLE_DAMAGED */
  get(key: K): Promise<V | undefined> {
    return this.lookUp(key, takeValue) as Promise<V | undefined>;
  }

  /** Whether the table has `key`, also when its value is undefined. */
  async has(key: K): Promise<boolean> {
    return (await this.lookUp(key, takeTrue)) === true;
  }

  /** The values of many keys, in their order; undefined where the table does not have one. Blocks are read side by side. */
  async getMany(keys: readonly K[]): Promise<(V | undefined)[]> {
    const values: (V | undefined)[] = [];
    for (let from = 0; from < keys.length; from += TABLE_READS_MAX) {
      const some = keys.slice(from, from + TABLE_READS_MAX);
      values.push(...(await Promise.all(some.map((key) => this.get(key)))));
    }
    return values;
  }

  /**
   * Entries in the order of their keys, of the version that is the newest when it begins.
   * @example for await (const { key } of table.range({ prefix: 'user/' })) process.stdout.write(`${key}\n`);
   */
  async *range(options: RangeOptions<K> = {}): AsyncGenerator<TableEntry<K, V>, void> {
    for await (const batch of readRange<K, V>(this.current(), options)) yield* batch;
  }

  /** The same in arrays of up to 512 entries: faster when there are many. */
  batches(options: RangeOptions<K> = {}): AsyncGenerator<TableEntry<K, V>[], void> {
    return readRange<K, V>(this.current(), options);
  }

  /** The same as one array. Bound it with `limit`. */
  entries(options: RangeOptions<K>): Promise<TableEntry<K, V>[]> {
    return collectRange<K, V>(this.current(), options);
  }

  /**
   * Goes over to the newest version, if there is another one. Calls that are under way end in the version in which they began.
   * @returns whether there was another one. After an error the old version stays in use.
   */
  async reload(): Promise<boolean> {
    this.reloading ??= this.reloadOnce().finally(() => {
      this.reloading = undefined;
    });
    return this.reloading;
  }

  /** Idempotent. Ranges that are being read end first. */
  async close(): Promise<void> {
    const { snapshot } = this;
    this.snapshot = undefined;
    this.cache = new BlockCache(0, this.env.clock);
    snapshot?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What `take` makes of the entry of `key`, which is selected while it runs; undefined when there is none. */
  private async lookUp(key: K, take: Take): Promise<unknown> {
    const { scratch } = this;
    const snapshot = this.current();
    scratch.clear();
    encodeKey(key, scratch);
    const end = scratch.length;
    const hash = hashOf(scratch.buffer, 0, end);
    let { buffer } = scratch;
    for (let rank = snapshot.firstFor(hash); rank >= 0; rank = snapshot.nextAfter(rank)) {
      const file = snapshot.files[rank];
      const number = file?.locate(buffer, end, hash) ?? -1;
      if (file === undefined || number < 0) continue;
      let block = this.cache.find(file, number);
      if (block === undefined) {
        const read = this.cache.read(file, number);
        if (read instanceof Promise) {
          // Other calls encode into `scratch` while this one waits.
          if (buffer === scratch.buffer) buffer = Buffer.from(buffer.subarray(0, end));
          block = await this.whileOpen(snapshot, read);
        } else block = read;
      }
      const entry = block.lowerBound(buffer, 0, end);
      if (entry === block.count) continue;
      block.select(entry);
      if (block.isKey(buffer, 0, end)) return take(file, block, number);
    }
    return undefined;
  }

  private async whileOpen(snapshot: Snapshot, read: Promise<Block>): Promise<Block> {
    snapshot.acquire();
    try {
      return await read;
    } finally {
      snapshot.release();
    }
  }

  private async reloadOnce(): Promise<boolean> {
    if (resolveVersion(this.env, this.path).version === this.current().version) return false;
    const next = await openSnapshot(this.env, this.path);
    const { snapshot } = this;
    if (snapshot === undefined || next.version === snapshot.version) {
      next.release();
      return false;
    }
    this.snapshot = next;
    this.cache = new BlockCache(this.cacheBytes, this.env.clock);
    snapshot.release();
    return true;
  }

  private current(): Snapshot {
    if (this.snapshot === undefined)
      throw new MillraceError('ML_FILE_CLOSED', `the table ${this.path} is closed`, {
        fields: { path: this.path },
        hint: 'Open it again with openTable',
      });
    return this.snapshot;
  }
}

type Take = (file: TableFile, block: Block, number: number) => unknown;

const takeValue: Take = (file, block, number) => file.valueOf(block, number);
const takeTrue: Take = () => true;
