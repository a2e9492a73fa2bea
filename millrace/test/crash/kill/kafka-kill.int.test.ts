/**
 * `millrace start` under `kill -9`, and under a failing fsync, with clients that live through it: idempotent producers,
 * committed offsets, and transactions that consume, transform and produce. What they were told has to be true at the
 * end: nothing lost, nothing twice, no transaction torn, no input counted twice.
 */
import { expect, test } from 'vitest';
import { BrokerProcess, failingSync, hasStrace } from './broker-process.ts';
import { KafkaRun } from './kafka-run.ts';

/** A broker of its own for each test. They mostly wait for processes and disks, beside each other. */
async function withBroker(work: (broker: BrokerProcess) => Promise<void>): Promise<void> {
  const broker = new BrokerProcess();
  try {
    await work(broker);
  } finally {
    await broker.remove();
  }
}

async function comesUp(broker: BrokerProcess): Promise<void> {
  const ending = await broker.start();
  expect(ending === undefined ? '' : broker.log).toBe('');
}

test.concurrent(
  'kill -9 breaks no promise to any client',
  () =>
    withBroker(async (broker) => {
      await broker.start();
      const run = new KafkaRun(broker);
      await run.begin();
      for (const count of [150, 10, 400, 200]) {
        await run.acknowledged(count);
        await broker.kill('SIGKILL');
        await comesUp(broker);
      }
      await run.acknowledged(20);
      const report = await run.end();
      process.stdout.write(`kill -9 of a broker, 4 times: ${JSON.stringify(report.counts)}\n`);
      expect(report.bad).toEqual([]);
      expect(report.counts.acknowledged).toBeGreaterThan(700);
      expect(report.counts.polled).toBeGreaterThan(700);
    }),
  120_000,
);

// Where there is no strace, or it may not trace, only the simulated machine shows this.
test.runIf(hasStrace()).concurrent(
  'a failed fsync ends the broker, which breaks no promise either',
  () =>
    withBroker(async (broker) => {
      await broker.start();
      const run = new KafkaRun(broker);
      await run.begin();
      for (const nth of [20, 45]) {
        await run.acknowledged(50);
        await broker.kill('SIGTERM');
        const early = await broker.start(failingSync(nth));
        const ending = early ?? (await broker.ended());
        expect(ending.signal).toBeNull();
        expect(ending.code).toBeGreaterThan(0);
        await comesUp(broker);
      }
      await run.acknowledged(20);
      const report = await run.end();
      expect(report.bad).toEqual([]);
      expect(report.counts.acknowledged).toBeGreaterThan(100);
    }),
  120_000,
);
