/** What the README pages tell people to type works as it stands there. That their TypeScript compiles `test/docs/examples` says. */
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf } from '../docs/blocks.ts';
import { builtMillrace, Running, type Broker } from './built-millrace.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const PACKAGE_README = readFileSync(join(ROOT, 'millrace/README.md'), 'utf8');
const DEFAULT_ADDRESS = '127.0.0.1:9092';
const DEFAULT_AMQP = '127.0.0.1:5672';

const millrace = builtMillrace();
let broker: Broker;
/** Where it serves AMQP. */
let amqp = '';
/** Beside the built package, so that `millrace/broker` is found as it is when it is installed. */
let directory: string;
/** A directory with an `npx` that runs the built command. */
let tools: string;

beforeAll(async () => {
  broker = await millrace.start(await millrace.directory());
  [, amqp = ''] = await broker.shows('stderr', /^ {2}amqp +amqp:\/\/(\S+:\d+)$/m);
  directory = await mkdtemp(join(dirname(dirname(millrace.bin)), 'snippets-'));
  tools = await millrace.directory();
  const npx = join(tools, 'npx');
  await writeFile(npx, `#!/bin/sh\nshift\nexec "${process.execPath}" "${millrace.bin}" "$@"\n`);
  await chmod(npx, 0o755);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

function blocks(text: string, language: string): string[] {
  return blocksOf(text)
    .filter((block) => block.language === language)
    .map(({ code }) =>
      code.replaceAll(DEFAULT_ADDRESS, broker.address).replaceAll(DEFAULT_AMQP, amqp),
    );
}

/** The block that has these words, by itself: no two do. */
function blockWith(text: string, language: string, words: string): string {
  const found = blocks(text, language).filter((code) => code.includes(words));
  expect(found, `blocks with '${words}'`).toHaveLength(1);
  return found[0] ?? '';
}

function shell(code: string, cwd?: string): Running {
  return new Running(
    spawn('bash', ['--norc', '-euo', 'pipefail', '-c', code], {
      ...(cwd === undefined ? {} : { cwd }),
      env: {
        ...process.env,
        PATH: `${tools}:${process.env['PATH'] ?? ''}`,
        MILLRACE_BROKERS: broker.address,
        MILLRACE_AMQP: amqp,
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

async function hasCommand(name: string): Promise<boolean> {
  return promisify(execFile)(name, ['-V']).then(
    () => true,
    () => false,
  );
}

/** What the page shows as printed, right behind the block that has these words. */
function printedBehind(text: string, words: string): string {
  const all = blocksOf(text);
  const index = all.findIndex(({ code }) => code.includes(words));
  expect(all[index + 1]?.language).toBe('');
  return all[index + 1]?.code ?? '';
}

/** A directory in which the repository's examples are where the README says. */
async function clone(): Promise<string> {
  const cwd = await millrace.directory();
  await symlink(join(ROOT, 'examples'), join(cwd, 'examples'));
  return cwd;
}

test('every block with commands or code is run by a test here', () => {
  expect(blocks(README, 'sh')).toHaveLength(10);
  expect(blocks(README, 'ts')).toHaveLength(8);
  expect(blocks(PACKAGE_README, 'sh')).toHaveLength(3);
  expect(blocks(PACKAGE_README, 'ts')).toHaveLength(2);
});

test('the first commands are scripts of the repository', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  expect(blockWith(README, 'sh', 'npm ci').trim().split('\n')).toEqual(['npm ci', 'npm run build']);
  expect(blockWith(README, 'sh', 'npm start').trim()).toBe('npm start');
  expect(scripts).toHaveProperty('build');
  expect(scripts).toHaveProperty('start');
});

test('the first program of the README is an example, and prints what stands there', async () => {
  const program = blockWith(README, 'ts', "flow('top-urls'");
  const example = readFileSync(join(ROOT, 'examples/top-urls.ts'), 'utf8');
  expect(example.endsWith(program)).toBe(true);
  const cwd = await clone();
  const code = blockWith(README, 'sh', 'npx millrace run examples/top-urls.ts\n');
  const run = await shell(code, cwd).ended;
  expect(run.code, run.stderr).toBe(0);
  const printed = printedBehind(README, 'cat out/top-urls.ndjson');
  expect(run.stdout).toBe(printed);

  const more = await shell(blockWith(README, 'sh', 'npx millrace plan'), cwd).ended;
  expect(more.code, more.stderr).toBe(0);
  expect(more.stdout).toContain('stage 0  read lines examples/data/access.log');
  expect(more.stdout.trimEnd().split('\n').at(-1)).toBe(printed.split('\n')[0]);
});

test('the program in columns of the README', async () => {
  const cwd = await clone();
  await writeFile(join(cwd, 'traffic.ts'), blockWith(README, 'ts', "flow('traffic'"));
  const { code, stdout, stderr } = await millrace.run(['run', 'traffic.ts'], { cwd });
  expect(code, stderr).toBe(0);
  const traffic = new Map<string, { hits: number; bytes: number }>();
  for (const line of readFileSync(join(ROOT, 'examples/data/access.log'), 'utf8').split('\n')) {
    const [path = '', status = '', size] = [6, 8, 9].map((field) => line.split(' ')[field]);
    if (path === '' || Number(status) >= 400) continue;
    const { hits, bytes } = traffic.get(path) ?? { hits: 0, bytes: 0 };
    traffic.set(path, { hits: hits + 1, bytes: bytes + Number(size) });
  }
  const rows = [...traffic]
    .toSorted(([, a], [, b]) => b.bytes - a.bytes)
    .map(([path, { hits, bytes }]) => `${path},${hits},${bytes}`);
  expect(stdout).toBe(`${['path,hits,bytes', ...rows].join('\n')}\n`);
});

test('the program of the README of the package', async () => {
  const cwd = await clone();
  await writeFile(join(cwd, 'top-urls.ts'), blockWith(PACKAGE_README, 'ts', "flow('top-urls'"));
  await symlink(join(ROOT, 'examples/data/access.log'), join(cwd, 'access.log'));
  const code = blockWith(PACKAGE_README, 'sh', 'npx millrace run top-urls.ts');
  const run = await shell(code, cwd).ended;
  expect(run.code, run.stderr).toBe(0);
  expect(run.stdout).toBe(printedBehind(PACKAGE_README, 'npx millrace run top-urls.ts'));
});

test.each([
  ['README.md', README],
  ['millrace/README.md', PACKAGE_README],
])('the commands of %s', async (_, text) => {
  const code = blockWith(text, 'sh', 'npx millrace topic create orders');
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
  test.skipIf(!(await hasCommand('kcat')))('the commands of the README', async () => {
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

describe('the flow of the README', async () => {
  const program = (): string => blockWith(README, 'ts', "flow('revenue'");

  test('runs up to now, and then without end with views', async () => {
    const cwd = await millrace.directory();
    await writeFile(join(cwd, 'revenue.ts'), program());
    const job = await shell(blockWith(README, 'sh', '--until now'), cwd).ended;
    expect(job.code, job.stderr).toBe(0);
    expect(job.stdout).toBe(printedBehind(README, '--until now'));

    const code = blockWith(README, 'sh', '--http 8080').replace('--http 8080', '--http 0');
    const running = shell(code, cwd);
    const [, address = ''] = await running.shows('stderr', /views are at http:\/\/([^/]+)\//);
    await running.shows('stderr', /running \d+ tasks/);
    const ask = blockWith(README, 'sh', 'curl').replace('127.0.0.1:8080', address);
    const printed = printedBehind(README, 'curl').trimEnd();
    expect(printed).toMatch(/…$/);
    await expect
      .poll(async () => (await answerOf(ask)).startsWith(printed.slice(0, -1)), { timeout: 20_000 })
      .toBe(true);
    const { stderr } = await running.endAll('SIGINT');
    expect(stderr).toContain('revenue: stopped');
  }, 60_000);

  test('passes its test', async () => {
    const path = join(directory, 'revenue.mjs');
    await writeFile(path, stripTypeScriptTypes(program()));
    const tests = await programOf(
      'revenue-test',
      blockWith(README, 'ts', 'testFlow').replace('./revenue.ts', './revenue.mjs'),
    );
    const { code, stdout } = await new Running(spawn(process.execPath, ['--test', tests])).ended;
    expect(code, stdout).toBe(0);
    expect(stdout).toContain('pass 1');
  });

  /** As curl, which not every machine has. */
  async function answerOf(ask: string): Promise<string> {
    const [, url = ''] = /^curl (\S+)$/.exec(ask.trim()) ?? [];
    const response = await fetch(url);
    return response.text();
  }
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

describe('the queues of the README', () => {
  test('for a client of RabbitMQ', async () => {
    const program = await programOf('thumbnails', blockWith(README, 'ts', 'amqplib'));
    const running = new Running(spawn(process.execPath, [program]));
    await running.shows('stdout', /^made a thumbnail of cat.jpg$/m);
    expect((await running.end('SIGKILL')).stderr).toBe('');
  });

  test('in a program', async () => {
    const program = await programOf('emails', blockWith(README, 'ts', 'emails.work'));
    const cwd = await millrace.directory();
    const running = new Running(spawn(process.execPath, [program], { cwd }));
    await running.shows('stdout', /^to ann@example.org: Welcome \(attempt 1\)$/m);
    expect((await running.end('SIGKILL')).stderr).toBe('');
  });

  test('on the command line', async () => {
    const code = blockWith(README, 'sh', 'npx millrace queue declare emails');
    const { code: exit, stdout, stderr } = await shell(code).ended;
    expect(exit, stderr).toBe(0);
    const [shown = '', ...lines] = stdout.split('\n');
    const body = '{"to":"ann@example.org","text":"hello"}';
    expect(JSON.parse(shown)).toMatchObject({ body, routingKey: 'emails' });
    expect(lines).toContainEqual(expect.stringMatching(/^emails +classic +1 +0 +0 +0 +39$/));
    expect(lines).toContain(body);
  });
});
