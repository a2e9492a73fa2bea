/**
 * Millrace as a peer: `millrace start` of this checkout, built, as a user would run it, on loopback.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchFailure } from '../failure.ts';
import { start } from '../process.ts';
import { freePort, type PeerVariant, type RunningPeer, untilAnswering } from './peer.ts';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PACKAGE = join(ROOT, 'millrace');
/** Below node_modules, so that the copy finds the same dependencies. */
const COPIES = join(ROOT, 'node_modules', '.cache', 'millrace-bench');
const HOST = '127.0.0.1';

export interface StartMillraceOptions {
  readonly program: MillraceProgram;
  /** Need not exist. */
  readonly dataDir: string;
  /** Added to `millrace start`. */
  readonly args?: readonly string[];
  /** Options of Node itself, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

/** A copy of the built program: a build meanwhile does not change what is measured. */
export interface MillraceProgram {
  /** Holds `bin` and `dist`. */
  readonly folder: string;
  readonly version: string;
  remove(): void;
}

/**
 * Builds the sources as they are now, unless told not to, and copies the result to where its dependencies are found.
 * @throws {BenchFailure} with the build's message, or when there is nothing to run
 */
export async function prepareMillrace(options: {
  readonly build: boolean;
}): Promise<MillraceProgram> {
  if (options.build) {
    try {
      await run('npm', ['run', '--silent', 'build', '--', '--no-types'], { cwd: ROOT });
    } catch (error) {
      const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
      throw new BenchFailure(`millrace does not build:\n${stdout ?? ''}${stderr ?? String(error)}`);
    }
  }
  if (!existsSync(join(PACKAGE, 'dist'))) {
    throw new BenchFailure('millrace is not built: leave out --no-build');
  }
  mkdirSync(COPIES, { recursive: true });
  // The real path, as profiles tell it.
  const folder = realpathSync(mkdtempSync(join(COPIES, 'program-')));
  for (const name of ['bin', 'dist', 'package.json']) {
    cpSync(join(PACKAGE, name), join(folder, name), { recursive: true });
  }
  return {
    folder,
    version: packageVersion(),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * Starts Millrace with the Node that runs the benchmark and resolves when it has answered its first request.
 * @throws {BenchFailure} when it does not come up
 */
export async function startMillrace(options: StartMillraceOptions): Promise<RunningPeer> {
  const { dataDir } = options;
  mkdirSync(dataDir, { recursive: true });
  const port = await freePort();
  const logFile = join(dataDir, 'broker.log');
  const startedAtMs = performance.now();
  const started = start({
    command: process.execPath,
    args: [
      ...(options.nodeArgs ?? []),
      join(options.program.folder, 'bin', 'millrace.js'),
      'start',
      '--data',
      join(dataDir, 'data'),
      '--kafka',
      `${HOST}:${port}`,
      ...(options.args ?? []),
    ],
    logFile,
  });
  try {
    const startMs = await untilAnswering(started, { host: HOST, port }, startedAtMs);
    return {
      host: HOST,
      port,
      pid: started.pid,
      startMs,
      logFile,
      usage: () => started.usage(),
      stop: () => started.stop(),
    };
  } catch (error) {
    await started.stop();
    throw error;
  }
}

/** Millrace as a column of a benchmark. */
export function millraceVariant(
  name: 'millrace' | 'millrace-os',
  program: MillraceProgram,
): PeerVariant {
  const os = name === 'millrace-os';
  return {
    name,
    durability: os
      ? 'page cache before the ack (topics with millrace.flush=os)'
      : 'fdatasync before the ack (default)',
    topicConfig: os ? { 'millrace.flush': 'os' } : {},
    version: packageVersion(),
    start: (dataDir) => startMillrace({ dataDir, program }),
  };
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return version;
}
