/**
 * `npm run bench -- streams`: the stream engine beside Kafka Streams, on the same log, in the same run. Sides take turns; what they give is
 * compared with each other and with an oracle, and a side that gives something else fails the benchmark.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Content } from '../clients/record-batch.ts';
import { BenchFailure } from '../failure.ts';
import { describeMachine } from '../machine.ts';
import type { StreamsOptions } from '../options.ts';
import { prepareMillrace, type MillraceProgram } from '../peers/millrace.ts';
import { tail } from '../process.ts';
import { committedContent } from './committed-content.ts';
import { type LatencyFigures, measureLatency } from './latency.ts';
import { expectedContent } from './oracle.ts';
import { QUERIES, QUERY_FACTS, type QueryName } from './queries.ts';
import type { QueryResult } from './results.ts';
import { formatLatency, formatQuery, formatState, formatSummary } from './report-streams.ts';
import { OUTPUT, startSide } from './sides.ts';
import type { SideName } from './side-names.ts';
import { measureState, type StateFigures } from './state-figures.ts';
import { CLOSING_BIDS, closeWindows } from './topics-data.ts';
import { type RunFigures, watchRun } from './watch-run.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/millrace-bench');
const RESULTS = join(ROOT, 'bench/results');

interface Bench {
  readonly options: StreamsOptions;
  readonly program: MillraceProgram;
  readonly work: string;
}

export async function runStreamsBench(options: StreamsOptions): Promise<number> {
  const program = await prepareMillrace({ build: options.build });
  const work = mkdtempSync(
    join(options.directory ?? process.env['MILLRACE_BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'),
  );
  try {
    const bench = { options, program, work };
    const machine = describeMachine(work);
    const queries: QueryResult[] = [];
    for (const query of QUERIES.filter((name) => options.scenarios.includes(name))) {
      const result = await runQuery(query, bench);
      queries.push(result);
      process.stdout.write(`${formatQuery(result)}\n\n`);
    }
    const latencies = options.scenarios.includes('latency') ? await runLatency(bench) : [];
    if (latencies.length > 0) process.stdout.write(`${formatLatency(latencies, options.rate)}\n\n`);
    const states = options.scenarios.includes('state') ? await runState(bench) : [];
    if (states.length > 0) process.stdout.write(`${formatState(states)}\n\n`);
    process.stdout.write(`${formatSummary(queries, machine)}\n`);
    mkdirSync(RESULTS, { recursive: true });
    const file = join(RESULTS, `streams-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.json`);
    const facts = { machine, options, queries, latencies, states };
    writeFileSync(file, `${JSON.stringify(facts, undefined, 2)}\n`);
    process.stderr.write(`Kept in ${file}\n`);
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
    program.remove();
  }
}

async function runQuery(query: QueryName, bench: Bench): Promise<QueryResult> {
  const { options } = bench;
  const expected = expectedContent(query, options.bids);
  const runs = new Map<SideName, RunFigures[]>(options.sides.map((side) => [side, []]));
  for (let round = 0; round < options.repeats; round++) {
    for (const side of options.sides) {
      note(`${query}: ${side}, ${round + 1} of ${options.repeats}`);
      const { figures, content } = await runOnce(query, side, bench);
      if (JSON.stringify(content) !== JSON.stringify(expected))
        throw new BenchFailure(
          `${QUERY_FACTS[query].title}: ${side} gives ${JSON.stringify(content)} and the oracle ${JSON.stringify(expected)}`,
        );
      runs.get(side)?.push(figures);
    }
  }
  return {
    query,
    content: expected,
    sides: [...runs].map(([side, figures]) => ({ side, runs: figures })),
  };
}

async function runOnce(
  query: QueryName,
  side: SideName,
  { options, program, work }: Bench,
): Promise<{ readonly figures: RunFigures; readonly content: Content }> {
  const context = { program, cache: CACHE, work: join(work, side), bids: options.bids };
  const running = await startSide(side, context, {
    query,
    state: options.state,
    commitIntervalMs: options.commitMs,
    ...(options.profile === undefined
      ? {}
      : { nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${options.profile}/${query}-${side}`] }),
  });
  try {
    const figures = await watchRun(running, options.bids);
    await closeWindows(running.address, options.bids);
    await watchRun(running, options.bids + CLOSING_BIDS);
    return { figures, content: await committedContent(running.address, OUTPUT) };
  } catch (error) {
    if (error instanceof BenchFailure) throw error;
    throw new BenchFailure(`${side}: ${String(error)}\n${tail(running.engine.logFile)}`);
  } finally {
    await running.stop();
    rmSync(context.work, { recursive: true, force: true });
  }
}

async function runLatency({ options, program, work }: Bench): Promise<LatencyFigures[]> {
  const figures: LatencyFigures[] = [];
  for (const side of options.sides) {
    note(`latency: ${side}`);
    const context = { program, cache: CACHE, work: join(work, side), bids: 0 };
    figures.push(await measureLatency(side, context, options));
  }
  return figures;
}

async function runState({ options, program, work }: Bench): Promise<StateFigures[]> {
  const figures: StateFigures[] = [];
  const sides = options.sides.filter((side) => side !== 'embedded-2');
  for (const side of sides) {
    for (const state of ['memory', 'disk'] as const) {
      note(`state: ${side}, ${state}`);
      const context = { program, cache: CACHE, work: join(work, side), bids: options.keys };
      figures.push(await measureState(side, context, { ...options, state }));
    }
  }
  return figures;
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
