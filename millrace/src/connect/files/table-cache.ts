/**
 * Blocks of a table that were read, the latest used ones, up to a bound in bytes; and one read at a time of each block, however many
 * wait for it.
 */
import type { Block } from './table-block.ts';
import type { TableFile } from './table-file.ts';

/** What a block takes besides its bytes. */
const OVERHEAD_BYTES = 200;

export class BlockCache {
  private readonly limitBytes: number;
  private bytes = 0;
  private readonly files = new Map<TableFile, Map<number, Kept>>();
  private readonly reading = new Map<TableFile, Map<number, Promise<Block>>>();
  /** Rises with each use. */
  private clock = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  find(file: TableFile, number: number): Block | undefined {
    const kept = this.files.get(file)?.get(number);
    if (kept === undefined) return undefined;
    kept.usedAt = ++this.clock;
    return kept.block;
  }

  read(file: TableFile, number: number): Promise<Block> {
    const reads = mapOf(this.reading, file);
    let read = reads.get(number);
    if (read === undefined) {
      read = this.readOnce(file, number).finally(() => {
        reads.delete(number);
      });
      reads.set(number, read);
    }
    return read;
  }

  private async readOnce(file: TableFile, number: number): Promise<Block> {
    const block = await file.read(number);
    const bytes = block.buffer.length + OVERHEAD_BYTES;
    if (bytes > this.limitBytes) return block;
    mapOf(this.files, file).set(number, { block, bytes, usedAt: ++this.clock });
    this.bytes += bytes;
    if (this.bytes > this.limitBytes) this.shrink();
    return block;
  }

  /** Drops the half that was not used for longest: rarely, so that a hit costs no list. */
  private shrink(): void {
    const all = [...this.files].flatMap(([file, blocks]) =>
      [...blocks].map(([number, kept]) => ({ file, number, kept })),
    );
    all.sort((a, b) => a.kept.usedAt - b.kept.usedAt);
    for (const { file, kept, number } of all) {
      if (this.bytes <= this.limitBytes / 2) return;
      this.files.get(file)?.delete(number);
      this.bytes -= kept.bytes;
    }
  }
}

interface Kept {
  readonly block: Block;
  readonly bytes: number;
  usedAt: number;
}

function mapOf<T>(maps: Map<TableFile, Map<number, T>>, file: TableFile): Map<number, T> {
  let map = maps.get(file);
  if (map === undefined) {
    map = new Map();
    maps.set(file, map);
  }
  return map;
}
