/**
 * Requests that are sent until they are answered, by several at once, to a process that loses power and a log that loses answers: each
 * record is on the disk once, where every answer says that it is. On a simulated machine.
 */
import { expect, test } from 'vitest';
import { runs } from '../../../test/runs.ts';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import { type ByteRecord, GroupedProducer, type PlacedAt } from '../../client/grouped-producer.ts';
import type { Log } from '../../client/log.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { SimMachine, SimPowerCut } from '../../core/sim/sim-machine.ts';
import { SimRandom } from '../../core/sim/sim-random.ts';
import { openEmbedded } from '../../embedded-log.ts';
import { headersOfMark, markOfHeaders } from './idempotency.ts';
import { type OnceMark, OnceTable } from './once-table.ts';
import { WriteOnce } from './write-once.ts';

const TOPIC = 'orders';
const PARTITIONS = 2;
const REQUESTS = 12;
const LIVES = 3;
/** Two of them do not fit into one group of a partition: a crash may come between. */
const LARGE = 'x'.repeat(150_000);

interface Request {
  readonly id: string;
  readonly values: readonly string[];
}

class World {
  readonly machine: SimMachine;
  readonly random: SimRandom;
  readonly requests: readonly Request[];
  /** Of each request, where its records are said to be: all that anybody was told. */
  readonly answers = new Map<string, (readonly PlacedAt[])[]>();
  /** How often somebody was told that it was there. */
  known = 0;

  constructor(seed: number) {
    this.machine = new SimMachine(seed);
    this.random = new SimRandom(seed ^ 0x5eed);
    this.requests = Array.from({ length: REQUESTS }, (_, request) => ({
      id: `request-${request}`,
      values: Array.from({ length: this.random.chance(0.5) ? 1 : 3 }, (_each, index) =>
        this.random.chance(0.1) ? `${index} ${LARGE}` : String(index),
      ),
    }));
  }

  /** Sends what has no answer yet, and some of what has one, until all have been answered. */
  async live(env: Env): Promise<void> {
    // The disk fails with the power: that is not to be told.
    const log = await openEmbedded(env, { dataDir: '/data', onFatal: () => {} });
    await log.createTopics([{ name: TOPIC, partitions: PARTITIONS, configs: {} }]);
    const sender = new Sender(this, log);
    const again = this.requests.filter(
      ({ id }) => !this.answers.has(id) || this.random.chance(0.5),
    );
    await Promise.all([
      sender.noise(),
      ...[...again, ...again.filter(() => this.random.chance(0.3))].map((request) =>
        sender.send(request),
      ),
    ]);
    await sender.close();
    await log.close();
  }

  /** What is on the disk. */
  async read(env: Env): Promise<Map<string, PlacedAt[]>> {
    const log = await openEmbedded(env, { dataDir: '/data' });
    const places = Array.from({ length: PARTITIONS }, (_, partition) => ({
      topic: TOPIC,
      partition,
    }));
    const ends = await log.offsets(places, 'end');
    const found = new Map<string, PlacedAt[]>();
    const left = new Map(places.map(({ partition }, index) => [partition, ends[index] ?? 0]));
    const reader = log.reader({ uncommitted: true });
    reader.assign(places.map((place) => ({ ...place, offset: 0 })));
    while ([...left.values()].some((end) => end > 0))
      for (const records of await reader.poll(100)) {
        for (const batch of visibleBatches(records))
          while (batch.next()) {
            const mark = markOfHeaders(batch);
            if (mark === undefined || batch.offset < records.from) continue;
            const name = `${mark.id} ${mark.index}`;
            const same = found.get(name) ?? [];
            const { partition } = records;
            found.set(name, [...same, { topic: TOPIC, partition, offset: batch.offset }]);
          }
        if (records.next >= (left.get(records.partition) ?? 0)) left.delete(records.partition);
      }
    reader.close();
    await log.close();
    return found;
  }
}

/** A process that takes requests, and those who send them. */
class Sender {
  readonly #world: World;
  readonly #log: Log;
  readonly #producer: GroupedProducer;
  readonly #once: WriteOnce;

