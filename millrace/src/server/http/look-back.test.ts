/** Topics that are looked through backwards, on a simulated machine, against what was written to them. */
import { expect, test } from 'vitest';
import { runs } from '../../../test/runs.ts';
import type { Log } from '../../client/log.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import { SimRandom } from '../../core/sim/sim-random.ts';
import { openEmbedded } from '../../embedded-log.ts';
import { lookBack } from './look-back.ts';

const TOPIC = 't';
const PARTITIONS = 3;
const ALL = { recordsMax: Infinity, bytesMax: Infinity, stepRecords: 2 };

interface Seen {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

async function onLog(seed: number, program: (log: Log, random: SimRandom) => Promise<void>) {
  const machine = new SimMachine(seed);
  const env = machine.boot();
  const run = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await log.createTopics([{ name: TOPIC, partitions: PARTITIONS, configs: {} }]);
    await program(log, new SimRandom(seed));
    await log.close();
  };
  await machine.run(run());
}

/** Batches of all sizes, of transactions, too; the last of them stays open. @returns what none of them has written */
async function fill(log: Log, random: SimRandom): Promise<Seen[]> {
  const plain = await log.producer({});
  const transactional = await log.producer({ transactionalId: 'x' });
  const written: Seen[] = [];
  for (let round = 0; round < 12; round++) {
    const partition = random.below(PARTITIONS);
    const count = 1 + random.below(8);
    const isPlain = random.chance(0.6);
    const producer = isPlain ? plain : transactional;
    for (let index = 0; index < count; index++)
      producer.append(TOPIC, partition, 1, null, `${round} ${index}`);
    await producer.flush();
    const next = plain.nextOffset(TOPIC, partition) ?? 0;
    if (isPlain)
      for (let index = 0; index < count; index++)
        written.push({ partition, offset: next - count + index, value: `${round} ${index}` });
    else if (round < 9) await (random.chance(0.5) ? producer.commit() : producer.abort());
  }
  return written;
}

function byPlace(seen: readonly Seen[]): Seen[] {
  return seen.toSorted(
    (left, right) => left.partition - right.partition || left.offset - right.offset,
  );
}

test('all is seen once that no transaction has written, from where it may begin, also behind an open one', async () => {
  for (let seed = 1; seed <= runs(20); seed++)
    await onLog(seed, async (log, random) => {
      const written = await fill(log, random);
      const floors = new Map(random.chance(0.5) ? [[0, random.below(20)]] : []);
      if (random.chance(0.5)) await log.deleteRecords([{ topic: TOPIC, partition: 1, offset: 2 }]);
      const [begin = 0] = await log.offsets([{ topic: TOPIC, partition: 1 }], 'beginning');
      const seen: Seen[] = [];
      const visit: Parameters<typeof lookBack>[0]['visit'] = (record, { partition }) => {
        seen.push({ partition, offset: record.offset, value: String(record.value()) });
        return true;
      };
      const ends = await lookBack({
        log,
        topic: TOPIC,
        partitions: PARTITIONS,
        floors,
        visit,
        ...ALL,
      });
      const expected = written.filter(
        ({ partition, offset }) =>
          offset >= (floors.get(partition) ?? 0) && (partition !== 1 || offset >= begin),
      );
      expect(byPlace(seen), `seed ${seed}`).toEqual(byPlace(expected));
      for (const { partition, offset } of written)
        expect(ends.get(partition)).toBeGreaterThan(offset);
    });
});

test('the latest are seen first, of each partition, and a bound ends it', async () => {
  await onLog(1, async (log) => {
    const producer = await log.producer({});
    for (let round = 0; round < 40; round++) {
      for (let partition = 0; partition < PARTITIONS; partition++)
        producer.append(TOPIC, partition, 1, null, String(round));
      await producer.flush();
    }
    const look = async (recordsMax: number, wanted: number): Promise<Map<number, number[]>> => {
      const seen = new Map<number, number[]>();
      await lookBack({
        log,
        topic: TOPIC,
        partitions: PARTITIONS,
        floors: new Map(),
        visit: (record, { partition }) => {
          const offsets = seen.get(partition) ?? [];
          seen.set(partition, [...offsets, record.offset]);
          return offsets.length + 1 < wanted;
        },
        ...ALL,
        recordsMax,
      });
      return seen;
    };
    // Two, then four, of each.
    expect(await look(7, Infinity)).toEqual(
      new Map([
        [0, [38, 39, 34, 35, 36, 37]],
        [1, [38, 39]],
        [2, [38, 39]],
      ]),
    );
    const some = await look(Infinity, 3);
    expect([...some.values()]).toEqual(
      Array.from({ length: PARTITIONS }, () => [38, 39, 34, 35, 36, 37]),
    );
  });
});

test('what is deleted while it is looked for is not there, and the rest is seen', async () => {
  await onLog(1, async (log) => {
    const producer = await log.producer({});
    for (let round = 0; round < 40; round++) {
      producer.append(TOPIC, 0, 1, null, String(round));
      await producer.flush();
    }
    let isDeleted = false;
    const seen = new Set<number>();
    const late = new Proxy(log, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name, target);
        if (typeof found !== 'function') return found;
        if (name !== 'reader') return found.bind(target) as unknown;
        return (options: Parameters<Log['reader']>[0]) => {
          const reader = target.reader(options);
          const poll = reader.poll.bind(reader);
          return Object.assign(reader, {
            poll: async (waitMs: number) => {
              if (seen.size >= 6 && !isDeleted) {
                isDeleted = true;
                // In the middle of the next step.
                await log.deleteRecords([{ topic: TOPIC, partition: 0, offset: 30 }]);
                reader.assign([{ topic: TOPIC, partition: 0, offset: 26 }]);
              }
              return poll(waitMs);
            },
          });
        };
      },
    });
    await lookBack({
      log: late,
      topic: TOPIC,
      partitions: PARTITIONS,
      floors: new Map(),
      visit: (record) => seen.add(record.offset).size > 0,
      ...ALL,
    });
    expect([...seen].toSorted((left, right) => left - right)).toEqual([
      30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
    ]);
  });
});
