/**
 * From the parts of the attempts that won to the one file, or the version of a directory, that will take the place of an
 * output. Everything here happens in staging; when a function resolves, the bytes and names are on the disk.
 */
import type { File, FileSystem } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readFullyAsync, writeManyFullyAsync } from '../../../core/files.ts';
import { COMMIT_COPY_BYTES } from '../../../core/limits.ts';
import { MANIFEST_FILE } from '../../../core/output-swap.ts';
import type { Part } from '../../../flow/sink.ts';

/** NOTE: persistent format of the manifest, do not renumber. */
const MANIFEST_FORMAT = 1;

/** Parts of one output must have the same head, whichever task wrote them. */
export function checkHeads(parts: readonly Part[], label: string): void {
  const keys = [...new Set(parts.flatMap(({ head }) => (head === undefined ? [] : [head.key])))];
  const [first, second] = keys;
  if (first === undefined || second === undefined) return;
  throw new MillraceError(
    'ML_SINK_VALUE_INVALID',
    `records of ${label} have different columns: ${first}; ${second}`,
    { hint: 'Name the columns: { columns: […] }', fields: { first, second } },
  );
}

/** The parts as they are on the disk are those that the tasks have told of. */
export function checkParts(fs: FileSystem, parts: readonly Part[]): void {
  for (const { path, bytes } of parts) {
    const found = fs.stat(path)?.sizeBytes;
    if (found === bytes) continue;
    const is = found === undefined ? 'is gone' : `has ${found} bytes`;
    throw new MillraceError('ML_IO', `a part of the output ${is}; ${bytes} were written: ${path}`, {
      hint: 'Nothing else may change the staging directory while a job runs: run it again',
      fields: { path, bytes },
    });
  }
}

/** One file at `path`, all parts in order, synced. The first is reused; the others are gone afterwards. Returns its bytes. */
export async function concatenate(
  fs: FileSystem,
  parts: readonly Part[],
  path: string,
): Promise<number> {
  const [first, ...rest] = parts.filter((part) => part.bytes > 0);
  if (first === undefined) {
    const file = fs.open(path, 'publish');
    await file.sync().finally(() => file.close());
    return 0;
  }
  fs.rename(first.path, path);
  let { bytes } = first;
  let hasHead = first.head !== undefined;
  const file = fs.open(path, 'write');
  try {
    const largest = rest.reduce((most, part) => Math.max(most, part.bytes), 0);
    const copyBytes = Math.min(COMMIT_COPY_BYTES, largest);
    const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(copyBytes));
    for (const part of rest) {
      const skip = hasHead ? (part.head?.bytes ?? 0) : 0;
      hasHead ||= part.head !== undefined;
      bytes = await append(fs, part, skip, { file, position: bytes, buffers });
      // Its bytes are in the file: two copies of a large output would need twice the disk.
      await fs.remove(part.path);
    }
    await file.sync();
  } finally {
    file.close();
  }
  return bytes;
}

/** Gives the parts their final names in `directory`, in order. */
export function namedParts(
  fs: FileSystem,
  parts: readonly Part[],
  directory: string,
  extension: string,
): readonly Part[] {
  return parts.map((part, index) => {
    const path = `${directory}/part-${String(index).padStart(5, '0')}${extension}`;
    fs.rename(part.path, path);
    return { ...part, path };
  });
}

/** What is in a directory of parts, and who wrote it. */
export async function writeManifest(
  fs: FileSystem,
  directory: string,
  jobId: string,
  parts: readonly Part[],
): Promise<void> {
  const files = parts.map(({ path, bytes, records }) => ({
    name: path.slice(directory.length + 1),
    bytes,
    records,
  }));
  const records = files.reduce((sum, file) => sum + file.records, 0);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const text = JSON.stringify(
    { format: MANIFEST_FORMAT, job: jobId, bytes, records, files },
    undefined,
    2,
  );
  const file = fs.open(`${directory}/${MANIFEST_FILE}`, 'publish');
  try {
    await writeManyFullyAsync(file, [Buffer.from(`${text}\n`)], 0);
    await file.sync();
  } finally {
    file.close();
  }
}

/** Gives all bytes of the parts to `write`, in order. */
export async function stream(
  fs: FileSystem,
  parts: readonly Part[],
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<number> {
  let bytes = 0;
  let hasHead = false;
  for (const part of parts) {
    const file = fs.open(part.path, 'read');
    try {
      let position = hasHead ? (part.head?.bytes ?? 0) : 0;
      hasHead ||= part.head !== undefined;
      while (position < part.bytes) {
        // A chunk may be in the hands of the stream for long: each is its own.
        const chunk = Buffer.allocUnsafe(Math.min(COMMIT_COPY_BYTES, part.bytes - position));
        const count = await readFullyAsync(file, chunk, 0, chunk.length, position);
        if (count === 0) throw shorter(part.path, position);
        await write(chunk.subarray(0, count));
        position += count;
        bytes += count;
      }
    } finally {
      file.close();
    }
  }
  return bytes;
}

interface AppendTarget {
  readonly file: File;
  readonly position: number;
  /** Two: one is read into while the other is written. */
  readonly buffers: readonly Buffer[];
}

async function append(
  fs: FileSystem,
  part: Part,
  skip: number,
  { buffers, file, position }: AppendTarget,
): Promise<number> {
  const source = fs.open(part.path, 'read');
  const read = async (buffer: Buffer | undefined, from: number): Promise<Buffer> => {
    const chunk = (buffer ?? Buffer.alloc(0)).subarray(0, part.bytes - from);
    const count = await readFullyAsync(source, chunk, 0, chunk.length, from);
    if (count < chunk.length) throw shorter(part.path, from + count);
    return chunk;
  };
  try {
    let to = position;
    let next = read(buffers[0], skip);
    for (let from = skip, turn = 1; from < part.bytes; turn = 1 - turn) {
      const chunk = await next;
      from += chunk.length;
      next = read(buffers[turn], from);
      // Both have to end before the file is closed or the buffer is used again, whichever fails.
      const [written] = await Promise.allSettled([writeManyFullyAsync(file, [chunk], to), next]);
      if (written.status === 'rejected') throw written.reason;
      to += chunk.length;
    }
    return to;
  } finally {
    source.close();
  }
}

function shorter(path: string, position: number): MillraceError {
  return new MillraceError('ML_IO', `${path} ends at ${position}, before its end`, {
    fields: { path, position },
  });
}
