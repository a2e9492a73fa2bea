/**
 * Runs the rich programs again and again, each time in another way, while workers or the driver are killed, and compares every byte.
 * `identical.int.test.ts` does some of it; for as long as one likes, with the command of the sources:
 *
 *     node millrace/test/jobs/identical-runs.ts [seconds] [rows] [seed]
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RICH_PROGRAMS, writeRich } from './rich-programs.ts';

/** Digest of each output, by its path: a directory is what its parts are one behind the other, in order. */
export function digests(out: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(out).toSorted()) {
    const path = join(out, name);
    if (name.startsWith('.')) continue;
    const hash = createHash('sha256');
    if (lstatSync(path).isFile()) hash.update(readFileSync(path));
    else
      for (const part of readdirSync(path).toSorted())
        if (part.startsWith('part-')) hash.update(readFileSync(join(path, part)));
    found[name] = hash.digest('hex');
  }
  return found;
}

/** One way to run a program. */
export interface Way {
  readonly workers: number;
  readonly splitSize?: string;
  readonly memory?: string;
  /** Workers that are killed, each after a pause of so many milliseconds. */
  readonly killsAfterMs?: readonly number[];
  /** The driver is killed after so many milliseconds. */
  readonly endsAfterMs?: number;
}

export interface Command {
  /** Node and its arguments, up to the name of the command of Millrace. */
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
}

export interface Ran {
  readonly code: number | null;
  readonly stderr: string;
  readonly killed: number;
}

/** Runs a program of `writeRich` in one way; its outputs go to `out` below the directory. */
export async function runWay(
  { command: [node, ...first], directory }: Command,
  program: string,
  way: Way,
): Promise<Ran> {
  const args = [
    'run',
    `${program}.ts`,
    '--overwrite',
    '--partitions',
    '3',
    '--workers',
    `${way.workers}`,
  ];
  if (way.splitSize !== undefined) args.push('--split-size', way.splitSize);
  if (way.memory !== undefined) args.push('--memory', way.memory);
  const child = spawn(node, [...first, ...args], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  let killed = 0;
  if (way.endsAfterMs !== undefined) {
    await delay(way.endsAfterMs);
    child.kill('SIGKILL');
  }
  for (const pauseMs of way.killsAfterMs ?? []) {
    await delay(pauseMs);
    // A worker that has just been lost is not replaced yet.
    let pids = workersOf(child.pid ?? 0);
    while (pids.length === 0 && !isOver()) {
      await delay(5);
      pids = workersOf(child.pid ?? 0);
    }
    const pid = pids[Math.floor(pauseMs) % pids.length];
    if (pid === undefined || isOver()) break;
    try {
      process.kill(pid, 'SIGKILL');
      killed++;
    } catch {
      break; // It has ended by itself.
    }
  }
  return { code: await closed, stderr, killed };
}

/** Processes whose parent is `pid`, that run tasks. */
function workersOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        const stat = readFileSync(`/proc/${candidate}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z' || Number(parent) !== pid) return false;
        return /worker(?:-main)?\.[jt]s/.test(readFileSync(`/proc/${candidate}/cmdline`, 'latin1'));
      } catch {
        return false; // It has ended since.
      }
    });
}

/** Temporary files and stagings that a job which has ended has no right to leave. */
export function leftovers(directory: string): string[] {
  const jobs = join(directory, 'millrace-data/jobs');
  const temporary = readdirSync(jobs).filter((id) => existsSync(join(jobs, id, 'tmp')));
  const out = join(directory, 'out');
  const staged = readdirSync(out).flatMap((name) =>
    !name.startsWith('.') ? [] : readdirSync(join(out, name)).map((inner) => `${name}/${inner}`),
  );
  const live = new Set(
    readdirSync(out).map((name) => {
      const path = join(out, name);
      return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '';
    }),
  );
  return [...temporary, ...staged.filter((name) => !name.endsWith('/lock.db') && !live.has(name))];
}

async function main(seconds: number, rows: number, seed: number): Promise<void> {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const directory = mkdtempSync(join(tmpdir(), 'millrace-identical-'));
  const command: Command = { command: [process.execPath, main], directory };
  await writeRich(directory, rows);
  const out = join(directory, 'out');
  const expected: Record<
    string,
    { readonly outputs: Record<string, string>; readonly ms: number }
  > = {};
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const pick = <Item>(items: readonly Item[]): Item =>
    items[Math.floor(random() * items.length)] as Item;
  const end = performance.now() + seconds * 1_000;
  let [runs, wrong] = [0, 0];
  for (; performance.now() < end; runs++) {
    const program = pick(Object.keys(RICH_PROGRAMS));
    const known = expected[program];
    if (known === undefined) {
      const startMs = performance.now();
      const { code, stderr } = await runWay(command, program, { workers: 1 });
      if (code !== 0) throw new Error(stderr);
      expected[program] = { outputs: digests(out), ms: performance.now() - startMs };
      rmSync(out, { recursive: true });
      continue;
    }
    const moment = (): number => random() * known.ms * 1.2;
    const way: Way = {
      workers: pick([0, 1, 2, 3]),
      ...(random() < 0.7 ? { splitSize: pick(['20kB', '77kB', '300kB', '1MB']) } : {}),
      ...(random() < 0.7 ? { memory: pick(['17MB', '20MB', '48MB', '200MB']) } : {}),
      ...(random() < 0.3 ? { endsAfterMs: moment() } : {}),
    };
    const kills =
      way.workers > 0 && random() < 0.5 ? { killsAfterMs: [moment(), moment() / 2] } : {};
    const first = await runWay(command, program, { ...way, ...kills });
    const ran =
      way.endsAfterMs === undefined
        ? first
        : await runWay(command, program, { workers: way.workers });
    const got = ran.code === 0 ? digests(out) : {};
    const differ = Object.keys(known.outputs).filter((name) => got[name] !== known.outputs[name]);
    const left = ran.code === 0 ? leftovers(directory) : [];
    if (differ.length + left.length > 0) {
      wrong++;
      console.log(
        'WRONG',
        program,
        JSON.stringify({ ...way, ...kills }),
        differ,
        left,
        ran.stderr.slice(-2_000),
      );
    }
    if (existsSync(out)) rmSync(out, { recursive: true });
  }
  console.log(`${runs} runs, ${wrong} wrong`);
  rmSync(directory, { recursive: true });
}

if (import.meta.main) {
  const [seconds = 60, rows = 30_000, seed = 1] = process.argv.slice(2).map(Number);
  await main(seconds, rows, seed);
}
