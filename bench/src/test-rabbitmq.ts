/**
 * `npm run test:rabbitmq`: the AMQP suites against RabbitMQ itself, which shows that they ask for what RabbitMQ does; then scripts and
 * random programs against RabbitMQ and Millrace at once, whose answers are compared. Needs Debian's rabbitmq-server. Arguments go to
 * vitest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startRabbitMq } from './peers/rabbitmq.ts';
import { stopChildrenOnExit } from './process.ts';

const vitest = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
);
stopChildrenOnExit();
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-rabbitmq-'));
const rabbitMq = await startRabbitMq({ dataDir });
try {
  const args = [vitest, 'run', '--no-file-parallelism', 'millrace/test/amqp'];
  const tests = spawn(process.execPath, [...args, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, MILLRACE_TEST_AMQP: `${rabbitMq.host}:${rabbitMq.port}` },
  });
  const [code] = (await once(tests, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await rabbitMq.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
