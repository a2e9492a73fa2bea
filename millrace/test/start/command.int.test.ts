/** The command as a whole: help, version, mistakes, an old Node. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { builtMillrace } from './built-millrace.ts';

const millrace = builtMillrace();

/** A Node that is too old, if this machine has one. */
const OLD_NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
  try {
    const version = execFileSync(path, ['--version'], { encoding: 'utf8' });
    return Number(/^v(\d+)/.exec(version)?.[1] ?? 99) < 24;
  } catch {
    return false;
  }
});

test('the version is that of the package', async () => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { readonly version: string };
  const { code, stdout } = await millrace.run(['--version']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${version}\n` });
});

test('the text of a broker, which stays in its memory, takes one byte for each character', () => {
  const text = readFileSync(join(dirname(millrace.bin), '../dist/chunks/served-broker.js'), 'utf8');
  expect(text.length).toBeGreaterThan(100_000);
  // Comments are left out; in texts, write what is beyond Latin-1 as an escape.
  expect(text.match(/.*[\u0100-\uffff].*/)?.[0]).toBeUndefined();
});

test('help goes to stdout and lists every command', async () => {
  const { code, stdout, stderr } = await millrace.run(['--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const command of ['start', 'topic', 'produce', 'consume', 'group'])
    expect(stdout).toMatch(new RegExp(`^ +${command} `, 'm'));
});

test.each([
  [['topic', '--help'], 'create'],
  [['consume', '--help'], '--from'],
  [['group', 'reset', '--help'], '--dry-run'],
])('%j explains itself', async (args, text) => {
  const { code, stdout } = await millrace.run(args);
  expect(code).toBe(0);
  expect(stdout).toContain(text);
});

test.each([
  [['toppic'], 'topic'],
  [['topic', 'creat'], 'create'],
  [['topic', 'create'], 'name'],
  [['consume', 'orders', '--form', 'end'], '--from'],
  [['group', 'reset', 'readers', '--to', 'end'], '--topic'],
])('%j is a mistake: exit code 2, and a hint at %s', async (args, hint) => {
  const { code, stdout, stderr } = await millrace.run(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('error: ');
  expect(stderr).toContain(hint);
});

test('without a command it shows what there is', async () => {
  const { code, stderr } = await millrace.run([]);
  expect(code).toBe(2);
  expect(stderr).toContain('Commands:');
});

test.skipIf(OLD_NODE === undefined)('an old Node is told which one is needed', async () => {
  const { code, stdout, stderr } = await millrace.run(['--version'], { node: OLD_NODE ?? '' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^error: Millrace needs Node 24 or newer; this is Node \d+/);
});
