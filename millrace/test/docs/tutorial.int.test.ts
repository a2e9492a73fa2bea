/**
 * The tutorials, block after block, as a reader types it: programs are saved under the names in their first line, commands are run, and
 * what the page shows behind them is what came out. Figures of time and memory, and the reader's directory, may differ.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realEnv } from '../../src/core/real-env.ts';
import { builtMillrace, Running } from '../start/built-millrace.ts';
import { blocksOf } from './blocks.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const READERS_DIRECTORY = '/home/you/millrace';

const millrace = builtMillrace();
let tools = '';

/** Of the broker of a page, where its reader has these. */
const READERS_KAFKA = '9092';
const READERS_AMQP = '5672';

beforeAll(async () => {
  tools = await millrace.directory();
  await writeFile(
    join(tools, 'npx'),
    `#!/bin/sh\nshift\nexec "${process.execPath}" "${millrace.bin}" "$@"\n`,
  );
  await chmod(join(tools, 'npx'), 0o755);
  await symlink(process.execPath, join(tools, 'node'));
});

/** What a page leaves running: it is ended by the numbers of processes that it keeps; and a command that waits for ever. */
const leftovers: string[] = [];
const waiting = new Set<Running>();
afterAll(() => {
  for (const { child } of waiting) child.kill('SIGKILL');
  for (const directory of leftovers)
    for (const name of readdirSync(directory).filter((each) => each.endsWith('.pid')))
      try {
        process.kill(Number(readFileSync(join(directory, name), 'utf8')), 'SIGKILL');
      } catch {
        // It has ended.
      }
});

/** A clone with the package in it, as the reader has it. */
async function clone(): Promise<string> {
  const cwd = await millrace.directory();
  leftovers.push(cwd);
  await symlink(join(ROOT, 'examples'), join(cwd, 'examples'));
  await mkdir(join(cwd, 'node_modules'));
  await symlink(dirname(dirname(millrace.bin)), join(cwd, 'node_modules/millrace'));
  await symlink(join(ROOT, 'node_modules/amqplib'), join(cwd, 'node_modules/amqplib'));
  await writeFile(join(cwd, 'package.json'), '{ "type": "module" }');
  return cwd;
}

/** Without what differs from run to run; who takes less than a second is not told how much that is in one. */
function masked(text: string, cwd: string): string {
  return text
    .replaceAll(cwd, READERS_DIRECTORY)
    .replaceAll(/\[job \S+\]/g, '[job]')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/( in [\d.]+ m?s)? \([^()]*\/s\)/g, '')
    .replaceAll(/[\d.]+ (s|MB resident)\b/g, '<n> $1')
    .replaceAll(/ +/g, ' ');
}

async function freePort(): Promise<number> {
  const listener = await realEnv().net.listen({ host: '127.0.0.1', port: 0 }, () => {});
  const { port } = listener;
  await listener.close();
  return port;
}

/** A broker that was started in the background is there at once for a reader who types. */
async function untilListening(port: number): Promise<void> {
  const env = realEnv();
  for (;;) {
    try {
      (await env.net.connect({ host: '127.0.0.1', port })).destroy();
      return;
    } catch {
      await env.timers.sleep(20);
    }
  }
}

test.concurrent.each([
  { page: 'first-program.md', commandsMin: 12 },
  { page: 'first-stream.md', commandsMin: 10 },
  { page: 'first-queue.md', commandsMin: 8 },
])('every command of $page does what the page says', async ({ page: name, commandsMin }) => {
  const page = readFileSync(join(ROOT, 'docs/tutorial', name), 'utf8');
  const cwd = await clone();
  const kafka = await freePort();
  const amqp = await freePort();
  const ported = (code: string): string =>
    code.replaceAll(READERS_KAFKA, String(kafka)).replaceAll(READERS_AMQP, String(amqp));
  const blocks = blocksOf(page);
  let commands = 0;
  for (const [index, { language, code }] of blocks.entries()) {
    if (language === 'ts') {
      const file = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? '';
      expect(file, code).not.toBe('');
      await writeFile(join(cwd, file), ported(code));
    }
    if (language !== 'sh') continue;
    commands++;
    const env = {
      ...process.env,
      PATH: `${tools}:${process.env['PATH'] ?? ''}`,
      MILLRACE_DATA: join(cwd, 'millrace-data'),
      MILLRACE_BROKERS: `127.0.0.1:${kafka}`,
      MILLRACE_AMQP: `127.0.0.1:${amqp}`,
    };
    const child = spawn('bash', ['--norc', '-uo', 'pipefail', '-c', ported(code)], { cwd, env });
    const running = new Running(child);
    waiting.add(running);
    const { code: exit, stdout, stderr } = await running.ended;
    waiting.delete(running);
    if (/ start .*&$/m.test(code)) await untilListening(kafka);
    const shown = blocks[index + 1]?.language === '' ? blocks[index + 1]?.code : undefined;
    const fails = shown?.startsWith('error: ') === true;
    expect({ code, exit, stderr: exit === 0 || fails ? '' : stderr }).toEqual({
      code,
      exit: fails ? 1 : 0,
      stderr: '',
    });
    const printed = masked(stdout + stderr, cwd).replaceAll(String(kafka), READERS_KAFKA);
    if (shown !== undefined) expect(printed, code).toBe(masked(shown, cwd));
  }
  expect(commands).toBeGreaterThan(commandsMin);
});
