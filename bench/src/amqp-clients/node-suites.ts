/**
 * Clients of Node.js. amqplib, whose present version `npm test` has, brought its tests along up to a version; the packages of the others
 * come without: programs of ours use them.
 */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type ClientSuite,
  mustRun,
  runProgram,
  runTool,
  type TestOutcome,
} from './client-suite.ts';

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));
const TOOLS = { npm: 'npm, which comes with Node.js' };
const AMQPLIB = 'amqplib@2.3.1';
const CONNECTION_MANAGER = '5.0.0';
const FOR_NEST = ['reflect-metadata@0.2.2', 'rxjs@7.8.2'];

/** The last version that is published with its tests. */
const amqplibSuite: ClientSuite = {
  name: 'amqplib',
  version: '0.10.9',
  tools: TOOLS,
  leftOut: [
    {
      tests: ['serverProperties', 'using custom heartbeat option', 'ipv6'],
      why: 'they know no other port than 5672',
    },
  ],
  fetch: (folder) =>
    npmInstall(folder, [`amqplib@${amqplibSuite.version}`, 'mocha@12.0.3', 'claire@0.4.1']),
  run: async (folder, { host, port }) => {
    const report = join(folder, 'report.json');
    rmSync(report, { force: true });
    const names = amqplibSuite.leftOut.flatMap(({ tests }) => tests);
    const files = ['channel_api', 'callback_api', 'connect'].map((name) =>
      join(folder, 'node_modules/amqplib/test', `${name}.js`),
    );
    const all = ['--exit', '--ui', 'tdd', '--invert', '--grep', names.join('|')];
    const reported = ['--reporter', 'json', '--reporter-option', `output=${report}`];
    const mocha = join(folder, 'node_modules/mocha/bin/mocha.js');
    const { code, said } = await runTool(process.execPath, [mocha, ...all, ...reported, ...files], {
      cwd: folder,
      environment: { URL: `amqp://guest:guest@${host}:${port}` },
    });
    if (!existsSync(report)) return [{ name: 'mocha', outcome: 'failed', said }];
    const outcomes = outcomesOf(readFileSync(report, 'utf8'));
    // Its code is the number of tests that failed.
    const failed = outcomes.filter(({ outcome }) => outcome === 'failed').length;
    return code === failed ? outcomes : [{ name: 'mocha', outcome: 'failed', said }];
  },
};

export const nodeSuites: readonly ClientSuite[] = [
  amqplibSuite,
  ours('rabbitmq-client', 'rabbitmq-client', '5.0.8', []),
  ours('cloudamqp', '@cloudamqp/amqp-client', '4.1.1', []),
  ours('amqp-connection-manager', 'amqp-connection-manager', CONNECTION_MANAGER, [AMQPLIB]),
  ours('rascal', 'rascal', '21.0.1', [AMQPLIB]),
  ours('nestjs', '@nestjs/microservices', '12.1.1', [
    '@nestjs/common@12.5.1',
    '@nestjs/core@12.5.1',
    `amqp-connection-manager@${CONNECTION_MANAGER}`,
    AMQPLIB,
    ...FOR_NEST,
  ]),
  ours('golevelup-nestjs', '@golevelup/nestjs-rabbitmq', '9.0.2', [
    '@nestjs/common@11.2.10',
    '@nestjs/core@11.2.10',
    ...FOR_NEST,
  ]),
];

function ours(
  name: string,
  packageName: string,
  version: string,
  more: readonly string[],
): ClientSuite {
  const program = `${name.replaceAll('-', '_')}_program.mjs`;
  return {
    name,
    version,
    tools: TOOLS,
    leftOut: [],
    fetch: (folder) => npmInstall(folder, [`${packageName}@${version}`, ...more]),
    run: (folder, broker) => {
      // Packages are looked for beside the program.
      for (const file of ['cases.mjs', program])
        copyFileSync(join(PROGRAMS, file), join(folder, file));
      return runProgram(process.execPath, [join(folder, program)], broker);
    },
  };
}

async function npmInstall(folder: string, packages: readonly string[]): Promise<void> {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const quietly = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await mustRun('npm', ['install', ...quietly, ...packages], { cwd: folder });
}

/** From a report of Mocha. */
export function outcomesOf(report: string): TestOutcome[] {
  interface Test {
    readonly fullTitle: string;
    readonly err: { readonly stack?: string };
  }
  const { passes, failures, pending } = JSON.parse(report) as Record<
    'passes' | 'failures' | 'pending',
    readonly Test[]
  >;
  const all = (tests: readonly Test[], outcome: TestOutcome['outcome']): TestOutcome[] =>
    tests.map(({ fullTitle, err }) => ({ name: fullTitle, outcome, said: err.stack ?? '' }));
  return [...all(passes, 'passed'), ...all(failures, 'failed'), ...all(pending, 'skipped')];
}
