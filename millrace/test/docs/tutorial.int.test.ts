/**
 * The tutorial, block after block, as a reader types it: programs are saved under the names in their first line, commands are run, and
 * what the page shows behind them is what came out. Figures of time and memory, and the reader's directory, may differ.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { builtMillrace, Running } from '../start/built-millrace.ts';
import { blocksOf } from './blocks.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const READERS_DIRECTORY = '/home/you/millrace';

const millrace = builtMillrace();
let cwd = '';
let tools = '';

beforeAll(async () => {
  cwd = await millrace.directory();
  await symlink(join(ROOT, 'examples'), join(cwd, 'examples'));
  await mkdir(join(cwd, 'node_modules'));
  await symlink(dirname(dirname(millrace.bin)), join(cwd, 'node_modules/millrace'));
  tools = await millrace.directory();
  await writeFile(
    join(tools, 'npx'),
    `#!/bin/sh\nshift\nexec "${process.execPath}" "${millrace.bin}" "$@"\n`,
  );
  await chmod(join(tools, 'npx'), 0o755);
  await symlink(process.execPath, join(tools, 'node'));
});

/** Without what differs from run to run. */
function masked(text: string): string {
  return text
    .replaceAll(cwd, READERS_DIRECTORY)
    .replaceAll(/\[job \S+\]/g, '[job]')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/[\d.]+ (s|MB resident)\b/g, '<n> $1')
    .replaceAll(/ +/g, ' ');
}

test('every command of the tutorial does what the page says', async () => {
  const page = readFileSync(join(ROOT, 'docs/tutorial/first-program.md'), 'utf8');
  const blocks = blocksOf(page);
  let commands = 0;
  for (const [index, { language, code }] of blocks.entries()) {
    if (language === 'ts') {
      const name = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? '';
      expect(name, code).not.toBe('');
      await writeFile(join(cwd, name), code);
    }
    if (language !== 'sh') continue;
    commands++;
    const PATH = `${tools}:${process.env['PATH'] ?? ''}`;
    const env = { ...process.env, PATH, MILLRACE_DATA: join(cwd, 'millrace-data') };
    const child = spawn('bash', ['-uo', 'pipefail', '-c', code], { cwd, env });
    const { code: exit, stdout, stderr } = await new Running(child).ended;
    const shown = blocks[index + 1]?.language === '' ? blocks[index + 1]?.code : undefined;
    const fails = shown?.startsWith('error: ') === true;
    expect({ code, exit, stderr: exit === 0 || fails ? '' : stderr }).toEqual({
      code,
      exit: fails ? 1 : 0,
      stderr: '',
    });
    if (shown !== undefined) expect(masked(stdout + stderr), code).toBe(masked(shown));
  }
  expect(commands).toBeGreaterThan(12);
});
