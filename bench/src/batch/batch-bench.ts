/**
 * `npm run bench -- batch`: the batch engine beside what people use instead, on the same data in the same run. Sides take turns, results are
 * compared for equality, and a side whose result differs fails the benchmark: a speed-up that changes the answer is none.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFileSync } from 'node:child_process';
import { BenchFailure } from '../failure.ts';
import { describeMachine, type Machine } from '../machine.ts';
import type { BatchOptions } from '../options.ts';
import { watchCores } from '../process.ts';
import { median } from '../statistics.ts';
import { formatNumber, formatTable } from '../table.ts';
import { measure, type Measured } from './measure.ts';
import { SCENARIOS, type Scenario, type ScenarioContext, type Side } from './scenarios.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DATA = join(ROOT, 'node_modules/.cache/millrace-bench');
const RESULTS = join(ROOT, 'bench/results');

interface SideResult {
  readonly scenario: string;
  readonly side: string;
  readonly runs: readonly Measured[];
  /** Cores that processes of others kept busy meanwhile. */
  readonly othersCores: number;
}

export async function runBatchBench(options: BatchOptions): Promise<number> {
  if (options.build)
    execFileSync(process.execPath, [join(ROOT, 'millrace/scripts/build.ts'), '--no-types'], {
      stdio: 'inherit',
    });
  const work = mkdtempSync(join(options.directory ?? tmpdir(), 'millrace-bench-'));
  try {
    const machine = describeMachine(work);
    const results: SideResult[] = [];
    for (const scenario of SCENARIOS.filter(({ name }) => options.scenarios.includes(name))) {
      const context = {
        dataDirectory: DATA,
        outputDirectory: join(work, 'out'),
        stateDirectory: join(work, 'data'),
        scale: options.scale,
        memory: options.memory,
      };
      const measured = await runScenario(scenario, context, options);
      results.push(...measured);
      process.stdout.write(`${formatScenario(scenario, measured)}\n\n`);
    }
    process.stdout.write(`${formatMachine(machine)}\n`);
    mkdirSync(RESULTS, { recursive: true });
    writeFileSync(
      join(RESULTS, `batch-${new Date().toISOString().replaceAll(':', '-')}.json`),
      `${JSON.stringify({ machine, options, results: results.map(summary) }, undefined, 2)}\n`,
    );
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function runScenario(
  scenario: Scenario,
  context: ScenarioContext,
  options: BatchOptions,
): Promise<SideResult[]> {
  const sides = scenario
    .sides(context)
    .filter((side) => options.sides === undefined || options.sides.includes(side.name));
  const runs = new Map<string, Measured[]>(sides.map(({ name }) => [name, []]));
  const others = new Map<string, number>();
  let expected: { readonly side: string; readonly result: string } | undefined;
  for (let round = 0; round < options.repeats; round++) {
    for (const side of sides) {
      process.stderr.write(`${scenario.name}: ${side.name}, ${round + 1} of ${options.repeats}\n`);
      const { measured, result, othersCores } = await runSide(side, context);
      runs.get(side.name)?.push(measured);
      others.set(side.name, Math.max(others.get(side.name) ?? 0, othersCores));
      expected ??= { side: side.name, result };
      if (result !== expected.result) {
        throw new BenchFailure(
          `${scenario.name}: the results of ${side.name} and ${expected.side} differ:\n${result.slice(0, 500)}\n${expected.result.slice(0, 500)}`,
        );
      }
    }
  }
  return sides.map(({ name }) => ({
    scenario: scenario.name,
    side: name,
    runs: runs.get(name) ?? [],
    othersCores: others.get(name) ?? 0,
  }));
}

async function runSide(
  side: Side,
  context: ScenarioContext,
): Promise<{ measured: Measured; result: string; othersCores: number }> {
  rmSync(context.outputDirectory, { recursive: true, force: true });
  mkdirSync(context.outputDirectory);
  const cores = watchCores();
  const measured = await measure(side.command, side.environment);
  return { measured, othersCores: cores().others, result: await side.result(measured.stdout) };
}

function formatScenario(scenario: Scenario, results: readonly SideResult[]): string {
  const rows = results.map((result) => {
    const { wallSeconds, cpuSeconds, residentBytes, othersCores } = summary(result);
    return [
      result.side,
      formatNumber(wallSeconds),
      formatNumber(cpuSeconds),
      formatNumber(residentBytes / 1e6),
      othersCores > 0.3 ? `! ${formatNumber(othersCores)}` : formatNumber(othersCores),
    ];
  });
  const ratios = scenario.ratios.flatMap(({ ours, theirs, aim }) => {
    const our = results.find(({ side }) => side === ours);
    const their = results.find(({ side }) => side === theirs);
    if (our === undefined || their === undefined) return [];
    const ratio = summary(their).wallSeconds / summary(our).wallSeconds;
    return [
      `  ${ours} is ${ratio.toFixed(2)}× as fast as ${theirs}${aim === undefined ? '' : ` (aim ${aim}×)`}`,
    ];
  });
  const table = formatTable(['', 'wall s', 'CPU s', 'most memory MB', 'cores of others'], rows);
  return [`${scenario.title}${results.length > 1 ? '; results equal' : ''}`, table, ...ratios].join(
    '\n',
  );
}

function summary(result: SideResult): {
  scenario: string;
  side: string;
  wallSeconds: number;
  cpuSeconds: number;
  residentBytes: number;
  othersCores: number;
} {
  return {
    scenario: result.scenario,
    side: result.side,
    wallSeconds: median(result.runs.map((run) => run.wallSeconds)),
    cpuSeconds: median(result.runs.map((run) => run.cpuSeconds)),
    residentBytes: Math.max(...result.runs.map((run) => run.residentBytesMax)),
    othersCores: result.othersCores,
  };
}

function formatMachine(machine: Machine): string {
  return `Machine: ${machine.cpu}, ${machine.cores} cores, ${formatNumber(machine.memoryBytes / 1e9)} GB, ${machine.system}; Node ${machine.node}, commit ${machine.commit}.
Wall times are medians; memory is the most resident at once over all processes of a side, pages that they share counted for each.`;
}
