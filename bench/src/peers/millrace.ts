/**
 * Millrace as a peer: `millrace start` of this checkout, built, as a user would run it, on loopback.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchFailure } from '../failure.ts';
import { start } from '../process.ts';
import { freePort, type PeerVariant, type RunningPeer, untilAnswering } from './peer.ts';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PACKAGE = join(ROOT, 'millrace');
const HOST = '127.0.0.1';

export interface StartMillraceOptions {
  /** Need not exist. */
  readonly dataDir: string;
  /** Added to `millrace start`. */
  readonly args?: readonly string[];
  /** Options of Node itself, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
}

/**
 * Compiles the sources as they are now.
 * @throws {BenchFailure} with the compiler's message
 */
export async function buildMillrace(): Promise<void> {
  const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
  const project = join(PACKAGE, 'tsconfig.build.json');
  try {
    await run(compiler, ['-p', project]);
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string };
    throw new BenchFailure(`millrace does not build:\n${stdout ?? String(error)}`);
  }
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
      join(PACKAGE, 'bin', 'millrace.js'),
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
export function millraceVariant(name: 'millrace' | 'millrace-os'): PeerVariant {
  const os = name === 'millrace-os';
  return {
    name,
    durability: os
      ? 'page cache before the ack (topics with millrace.flush=os)'
      : 'fdatasync before the ack (default)',
    topicConfig: os ? { 'millrace.flush': 'os' } : {},
    version: packageVersion(),
    start: (dataDir) => startMillrace({ dataDir }),
  };
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return version;
}
