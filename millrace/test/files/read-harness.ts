/** Reads sources in tests: files in memory that give fewer bytes than asked for, and records with all that a reader says of them. */
import type { Env, File, FileStat } from '../../src/core/env.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { ByteChunk, PlanContext, ReadContext, Source } from '../../src/flow/source.ts';

export interface MemoryFilesOptions {
  /** A read gives at most so many bytes. */
  readonly readBytesMax?: number;
}

/** An Env that has these files, by absolute path, and nothing else. */
export function memoryEnv(
  files: Readonly<Record<string, Buffer>>,
  { readBytesMax = Number.POSITIVE_INFINITY }: MemoryFilesOptions = {},
): Env {
  const isDirectory = (path: string): boolean =>
    path === '/' || Object.keys(files).some((name) => name.startsWith(`${path}/`));
  const fs = {
    open: (path: string): File => {
      const bytes = files[path];
      if (bytes === undefined)
        throw new MillraceError('ML_FILE_NOT_FOUND', `cannot open ${path}: there is no such file`);
      return memoryFile(path, bytes, readBytesMax);
    },
    stat: (path: string): FileStat | undefined => {
      const sizeBytes = files[path]?.length;
      if (sizeBytes !== undefined)
        return { kind: 'file', sizeBytes, modifiedMs: 0, device: 0, inode: 0 };
      return isDirectory(path)
        ? { kind: 'directory', sizeBytes: 0, modifiedMs: 0, device: 0, inode: 0 }
        : undefined;
    },
    realPath: (path: string): string => path,
    list: (path: string): string[] => {
      const prefix = path === '/' ? '/' : `${path}/`;
      const names = Object.keys(files)
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length).split('/')[0] ?? '');
      return [...new Set(names)].sort();
    },
  };
  return { fs } as unknown as Env;
}

function memoryFile(path: string, bytes: Buffer, readBytesMax: number): File {
  return {
    path,
    size: () => bytes.length,
    read: (buffer: Uint8Array, start: number, end: number, position: number) =>
      bytes.copy(
        buffer,
        start,
        position,
        Math.min(bytes.length, position + Math.min(end - start, readBytesMax)),
      ),
    close: () => {},
  } as unknown as File;
}

export interface ReadOptions {
  readonly env: Env;
  readonly splitBytes?: number;
  readonly directory?: string;
  /** Whether `emit` pauses after the record with that number. */
  readonly pausesAfter?: (record: number) => boolean;
  /** Gets what is malformed; otherwise it is thrown. */
  readonly skipped?: { readonly error: Error; readonly raw: string }[];
}

export interface ReadRecord<Value> {
  readonly value: Value;
  readonly position: string;
  /** What the mark of the record said when all was read. */
  readonly located: string;
  readonly split: number;
}

/** Every record of the source, in its order. Also checks what every reader promises. */
export async function readRecords<Value>(
  source: Source<Value>,
  options: ReadOptions,
): Promise<ReadRecord<Value>[]> {
  const context = readContext(options);
  const { splits } = await source.plan(planContext(options));
  const records: ReadRecord<Value>[] = [];
  for (const [index, split] of splits.entries()) {
    if (split.index !== index) throw new Error(`split ${index} has number ${split.index}`);
    // Splits are plain JSON.
    const copy = JSON.parse(JSON.stringify(split)) as typeof split;
    const reader = source.open(copy, context);
    const marks: { readonly value: Value; readonly position: string; readonly mark: number }[] = [];
    let isPaused = false;
    const emit = (value: Value): boolean => {
      if (isPaused) throw new Error('a record was emitted after emit had paused');
      marks.push({ value, position: reader.position(), mark: reader.mark() });
      isPaused = options.pausesAfter?.(records.length + marks.length) ?? false;
      return !isPaused;
    };
    try {
      while (!(await reader.read(emit))) {
        isPaused = false;
        if (split.bytes > 0 && reader.consumedBytes > split.bytes)
          throw new Error(`${reader.consumedBytes} of ${split.bytes} bytes were consumed`);
      }
      for (const { value, position, mark } of marks)
        records.push({ value, position, located: reader.locate(mark), split: index });
    } finally {
      await reader.close();
    }
  }
  return records;
}

export async function readValues<Value>(
  source: Source<Value>,
  options: ReadOptions,
): Promise<Value[]> {
  return (await readRecords(source, options)).map(({ value }) => value);
}

/** The chunks of all splits. */
export async function readChunks(
  source: Source,
  options: ReadOptions,
): Promise<{ readonly bytes: Buffer; readonly header: readonly string[] | undefined }[]> {
  const chunks: { bytes: Buffer; header: readonly string[] | undefined }[] = [];
  for (const split of (await source.plan(planContext(options))).splits) {
    const reader = source.openBytes?.(split, readContext(options));
    if (reader === undefined) throw new Error('the source has no bytes');
    let chunk: ByteChunk | undefined;
    while ((chunk = await reader.next()) !== undefined)
      chunks.push({
        bytes: Buffer.from(chunk.buffer.subarray(chunk.start, chunk.end)),
        header: reader.header,
      });
    await reader.close();
  }
  return chunks;
}

export function planContext({ env, splitBytes, directory }: ReadOptions): PlanContext {
  return {
    env,
    directory: directory ?? '/data',
    splitBytes: splitBytes ?? 64 * 1024 * 1024,
    brokers: undefined,
  };
}

export function readContext({ env, directory, skipped }: ReadOptions): ReadContext {
  return {
    env,
    directory: directory ?? '/data',
    brokers: undefined,
    malformed: (error, raw) => {
      if (skipped === undefined) throw error;
      skipped.push({ error, raw });
    },
  };
}

/** What `promise` rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
