/** `npm run fuzz [seconds]`: the fuzz tests for as long as one likes (default 60 seconds each) instead of the two of a test run. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const seconds = Number(process.argv[2] ?? 60);
if (!Number.isFinite(seconds) || seconds <= 0) {
  process.stderr.write(`usage: npm run fuzz [seconds], not '${process.argv[2]}'\n`);
  process.exit(2);
}
const vitest = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
);
const { status } = spawnSync(process.execPath, [vitest, 'run', 'fuzz.test.ts'], {
  stdio: 'inherit',
  env: { ...process.env, MILLRACE_FUZZ_SECONDS: String(seconds) },
});
process.exit(status ?? 1);
