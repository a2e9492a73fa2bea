/** When what was written under an id is not the same any more, on a simulated machine. */
import { expect, test } from 'vitest';
import { GroupedProducer } from '../../client/grouped-producer.ts';
import type { Log } from '../../client/log.ts';
import { PRODUCE_TOPIC_MS } from '../../core/limits.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import { openEmbedded } from '../../embedded-log.ts';
import { headersOfMark, markOfHeaders } from './idempotency.ts';
import { OnceTable } from './once-table.ts';
import { WriteOnce } from './write-once.ts';

const WINDOW_MS = 60_000;
const topic = 'orders';

class Taker {
  readonly #log: Log;
  readonly #producer: GroupedProducer;
  readonly #once: WriteOnce;

  constructor(log: Log) {
    this.#log = log;
    this.#producer = new GroupedProducer(log);
    this.#once = new WriteOnce({
      log,
      producer: this.#producer,
      topic,
      table: new OnceTable({ recordsMax: 100, windowMs: WINDOW_MS }),
      scope: 'orders\n',
      markOf: markOfHeaders,
      lookBytesMax: 1_000_000,
    });
  }

  /** @returns whether it was there */
  async take(id: string): Promise<boolean> {
    const { isKnown } = await this.#once.write({
      id,
      fingerprint: 'x'.repeat(16),
      count: 1,
      append: (marks) =>
        this.#producer.append(
          topic,
          marks.map((mark) => ({
            partition: 0,
            // Of the event, and long ago.
            timestamp: 1,
            key: null,
            value: 'x',
            headers: headersOfMark(mark),
          })),
        ),
    });
    return isKnown;
  }

  async close(): Promise<void> {
    await this.#producer.close();
  }

  sleep(ms: number): Promise<void> {
    return this.#log.env.timers.sleep(ms);
  }
}

async function withLog(program: (log: Log) => Promise<void>): Promise<void> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const run = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await program(log);
    await log.close();
  };
  await machine.run(run());
}

test('it is the same within the window, and not behind it, also after a restart', async () => {
  await withLog(async (log) => {
    const first = new Taker(log);
    expect(await first.take('a')).toBe(false);
    await first.sleep(WINDOW_MS * 0.6);
    expect(await first.take('b')).toBe(false);
    expect(await first.take('a')).toBe(true);
    await first.sleep(WINDOW_MS * 0.6);
    const second = new Taker(log);
    for (const taker of [second, first]) expect(await taker.take('b')).toBe(true);
    expect(await second.take('a')).toBe(false);
    expect(await second.take('a')).toBe(true);
    await first.close();
    await second.close();
  });
});

test('a topic that was deleted and made anew has nothing of the one before', async () => {
  await withLog(async (log) => {
    const taker = new Taker(log);
    expect(await taker.take('a')).toBe(false);
    await log.deleteTopics([topic]);
    await log.createTopics([{ name: topic, partitions: 1, configs: {} }]);
    await taker.sleep(PRODUCE_TOPIC_MS);
    expect(await taker.take('a')).toBe(false);
    expect(await taker.take('a')).toBe(true);
    await taker.close();
  });
});

test('an open transaction in the topic hides nothing', async () => {
  await withLog(async (log) => {
    await log.createTopics([{ name: topic, partitions: 1, configs: {} }]);
    const other = await log.producer({ transactionalId: 'other' });
    other.append(topic, 0, 1, null, 'open');
    await other.flush();
    const first = new Taker(log);
    expect(await first.take('a')).toBe(false);
    const second = new Taker(log);
    expect(await second.take('a')).toBe(true);
    await other.abort();
    await first.close();
    await second.close();
  });
});
