/**
 * `npm run bench -- broker`: runs the passes of all sides in turn, checks that the sides delivered the same records,
 * prints the comparison and keeps it as JSON.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kcatVersion } from './clients/kcat.ts';
import { keepResults } from './kept-results.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type MachineLimits, probeMachine } from './machine-limits.ts';
import type { BrokerOptions, SideName } from './options.ts';
import { kafkaJars } from './peers/kafka-jars.ts';
import { kafkaVariant } from './peers/kafka.ts';
import { type MillraceProgram, millraceVariant, prepareMillrace } from './peers/millrace.ts';
import type { PeerVariant } from './peers/peer.ts';
import { formatReport } from './report.ts';
import type { Comparison } from './samples.ts';
import { type Findings, makePasses, type Pass, type SeenContent } from './scenarios/passes.ts';
import { type SessionPlace, syncFileSystem, withSession } from './session.ts';

/** Ours at its default against theirs at its default, both with a sync before the ack, both without. */
const COMPARISONS: readonly Comparison[] = [
  { ours: 'millrace', theirs: 'kafka' },
  { ours: 'millrace', theirs: 'kafka-sync' },
  { ours: 'millrace-os', theirs: 'kafka' },
];

interface Failure {
  readonly pass: string;
  readonly side: string;
  readonly message: string;
}

interface RunFindings extends Findings {
  readonly failures: Failure[];
}

/** Returns the exit code: 0 when everything ran and all sides delivered the same. */
export async function runBrokerBench(asked: BrokerOptions): Promise<number> {
  const options = await withAvailableClients(asked);
  const program = await programFor(options);
  const folder = mkdtempSync(
    join(process.env['MILLRACE_BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'),
  );
  try {
    const variants = new Map<SideName, PeerVariant>();
    for (const side of options.sides) variants.set(side, await variantOf(side, program));
    const machine = describeMachine(folder);
    note('Probing the limits of the machine');
    const limits = await probeMachine({
      folder,
      writeBytes: options.quick ? 512 << 20 : 1 << 30,
      syncCount: options.quick ? 300 : 1000,
      loopbackMs: 1000,
    });
    const findings = await runRounds(options, variants, folder);
    const differing = differingContents(findings.contents);
    const sides = [...variants.values()].map(({ name, version, durability }) => ({
      name,
      version,
      durability,
    }));
    const { samples } = findings;
    process.stdout.write(
      `\n${formatReport({ machine, limits, sides, comparisons: COMPARISONS, samples })}`,
    );
    writeResult({ options, machine, limits, sides, findings, differing });
    for (const cell of differing) {
      note(`WRONG: the sides did not deliver the same records in '${cell}'`);
    }
    for (const { pass, side, message } of findings.failures) {
      note(`FAILED: ${pass}, ${side}: ${message}`);
    }
    return findings.failures.length + differing.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    program?.remove();
  }
}

/** The order of the sides in a round: each round another one begins. */
export function rotate<T>(items: readonly T[], by: number): T[] {
  const shift = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(shift), ...items.slice(0, shift)];
}

/** The cells whose topics did not hold the same records on all sides. */
export function differingContents(contents: readonly SeenContent[]): string[] {
  const byCell = new Map<string, Set<string>>();
  for (const { cell, content } of contents) {
    const key = `${content.recordCount}/${content.valueBytes}/${content.checksum}`;
    byCell.set(cell, (byCell.get(cell) ?? new Set()).add(key));
  }
  return [...byCell].filter(([, keys]) => keys.size > 1).map(([cell]) => cell);
}

async function runRounds(
  options: BrokerOptions,
  variants: ReadonlyMap<SideName, PeerVariant>,
  folder: string,
): Promise<RunFindings> {
  const findings: RunFindings = { samples: [], contents: [], failures: [] };
  const passes = makePasses(options);
  const startedMs = performance.now();
  const place: SessionPlace = {
    folder,
    patienceMs: options.patienceSeconds * 1000,
    settle: () => syncFileSystem(folder),
  };
  for (let round = 0; round < options.repeats; round++) {
    for (const pass of passes) {
      for (const side of rotate(pass.sides, round)) {
        const variant = variants.get(side);
        if (variant === undefined) continue;
        const seconds = Math.round((performance.now() - startedMs) / 1000);
        note(`${seconds} s: round ${round + 1} of ${options.repeats}, ${pass.title}, ${side}`);
        await runPass(pass, variant, { place, findings });
      }
    }
  }
  return findings;
}

async function runPass(
  pass: Pass,
  variant: PeerVariant,
  to: { readonly place: SessionPlace; readonly findings: RunFindings },
): Promise<void> {
  const { findings } = to;
  try {
    await withSession(variant, to.place, (session) => pass.run(session, findings));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    findings.failures.push({ pass: pass.title, side: variant.name, message });
  }
}

/** undefined when no side needs it. */
async function programFor(options: BrokerOptions): Promise<MillraceProgram | undefined> {
  if (!options.sides.some((side) => side.startsWith('millrace'))) return undefined;
  if (options.build) note('Building millrace');
  return prepareMillrace({ build: options.build });
}

async function variantOf(
  side: SideName,
  program: MillraceProgram | undefined,
): Promise<PeerVariant> {
  if (side === 'kafka' || side === 'kafka-sync') return kafkaVariant(side);
  if (program === undefined) throw new Error('no program for a side of Millrace');
  return millraceVariant(side, program);
}

/** Leaves out the clients that are not installed, and says so. */
async function withAvailableClients(options: BrokerOptions): Promise<BrokerOptions> {
  const clients = [...options.clients];
  const moves = options.scenarios.includes('produce') || options.scenarios.includes('consume');
  if (moves && clients.includes('kcat') && (await kcatVersion()) === undefined) {
    note('kcat is not on the path: measuring without it (Debian: apt-get install kcat)');
    clients.splice(clients.indexOf('kcat'), 1);
  }
  // Fails with a plain message, before anything is measured, when Java or Maven is missing.
  const needsKafka = options.sides.some((side) => side.startsWith('kafka'));
  if (needsKafka) await kafkaJars();
  else if (clients.includes('java')) clients.splice(clients.indexOf('java'), 1);
  return { ...options, clients };
}

interface Result {
  readonly options: BrokerOptions;
  readonly machine: Machine;
  readonly limits: MachineLimits;
  readonly sides: readonly { readonly name: string }[];
  readonly findings: RunFindings;
  readonly differing: readonly string[];
}

function writeResult(result: Result): void {
  const { options, machine, limits, sides, findings, differing } = result;
  const content = { options, machine, limits, sides, ...findings, differing };
  const file = keepResults('broker', findings.samples, COMPARISONS, content);
  note(`Kept in ${file}`);
}

/** Progress goes to stderr, the comparison to stdout. */
function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
