/**
 * One version of a table, open: it stays readable, also when another version takes its place, until nobody uses it any more.
 */
import { basename, dirname } from 'node:path';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { TABLE_OPEN_ATTEMPTS } from '../../core/limits.ts';
import { recoverOutput } from '../../core/output-swap.ts';
import type { TableFile } from './table-file.ts';
import { openTableFile } from './table-file.ts';
import type { TableManifest } from './table-format.ts';
import { readManifest, TABLE_FILE } from './table-format.ts';

export class Snapshot {
  /** Tells this version from others. */
  readonly version: string;
  readonly size: number;
  readonly files: readonly TableFile[];
  private readonly isHashed: boolean;
  /** Who uses it: the reader itself while it is the current one, and each range that is being read. */
  private useCount = 1;

  constructor(version: string, manifest: TableManifest, files: readonly TableFile[]) {
    this.version = version;
    this.size = manifest.keys;
    this.files = files;
    this.isHashed = manifest.partitioning === 'hash';
  }

  /** The number of the file that may hold a key with this hash; or of the first one to look into. */
  firstFor(hash: number): number {
    const { length } = this.files;
    if (!this.isHashed || length === 1) return length - 1;
    return hash % length;
  }

  /** Where to look when the file `rank` does not have the key; -1: nowhere. Later files win. */
  nextAfter(rank: number): number {
    return this.isHashed ? -1 : rank - 1;
  }

  acquire(): void {
    this.useCount++;
  }

  release(): void {
    this.useCount--;
    if (this.useCount === 0) for (const file of this.files) file.close();
  }
}

/** Where the newest version is, and what it is called. @throws {MillraceError} ML_FILE_NOT_FOUND */
export function resolveVersion(
  { fs }: Env,
  path: string,
): { readonly directory: string; readonly version: string } {
  if (fs.stat(`${path}/${TABLE_FILE}`) === undefined)
    throw new MillraceError('ML_FILE_NOT_FOUND', `there is no table at ${path}`, {
      hint: `A table is a directory that holds ${TABLE_FILE}: write one with files.table(path)`,
      fields: { path },
    });
  const directory = fs.realPath(path);
  const isVersion = basename(dirname(directory)).endsWith('.millrace');
  const version = isVersion
    ? basename(directory).replace(/^v-/, '')
    : readManifest(fs, directory).crc;
  return { directory, version };
}

/** Opens the newest version. It may be replaced meanwhile: then the one after it is opened. */
export async function openSnapshot(env: Env, path: string): Promise<Snapshot> {
  await finishCommit(env, path);
  for (let attempt = 1; ; attempt++) {
    const { directory, version } = resolveVersion(env, path);
    const files: TableFile[] = [];
    try {
      const { manifest } = readManifest(env.fs, directory);
      for (const entry of manifest.files) files.push(await openTableFile(env, directory, entry));
      return new Snapshot(version, manifest, files);
    } catch (error) {
      for (const file of files) file.close();
      const isGone = error instanceof MillraceError && error.code === 'ML_FILE_NOT_FOUND';
      const isReplaced = isGone && resolveVersion(env, path).directory !== directory;
      if (!isReplaced || attempt === TABLE_OPEN_ATTEMPTS) throw error;
    }
  }
}

/** A job may have died between its decision and the last of its outputs. Who may only read, reads what is there. */
export async function finishCommit(env: Env, path: string): Promise<void> {
  try {
    await recoverOutput(env, path);
  } catch (error) {
    const isRefused =
      error instanceof MillraceError &&
      (error.code === 'ML_PERMISSION' || error.code === 'ML_READ_ONLY');
    if (!isRefused) throw error;
  }
}
