/**
 * The outputs of one job: all of them take their places, or none, whatever is killed when.
 *
 * Parts are written into staging beside each output, then put together there. Then one durable record decides
 * (`core/output-swap.ts`), and each output is swapped in by one rename: a file by itself, a directory by a link to its version.
 * A job that dies before the record has changed nothing; one that dies behind it is finished by the next job that writes to one
 * of its outputs, or by the next that reads one.
 *
 * Invariant: while this object is open it holds the lock of every output.
 */
import type { DirectoryLock, Env, FileSystem } from '../../../core/env.ts';
import { assert, MillraceError } from '../../../core/errors.ts';
import { directoryOf, syncPath } from '../../../core/files.ts';
import type { Swap } from '../../../core/output-swap.ts';
import {
  cleanStaging,
  disposeStaging,
  isThere,
  linkTo,
  lockStaging,
  recoverStaging,
  rollForward,
  stagingOf,
  versionPath,
  withdrawDecision,
  writeDecision,
  writeNote,
} from '../../../core/output-swap.ts';
import type { Part, Sink } from '../../../flow/sink.ts';
import type { PathOutput } from './commit-checks.ts';
import { publishTopics } from './publish-topics.ts';
import { checkApart, checkFree, checkInputs, placeOf } from './commit-checks.ts';
import {
  checkHeads,
  checkParts,
  concatenate,
  namedParts,
  stream,
  writeManifest,
} from './commit-parts.ts';

export { recoverOutput } from '../../../core/output-swap.ts';

export interface CommitOptions {
  readonly jobId: string;
  /** Where relative paths start: the working directory. */
  readonly directory: string;
  /** `node` tells them apart: the id of the write node, or any other number for a sink of dead letters. */
  readonly outputs: readonly { readonly node: number; readonly sink: Sink }[];
  /** Absolute paths of the files that are read. */
  readonly inputs: readonly string[];
  /** Absolute paths of the modules of the program: no output takes their place either. */
  readonly modules?: readonly string[];
  readonly overwrite: boolean;
  /** `--brokers`: where topics are. */
  readonly brokers?: string | undefined;
  /** For the error that another job gets meanwhile. */
  readonly describe: { readonly pid: number; readonly startedMs: number };
  /** A directory of the job: what goes to stdout waits there. Its owner removes it. */
  readonly scratch: string;
}

/** An output that has taken its place. */
export interface CommittedOutput {
  readonly node: number;
  /** Absolute; `-` for stdout; `topic NAME`. */
  readonly path: string;
  readonly bytes: number;
  readonly records: number;
  /** Files that hold records. */
  readonly files: number;
  /** Its files are parts in a directory, which is what `path` names. */
  readonly isDirectory: boolean;
}

/** Takes bytes for stdout; resolves when more may come. */
export type WriteStdout = (bytes: Uint8Array) => Promise<void>;

interface OpenOutputs {
  readonly env: Env;
  readonly options: CommitOptions;
  readonly outputs: readonly PathOutput[];
  readonly locks: readonly DirectoryLock[];
  readonly token: string;
  readonly madeParents: readonly string[];
}

export class OutputCommit {
  private readonly env: Env;
  private readonly options: CommitOptions;
  private readonly outputs: readonly PathOutput[];
  private readonly locks: readonly DirectoryLock[];
  private readonly token: string;
  /** Directories above the outputs that were not there, the inner ones first. */
  private readonly madeParents: readonly string[];
  /** `deciding`: the record may or may not be on the disk. */
  private state: 'open' | 'deciding' | 'decided' | 'closed' = 'open';

  private constructor({ env, options, outputs, locks, token, madeParents }: OpenOutputs) {
    this.env = env;
    this.options = options;
    this.outputs = outputs;
    this.locks = locks;
    this.token = token;
    this.madeParents = madeParents;
  }

