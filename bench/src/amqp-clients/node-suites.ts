/** Clients of Node.js, beside amqplib, which `npm test` has. Their packages come without their tests: programs of ours use them. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClientSuite, mustRun, runProgram } from './client-suite.ts';

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));
const AMQPLIB = 'amqplib@2.3.1';
const CONNECTION_MANAGER = '5.0.0';
const FOR_NEST = ['reflect-metadata@0.2.2', 'rxjs@7.8.2'];

export const nodeSuites: readonly ClientSuite[] = [
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
    tools: { npm: 'npm, which comes with Node.js' },
    leftOut: [],
    fetch: async (folder) => {
      writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
      const quietly = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
      await mustRun('npm', ['install', ...quietly, `${packageName}@${version}`, ...more], {
        cwd: folder,
      });
    },
    run: (folder, broker) => {
      // Packages are looked for beside the program.
      for (const file of ['cases.mjs', program])
        copyFileSync(join(PROGRAMS, file), join(folder, file));
      return runProgram(process.execPath, [join(folder, program)], broker);
    },
  };
}
