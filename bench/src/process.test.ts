import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  parseBusySeconds,
  parseCpuSeconds,
  parseCpuSecondsWithEnded,
  parseOwnBytes,
  parseResidentBytes,
  start,
  tail,
} from './process.ts';

/** Fields 3 to 17; 14 to 17 are CPU times in hundredths of a second. */
const AFTER_NAME = 'S 1 1 1 0 -1 4194560 10 20 0 0 150 50 300 100';

test('reads resident memory in bytes, and none of a process without a VmRSS line', () => {
  expect(parseResidentBytes('Name:\tjava\nVmHWM:\t  900 kB\nVmRSS:\t     512 kB\n')).toBe(524_288);
  expect(parseResidentBytes('Name:\tjava\nState:\tZ (zombie)\n')).toBe(0);
  expect(parseOwnBytes('VmRSS:\t     512 kB\nRssAnon:\t     256 kB\n')).toBe(262_144);
  expect(parseOwnBytes('VmRSS:\t     512 kB\n')).toBe(0);
});

test('reads CPU times behind a process name with spaces and parentheses', () => {
  const stat = `42 (a) (b c) ${AFTER_NAME}`;
  expect(parseCpuSeconds(stat)).toBe(2);
  expect(parseCpuSecondsWithEnded(stat)).toBe(6);
});

test('busy time of the machine is all but idle and waiting for disks', () => {
  const stat = 'cpu  100 200 300 99999 88888 10 20 70 5 5\ncpu0 1 2 3 4 5 6 7 8 9 10\n';
  expect(parseBusySeconds(stat)).toBe(7);
});

test('stops a process by its id, and keeps what it said', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'));
  try {
    const logFile = join(folder, 'log');
    const program = "console.log('ready'); setInterval(() => {}, 1000);";
    const started = start({ command: process.execPath, args: ['-e', program], logFile });
    await expect.poll(() => readFileSync(logFile, 'utf8'), { timeout: 20_000 }).toContain('ready');
    expect(started.usage().residentBytes).toBeGreaterThan(0);
    expect(started.hasExited()).toBe(false);
    await started.stop();
    await started.stop();
    expect(started.hasExited()).toBe(true);
    expect(await started.exited).toBe('SIGTERM');
    expect(tail(logFile)).toBe('ready');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a command that does not exist is an exit, not a crash', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'));
  try {
    const started = start({
      command: join(folder, 'none'),
      args: [],
      logFile: join(folder, 'log'),
    });
    await expect(started.exited).rejects.toThrow('ENOENT');
    expect(started.hasExited()).toBe(true);
    await started.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
