/**
 * The aborted transactions of one segment: those whose abort marker lies in it. Kafka's `.txnindex` format: 34 bytes an
 * entry, big-endian, in the order of the markers.
 *
 *    0         2             10             18            26                   34
 *   +---------+-------------+--------------+-------------+--------------------+
 *   | version | producer id | first offset | last offset | last stable offset |
 *   | i16 = 0 | i64         | i64          | i64         | i64                |
 *   +---------+-------------+--------------+-------------+--------------------+
 *
 * `last offset` is the marker's. `last stable offset` is what it was once this transaction had ended: a reader of the
 * range below it need not look at later segments.
 */
import type { FileSystem } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { readWholeFile, writeFully } from '../core/files.ts';
import { crc32c } from '../core/crc32c.ts';
import { readInt64, writeInt64 } from '../wire/kafka/records/record-batch.ts';
import { TRANSACTION_INDEX_SUFFIX } from './segment-files.ts';

export const ABORTED_ENTRY_BYTES = 34;

export interface AbortedEntry {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly lastStableOffset: number;
}

export function encodeAborted(entries: readonly AbortedEntry[], from = 0): Buffer {
  const bytes = Buffer.alloc((entries.length - from) * ABORTED_ENTRY_BYTES);
  for (let index = from, at = 0; index < entries.length; index++, at += ABORTED_ENTRY_BYTES) {
    const entry = entries[index] as AbortedEntry;
    writeInt64(bytes, at + 2, entry.producerId);
    writeInt64(bytes, at + 10, entry.firstOffset);
    writeInt64(bytes, at + 18, entry.lastOffset);
    writeInt64(bytes, at + 26, entry.lastStableOffset);
  }
  return bytes;
}

/** undefined when the bytes cannot be the aborted transactions of the segment that begins at `baseOffset`. */
export function decodeAborted(bytes: Buffer, baseOffset: number): AbortedEntry[] | undefined {
  if (bytes.length % ABORTED_ENTRY_BYTES !== 0) return undefined;
  const entries: AbortedEntry[] = [];
  let lastOffset = baseOffset - 1;
  for (let at = 0; at < bytes.length; at += ABORTED_ENTRY_BYTES) {
    const entry: AbortedEntry = {
      producerId: readInt64(bytes, at + 2),
      firstOffset: readInt64(bytes, at + 10),
      lastOffset: readInt64(bytes, at + 18),
      lastStableOffset: readInt64(bytes, at + 26),
    };
    if (bytes.readInt16BE(at) !== 0 || !Number.isSafeInteger(entry.lastOffset)) return undefined;
    if (entry.lastOffset <= lastOffset || entry.firstOffset > entry.lastOffset) return undefined;
    lastOffset = entry.lastOffset;
    entries.push(entry);
  }
  return entries;
}

/** How much of the file a checkpoint vouches for. */
export interface StoredAborted {
  readonly entries: number;
  readonly crc: number;
}

export const NO_STORED_ABORTED: StoredAborted = { entries: 0, crc: 0 };

/** The `.txnindex` file of one segment. It exists only if a transaction was aborted in the segment. */
export class AbortedTransactions {
  private readonly fs: FileSystem;
  private readonly path: string;
  private readonly baseOffset: number;
  private stored: StoredAborted;
  private readonly takesWholeFile: boolean;
  private entries: AbortedEntry[] | undefined;
  private isUnsynced = false;

  /** @param stored undefined = the file is complete: the segment was sealed before the last checkpoint */
  constructor(
    fs: FileSystem,
    segment: { readonly path: string; readonly baseOffset: number },
    stored: StoredAborted | undefined,
  ) {
    this.fs = fs;
    this.path = segment.path + TRANSACTION_INDEX_SUFFIX;
    this.baseOffset = segment.baseOffset;
    this.takesWholeFile = stored === undefined;
    this.stored = stored ?? NO_STORED_ABORTED;
    if (stored?.entries === 0) this.entries = [];
  }

  /** In the order of their markers. @throws {MillraceError} ML_LOG_DAMAGED when the file is not what was written */
  all(): readonly AbortedEntry[] {
    return this.loaded();
  }

  add(entry: AbortedEntry): void {
    this.loaded().push(entry);
  }

  /** Puts `entries` in the place of whatever the file holds. */
  replace(entries: readonly AbortedEntry[]): void {
    this.entries = [...entries];
    this.stored = { entries: -1, crc: 0 };
  }

  get storedState(): StoredAborted {
    return this.stored;
  }

  get isStored(): boolean {
    return this.entries === undefined || this.entries.length === this.stored.entries;
  }

  /** Writes what the file lacks, without a sync. Returns whether there was anything: the file may be new then. */
  write(): boolean {
    const { entries } = this;
    if (entries === undefined || this.isStored) return false;
    const bytes = encodeAborted(entries);
    const file = this.fs.open(this.path, 'open');
    try {
      writeFully(file, bytes, 0, bytes.length, 0);
      if (file.size() > bytes.length) file.truncate(bytes.length);
    } finally {
      file.close();
    }
    this.stored = { entries: entries.length, crc: crc32c(bytes, 0, bytes.length) };
    this.isUnsynced = true;
    return true;
  }

  /**
   * Cuts the file to what is known of it: a tail of the log that was lost may have left entries behind, which would be
   * taken for good once the segment is sealed.
   */
  cutFile(): void {
    const bytes = this.stored.entries * ABORTED_ENTRY_BYTES;
    const stat = this.fs.stat(this.path);
    if (stat === undefined || stat.sizeBytes <= bytes) return;
    const file = this.fs.open(this.path, 'write');
    file.truncate(bytes);
    file.close();
    this.isUnsynced = true;
  }

  async sync(): Promise<void> {
    if (!this.isUnsynced) return;
    this.isUnsynced = false;
    const file = this.fs.open(this.path, 'open');
    try {
      await file.sync();
    } finally {
      file.close();
    }
  }

  private loaded(): AbortedEntry[] {
    if (this.entries !== undefined) return this.entries;
    const isEmpty = !this.takesWholeFile && this.stored.entries === 0;
    if (isEmpty || this.fs.stat(this.path) === undefined) {
      if (this.stored.entries > 0) throw this.damaged();
      this.entries = [];
      return this.entries;
    }
    const content = readWholeFile(this.fs, this.path);
    const bytes = this.takesWholeFile
      ? content
      : content.subarray(0, this.stored.entries * ABORTED_ENTRY_BYTES);
    const entries = decodeAborted(bytes, this.baseOffset);
    if (entries === undefined) throw this.damaged();
    const crc = crc32c(bytes, 0, bytes.length);
    if (!this.takesWholeFile && (entries.length < this.stored.entries || crc !== this.stored.crc))
      throw this.damaged();
    this.stored = { entries: entries.length, crc };
    this.entries = entries;
    return entries;
  }

  private damaged(): MillraceError {
    return new MillraceError('ML_LOG_DAMAGED', `${this.path} is damaged`, {
      fields: { path: this.path },
    });
  }
}