  constructor(world: World, log: Log) {
    this.#world = world;
    this.#log = log;
    this.#producer = new GroupedProducer(log);
    this.#once = new WriteOnce({
      log,
      producer: this.#producer,
      topic: TOPIC,
      table: new OnceTable({ recordsMax: 1_000, windowMs: 86_400_000 }),
      scope: '',
      markOf: markOfHeaders,
      lookBytesMax: 1_000_000_000,
    });
  }

  async send({ id, values }: Request): Promise<void> {
    const { answers, random } = this.#world;
    for (;;) {
      await this.#log.env.timers.sleep(random.between(0, 20));
      try {
        const { places, isKnown } = await this.#once.write({
          id,
          fingerprint: 'x'.repeat(16),
          count: values.length,
          append: (marks) => this.#append(values, marks),
        });
        if (isKnown) this.#world.known++;
        answers.set(id, [...(answers.get(id) ?? []), places]);
        return;
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
      }
    }
  }

  /** Records of others, without ids. */
  async noise(): Promise<void> {
    for (let round = 0; round < 10; round++) {
      await this.#log.env.timers.sleep(5);
      await this.#producer.append(TOPIC, [this.#record('noise')]);
    }
  }

  close(): Promise<void> {
    return this.#producer.close();
  }

  #record(value: string): ByteRecord {
    const partition = this.#world.random.below(PARTITIONS);
    return { partition, timestamp: 1, key: null, value, headers: [] };
  }

  /** Fails sometimes, before or behind what it does, or in the middle of it. */
  async #append(
    values: readonly string[],
    marks: readonly OnceMark[],
  ): Promise<readonly PlacedAt[]> {
    const { random } = this.#world;
    const records = marks.map((mark) => ({
      ...this.#record(values[mark.index] ?? ''),
      headers: headersOfMark(mark),
    }));
    const failing = random.chance(0.3) ? random.below(4) : undefined;
    const failed = new MillraceError('ML_CONNECTION_LOST', 'lost');
    if (random.chance(0.5)) await this.#log.env.timers.sleep(random.between(0, 40));
    if (failing === 0) throw failed;
    if (failing === 1) {
      await this.#producer.append(TOPIC, records.slice(0, 1));
      throw failed;
    }
    if (failing === 2) {
      // It is still on its way when it is said to have failed.
      void this.#producer.append(TOPIC, records).catch(() => {});
      throw failed;
    }
    const places = await this.#producer.append(TOPIC, records);
    if (failing === 3) {
      if (random.chance(0.3)) await this.#log.env.timers.sleep(random.between(0, 10));
      throw failed;
    }
    return places;
  }
}

async function untilCut(machine: SimMachine, program: Promise<void>): Promise<void> {
  try {
    await machine.run(program);
  } catch (error) {
    if (!(error instanceof SimPowerCut)) throw error;
  }
}

async function check(seed: number): Promise<World> {
  const world = new World(seed);
  const { machine, random } = world;
  let env = machine.boot();
  for (let life = 0; life < LIVES; life++) {
    const kind = random.chance(0.5) ? 'kill' : 'power';
    machine.cutAtStep(machine.stepCount + 50 + random.below(1_000), kind);
    await untilCut(machine, world.live(env));
    env = machine.reboot();
  }
  await machine.run(world.live(env));
  machine.kill();
  const found = await machine.run(world.read(machine.boot()));
  const expected = world.requests.flatMap(({ id, values }) =>
    values.map((_, index): [string, PlacedAt[]] => {
      const place = world.answers.get(id)?.[0]?.[index];
      return [`${id} ${index}`, place === undefined ? [] : [place]];
    }),
  );
  expect(found, `seed ${seed}`).toEqual(new Map(expected));
  for (const told of world.answers.values())
    for (const places of told) expect(places).toEqual(told[0]);
  return world;
}

test('each record is on the disk once, where every answer has it', async () => {
  let known = 0;
  for (let seed = 1; seed <= runs(12); seed++) known += (await check(seed)).known;
  expect(known).toBeGreaterThan(0);
});
