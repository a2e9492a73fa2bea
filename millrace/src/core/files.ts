/**
 * Whole reads and writes over `File`, whose calls are single system calls that may do less than asked; and the one
 * way to replace a file so that a power cut leaves either the old or the new content.
 *
 * Invariant: a function here returns only after everything was written, or throws. After a throw an unknown prefix
 * was written: the caller truncates, or writes the range again.
 */

import type { File, FileSystem } from './env.ts';
import { assert, MillraceError } from './errors.ts';
import { EMPTY_WRITES_MAX, WHOLE_FILE_BYTES_MAX, WRITE_BUFFERS_MAX } from './limits.ts';

/** Writes buffer[start, end) at `position`, in as many calls as it takes. Throws as `File.write` does. */
export function writeFully(
  file: File,
  buffer: Uint8Array,
  start: number,
  end: number,
  position: number,
): void {
  let written = file.write(buffer, start, end, position);
  if (written === end - start) return;
  let emptyCount = 0;
  for (let from = start + written; from < end; from += written) {
    written = file.write(buffer, from, end, position + (from - start));
    emptyCount = written > 0 ? 0 : emptyCount + 1;
    if (emptyCount === EMPTY_WRITES_MAX) throw stuck(file, position + (from - start));
  }
}

/** Writes all buffers one after the other at `position`; any number of them. Returns the bytes written. */
export function writeManyFully(
  file: File,
  buffers: readonly Uint8Array[],
  position: number,
): number {
  const rest = new Rest(file, buffers, position);
  while (!rest.isEmpty()) rest.take(file.writeMany(rest.chunk, rest.position));
  return rest.position - position;
}

/** As `writeManyFully`, beside the event loop. The buffers must not change before it settles. */
export async function writeManyFullyAsync(
  file: File,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<number> {
  const rest = new Rest(file, buffers, position);
  while (!rest.isEmpty()) rest.take(await file.writeManyAsync(rest.chunk, rest.position));
  return rest.position - position;
}

/** Reads into buffer[start, end) from `position` until it is full or the file ends. Returns the bytes read. */
export function readFully(
  file: File,
  buffer: Uint8Array,
  start: number,
  end: number,
  position: number,
): number {
  let at = start;
  while (at < end) {
    const count = file.read(buffer, at, end, position + (at - start));
    if (count === 0) break;
    at += count;
  }
  return at - start;
}

/** As `readFully`, beside the event loop. */
export async function readFullyAsync(
  file: File,
  buffer: Uint8Array,
  start: number,
  end: number,
  position: number,
): Promise<number> {
  let at = start;
  while (at < end) {
    const count = await file.readAsync(buffer, at, end, position + (at - start));
    if (count === 0) break;
    at += count;
  }
  return at - start;
}

/**
 * The whole content of a file.
 * @param limitBytes larger files are refused before anything is allocated
 * @throws {MillraceError} ML_FILE_NOT_FOUND, ML_FILE_TOO_LARGE, ML_IO, ML_PERMISSION
 */
export function readWholeFile(
  fs: FileSystem,
  path: string,
  limitBytes: number = WHOLE_FILE_BYTES_MAX,
): Buffer {
  const file = fs.open(path, 'read');
  try {
    const sizeBytes = file.size();
    if (sizeBytes > limitBytes)
      throw new MillraceError(
        'ML_FILE_TOO_LARGE',
        `${path} has ${sizeBytes} bytes; at most ${limitBytes} are read`,
        { fields: { path, sizeBytes, limitBytes } },
      );
    const content = Buffer.allocUnsafe(sizeBytes);
    return content.subarray(0, readFully(file, content, 0, sizeBytes, 0));
  } finally {
    file.close();
  }
}

/**
 * Gives `path` the content `bytes`, whether it exists or not. When the promise resolves the new content survives a
 * power cut; a cut before that leaves the old content or the new one, never a mix. One call per path at a time: the
 * content is prepared in `<path>.new`.
 */
export async function replaceFile(fs: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const preparedPath = `${path}.new`;
  const file = fs.open(preparedPath, 'open');
  try {
    file.truncate(0);
    writeFully(file, bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    file.close();
  }
  fs.rename(preparedPath, path);
  await fs.syncDirectory(directoryOf(path));
}

/** As `replaceFile`, for what nobody misses after a power cut: at once, and not synced. A reader must stand a damaged one. */
export function replaceFileUnsynced(fs: FileSystem, path: string, bytes: Uint8Array): void {
  const preparedPath = `${path}.new`;
  const file = fs.open(preparedPath, 'open');
  try {
    file.truncate(0);
    writeFully(file, bytes, 0, bytes.length, 0);
  } finally {
    file.close();
  }
  fs.rename(preparedPath, path);
}

/**
 * Makes the name of a directory survive a power cut, and those of all directories above it: `makeDirectory` may have made
 * any of them, in this life or in an earlier one that was killed. Those that may not be opened are not ours.
 */
export async function syncPath(fs: FileSystem, directory: string): Promise<void> {
  for (let at = directory; at !== '/'; ) {
    at = directoryOf(at);
    try {
      await fs.syncDirectory(at);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'ML_PERMISSION') throw error;
    }
  }
}

/** The directory that holds an absolute path. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/');
  assert(slash >= 0, `not an absolute path: ${path}`);
  return slash === 0 ? '/' : path.slice(0, slash);
}

/** What of a list of buffers is still to be written, in chunks of at most WRITE_BUFFERS_MAX. */
class Rest {
  chunk: readonly Uint8Array[] = [];
  position: number;
  private readonly file: File;
  private readonly buffers: readonly Uint8Array[];
  /** The first buffer that is not wholly written, and how many of its bytes are. */
  private index = 0;
  private offset = 0;
  private emptyCount = 0;

  constructor(file: File, buffers: readonly Uint8Array[], position: number) {
    this.file = file;
    this.buffers = buffers;
    this.position = position;
    this.advance(0);
  }

  isEmpty(): boolean {
    return this.chunk.length === 0;
  }

  /** Moves on by the `count` bytes that a call has written. */
  take(count: number): void {
    this.emptyCount = count > 0 ? 0 : this.emptyCount + 1;
    if (this.emptyCount === EMPTY_WRITES_MAX) throw stuck(this.file, this.position);
    this.advance(count);
  }

  private advance(count: number): void {
    const { buffers } = this;
    this.position += count;
    this.offset += count;
    for (let length = this.lengthAt(); this.index < buffers.length; length = this.lengthAt()) {
      if (this.offset < length) break;
      this.offset -= length;
      this.index++;
    }
    const isWhole = this.index === 0 && this.offset === 0 && buffers.length <= WRITE_BUFFERS_MAX;
    const chunk = isWhole ? buffers : buffers.slice(this.index, this.index + WRITE_BUFFERS_MAX);
    const [first] = chunk;
    this.chunk =
      first === undefined || this.offset === 0
        ? chunk
        : [first.subarray(this.offset), ...chunk.slice(1)];
  }

  private lengthAt(): number {
    return this.buffers[this.index]?.length ?? 0;
  }
}

function stuck(file: File, position: number): MillraceError {
  return new MillraceError(
    'ML_IO',
    `writing ${file.path} makes no progress at position ${position}`,
    { fields: { path: file.path, position } },
  );
}