  /**
   * Takes the places of all outputs: checks them, locks them, finishes or removes what jobs that died have left there.
   * @throws {MillraceError} ML_OUTPUT_EXISTS, ML_OUTPUT_IS_INPUT, ML_FLOW_INVALID, ML_PERMISSION, ML_COMMIT_BUSY; nothing is
   * held then
   */
  static async begin(env: Env, options: CommitOptions): Promise<OutputCommit> {
    const { fs } = env;
    const { directory, overwrite } = options;
    const outputs = options.outputs.flatMap(
      ({ node, sink }) => placeOf(fs, node, sink, directory) ?? [],
    );
    checkApart(outputs);
    checkInputs(fs, outputs, options.inputs, 'input');
    checkInputs(fs, outputs, options.modules ?? [], 'file of the program');
    // Most refusals are found before anything is touched…
    for (const output of outputs)
      if (fs.stat(stagingOf(output.path)) === undefined)
        checkFree(fs, output, overwrite, directory);
    const token = tokenOf(env, options.jobId);
    const locks: DirectoryLock[] = [];
    const paths = outputs.map((output) => output.path).toSorted();
    const held = new Set<string>();
    const madeParents = missingParents(fs, paths);
    try {
      // In one order for all jobs: of two that want the same outputs one gets them all.
      for (const path of paths) {
        locks.push(lockStaging(fs, path));
        held.add(path);
      }
      for (const path of paths) await recoverStaging(fs, path, held);
      for (const path of paths) await cleanStaging(fs, path);
      // …but only now it is certain what is there.
      for (const output of outputs) checkFree(fs, output, overwrite, directory);
      await writeNotes(env, options, outputs, token);
    } catch (error) {
      await release(env, [...held], locks);
      await removeEmpty(fs, madeParents);
      throw error;
    }
    return new OutputCommit({ env, options, outputs, locks, token, madeParents });
  }

  /** A directory for the parts of one attempt at one task: made, empty, its own. */
  attemptDirectory(node: number, stage: number, task: number, attempt: number): string {
    assert(this.state === 'open', 'attempts belong between begin and commit');
    const output = this.outputs.find((candidate) => candidate.node === node);
    const home =
      output === undefined
        ? `${this.options.scratch}/stdout-${node}`
        : this.jobDirectory(output.path);
    const path = `${home}/${stage}-${task}-${attempt}`;
    assert(this.env.fs.stat(path) === undefined, `attempt ${path} has been made before`);
    this.env.fs.makeDirectory(path);
    return path;
  }

  /**
   * Puts the parts together and into their places. When it resolves, all outputs are there, durably. When it rejects, call
   * `abort`: none is, unless the error says that the job is committed.
   * @param parts of each output, in order
   * @param writeStdout gets what outputs with target stdout hold, when everything else is in place
   */
  async commit(
    parts: ReadonlyMap<number, readonly Part[]>,
    writeStdout: WriteStdout,
  ): Promise<readonly CommittedOutput[]> {
    assert(this.state === 'open', 'an output is committed once');
    const { env, options, outputs } = this;
    const { fs } = env;
    for (const { node, sink } of options.outputs) {
      checkHeads(parts.get(node) ?? [], sink.label);
      checkParts(fs, parts.get(node) ?? []);
    }
    const committed: CommittedOutput[] = [];
    const swaps: Swap[] = [];
    for (const output of outputs) {
      const { swap, result } = await this.assemble(output, parts.get(output.node) ?? []);
      swaps.push(swap);
      committed.push(result);
    }
    const topics = options.outputs.flatMap(({ node, sink }) =>
      sink.topic === undefined ? [] : [{ sink, port: sink.topic, parts: parts.get(node) ?? [] }],
    );
    await publishTopics(env, topics, options);
    const [first] = outputs;
    if (first !== undefined) await this.decide(stagingOf(first.path), swaps);
    this.state = 'decided';
    for (const { node, sink } of options.outputs)
      if (sink.target.kind === 'stdout')
        committed.push(await streamOut(env, node, parts.get(node) ?? [], writeStdout));
      else if (sink.target.kind === 'topic')
        committed.push(published(node, sink.label, parts.get(node) ?? []));
    await this.close();
    return options.outputs.flatMap(({ node }) => committed.filter((one) => one.node === node));
  }

  /** Gives the places back and removes what was written. Idempotent; after `commit` it does nothing. */
  async abort(): Promise<void> {
    if (this.state === 'closed') return;
    const { fs } = this.env;
    const [first] = this.outputs;
    if (this.state === 'deciding' && first !== undefined)
      try {
        await withdrawDecision(fs, stagingOf(first.path));
      } catch (error) {
        // It may be on the disk: nothing that it names may go. Who comes next finishes it, or removes it.
        this.state = 'closed';
        for (const lock of this.locks) lock.release();
        throw error;
      }
    if (this.state === 'decided') {
      this.state = 'closed';
      for (const lock of this.locks) lock.release();
      return;
    }
    await this.close();
    await removeEmpty(fs, this.madeParents);
  }

