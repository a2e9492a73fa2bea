import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { summariseProfile } from './cpu-profile.ts';
import { INSPECT_OPTION, inspectorUrl, profileWhile } from './inspector.ts';
import { start } from './process.ts';

const POLL = { timeout: 20_000 };

const PROGRAM = `
  function burn() { for (let until = performance.now() + 20; performance.now() < until; ); }
  setInterval(burn, 25);
`;

test('profiles what another process does meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'));
  const logFile = join(folder, 'log');
  const started = start({
    command: process.execPath,
    args: [INSPECT_OPTION, '-e', PROGRAM],
    logFile,
  });
  try {
    await expect.poll(() => inspectorUrl(readFileSync(logFile, 'utf8')), POLL).toBeDefined();
    const { result, profile } = await profileWhile(logFile, 250, async () => {
      const before = started.usage().cpuSeconds;
      await expect.poll(() => started.usage().cpuSeconds, POLL).toBeGreaterThan(before + 0.2);
      return 'done';
    });
    expect(result).toBe('done');
    const { functions } = summariseProfile(profile, (url, line) => `${url}:${line}`);
    expect(functions.map(({ name }) => name)).toContain('burn');
  } finally {
    await started.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a process without an inspector is a plain message', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'));
  try {
    const logFile = join(folder, 'log');
    const started = start({ command: process.execPath, args: ['-e', ''], logFile });
    await started.exited;
    await expect(profileWhile(logFile, 250, () => Promise.resolve())).rejects.toThrow(
      'did not open the inspector',
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
