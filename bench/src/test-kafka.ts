/**
 * `npm run test:kafka`: the conformance tests, those of the Log port, flows whose processes are killed, and an example, against Apache
 * Kafka itself, which shows that they ask for what Kafka does. Needs Java and Maven. Arguments go to vitest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startKafka } from './peers/kafka.ts';

const vitest = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
);
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
const kafka = await startKafka({ dataDir });
try {
  const args = [
    vitest,
    'run',
    '--no-file-parallelism',
    'millrace/test/conformance',
    'millrace/test/stream/exactly-once.int.test.ts',
    'millrace/test/log-port',
    'examples/both-brokers.test.ts',
    'millrace/test/door',
    'examples/both-brokers.test.ts',
    ...process.argv.slice(2),
  ];
  const tests = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, MILLRACE_TEST_BROKER: `${kafka.host}:${kafka.port}` },
  });
  const [code] = (await once(tests, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await kafka.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
