/** Where the outputs of a job go, and which places are refused before anything is run. */
import { basename, resolve } from 'node:path';
import type { FileSystem } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { directoryOf } from '../../../core/files.ts';
import { isThere, liveVersion, MANIFEST_FILE, stagingOf } from '../../../core/output-swap.ts';
import type { Sink } from '../../../flow/sink.ts';

/** A sink whose target is a path. */
export interface PathOutput {
  readonly node: number;
  readonly sink: Sink;
  readonly kind: 'file' | 'directory';
  /** Ending of the parts of a directory. */
  readonly extension: string;
  /** Absolute, without links in it, but for the one that an earlier job has made of the output itself. */
  readonly path: string;
  /** As the user will recognise it. */
  readonly label: string;
}

/** The place of a sink; undefined for stdout and topics. */
export function placeOf(
  fs: FileSystem,
  node: number,
  sink: Sink,
  directory: string,
): PathOutput | undefined {
  const { target } = sink;
  if (target.kind === 'stdout' || target.kind === 'topic') return undefined;
  const extension = target.kind === 'directory' ? target.extension : '';
  const path = canonicalOutput(fs, resolve(directory, target.path));
  return { node, sink, kind: target.kind, extension, path, label: target.path };
}

/** Two outputs at one place, or one inside the other. */
export function checkApart(outputs: readonly PathOutput[]): void {
  outputs.forEach((output, index) => {
    if (output.path === '/')
      throw new MillraceError('ML_FLOW_INVALID', `${output.label} cannot be an output`, {
        fields: { path: output.path },
      });
    for (const other of outputs.slice(0, index)) {
      if (other.path !== output.path && !holds(other, output.path) && !holds(output, other.path))
        continue;
      const how = other.path === output.path ? 'are the same' : 'are inside one another';
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `two outputs ${how}: ${other.label} and ${output.label}`,
        { hint: 'Give each output a path of its own', fields: { path: output.path } },
      );
    }
  });
}

/** Outputs that would take the place of what is read. */
export function checkInputs(
  fs: FileSystem,
  outputs: readonly PathOutput[],
  inputs: readonly string[],
  what: 'input' | 'file of the program',
): void {
  if (outputs.length === 0) return;
  const directories = new Map<string, string>();
  for (const input of inputs) {
    const path = realInput(fs, input, directories);
    const hit = outputs.find(
      (output) => path === output.path || holds(output, path) || output.path.startsWith(`${path}/`),
    );
    if (hit === undefined) continue;
    const how =
      path === hit.path
        ? `is also ${what === 'input' ? 'an' : 'a'} ${what}`
        : holds(hit, path)
          ? `holds the ${what} ${input}`
          : `is below the ${what} ${input}, which is no directory`;
    throw new MillraceError('ML_OUTPUT_IS_INPUT', `the output ${hit.label} ${how}`, {
      fields: { path: hit.path, input },
    });
  }
}

/** What is at the place already. @param directory the working directory: never moved away */
export function checkFree(
  fs: FileSystem,
  output: PathOutput,
  overwrite: boolean,
  directory: string,
): void {
  const { label, path } = output;
  const found = describePlace(fs, path);
  if (found === undefined) return;
  const refuse = (what: string, hint?: string): MillraceError =>
    new MillraceError('ML_OUTPUT_EXISTS', `the output ${label} ${what}`, {
      ...(hint === undefined ? {} : { hint }),
      fields: { path },
    });
  if (fs.stat(path)?.isSpecial === true)
    throw refuse(
      'is a device, a pipe or a socket',
      "Write to stdout, which is '-', and lead that there; or write to another path",
    );
  if (!overwrite) throw refuse(`exists already: ${found}`);
  if (fs.readLink(path) !== undefined || fs.stat(path)?.kind !== 'directory') return;
  // A directory that no job has made would be removed with all that is in it.
  const byHand = 'Remove it yourself, or write to another path';
  if (`${canonical(fs, directory)}/`.startsWith(`${path}/`))
    throw refuse('holds the working directory, and is not replaced', byHand);
  if (fs.stat(path)?.device !== fs.stat(directoryOf(path))?.device)
    throw refuse('is a mount point, and cannot be replaced', 'Write to a path inside of it');
  const names = fs.list(path);
  const below = names.find((name) => fs.stat(`${path}/${name}`)?.kind === 'directory');
  if (below !== undefined)
    throw refuse(
      `is no output of a job: it holds directories (${below}), and is not replaced`,
      byHand,
    );
  const [first] = names;
  if (first !== undefined && !names.includes(MANIFEST_FILE))
    throw refuse(`is no output of a job: it holds ${first}, and is not replaced`, byHand);
}

/** In words, what is at `path`; undefined when nothing is. */
function describePlace(fs: FileSystem, path: string): string | undefined {
  if (!isThere(fs, path)) return undefined;
  const stat = fs.stat(path);
  if (stat === undefined) return `a link to ${fs.readLink(path) ?? '?'}, where nothing is`;
  const written = new Date(stat.modifiedMs).toISOString();
  if (stat.kind === 'file') return `a file of ${stat.sizeBytes} bytes, written at ${written}`;
  const names = fs.list(path).filter((name) => !name.startsWith('.') && !name.startsWith('_'));
  const by = liveVersion(fs, path) === undefined ? 'a directory' : 'the output of an earlier job';
  return names.length === 0
    ? `${by}, empty`
    : `${by} with ${names.length} ${names.length === 1 ? 'file' : 'files'}`;
}

/** Whether `path` is inside the output, or inside what an earlier job has put there. */
function holds(output: PathOutput, path: string): boolean {
  return path.startsWith(`${output.path}/`) || path.startsWith(`${stagingOf(output.path)}/`);
}

/** Links of others at the output's place are followed: what they lead to is the output. */
function canonicalOutput(fs: FileSystem, path: string): string {
  if (path === '/') return path;
  const parent = canonical(fs, directoryOf(path));
  const own = `${parent === '/' ? '' : parent}/${basename(path)}`;
  if (liveVersion(fs, own) !== undefined || fs.stat(own) === undefined) return own;
  return fs.realPath(own);
}

/** Without links, as far as it exists. */
function canonical(fs: FileSystem, path: string): string {
  if (path === '/') return path;
  if (fs.stat(path) !== undefined) return fs.realPath(path);
  const parent = canonical(fs, directoryOf(path));
  return `${parent === '/' ? '' : parent}/${basename(path)}`;
}

/** There may be very many inputs, in few directories. */
function realInput(fs: FileSystem, input: string, directories: Map<string, string>): string {
  if (fs.readLink(input) !== undefined) return canonical(fs, input);
  const parent = directoryOf(input);
  let real = directories.get(parent);
  if (real === undefined) {
    real = canonical(fs, parent);
    directories.set(parent, real);
  }
  return `${real === '/' ? '' : real}/${basename(input)}`;
}
