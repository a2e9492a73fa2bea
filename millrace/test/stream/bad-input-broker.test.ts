/** A broker that goes while a flow runs: for a while, and the flow goes on where it was; or for good, and the flow says so and ends. */
import { expect, test } from 'vitest';
import { connectKafka } from '../../src/client/kafka/kafka-log.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import { STREAM_RETRY_MS_TOTAL } from '../../src/core/stream-limits.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';
import { flow, json, topic } from '../../src/index.ts';
import { failureOf, FlowWorld } from './bad-input/flow-world.ts';

const PORT = 9092;
/** Longer than a session. */
const AWAY_MS = 20_000;

const counting = flow('f', (f) => {
  f.read(topic('words', { value: json<string>() }))
    .keyBy((word) => word)
    .count('counts')
    .write(topic('counts', { value: json(), create: { partitions: 1 } }));
});

function words(...all: readonly string[]): { readonly value: string }[] {
  return all.map((word) => ({ value: JSON.stringify(word) }));
}

test('a broker that was gone is met again, one that stays away stops the flow', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const open = (): Promise<EmbeddedLog> =>
    openEmbedded(env, { dataDir: '/data', kafka: { host: '127.0.0.1', port: PORT } });
  await machine.run(
    (async () => {
      const first = await open();
      const log = await connectKafka(env, { brokers: `127.0.0.1:${PORT}` });
      const before = new FlowWorld(first);
      await before.create('words', 2);
      const running = before.start(counting, { log });
      await before.send('words', 0, words('a', 'b', 'a'));
      expect(await before.values('counts', 3)).toHaveLength(3);
      await first.close();
      await env.timers.sleep(AWAY_MS);

      const second = await open();
      const after = new FlowWorld(second);
      await after.send('words', 1, words('a', 'c'));
      expect((await after.values('counts', 5)).toSorted()).toEqual(['1', '1', '1', '2', '3']);
      await second.close();
      const goneAt = env.clock.monotonicMs();
      const error = await failureOf(running);
      expect(error.code).toMatch(/^ML_CONNECT(?:ION_LOST|_FAILED)$/);
      expect(error.message).toContain(`127.0.0.1:${PORT}`);
      expect(error.hint).not.toBe('');
      // All the while it has said that it tries.
      expect(env.clock.monotonicMs() - goneAt).toBeLessThan(2 * STREAM_RETRY_MS_TOTAL);
      const retries = before.events.flatMap((event) =>
        event.kind === 'worker' && event.event.kind === 'retrying' ? [event.event.error] : [],
      );
      expect(retries.length).toBeGreaterThan(10);
      expect(retries.every((each) => each instanceof MillraceError)).toBe(true);
      await log.close();
    })(),
  );
});
