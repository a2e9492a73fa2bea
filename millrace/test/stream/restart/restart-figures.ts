/**
 * How long a process of a flow takes until it processes: `node restart-figures.ts [KEYS]`, 500,000 unless told otherwise. A first start; a clean
 * restart; one behind `kill -9`, and one without its disk, both of which first wait until the session of the old process is over where
 * its name is gone. From the start of the process, that of Node included. With MILLRACE_TEST_BROKER=host:port on another broker.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectKafka } from '../../../src/client/kafka/kafka-log.ts';
import type { Log } from '../../../src/client/log.ts';
import { partitionOf } from '../../../src/core/murmur2.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { startBrokerUnderTest, uniqueName } from '../../conformance/broker-under-test.ts';
import { FlowChild } from '../exactly-once/flow-child.ts';

const PROGRAM = fileURLToPath(new URL('./visits.ts', import.meta.url));
const PARTITIONS = 4;
const SESSION_MS = 6_000;
const UNSENT_BYTES = 8 * 1024 * 1024;

const keys = Number(process.argv[2] ?? 500_000);
const env = realEnv();
const directory = mkdtempSync(join(tmpdir(), 'millrace-restart-'));
const prefix = uniqueName('restart');
const broker = await startBrokerUnderTest();
const log = await connectKafka(env, { brokers: broker.address });

interface Started {
  readonly readyMs: number;
  readonly restored: number;
  readonly end: (signal: NodeJS.Signals) => Promise<unknown>;
}

async function start(): Promise<Started> {
  const begun = performance.now();
  const child = new FlowChild({
    broker: broker.address,
    program: PROGRAM,
    directory,
    workers: 0,
    sessionMs: SESSION_MS,
    env: { MILLRACE_TEST_PREFIX: prefix },
  });
  child.start();
  await child.ready;
  const readyMs = Math.round(performance.now() - begun);
  const restored = Number(/"restoredRecords":(\d+)/.exec(child.said)?.[1] ?? 0);
  return { readyMs, restored, end: (signal) => child.end(signal) };
}

async function visit(to: Log): Promise<void> {
  const producer = await to.producer({});
  const at = env.clock.nowMs();
  for (let index = 0; index < keys; index++) {
    const key = Buffer.from(`visitor-${index}`);
    producer.append(`${prefix}-visits`, partitionOf(key, PARTITIONS), at, key, 'x');
    if (producer.unsentBytes > UNSENT_BYTES) await producer.drained(UNSENT_BYTES / 2);
  }
  await producer.flush();
  await producer.close();
}

async function counted(): Promise<void> {
  const places = Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: `${prefix}-visits`,
    partition,
  }));
  const ends = await log.offsets(places, 'end');
  for (;;) {
    const committed = await log.committed(prefix, places);
    if (ends.every((end, index) => committed[index]?.offset === end)) return;
    await env.timers.sleep(50);
  }
}

function tell(what: string, { readyMs, restored }: Started): void {
  process.stdout.write(`${what}: ${readyMs} ms, ${restored} records restored\n`);
}

await log.createTopics([{ name: `${prefix}-visits`, partitions: PARTITIONS, configs: {} }]);
const first = await start();
tell('first start', first);
await visit(log);
await counted();
await first.end('SIGTERM');
const clean = await start();
tell(`clean restart with ${keys} keys`, clean);
await clean.end('SIGKILL');
const killed = await start();
tell('restart after kill -9', killed);
await visit(log);
await counted();
await killed.end('SIGKILL');
const busy = await start();
tell(`restart after kill -9 behind ${keys} records`, busy);
await busy.end('SIGTERM');
rmSync(directory, { recursive: true });
const lost = await start();
tell(`restart without the disk, session of ${SESSION_MS} ms included`, lost);
await lost.end('SIGTERM');
await log.close();
await broker.stop();
rmSync(directory, { recursive: true, force: true });
