/** Where runs are kept: `fileStorage` in a directory, `memoryStorage` in memory up to a bound. */
import { Background } from '../../../core/background.ts';
import type { File, FileSystem } from '../../../core/env.ts';
import { readFully, writeFully } from '../../../core/files.ts';
import type { RunFile, RunSource, RunStorage } from '../exchange.ts';
import { damagedRun } from './run-format.ts';

/**
 * Runs as files `run-1`, `run-2`, … of a directory that exists. What cannot be written to its end is removed.
 * @throws {MillraceError} from `create` and `write`: ML_DISK_FULL, ML_IO
 */
export function fileStorage(fs: FileSystem, directory: string): RunStorage {
  return new FileRunStorage(fs, directory);
}

/**
 * Runs in memory while all of them together have at most `limitBytes`; what comes beyond goes to `fallback`, from the run on that
 * does not fit.
 */
export function memoryStorage(limitBytes: number, fallback: RunStorage): RunStorage {
  return new MemoryRunStorage(limitBytes, fallback);
}

class FileRunStorage implements RunStorage {
  private readonly fs: FileSystem;
  private readonly directory: string;
  private readonly removals: Background;
  private removalError: unknown = undefined;
  private runs = 0;

  constructor(fs: FileSystem, directory: string) {
    this.fs = fs;
    this.directory = directory;
    this.removals = new Background((error) => {
      this.removalError = error;
    });
  }

  create(): RunFile {
    if (this.removalError !== undefined) throw this.removalError;
    let path: string;
    do path = `${this.directory}/run-${++this.runs}`;
    while (this.fs.stat(path) !== undefined);
    return new DiskRunFile(this.fs.open(path, 'create'), () => this.remove(path));
  }

  open(path: string): RunSource {
    return new DiskRunSource(this.fs.open(path, 'read'));
  }

  remove(path: string): void {
    this.removals.run(`remove ${path}`, this.fs.remove(path));
  }
}

class DiskRunFile implements RunFile {
  readonly path: string;
  private readonly file: File;
  private readonly remove: () => void;
  private position = 0;

  constructor(file: File, remove: () => void) {
    this.path = file.path;
    this.file = file;
    this.remove = remove;
  }

  write(buffer: Uint8Array, start: number, end: number): void {
    try {
      writeFully(this.file, buffer, start, end, this.position);
    } catch (error) {
      this.file.close();
      this.remove();
      throw error;
    }
    this.position += end - start;
  }

  close(): void {
    this.file.close();
  }
}

class DiskRunSource implements RunSource {
  private readonly file: File;

  constructor(file: File) {
    this.file = file;
  }

  read(buffer: Uint8Array, start: number, length: number, position: number): void {
    const read = readFully(this.file, buffer, start, start + length, position);
    if (read !== length)
      throw damagedRun(this.file.path, `it ends at ${position + read}, in the middle of a block`);
  }

  close(): void {
    this.file.close();
  }
}

/** The bytes of one run: as they were written, piece by piece. */
interface MemoryRun {
  readonly chunks: Uint8Array[];
  bytes: number;
}

class MemoryRunStorage implements RunStorage {
  private readonly limitBytes: number;
  private readonly fallback: RunStorage;
  private readonly runs = new Map<string, MemoryRun>();
  /** Paths by which users know runs that moved to the fallback while they were written. */
  private readonly moved = new Map<string, string>();
  private heldBytes = 0;
  private count = 0;

  constructor(limitBytes: number, fallback: RunStorage) {
    this.limitBytes = limitBytes;
    this.fallback = fallback;
  }

  create(): RunFile {
    return new MemoryRunFile(`memory:${++this.count}`, this);
  }

  open(path: string): RunSource {
    const run = this.runs.get(path);
    if (run !== undefined) return new MemoryRunSource(path, run);
    return this.fallback.open(this.moved.get(path) ?? path);
  }

  remove(path: string): void {
    const run = this.runs.get(path);
    if (run !== undefined) {
      this.runs.delete(path);
      this.heldBytes -= run.bytes;
      return;
    }
    this.fallback.remove(this.moved.get(path) ?? path);
    this.moved.delete(path);
  }

  /** Whether `bytes` more may be held; counts them if so. */
  hold(bytes: number): boolean {
    if (this.heldBytes + bytes > this.limitBytes) return false;
    this.heldBytes += bytes;
    return true;
  }

  keep(path: string, run: MemoryRun): void {
    this.runs.set(path, run);
  }

  /** Copies what was written of a run to the fallback, where it goes on. */
  move(path: string, run: MemoryRun): RunFile {
    const file = this.fallback.create();
    this.moved.set(path, file.path);
    for (const chunk of run.chunks) file.write(chunk, 0, chunk.length);
    this.heldBytes -= run.bytes;
    return file;
  }
}

class MemoryRunFile implements RunFile {
  readonly path: string;
  private readonly storage: MemoryRunStorage;
  private readonly run: MemoryRun = { chunks: [], bytes: 0 };
  private file: RunFile | undefined = undefined;

  constructor(path: string, storage: MemoryRunStorage) {
    this.path = path;
    this.storage = storage;
  }

  write(buffer: Uint8Array, start: number, end: number): void {
    if (this.file === undefined && !this.storage.hold(end - start))
      this.file = this.storage.move(this.path, this.run);
    if (this.file !== undefined) {
      this.file.write(buffer, start, end);
      return;
    }
    const { run } = this;
    run.chunks.push(new Uint8Array(buffer.subarray(start, end)));
    run.bytes += end - start;
  }

  close(): void {
    if (this.file === undefined) this.storage.keep(this.path, this.run);
    else this.file.close();
  }
}

class MemoryRunSource implements RunSource {
  private readonly path: string;
  private readonly run: MemoryRun;
  /** Where each chunk begins. */
  private readonly starts: number[] = [];

  constructor(path: string, run: MemoryRun) {
    this.path = path;
    this.run = run;
    let start = 0;
    for (const chunk of run.chunks) {
      this.starts.push(start);
      start += chunk.length;
    }
  }

  read(buffer: Uint8Array, start: number, length: number, position: number): void {
    if (position + length > this.run.bytes)
      throw damagedRun(this.path, `it ends at ${this.run.bytes}, in the middle of a block`);
    let index = this.chunkAt(position);
    for (let done = 0; done < length; index++) {
      const chunk = this.run.chunks[index];
      if (chunk === undefined) throw damagedRun(this.path, 'a chunk is missing');
      const from = position + done - (this.starts[index] ?? 0);
      const count = Math.min(length - done, chunk.length - from);
      buffer.set(chunk.subarray(from, from + count), start + done);
      done += count;
    }
  }

  close(): void {
    // The memory belongs to the storage, until the run is removed.
  }

  /** The last chunk that begins at `position` or before. */
  private chunkAt(position: number): number {
    let low = 0;
    let high = this.starts.length;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] ?? 0) <= position) low = middle;
      else high = middle;
    }
    return low;
  }
}
