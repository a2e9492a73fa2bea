/** `npm run bench -- profile produce|consume`: a load on Millrace under V8's profiler, and where the time went. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  makeTopic,
  preload,
  touchPartitions,
  type TopicShape,
  wireConsume,
  wireProduce,
} from './clients/wire-load.ts';
import type { Rate } from './clients/rate.ts';
import { type Locate, type ProfileSummary, summariseProfile } from './cpu-profile.ts';
import { INSPECT_OPTION, profileWhile } from './inspector.ts';
import type { ProfileOptions } from './options.ts';
import { type MillraceProgram, prepareMillrace, startMillrace } from './peers/millrace.ts';
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
  try {
    const peer = await startMillrace({
      dataDir: join(folder, 'broker'),
      program,
      nodeArgs: [INSPECT_OPTION],
    });
    try {
      const topic: TopicShape = { name: 'profile', partitionCount: options.partitionCount };
      await prepareTopic(peer, topic, options);
      const { result: rate, profile } = await profileWhile(peer.logFile, PROFILE_INTERVAL_US, () =>
        load(peer, topic, options),
      );
      const megabytes = (rate.records * options.recordBytes) / 1e6;
      process.stdout.write(
        `${options.load}, ${options.recordBytes} B, ${options.partitionCount} partitions, flush ${options.flush}: ` +
          `${formatNumber(megabytes / rate.seconds)} MB/s under the profiler\n`,
      );
      const summary = summariseProfile(profile, makeLocator(program));
      process.stdout.write(`${formatProfile(summary, options.top)}\n`);
      return 0;
    } finally {
      await peer.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    program.remove();
  }
}

/** The topic, what a consumer reads, and code that is compiled. */
async function prepareTopic(
  peer: RunningPeer,
  topic: TopicShape,
  options: ProfileOptions,
): Promise<void> {
  await makeTopic(peer, { ...topic, config: { 'millrace.flush': options.flush } });
  await touchPartitions(peer, topic);
  const { recordBytes } = options;
  if (options.load === 'produce') {
    await wireProduce({ address: peer, topic, recordBytes, warmupMs: 0, measureMs: WARM_UP_MS });
    return;
  }
  await preload(peer, topic, { recordBytes, recordCount: Math.ceil(CONSUME_BYTES / recordBytes) });
  await wireConsume(peer, topic);
}

async function load(peer: RunningPeer, topic: TopicShape, options: ProfileOptions): Promise<Rate> {
  const { recordBytes } = options;
  if (options.load === 'produce') {
    const measureMs = options.seconds * 1000;
    return wireProduce({ address: peer, topic, recordBytes, warmupMs: 0, measureMs });
  }
  const rates: Rate[] = [];
  const endMs = performance.now() + options.seconds * 1000;
  while (performance.now() < endMs) rates.push(await wireConsume(peer, topic));
  const sum = (pick: (rate: Rate) => number): number =>
    rates.reduce((total, rate) => total + pick(rate), 0);
  return { records: sum((rate) => rate.records), seconds: sum((rate) => rate.seconds) };
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

function formatProfile(summary: ProfileSummary, top: number): string {
  const percent = (ms: number): string => `${((ms / summary.busyMs) * 100).toFixed(1)}%`;
  const rows = summary.functions
    .slice(0, top)
    .map(({ name, place, selfMs, totalMs }) => [
      `${name}  ${place}`,
      percent(selfMs),
      percent(totalMs),
      formatNumber(selfMs),
    ]);
  return [
    `busy ${formatNumber(summary.busyMs)} ms, idle ${formatNumber(summary.idleMs)} ms`,
    formatTable(['function', 'self', 'total', 'self ms'], rows),
  ].join('\n');
}
