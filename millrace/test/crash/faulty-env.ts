/**
 * Product bugs, planted from outside: an `Env` between the store and the machine that skips what a careless store would
 * not have done. What the crash test does not notice here it would not notice in the store either.
 */
import type { Env, File, FileSystem, OpenMode } from '../../src/core/env.ts';
import {
  batchBytes,
  HEADER_BYTES,
  MAGIC_V2,
  magic,
  setCrc,
} from '../../src/wire/kafka/records/record-batch.ts';

/** What is done in the place of a call; `real` does it. */
export interface FileFaults {
  readonly sync?: (path: string, real: () => Promise<void>) => Promise<void>;
  readonly syncDirectory?: (path: string, real: () => Promise<void>) => Promise<void>;
  readonly truncate?: (path: string, sizeBytes: number, real: (sizeBytes: number) => void) => void;
  /** Returns what the caller is told to have been written. */
  readonly write?: (file: File, bytes: Uint8Array, position: number, real: () => number) => number;
  /** Changes what was read: `bytes` are those at `position` of the file. */
  readonly read?: (path: string, bytes: Uint8Array, position: number) => void;
}

export function withFaults(env: Env, faults: FileFaults): Env {
  return { ...env, fs: new FaultyFileSystem(env.fs, faults) };
}

class FaultyFileSystem implements FileSystem {
  readonly descriptorsMax = Infinity;
  private readonly real: FileSystem;
  private readonly faults: FileFaults;

  constructor(real: FileSystem, faults: FileFaults) {
    this.real = real;
    this.faults = faults;
  }

  open(path: string, mode: OpenMode): File {
    return new FaultyFile(this.real.open(path, mode), this.faults);
  }

  stat(path: string): ReturnType<FileSystem['stat']> {
    return this.real.stat(path);
  }

  list(path: string): string[] {
    return this.real.list(path);
  }

  makeDirectory(path: string): void {
    this.real.makeDirectory(path);
  }

  publishDirectory(path: string): void {
    this.real.publishDirectory(path);
  }

  rename(from: string, to: string): void {
    this.real.rename(from, to);
  }

  symlink(target: string, path: string): void {
    this.real.symlink(target, path);
  }

  readLink(path: string): string | undefined {
    return this.real.readLink(path);
  }

  realPath(path: string): string {
    return this.real.realPath(path);
  }

  remove(path: string): Promise<void> {
    return this.real.remove(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.real.removeDirectory(path);
  }

  removeIfEmpty(path: string): Promise<void> {
    return this.real.removeIfEmpty(path);
  }

  syncDirectory(path: string): Promise<void> {
    const real = (): Promise<void> => this.real.syncDirectory(path);
    return this.faults.syncDirectory?.(path, real) ?? real();
  }

  freeBytes(path: string): Promise<number> {
    return this.real.freeBytes(path);
  }

  lock(path: string): ReturnType<FileSystem['lock']> {
    return this.real.lock(path);
  }
}

class FaultyFile implements File {
  readonly path: string;
  private readonly real: File;
  private readonly faults: FileFaults;

  constructor(real: File, faults: FileFaults) {
    this.real = real;
    this.faults = faults;
    this.path = real.path;
  }

  size(): number {
    return this.real.size();
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): number {
    const real = (): number => this.real.write(buffer, start, end, position);
    const { write } = this.faults;
    return write?.(this.real, buffer.subarray(start, end), position, real) ?? real();
  }

  writeMany(buffers: readonly Uint8Array[], position: number): number {
    const real = (): number => this.real.writeMany(buffers, position);
    const { write } = this.faults;
    return write?.(this.real, Buffer.concat(buffers), position, real) ?? real();
  }

  writeManyAsync(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return this.real.writeManyAsync(buffers, position);
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    const count = this.real.read(buffer, start, end, position);
    this.faults.read?.(this.path, buffer.subarray(start, start + count), position);
    return count;
  }

  async readAsync(
    buffer: Uint8Array,
    start: number,
    end: number,
    position: number,
  ): Promise<number> {
    const count = await this.real.readAsync(buffer, start, end, position);
    this.faults.read?.(this.path, buffer.subarray(start, start + count), position);
    return count;
  }

  truncate(sizeBytes: number): void {
    const real = (bytes: number): void => this.real.truncate(bytes);
    if (this.faults.truncate === undefined) real(sizeBytes);
    else this.faults.truncate(this.path, sizeBytes, real);
  }

  sync(): Promise<void> {
    const real = (): Promise<void> => this.real.sync();
    return this.faults.sync?.(this.path, real) ?? real();
  }

  close(): void {
    this.real.close();
  }
}

const isJournal = (path: string): boolean => path.endsWith('.journal');
const isSegment = (path: string): boolean => path.endsWith('.log');
const isCheckpoint = (path: string): boolean => path.includes('/checkpoint');

/** Each a bug that a store could have, as what the machine then gets to see. */
export const PLANTED_ENV: Readonly<Record<string, FileFaults>> = {
  'acknowledges before the journal is on disk': {
    sync: async (path, real) => (isJournal(path) ? undefined : real()),
  },
  'recycles the journal before the segments are on disk': {
    sync: async (path, real) => (isSegment(path) ? undefined : real()),
  },
  'never syncs a directory': { syncDirectory: async () => {} },
  'syncs no directory of the journal': {
    syncDirectory: async (path, real) => (path.includes('journal') ? undefined : real()),
  },
  'syncs no directory of a log': {
    syncDirectory: async (path, real) => (path.includes('topics') ? undefined : real()),
  },
  'does not sync the recovery point': {
    sync: async (path, real) => (isCheckpoint(path) ? undefined : real()),
  },
  'tries a failed sync again, and believes it': {
    sync: async (_path, real) => real().catch(real),
  },
  'passes over a failed sync': {
    sync: async (_path, real) => real().catch(() => {}),
  },
  'trusts the page cache instead of writing again': {
    truncate: (path, sizeBytes, real) => {
      if (!isSegment(path)) real(sizeBytes);
    },
    write: (file, bytes, position, real) => {
      const there = Buffer.alloc(bytes.length);
      if (isSegment(file.path) && file.size() >= position + bytes.length) {
        const count = file.read(there, 0, there.length, position);
        if (count === bytes.length && there.equals(bytes)) return bytes.length;
      }
      return real();
    },
  },
  'cuts a byte too much': {
    truncate: (path, sizeBytes, real) =>
      real(isSegment(path) && sizeBytes > 0 ? sizeBytes - 1 : sizeBytes),
  },
  'takes a torn batch for a whole one': {
    // Whatever is read as one batch has the checksum that its bytes ask for: as if nobody had looked at it.
    read: (path, bytes) => {
      const batch = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      if (!isSegment(path) || batch.length < HEADER_BYTES) return;
      if (magic(batch, 0) === MAGIC_V2 && batchBytes(batch, 0) === batch.length) setCrc(batch, 0);
    },
  },
  'reads the journal to its end but for the last sectors': {
    read: (path, bytes) => {
      if (isJournal(path) && bytes.length > 8192) bytes.fill(0, bytes.length / 2);
    },
  },
};