  /** Everything that `output` will be, in staging and on the disk. */
  private async assemble(
    output: PathOutput,
    parts: readonly Part[],
  ): Promise<{ readonly swap: Swap; readonly result: CommittedOutput }> {
    const { env, options, token } = this;
    const { fs } = env;
    const { node, path, sink } = output;
    const staging = stagingOf(path);
    const job = this.jobDirectory(path);
    const swap = { path, from: `${job}/new`, aside: `${job}/old` };
    const records = parts.reduce((sum, part) => sum + part.records, 0);
    fs.makeDirectory(job);
    let bytes: number;
    let files = 1;
    if (output.kind === 'file') {
      bytes = await concatenate(fs, parts, swap.from);
      assert(sink.complete === undefined, `${sink.format} describes parts, and is one file`);
    } else {
      const version = versionPath(staging, token);
      fs.publishDirectory(version);
      const named = namedParts(fs, parts, version, output.extension);
      await sink.complete?.({ env, directory: version, parts: named });
      await writeManifest(fs, version, options.jobId, named);
      await fs.syncDirectory(version);
      fs.symlink(linkTo(version), swap.from);
      bytes = named.reduce((sum, part) => sum + part.bytes, 0);
      files = named.length;
    }
    await fs.syncDirectory(job);
    await fs.syncDirectory(staging);
    await syncPath(fs, staging);
    const isDirectory = output.kind === 'directory';
    return { swap, result: { node, path, bytes, records, files, isDirectory } };
  }

  private async decide(coordinator: string, swaps: readonly Swap[]): Promise<void> {
    const { token } = this;
    const { fs } = this.env;
    const { jobId } = this.options;
    const decision = { jobId, token, swaps };
    this.state = 'deciding';
    await writeDecision(fs, coordinator, decision);
    this.state = 'decided';
    try {
      await rollForward(fs, coordinator, decision);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MillraceError(
        cause instanceof MillraceError ? cause.code : 'ML_IO',
        `job ${jobId} is committed, but not all its outputs are in their places yet: ${reason}`,
        { cause, hint: 'Remove the obstacle; the next job that writes to one of them goes on' },
      );
    }
  }

  private async close(): Promise<void> {
    this.state = 'closed';
    await release(
      this.env,
      this.outputs.map((output) => output.path),
      this.locks,
    );
  }

  private jobDirectory(path: string): string {
    return `${stagingOf(path)}/job-${this.token}`;
  }
}

/** Unique, also when one job id is used again. */
function tokenOf(env: Env, jobId: string): string {
  return `${jobId.replaceAll(/[^\w-]/g, '_')}-${env.random.bytes(4).toString('hex')}`;
}

async function writeNotes(
  env: Env,
  { jobId, describe }: CommitOptions,
  outputs: readonly PathOutput[],
  token: string,
): Promise<void> {
  const [first] = outputs;
  if (first === undefined) return;
  const coordinator = stagingOf(first.path);
  const note = { jobId, token, coordinator, pid: describe.pid, startedMs: describe.startedMs };
  for (const { path } of outputs) await writeNote(env.fs, stagingOf(path), note);
}

/** Cleans up, then gives the locks back. What cannot be removed is harmless: the next job at that place removes it. */
async function release(
  env: Env,
  paths: readonly string[],
  locks: readonly DirectoryLock[],
): Promise<void> {
  try {
    for (const path of paths) await disposeStaging(env.fs, path);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
  } finally {
    for (const lock of locks.toReversed()) lock.release();
  }
}

/** The directories above `paths` that are not there: those further in come first. */
function missingParents(fs: FileSystem, paths: readonly string[]): string[] {
  const missing = new Set<string>();
  for (const path of paths)
    for (let parent = directoryOf(path); !isThere(fs, parent); parent = directoryOf(parent))
      missing.add(parent);
  return [...missing].toSorted((a, b) => b.length - a.length);
}

/** What another job has put into one of them meanwhile keeps it. */
async function removeEmpty(fs: FileSystem, directories: readonly string[]): Promise<void> {
  try {
    for (const directory of directories) await fs.removeIfEmpty(directory);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
  }
}

function published(node: number, path: string, parts: readonly Part[]): CommittedOutput {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const records = parts.reduce((sum, part) => sum + part.records, 0);
  return { node, path, bytes, records, files: 0, isDirectory: false };
}

async function streamOut(
  env: Env,
  node: number,
  parts: readonly Part[],
  write: WriteStdout,
): Promise<CommittedOutput> {
  const bytes = await stream(env.fs, parts, write);
  const records = parts.reduce((sum, part) => sum + part.records, 0);
  return { node, path: '-', bytes, records, files: 1, isDirectory: false };
}
