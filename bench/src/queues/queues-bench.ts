/**
 * `npm run bench -- queues`: Millrace beside RabbitMQ, with the same clients on the same machine. Sides take turns; what was confirmed is
 * compared with what was delivered, and a side that loses or changes something fails the benchmark.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchFailure } from '../failure.ts';
import { keepResults } from '../kept-results.ts';
import { describeMachine } from '../machine.ts';
import type { QueuesOptions } from '../options.ts';
import { prepareMillrace } from '../peers/millrace.ts';
import { rabbitMqVersion } from '../peers/rabbitmq.ts';
import { tail } from '../process.ts';
import { formatReport } from '../report.ts';
import type { Comparison, Sample } from '../samples.ts';
import { syncFileSystem } from '../session.ts';
import { add, measureBacklog, measureLatency, measureThroughput } from './measure.ts';
import { queueSide, type QueueSide } from './sides.ts';

const COMPARISONS: readonly Comparison[] = [
  { ours: 'millrace', theirs: 'rabbitmq-classic' },
  { ours: 'millrace', theirs: 'rabbitmq-quorum' },
];
/** After its start a broker does this and that. */
const REST_MS = 1_500;

export async function runQueuesBench(asked: QueuesOptions): Promise<number> {
  const options = withInstalledSides(asked);
  if (options.build) note('Building millrace');
  const program = options.sides.includes('millrace')
    ? await prepareMillrace({ build: options.build })
    : undefined;
  const work = mkdtempSync(
    join(options.directory ?? process.env['MILLRACE_BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'),
  );
  try {
    const machine = describeMachine(work);
    const sides = options.sides.map((name) => queueSide(name, program));
    const samples: Sample[] = [];
    for (let round = 0; round < options.repeats; round++)
      for (const side of [
        ...sides.slice(round % sides.length),
        ...sides.slice(0, round % sides.length),
      ])
        await runSide({ side, options, samples, work });
    const described = sides.map(({ name, version, durability }) => ({ name, version, durability }));
    process.stdout.write(
      `\n${formatReport({ machine, limits: undefined, sides: described, comparisons: COMPARISONS, samples })}`,
    );
    writeResult({ options, machine, sides: described, samples });
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
    program?.remove();
  }
}

async function runSide(run: {
  readonly side: QueueSide;
  readonly options: QueuesOptions;
  readonly samples: Sample[];
  readonly work: string;
}): Promise<void> {
  const { side, options, samples, work } = run;
  const dataDir = mkdtempSync(join(work, `${side.name}-`));
  await syncFileSystem(work);
  const peer = await side.start(dataDir);
  const on = { side, peer, options, samples };
  try {
    add(on, 'empty directory', { startMs: peer.startMs });
    await sleep(REST_MS);
    const { residentBytes, ownBytes } = peer.usage();
    add(on, 'after the start', { restMB: residentBytes / 1e6, restOwnMB: ownBytes / 1e6 });
    for (const client of options.clients) {
      if (options.scenarios.includes('throughput')) {
        note(`${side.name}: ${client}, throughput`);
        await measureThroughput(on, client);
      }
      if (options.scenarios.includes('latency')) {
        note(`${side.name}: ${client}, latency`);
        await measureLatency(on, client);
      }
    }
    const [client] = options.clients;
    if (client === undefined || !options.scenarios.includes('backlog')) return;
    note(`${side.name}: ${client}, backlog`);
    await measureBacklog(on, client);
  } catch (error) {
    if (!(error instanceof BenchFailure)) throw error;
    throw new BenchFailure(`${side.name}: ${error.message}\n${tail(peer.logFile)}`);
  } finally {
    await peer.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Leaves out what is not installed, and says so. */
function withInstalledSides(options: QueuesOptions): QueuesOptions {
  if (rabbitMqVersion() !== undefined) return options;
  note('RabbitMQ is not installed: measuring without it (Debian: apt-get install rabbitmq-server)');
  return { ...options, sides: options.sides.filter((side) => side === 'millrace') };
}

function writeResult(result: {
  readonly options: QueuesOptions;
  readonly machine: object;
  readonly sides: readonly object[];
  readonly samples: readonly Sample[];
}): void {
  note(`Kept in ${keepResults('queues', result.samples, COMPARISONS, result)}`);
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
