/**
 * From the paths that a program names to the files that are read, in order: each path as it comes; the files of a pattern, or of a
 * directory, sorted by path.
 */
import { resolve } from 'node:path';
import type { Env, File, FileStat } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { readFully, readWholeFile } from '../../core/files.ts';
import { MANIFEST_FILE } from '../../core/output-swap.ts';
import type { PlanContext } from '../../flow/source.ts';
import { compressionOf, MAGIC_BYTES, type Compression } from './compression.ts';
import { openInput } from './content.ts';
import { expandGlob, isGlob, type GlobMatch } from './globs.ts';
import type { InputFile } from './file-split.ts';
import { spoolStandardInput } from './spool.ts';
import { finishCommit } from './table-snapshot.ts';

/**
 * The files behind `paths`, which are never none.
 * @throws {MillraceError} ML_INPUT_MISSING, ML_PERMISSION, ML_FLOW_INVALID (stdin where it cannot be had)
 */
export async function listInput(
  paths: readonly string[],
  context: PlanContext,
): Promise<InputFile[]> {
  const files: InputFile[] = [];
  for (const path of paths)
    if (path === '-') files.push(await spoolStandardInput(context));
    else files.push(...(await filesOf(path, context)));
  return files;
}

/** What a file is compressed with. Looks into it: an unreadable file is found here. */
export function detectCompression(env: Env, input: InputFile): Compression {
  const file = openInput(env, input.path, input.name);
  try {
    const head = Buffer.alloc(MAGIC_BYTES);
    return compressionOf(input.name, head.subarray(0, readHead(file, head, input)));
  } finally {
    file.close();
  }
}

function readHead(file: File, head: Buffer, { name, sizeBytes }: InputFile): number {
  let length: number;
  try {
    length = readFully(file, head, 0, head.length, 0);
  } catch (error) {
    throw sizeBytes > 0 ? error : notRegular(name, error);
  }
  // Pipes and devices have no size: what they hold would be taken for nothing.
  if (sizeBytes === 0 && length > 0) throw notRegular(name, undefined);
  return length;
}

function notRegular(name: string, cause: unknown): MillraceError {
  return new MillraceError('ML_INPUT_MALFORMED', `${name} is not a regular file`, {
    cause,
    fields: { file: name },
    hint: `Only files can be split and read again after a failure; pipe it into stdin (input '-')`,
  });
}

async function filesOf(pattern: string, context: PlanContext): Promise<InputFile[]> {
  const { env, directory } = context;
  const path = resolve(directory, pattern);
  if (!isGlob(pattern)) await finishCommit(env, path);
  // A file whose name looks like a pattern is that file.
  const stat = isGlob(pattern) ? statOfPattern(env, path) : env.fs.stat(path);
  if (stat !== undefined) return readable(env, { path, stat }, pattern, directory);
  if (!isGlob(pattern)) {
    throw new MillraceError('ML_INPUT_MISSING', `${pattern} does not exist`, {
      fields: { path: pattern, directory },
      hint: `It was looked for at ${path}: check the path, and the directory that the program is run in`,
    });
  }
  const matches = expandGlob(env.fs, path);
  const files = matches.flatMap((match) => readable(env, match, pattern, directory, true));
  if (files.length > 0) return files;
  throw new MillraceError('ML_INPUT_MISSING', `no file matches ${pattern}`, {
    fields: { path: pattern, directory },
    hint: `It was looked for from ${directory}: check the pattern, and the directory that the program is run in`,
  });
}

/** A directory that cannot be looked into is told of by its own name, when it is listed. */
function statOfPattern(env: Env, path: string): FileStat | undefined {
  try {
    return env.fs.stat(path);
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_PERMISSION') return undefined;
    throw error;
  }
}

/** Left out, such a file would be missing from the result without a word. */
function leadsNowhere(name: string): MillraceError {
  return new MillraceError('ML_INPUT_MISSING', `${name} is a link that leads nowhere`, {
    fields: { path: name },
    hint: 'Remove the link, or put back what it leads to',
  });
}

/** The file itself, or those of the directory. */
function readable(
  env: Env,
  match: GlobMatch,
  pattern: string,
  directory: string,
  isOneOfMany = false,
): InputFile[] {
  const { path, stat } = match;
  const name = pattern.startsWith('/') ? path : relativeName(path, directory, pattern);
  if (stat === undefined) throw leadsNowhere(name);
  if (stat.kind === 'file') return [{ path, name, sizeBytes: stat.sizeBytes }];
  // A job that writes a directory anew swaps a link: all splits read the version that is there now.
  const real = env.fs.realPath(path);
  const files: InputFile[] = [];
  const names = env.fs.list(real);
  for (const entry of partsOf(env, real, names) ?? names) {
    if (entry.startsWith('.') || entry.startsWith('_')) continue;
    const inner = `${real}/${entry}`;
    const innerStat = env.fs.stat(inner);
    if (innerStat === undefined) throw leadsNowhere(`${name}/${entry}`);
    if (innerStat.kind !== 'file') continue;
    files.push({ path: inner, name: `${name}/${entry}`, sizeBytes: innerStat.sizeBytes });
  }
  if (files.length > 0 || isOneOfMany) return files;
  throw new MillraceError('ML_INPUT_MISSING', `the directory ${name} holds no files to read`, {
    fields: { path: pattern, directory },
    hint: `Files that begin with '.' or '_', and directories in it, are not read; '${name}/**' is everything below it`,
  });
}

/** What a job says it has written into a directory; undefined when no job wrote it. */
function partsOf(env: Env, directory: string, names: readonly string[]): string[] | undefined {
  if (!names.includes(MANIFEST_FILE)) return undefined;
  const path = `${directory}/${MANIFEST_FILE}`;
  try {
    const manifest: unknown = JSON.parse(readWholeFile(env.fs, path).toString());
    return (manifest as { readonly files: readonly { readonly name: string }[] }).files.map(
      ({ name }) => name,
    );
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    throw new MillraceError('ML_INPUT_MALFORMED', `${path} does not say which parts there are`, {
      cause,
      fields: { path },
      hint: 'Write the directory anew with the job that made it, or read its files by a pattern',
    });
  }
}

/** The path without the directory that the pattern starts from. */
function relativeName(path: string, directory: string, pattern: string): string {
  if (!isGlob(pattern)) return pattern.replace(/(?<=.)\/+$/, '');
  const base = directory.endsWith('/') ? directory : `${directory}/`;
  return path.startsWith(base) ? path.slice(base.length) : path;
}
