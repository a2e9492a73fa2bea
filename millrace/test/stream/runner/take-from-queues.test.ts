/** What a flow has read of a queue, and committed, is gone from there: by whatever way the flow ends, and nothing else. */
import { expect, test } from 'vitest';
import type { Env } from '../../../src/core/env.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import type { RunningFlow } from '../../../src/engine/stream/runner/flow-types.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { flow, json, queue, topic } from '../../../src/index.ts';
import { ShopReader } from '../exactly-once/shop-audit.ts';

const JOBS = { topic: 'queue.jobs', partition: 0 };

const copying = flow('copying', (f) => {
  f.read(queue('jobs', { value: json<number>() }))
    .filter((job) => job >= 0)
    .write(topic('done', { value: json<number>(), create: { partitions: 1 } }));
});

class World {
  readonly log: EmbeddedLog;
  readonly #reader: ShopReader;

  constructor(log: EmbeddedLog) {
    this.log = log;
    this.#reader = new ShopReader(log);
  }

  start(): RunningFlow {
    return runFlow({
      log: this.log,
      plan: copying.plan(),
      dataDirectory: '/data',
      state: 'memory',
    });
  }

  async send(...jobs: readonly number[]): Promise<void> {
    const producer = await this.log.producer({});
    // Not so old that retention takes them.
    const nowMs = this.log.env.clock.nowMs();
    for (const job of jobs) producer.append('queue.jobs', 0, nowMs, null, JSON.stringify(job));
    await producer.flush();
    await producer.close();
  }

  /** What is in the queue: offsets. */
  async range(): Promise<readonly (number | undefined)[]> {
    const [first] = await this.log.offsets([JOBS], 'beginning');
    const [end] = await this.log.offsets([JOBS], 'end');
    return [first, end];
  }

  async until(isDone: () => Promise<boolean>): Promise<void> {
    while (!(await isDone())) await this.log.env.timers.sleep(50);
  }

  async done(count: number): Promise<unknown[]> {
    for (;;) {
      const lines = (await this.#reader.read('done')) ?? [];
      if (lines.length >= count) return lines.map(({ value }) => value);
      await this.log.env.timers.sleep(50);
    }
  }
}

function onBroker(program: (world: World) => Promise<void>): Promise<void> {
  const machine = new SimMachine(1);
  const all = async (env: Env): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await log.createTopics([{ name: 'queue.jobs', partitions: 1, configs: {} }]);
    await program(new World(log));
    await log.close();
  };
  return machine.run(all(machine.boot()));
}

test('what was taken is gone while the flow runs, and when it is stopped', () =>
  onBroker(async (world) => {
    const running = world.start();
    await world.send(1, 2, 3);
    expect(await world.done(3)).toEqual([1, 2, 3]);
    await world.until(async () => (await world.range())[0] === 3);
    await world.send(4, 5);
    await world.done(5);
    await running.stop();
    expect(await world.range()).toEqual([5, 5]);
  }));

test('what was committed by a flow that came no further is taken by the next start', () =>
  onBroker(async (world) => {
    await world.send(1, 2, 3);
    // As a run has it that ended between its commit and the deletion.
    await world.log.setCommitted('copying', [{ ...JOBS, offset: 2 }]);
    const running = world.start();
    expect(await world.done(1)).toEqual([3]);
    await world.until(async () => (await world.range())[0] === 3);
    await running.stop();
  }));

test('what others have taken before the flow came to it is no loss', () =>
  onBroker(async (world) => {
    await world.send(1, 2);
    const first = world.start();
    await world.done(2);
    await first.stop();
    await world.send(3, 4, 5);
    await world.log.deleteRecords([{ ...JOBS, offset: 4 }]);
    const second = world.start();
    expect(await world.done(3)).toEqual([1, 2, 5]);
    await second.stop();
  }));
