/**
 * `npm run test:amqp-clients`: other people's AMQP clients against a Millrace that is started for it: with their own tests where they are
 * published with them, which were written against RabbitMQ, and with a program of ours where not. They are fetched, at pinned versions,
 * into the cache of the benchmarks. Names of suites make it run those alone; `--on rabbitmq` asks Debian's RabbitMQ instead.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BrokerName, startBroker, type TestedBroker } from './amqp-clients/brokers.ts';
import type { ClientSuite } from './amqp-clients/client-suite.ts';
import { goSuite } from './amqp-clients/go-suite.ts';
import { javaSuites } from './amqp-clients/java-suites.ts';
import { nodeSuites } from './amqp-clients/node-suites.ts';
import { pythonSuites } from './amqp-clients/python-suites.ts';
import { BenchFailure } from './failure.ts';
import { cacheFolder } from './peers/kafka-jars.ts';
import { stopChildrenOnExit } from './process.ts';

const SUITES: readonly ClientSuite[] = [...nodeSuites, goSuite, ...pythonSuites, ...javaSuites];

/** @returns whether all is well */
async function main(): Promise<boolean> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { on: { type: 'string', default: 'millrace' } },
  });
  const wanted = suitesNamed(positionals);
  const on = brokerNamed(values.on);
  stopChildrenOnExit();
  const dataDir = mkdtempSync(join(tmpdir(), 'millrace-amqp-clients-'));
  const broker = await startBroker(on, dataDir);
  try {
    let good = true;
    for (const suite of wanted) good = (await runSuite(suite, broker)) && good;
    return good;
  } finally {
    await broker.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function suitesNamed(names: readonly string[]): readonly ClientSuite[] {
  const unknown = names.find((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown !== undefined)
    throw new BenchFailure(
      `no suite is called ${unknown}: there are ${SUITES.map(({ name }) => name).join(', ')}`,
    );
  return names.length === 0 ? SUITES : SUITES.filter(({ name }) => names.includes(name));
}

function brokerNamed(name: string): BrokerName {
  if (name === 'millrace' || name === 'rabbitmq') return name;
  throw new BenchFailure(`--on takes millrace or rabbitmq, not ${name}`);
}

async function runSuite(suite: ClientSuite, broker: TestedBroker): Promise<boolean> {
  const title = `${suite.name} ${suite.version}`;
  const missing = Object.keys(suite.tools).filter((tool) => !isOnPath(tool));
  if (missing.length > 0) {
    const needs = missing.map((tool) => `'${tool}' is not on the path: ${suite.tools[tool]}`);
    process.stdout.write(`${title}: not run; ${needs.join('; ')}\n`);
    return false;
  }
  const outcomes = await suite.run(await fetched(suite), broker);
  const count = (kind: string): number => outcomes.filter((one) => one.outcome === kind).length;
  for (const { name, outcome, said } of outcomes)
    if (outcome === 'failed') process.stderr.write(`--- ${title}: ${name} failed\n${said}\n`);
  const leftOut = suite.leftOut.map(({ tests, why }) => `; left out: ${tests.join(', ')} (${why})`);
  process.stdout.write(
    `${title}: ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped${leftOut.join('')}\n`,
  );
  return count('failed') === 0;
}

function isOnPath(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((dir) => existsSync(join(dir, tool)));
}

/** What an interrupted fetch has left is fetched anew. */
async function fetched(suite: ClientSuite): Promise<string> {
  const { name, version } = suite;
  const folder = join(cacheFolder(), 'amqp-clients', `${name}-${version}`);
  const mark = join(folder, 'fetched');
  if (existsSync(mark)) return folder;
  process.stderr.write(`Fetching ${name} ${version}, once, into ${folder}\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await suite.fetch(folder);
  writeFileSync(mark, '');
  return folder;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  if (!(error instanceof BenchFailure)) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  process.exitCode = 2;
}
