/**
 * Blocks of a table that were read twice within a while, the latest used ones, up to a bound in bytes; and one read at a time of each
 * block, however many wait for it. A block that is read once goes into memory that is used again, so that a table much larger than the
 * cache does not drive out what is asked for often.
 */
import type { Clock } from '../../core/env.ts';
import { TABLE_BLOCK_BYTES } from '../../core/limits.ts';
import type { Block } from './table-block.ts';
import type { Scratch, TableFile } from './table-file.ts';

/** What a block takes besides its bytes. */
const OVERHEAD_BYTES = 200;
/** A read on the spot that took longer than this went to the device… */
const COLD_READ_MS = 0.25;
/** …and so many reads after it are made beside the event loop. */
const COLD_READS = 256;
/** Blocks that are remembered as read once. */
const SEEN_MAX = 16_384;
const NOTHING = Buffer.alloc(0);

export class BlockCache {
  private readonly limitBytes: number;
  private bytes = 0;
  private readonly files = new Map<TableFile, Map<number, Kept>>();
  private readonly reading = new Map<TableFile, Map<number, Promise<Block>>>();
  /** Rises with each use. */
  private uses = 0;
  private readonly clock: Clock;
  /** Reads that are still to be made beside the event loop. */
  private coldReads = 0;
  private readonly scratch: Scratch = { buffer: Buffer.allocUnsafeSlow(2 * TABLE_BLOCK_BYTES) };
  /** Positions of blocks that were read once, lately. */
  private readonly seen = new Set<number>();

  constructor(limitBytes: number, clock: Clock) {
    this.limitBytes = limitBytes;
    this.clock = clock;
  }

  find(file: TableFile, number: number): Block | undefined {
    const kept = this.files.get(file)?.get(number);
    if (kept === undefined) return undefined;
    kept.usedAt = ++this.uses;
    return kept.block;
  }

  /**
   * Reads a block on the spot while the page cache serves them: that is ten times as fast as a trip to another thread. Once one has
   * waited for the device, the next ones must not hold up everything else. A block that was read on the spot is valid until the
   * next call.
   */
  read(file: TableFile, number: number): Block | Promise<Block> {
    if (this.coldReads === 0) {
      const fromMs = this.clock.monotonicMs();
      const isWanted = this.isSeen(file, number);
      const block = file.readNow(number, isWanted ? { buffer: NOTHING } : this.scratch);
      if (this.clock.monotonicMs() - fromMs > COLD_READ_MS) this.coldReads = COLD_READS;
      if (isWanted) this.keep(file, number, block);
      return block;
    }
    this.coldReads--;
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
    this.keep(file, number, block);
    return block;
  }

  /** Whether the block was read before, lately; it is remembered. */
  private isSeen(file: TableFile, number: number): boolean {
    if (this.limitBytes === 0) return false;
    // Blocks of several files may have one position: then one is kept a little too early.
    const position = file.positionOf(number);
    if (this.seen.delete(position)) return true;
    if (this.seen.size >= SEEN_MAX) this.seen.clear();
    this.seen.add(position);
    return false;
  }

  private keep(file: TableFile, number: number, block: Block): void {
    const bytes = block.buffer.length + OVERHEAD_BYTES;
    if (bytes > this.limitBytes) return;
    mapOf(this.files, file).set(number, { block, bytes, usedAt: ++this.uses });
    this.bytes += bytes;
    if (this.bytes > this.limitBytes) this.shrink();
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
