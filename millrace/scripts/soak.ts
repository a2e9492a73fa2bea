/**
 * The long crash tests: `npm run soak -- [what] [--minutes n] [--seed n]`.
 *
 *   sim      simulated power cuts, kills and disk faults, one seed after the other (default)
 *   store    kill -9 of a process with a log store
 *   broker   kill -9 of `millrace start` under Kafka clients
 *
 * Runs until `--minutes` are over (default: until it is interrupted) and prints a line a minute. Begins at `--seed`, by
 * default one that no run before has used. Ends with exit code 1, and the way to see it again, at the first failure.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BrokerProcess } from '../test/crash/kill/broker-process.ts';
import { KafkaRun } from '../test/crash/kill/kafka-run.ts';
import { StoreRuns } from '../test/crash/kill/store-runs.ts';
import { SimRandom } from '../src/core/sim/sim-random.ts';
import { crashRun, failureOf } from '../test/crash/sim-crash.ts';
import { openSmallStore } from '../test/crash/store-under-test.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string' }, seed: { type: 'string' } },
});

const endsAt =
  performance.now() + (values.minutes === undefined ? Infinity : Number(values.minutes) * 60_000);
const firstSeed = values.seed === undefined ? randomInt(2 ** 40) : Number(values.seed);
const totals: Record<string, number> = {};
let toldAt = performance.now();

function count(numbers: Readonly<Record<string, number>>): void {
  for (const [name, number] of Object.entries(numbers)) totals[name] = (totals[name] ?? 0) + number;
  if (performance.now() - toldAt > 60_000) tell();
}

function tell(): void {
  toldAt = performance.now();
  const parts = Object.entries(totals).map(([name, number]) => `${name} ${number}`);
  process.stdout.write(`${new Date().toISOString()} ${parts.join(', ')}\n`);
}

function fail(what: string): never {
  tell();
  process.stderr.write(`${what}\n`);
  process.exit(1);
}

async function sim(seed: number): Promise<void> {
  const run = await crashRun({ seed, open: openSmallStore });
  const { lives, powerCuts, kills, fatals, cutsDuringRecovery, steps } = run;
  count({ seeds: 1, lives, powerCuts, kills, fatals, cutsDuringRecovery, steps });
  const failure = failureOf(run);
  if (failure !== '') fail(failure);
}

async function store(seed: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-'));
  const random = new SimRandom(seed);
  const runs = new StoreRuns(directory, seed);
  try {
    for (let life = 0; life < 20; life++)
      await runs.life(
        random.chance(0.2)
          ? { killAfterMs: random.below(500) }
          : { killAfterAcks: 1 + random.below(1500) },
      );
    const last = await runs.life({ operations: 200 });
    const again = await runs.life({ operations: 0 });
    if (runs.anomalies.length > 0 || last.code !== 0 || again.code !== 0)
      fail(`seed ${seed}: ${JSON.stringify([runs.anomalies, last, again])}; kept: ${directory}`);
    count(runs.counts);
  } finally {
    runs.stop();
  }
  rmSync(directory, { recursive: true, force: true });
}

async function broker(seed: number): Promise<void> {
  const random = new SimRandom(seed);
  const served = new BrokerProcess();
  await served.start();
  const run = new KafkaRun(served);
  await run.begin();
  for (let kill = 0; kill < 20; kill++) {
    await run.acknowledged(1 + random.below(2000));
    await served.kill('SIGKILL');
    if ((await served.start()) !== undefined) fail(`seed ${seed}: ${served.log}`);
  }
  await run.acknowledged(20);
  const { bad, counts } = await run.end();
  if (bad.length > 0) fail(`seed ${seed}: ${JSON.stringify(bad.slice(0, 10))}`);
  count({ ...counts, kills: 20 });
  await served.remove();
}

const KINDS: Readonly<Record<string, (seed: number) => Promise<void>>> = { sim, store, broker };
const kind = positionals[0] ?? 'sim';
const one = KINDS[kind];
if (one === undefined) fail(`there is no soak test ${kind}: use ${Object.keys(KINDS).join(', ')}`);
process.stdout.write(`soak ${kind}, from seed ${firstSeed}\n`);
for (let seed = firstSeed; performance.now() < endsAt; seed++) await one(seed);
tell();
