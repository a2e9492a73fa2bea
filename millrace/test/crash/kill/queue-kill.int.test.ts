/**
 * `millrace start` under `kill -9`, with AMQP clients that live through it: what was confirmed is delivered, or still there; what comes
 * twice is flagged; what was settled stays settled.
 */
import { expect, test } from 'vitest';
import { startMillraceUnderTest } from '../../amqp/amqp-under-test.ts';
import { runs } from '../../runs.ts';
import { QueueRun } from './queue-run.ts';

test('kill -9 loses no confirmed message, and flags what comes twice', async () => {
  const broker = await startMillraceUnderTest();
  try {
    const run = new QueueRun(broker, 1);
    await run.begin();
    const kills = runs(4);
    for (let index = 0; index < kills; index++) {
      await run.confirmed([400, 20, 700, 5, 1_000, 150][index % 6] ?? 100);
      await run.kill();
      await broker.restart();
    }
    await run.confirmed(50);
    const { anomalies, counts } = await run.end();
    process.stdout.write(`kill -9 under queues, ${kills} times: ${JSON.stringify(counts)}\n`);
    expect(anomalies.slice(0, 10)).toEqual([]);
    expect(counts.confirmed).toBeGreaterThan(1_000);
    expect(counts.accepted).toBeGreaterThan(500);
    expect(counts.rejected).toBeGreaterThan(0);
    expect(counts.released).toBeGreaterThan(20);
  } finally {
    await broker.stop();
  }
}, 120_000);
