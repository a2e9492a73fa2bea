/** A table as a source of (value, key): partition by partition, in the order of the keys, cut between blocks. */
import { resolve } from 'node:path';
import { FILE_READ_BYTES, SPLIT_BYTES, TABLE_BLOCK_BYTES } from '../../core/limits.ts';
import type { PlanContext, ReadContext, Source, Split, SplitReader } from '../../flow/source.ts';
import type { Block } from './table-block.ts';
import type { Scratch, TableFile } from './table-file.ts';
import { openTableFile } from './table-file.ts';
import type { TableFileEntry } from './table-format.ts';
import { readManifest } from './table-format.ts';
import { finishCommit, resolveVersion } from './table-snapshot.ts';

/** Numbers of entries in a mark: more than a block has. */
const MARK_BASE = 2 ** 20;

/** `Split.data`: plain JSON. Blocks [from, to) of one file. */
interface TableSplit {
  readonly directory: string;
  readonly entry: TableFileEntry;
  readonly from: number;
  readonly to: number;
}

export function tableSource(path: string): Source {
  return {
    kind: 'source',
    format: 'table',
    label: `table ${path}`,
    paths: [path],
    columns: undefined,
    plan: async (context) => {
      const { env } = context;
      const absolute = resolve(context.directory, path);
      await finishCommit(env, absolute);
      // All splits read this version, whatever is put in its place meanwhile.
      const { directory } = resolveVersion(env, absolute);
      const { manifest } = readManifest(env.fs, directory);
      const splits: Split[] = [];
      for (const entry of manifest.files)
        for (const { bytes, data } of await cut(context, directory, entry))
          splits.push({
            index: splits.length,
            bytes,
            label: `${path}/${entry.name} blocks [${data.from}, ${data.to})`,
            data,
          });
      return { splits, files: manifest.files.map(({ name }) => `${directory}/${name}`) };
    },
    open: (split, context) => new TableSplitReader(split.data as TableSplit, context),
  };
}

async function cut(
  { env, splitBytes }: PlanContext,
  directory: string,
  entry: TableFileEntry,
): Promise<{ readonly bytes: number; readonly data: TableSplit }[]> {
  const file = await openTableFile(env, directory, entry, false);
  try {
    const wanted = splitBytes > 0 ? splitBytes : SPLIT_BYTES;
    const cuts: { bytes: number; data: TableSplit }[] = [];
    let from = 0;
    let bytes = 0;
    for (let block = 0; block < file.blocks; block++) {
      bytes += file.bytesOf(block);
      if (bytes < wanted && block + 1 < file.blocks) continue;
      cuts.push({ bytes, data: { directory, entry, from, to: block + 1 } });
      from = block + 1;
      bytes = 0;
    }
    return cuts;
  } finally {
    file.close();
  }
}

class TableSplitReader implements SplitReader {
  consumedBytes = 0;
  private readonly split: TableSplit;
  private readonly context: ReadContext;
  private file: TableFile | undefined;
  private block: Block | undefined;
  private readonly scratch: Scratch = { buffer: Buffer.allocUnsafeSlow(2 * TABLE_BLOCK_BYTES) };
  private number: number;
  /** Of the entry that comes next. */
  private entry = 0;
  /** Of the last entry of the block before. */
  private lastMark: number;

  constructor(split: TableSplit, context: ReadContext) {
    this.split = split;
    this.context = context;
    this.number = split.from;
    this.lastMark = split.from * MARK_BASE;
  }

  read(emit: (value: unknown, key: unknown) => boolean): boolean | Promise<boolean> {
    return this.file === undefined ? this.openAndRead(emit) : this.readOn(this.file, emit);
  }

  position(): string {
    return this.locate(this.mark());
  }

  mark(): number {
    return this.entry === 0 ? this.lastMark : this.number * MARK_BASE + this.entry - 1;
  }

  locate(mark: number): string {
    const { directory, entry } = this.split;
    const path = `${directory}/${entry.name}`;
    const number = Math.floor(mark / MARK_BASE);
    if (this.file === undefined || number >= this.file.blocks) return path;
    return `${path}@${this.file.positionOf(number)}, entry ${mark % MARK_BASE}`;
  }

  close(): void {
    this.file?.close();
  }

  private async openAndRead(emit: (value: unknown, key: unknown) => boolean): Promise<boolean> {
    const { directory, entry } = this.split;
    this.file = await openTableFile(this.context.env, directory, entry, false);
    return this.readOn(this.file, emit);
  }

  private readOn(file: TableFile, emit: (value: unknown, key: unknown) => boolean): boolean {
    const untilBytes = this.consumedBytes + FILE_READ_BYTES;
    while (this.number < this.split.to && this.consumedBytes < untilBytes) {
      const { number } = this;
      const block = this.block ?? file.readNow(number, this.scratch);
      this.block = block;
      while (this.entry < block.count) {
        block.select(this.entry++);
        const key = file.keyOf(block, number);
        if (!emit(file.valueOf(block, number), key)) return false;
      }
      this.consumedBytes += block.buffer.length;
      this.block = undefined;
      this.lastMark = this.mark();
      this.number++;
      this.entry = 0;
    }
    return this.number >= this.split.to;
  }
}
