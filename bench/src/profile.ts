/** `npm run bench -- profile produce|consume`: a load on Millrace under V8's profiler, and where the time went. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  makeTopic,
  preload,
  type TopicShape,
  wireConsume,
  wireProduce,
} from './clients/wire-load.ts';
import type { Rate } from './clients/rate.ts';
import {
  type CpuProfile,
  type Locate,
  type ProfileSummary,
  summariseProfile,
} from './cpu-profile.ts';
import { BenchFailure } from './failure.ts';
import type { ProfileOptions } from './options.ts';
import {
  type MillraceProgram,
  prepareMillrace,
  startMillrace,
  type StartMillraceOptions,
} from './peers/millrace.ts';
import type { RunningPeer } from './peers/peer.ts';
import { formatNumber, formatTable } from './table.ts';

const WARM_UP_MS = 1000;
const PROFILE_INTERVAL_US = 250;
const CONSUME_BYTES = 500e6;

export async function runProfile(options: ProfileOptions): Promise<number> {
  const program = await prepareMillrace({ build: options.build });
  const folder = mkdtempSync(
    join(process.env['MILLRACE_BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'),
  );
  const dataDir = join(folder, 'broker');
  const profiles = join(folder, 'profiles');
  const topic: TopicShape = { name: 'profile', partitionCount: options.partitionCount };
  try {
    // What has to be there before the load is made by a process of its own, so that it is not in the profile.
    await withPeer({ dataDir, program }, (peer) => prepareTopic(peer, topic, options));
    const nodeArgs = [
      '--cpu-prof',
      `--cpu-prof-dir=${profiles}`,
      `--cpu-prof-interval=${PROFILE_INTERVAL_US}`,
    ];
    const rate = await withPeer({ dataDir, program, nodeArgs }, (peer) =>
      load(peer, topic, options),
    );
    const megabytes = (rate.records * options.recordBytes) / 1e6;
    process.stdout.write(
      `${options.load}, ${options.recordBytes} B, ${options.partitionCount} partitions, flush ${options.flush}: ` +
        `${formatNumber(megabytes / rate.seconds)} MB/s under the profiler\n`,
    );
    const locate = makeLocator(program);
    for (const { name, profile } of readProfiles(profiles)) {
      const summary = summariseProfile(profile, locate);
      process.stdout.write(`\n${formatProfile(name, summary, options.top)}\n`);
    }
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    program.remove();
  }
}

async function withPeer<T>(
  start: StartMillraceOptions,
  use: (peer: RunningPeer) => Promise<T>,
): Promise<T> {
  const peer = await startMillrace(start);
  try {
    return await use(peer);
  } finally {
    await peer.stop();
  }
}

async function prepareTopic(
  peer: RunningPeer,
  topic: TopicShape,
  options: ProfileOptions,
): Promise<void> {
  await makeTopic(peer, { ...topic, config: { 'millrace.flush': options.flush } });
  if (options.load === 'produce') return;
  const { recordBytes } = options;
  await preload(peer, topic, { recordBytes, recordCount: Math.ceil(CONSUME_BYTES / recordBytes) });
}

async function load(peer: RunningPeer, topic: TopicShape, options: ProfileOptions): Promise<Rate> {
  const { recordBytes } = options;
  if (options.load === 'produce') {
    const measureMs = options.seconds * 1000;
    return wireProduce({ address: peer, topic, recordBytes, warmupMs: WARM_UP_MS, measureMs });
  }
  const rates: Rate[] = [];
  const endMs = performance.now() + options.seconds * 1000;
  while (performance.now() < endMs) rates.push(await wireConsume(peer, topic));
  const sum = (pick: (rate: Rate) => number): number =>
    rates.reduce((total, rate) => total + pick(rate), 0);
  return {
    records: sum((rate) => rate.records),
    seconds: sum((rate) => rate.seconds),
  };
}

/** One profile per thread. */
function readProfiles(folder: string): { readonly name: string; readonly profile: CpuProfile }[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  } catch {
    names = [];
  }
  if (names.length === 0) {
    throw new BenchFailure('Millrace left no profile: it did not stop in an orderly way');
  }
  return names.map((name) => ({
    name,
    profile: JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile,
  }));
}

/** Finds the source line of a place in the bundle by its source map, relative to the package. */
function makeLocator(program: MillraceProgram): Locate {
  const maps = new Map<string, SourceMap | undefined>();
  return (url, line, column) => {
    if (!url.startsWith('file:')) return `${url}:${line + 1}`;
    const file = fileURLToPath(url);
    if (!maps.has(file)) maps.set(file, readSourceMap(`${file}.map`));
    const entry = maps.get(file)?.findEntry(line, column);
    if (entry === undefined || !('originalSource' in entry)) {
      return `${relative(program.folder, file)}:${line + 1}`;
    }
    const source = resolve(dirname(file), entry.originalSource);
    return `${relative(program.folder, source)}:${entry.originalLine + 1}`;
  };
}

function readSourceMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload);
  } catch {
    return undefined;
  }
}

function formatProfile(name: string, summary: ProfileSummary, top: number): string {
  const percent = (ms: number): string => `${((ms / summary.busyMs) * 100).toFixed(1)}%`;
  const rows = summary.functions
    .slice(0, top)
    .map(({ name: functionName, place, selfMs, totalMs }) => [
      `${functionName}  ${place}`,
      percent(selfMs),
      percent(totalMs),
      formatNumber(selfMs),
    ]);
  return [
    `${name}: busy ${formatNumber(summary.busyMs)} ms, idle ${formatNumber(summary.idleMs)} ms`,
    formatTable(['function', 'self', 'total', 'self ms'], rows),
  ].join('\n');
}
