/** Whatever fails once while a worker takes over its tasks is done again: no task is forgotten. */
import { expect, test } from 'vitest';
import { MillraceError } from '../../../src/core/errors.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import type { Log } from '../../../src/client/log.ts';
import { openEmbedded } from '../../../src/embedded-log.ts';
import {
  counted,
  countingWorker,
  createTopics,
  faults,
  output,
  produce,
} from './counting-world.ts';

type Call = 'createTopics' | 'topics' | 'offsets' | 'committed' | 'producer';

/** A log of which one call fails, in a way that passes. */
function failingOnce(log: Log, call: Call, number: number): { log: Log; failed: () => boolean } {
  let calls = 0;
  const handler: ProxyHandler<Log> = {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...given: unknown[]): unknown => {
        if (name === call && ++calls === number)
          return Promise.reject(
            new MillraceError('ML_CONNECTION_LOST', 'planted', { retriable: true }),
          );
        return Reflect.apply(value, target, given);
      };
    },
  };
  return { log: new Proxy(log, handler), failed: () => calls >= number };
}

const CALLS: readonly (readonly [Call, number])[] = [
  ['producer', 1],
  ['createTopics', 1],
  ['topics', 1],
  ['offsets', 1],
  ['offsets', 2],
  ['offsets', 3],
  ['offsets', 4],
  ['committed', 1],
  ['committed', 2],
];

test.each(CALLS)('%s, call %i', async (call, number) => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const all = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await createTopics(log);
    // Somebody was there before: there is state to restore.
    await produce(log, 0, 100);
    const first = countingWorker(log, { label: 'a-0' });
    const firstDone = first.run();
    await counted(log, 100);
    first.stop();
    await firstDone;
    await produce(log, 100, 200);
    const failing = failingOnce(log, call, number);
    const second = countingWorker(failing.log, { label: 'a-0' });
    const secondDone = second.run();
    const isCounted = await Promise.race([
      counted(log, 200).then(() => true),
      env.timers.sleep(60_000).then(() => false),
    ]);
    expect(failing.failed() || number > 1).toBe(true);
    expect(isCounted).toBe(true);
    second.stop();
    await secondDone;
    expect(faults(await output(log), 200)).toEqual([]);
    await log.close();
  };
  await machine.run(all());
});

test('a task whose group goes on without the worker while it takes over', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const all = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await createTopics(log);
    await produce(log, 0, 100);
    const first = countingWorker(log, { label: 'a-0' });
    const firstDone = first.run();
    await counted(log, 100);
    const failing = failingOnce(log, 'committed', 1);
    const second = countingWorker(failing.log, { label: 'b-0' });
    const secondDone = second.run();
    while (!failing.failed()) await env.timers.sleep(10);
    await produce(log, 100, 200);
    const isCounted = await Promise.race([
      counted(log, 200).then(() => true),
      env.timers.sleep(60_000).then(() => false),
    ]);
    expect(isCounted).toBe(true);
    first.stop();
    second.stop();
    await Promise.all([firstDone, secondDone]);
    expect(faults(await output(log), 200)).toEqual([]);
    await log.close();
  };
  await machine.run(all());
});
