/** What the README pages tell people to type works as it stands there. */
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { builtMillrace, Running, type Broker } from './built-millrace.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const PACKAGE_README = readFileSync(join(ROOT, 'millrace/README.md'), 'utf8');
const DEFAULT_ADDRESS = '127.0.0.1:9092';

const millrace = builtMillrace();
let broker: Broker;
/** Beside the built package, so that `millrace/broker` is found as it is when it is installed. */
let directory: string;
/** A directory with an `npx` that runs the built command. */
let tools: string;

beforeAll(async () => {
  broker = await millrace.start(await millrace.directory());
  directory = join(dirname(dirname(millrace.bin)), 'snippets');
  await mkdir(directory);
  tools = await millrace.directory();
  const npx = join(tools, 'npx');
  await writeFile(npx, `#!/bin/sh\nshift\nexec "${process.execPath}" "${millrace.bin}" "$@"\n`);
  await chmod(npx, 0o755);
});

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, code = '']) => code.replaceAll(DEFAULT_ADDRESS, broker.address),
  );
}

/** The block that has these words, by itself: no two do. */
function blockWith(text: string, language: string, words: string): string {
  const found = blocks(text, language).filter((code) => code.includes(words));
  expect(found, `blocks with '${words}'`).toHaveLength(1);
  return found[0] ?? '';
}

function shell(code: string): Running {
  return new Running(
    spawn('bash', ['-euo', 'pipefail', '-c', code], {
      env: {
        ...process.env,
        PATH: `${tools}:${process.env['PATH'] ?? ''}`,
        MILLRACE_BROKERS: broker.address,
      },
      // A group of its own, so that what it starts can be ended with it.
      detached: true,
    }),
  );
}

/** Node strips no types below node_modules, where a program finds the package by its name. */
async function programOf(name: string, code: string): Promise<string> {
  const path = join(directory, `${name}.mjs`);
  await writeFile(path, stripTypeScriptTypes(code));
  return path;
}

async function hasKcat(): Promise<boolean> {
  return promisify(execFile)('kcat', ['-V']).then(
    () => true,
    () => false,
  );
}

test('every block with commands or code is run by a test here', () => {
  expect(blocks(README, 'sh')).toHaveLength(3);
  expect(blocks(README, 'ts')).toHaveLength(2);
  expect(blocks(PACKAGE_README, 'sh')).toHaveLength(2);
  expect(blocks(PACKAGE_README, 'ts')).toHaveLength(1);
});

test('the first commands are scripts of the repository', () => {
  const first = blockWith(README, 'sh', 'npm ci');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  expect(first.trim().split('\n')).toEqual(['npm ci', 'npm start']);
  expect(scripts).toHaveProperty('start');
});

test.each([
  ['README.md', README],
  ['millrace/README.md', PACKAGE_README],
])('the commands of %s', async (_, text) => {
  const code = blockWith(text, 'sh', 'npx millrace topic create');
  const { code: exit, stdout, stderr } = await shell(code).ended;
  expect(exit, stderr).toBe(0);
  const [first, second] = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { readonly key: string; readonly value: string });
  expect([first, second]).toMatchObject([
    { key: 'alice', value: '3 apples' },
    { key: 'bob', value: '1 pear' },
  ]);
  await millrace.run(['topic', 'delete', 'orders', '--brokers', broker.address]);
});

describe('kcat', async () => {
  test.skipIf(!(await hasKcat()))('the commands of the README', async () => {
    const code = blockWith(README, 'sh', 'kcat -b');
    const running = shell(code);
    // The last command is a member of a group, and goes on for ever; kcat writes to a pipe when it ends.
    const atEnds = [0, 1, 2, 3].map((partition) => `\\[${partition}\\] at offset`);
    await running.shows('stderr', /Group readers rebalanced/);
    for (const atEnd of atEnds)
      await running.shows('stderr', new RegExp(`Group readers rebalanced.*${atEnd}`, 's'));
    const { stdout, stderr } = await running.endAll('SIGTERM');
    expect(stderr).not.toContain('ERROR');
    expect(stdout).toMatch(/^alice bought 3 apples \(partition \d, offset 0\)$/m);
    expect(stdout).toMatch(/^bob bought 1 pear \(partition \d, offset 0\)$/m);
    expect(stdout).toMatch(/^3 apples$/m);
    expect(stdout).toMatch(/^1 pear$/m);
    await millrace.run(['topic', 'delete', 'orders', '--brokers', broker.address]);
  });
});

test('the TypeScript of both pages has no type errors', async () => {
  const snippets = [...blocks(README, 'ts'), ...blocks(PACKAGE_README, 'ts')];
  for (const [index, code] of snippets.entries())
    await writeFile(join(directory, `snippet-${index}.ts`), code);
  const config = {
    extends: join(ROOT, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: false,
      paths: { 'millrace/broker': [join(ROOT, 'millrace/src/broker.ts')] },
    },
    include: ['*.ts'],
  };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const run = promisify(execFile)(process.execPath, [compiler, '-p', directory]);
  await run.catch((error: unknown) => {
    expect((error as { readonly stdout: string }).stdout).toBe('');
    throw error;
  });
});

test('the client program writes and reads', async () => {
  const program = await programOf('client', blockWith(README, 'ts', '@platformatic/kafka'));
  // The reader of the README has made the topic with the commands above it.
  await millrace.run(['produce', 'orders', '--brokers', broker.address], { input: 'carol\n' });
  const running = new Running(spawn(process.execPath, [program]));
  await running.shows('stdout', /^alice 3 apples \d \d+n$/m);
  const ended = await running.end('SIGKILL');
  expect(ended.stderr).toBe('');
});

test.each([
  ['README.md', README],
  ['millrace/README.md', PACKAGE_README],
])('the program of %s that embeds a broker', async (name, text) => {
  const program = await programOf(name.replaceAll('/', '-'), blockWith(text, 'ts', 'startBroker'));
  const cwd = await millrace.directory();
  const { code, stdout, stderr } = await new Running(spawn(process.execPath, [program], { cwd }))
    .ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/\d+\n$/);
});
