/**
 * The long test of flows: `node soak-streams.ts [MINUTES] [SEED]`, 10 minutes and a random seed unless told otherwise. Not part of `npm test`.
 *
 * Round after round one of the programs that give one answer (`one-answer/programs.ts`), over random records in random disorder, on a broker
 * of its own, or the one of MILLRACE_TEST_BROKER=host:port; run by one to three processes of up to two threads. They are killed with
 * SIGKILL, or stopped for longer than their session and woken up as zombies, and so is the broker, if it is a Millrace, killed. What they
 * have written must be what a bounded run of the same program over the same records writes in memory. Prints a line a round. Ends
 * with exit code 1 at the first that is wrong, and says what is missing and what there is too much of.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectKafka } from '../../src/client/kafka/kafka-log.ts';
import type { Log, LogProducer, TopicPartition } from '../../src/client/log.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';
import { flow } from '../../src/index.ts';
import {
  type BrokerUnderTest,
  startBrokerUnderTest,
  uniqueName,
} from '../conformance/broker-under-test.ts';
import { type BoundedRecord, runBounded } from './bounded-in-memory.ts';
import { FlowChild } from './exactly-once/flow-child.ts';
import { ShopReader } from './exactly-once/shop-audit.ts';
import {
  END,
  END_USER,
  OUT_OF_ORDER,
  programs,
  type RawEvent,
  recordsOf,
  SOURCES,
  summed,
} from './one-answer/programs.ts';

const PROGRAM = fileURLToPath(new URL('./one-answer/soak-program.ts', import.meta.url));
const MILLRACE_SESSION_MS = 2_500;
/** Apache Kafka allows none below six seconds by itself. */
const KAFKA_SESSION_MS = 6_000;
const EVENTS_MAX = 4_000;
const FEEDS = 12;
const FEED_MS = 150;
const DISTURBANCES_MAX = 6;
/** A round that takes longer stands still. */
const ROUND_MS_MAX = 180_000;

const minutes = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? randomInt(2 ** 40));
const random = new SimRandom(seed);
const env = realEnv();

class Round {
  readonly prefix = uniqueName('soak');
  readonly partitions = 1 + random.below(3);
  readonly name: string;
  readonly topics: Record<string, BoundedRecord[]>;
  readonly sessionMs: number;
  kills = 0;
  zombies = 0;
  brokerKills = 0;
  private readonly log: Log;
  private readonly broker: BrokerUnderTest;
  private readonly children: readonly FlowChild[];

  constructor(log: Log, broker: BrokerUnderTest, directory: string) {
    this.log = log;
    this.broker = broker;
    const names = Object.keys(programs());
    this.name = names[random.below(names.length)] ?? '';
    this.topics = this.#records();
    this.sessionMs = broker.kind === 'millrace' ? MILLRACE_SESSION_MS : KAFKA_SESSION_MS;
    this.children = Array.from({ length: 1 + random.below(3) }, (_, at) => {
      return new FlowChild({
        broker: broker.address,
        program: PROGRAM,
        directory: join(directory, this.prefix, String(at)),
        workers: random.below(3),
        sessionMs: this.sessionMs,
        env: { MILLRACE_TEST_PREFIX: this.prefix, MILLRACE_TEST_PROGRAM: this.name },
      });
    });
  }

  get records(): number {
    return Object.values(this.topics).reduce((total, { length }) => total + length, 0);
  }

  /** @returns what is wrong */
  async run(): Promise<string[]> {
    const { log, children } = this;
    await log.createTopics(
      [...SOURCES, 'out'].map((name) => ({
        name: this.#topic(name),
        partitions: name === 'out' ? 1 : this.partitions,
        configs: {},
      })),
    );
    const [first, last] = this.#span();
    await this.#everywhere(first);
    for (const child of children) child.start();
    await Promise.all(children.map(({ ready }) => ready));
    const feeding = this.#feed();
    await this.#disturb();
    await feeding;
    await this.#everywhere(last + END);
    await this.#settled();
    // Node that has just started takes no orders.
    await Promise.all(children.map(({ ready }) => ready));
    const codes = await Promise.all(children.map((child) => child.end('SIGTERM')));
    const wrong = await this.#compare();
    if (codes.some((code) => code !== 0)) wrong.push(`exit codes ${codes.join(', ')}`);
    return wrong;
  }

  async kill(): Promise<void> {
    for (const child of this.children) await child.end('SIGKILL');
  }

  get said(): string {
    return this.children.map(({ said }) => said.slice(-4_000)).join('\n----\n');
  }

  #topic(name: string): string {
    return `${this.prefix}-${name}`;
  }

  #records(): Record<string, BoundedRecord[]> {
    const count = 50 + random.below(EVENTS_MAX);
    const raw = Array.from(
      { length: count },
      (): RawEvent => ({
        topic: SOURCES[random.below(SOURCES.length)] ?? 'clicks',
        user: 'abcd'[random.below(4)] ?? 'a',
        n: random.below(10),
        deletes: random.below(2) === 0,
        step: random.below(6),
        back: random.below(OUT_OF_ORDER + 1),
      }),
    );
    // Brokers delete what is older than a week.
    const base = env.clock.nowMs() - 3_600_000;
    return Object.fromEntries(
      Object.entries(recordsOf(raw, this.partitions)).map(([name, records]) => [
        name,
        records.map((record) => ({ ...record, time: base + record.time })),
      ]),
    );
  }

  #span(): [first: number, last: number] {
    const times = Object.values(this.topics).flatMap((records) => records.map(({ time }) => time));
    return [Math.min(...times), Math.max(...times)];
  }

  /** Of all in the order of their topics; each feed has some of every topic. */
  async #feed(): Promise<void> {
    const producer = await this.log.producer({});
    for (let feed = 0; feed < FEEDS; feed++) {
      for (const [name, records] of Object.entries(this.topics)) {
        const size = Math.ceil(records.length / FEEDS);
        for (const record of records.slice(feed * size, (feed + 1) * size))
          this.#append(producer, name, record);
      }
      await producer.flush();
      await env.timers.sleep(FEED_MS);
    }
    await producer.close();
  }

  #append(producer: LogProducer, name: string, record: BoundedRecord): void {
    const { key, value, time, partition } = record;
    const text = value === null ? null : JSON.stringify(value);
    producer.append(this.#topic(name), partition, time, JSON.stringify(key), text);
  }

  /** A partition that has had no record does not hold up time, and one that gets no more holds up all. */
  async #everywhere(time: number): Promise<void> {
    const producer = await this.log.producer({});
    const end = { key: END_USER, value: { user: END_USER, n: -1 }, time };
    for (const name of SOURCES)
      for (let partition = 0; partition < this.partitions; partition++)
        this.#append(producer, name, { ...end, partition });
    await producer.flush();
    await producer.close();
  }

  async #disturb(): Promise<void> {
    const { children, broker } = this;
    for (let left = random.below(DISTURBANCES_MAX + 1); left > 0; left--) {
      const victim = children[random.below(children.length)];
      await env.timers.sleep(random.below(500));
      const kind = random.below(10);
      if (kind === 0 && broker.kind === 'millrace') {
        // Who starts without a broker ends, and rightly.
        await Promise.all(children.map(({ ready }) => ready));
        await broker.kill('SIGKILL');
        await broker.restart();
        this.brokerKills++;
      } else if (kind === 1) {
        victim?.signal('SIGSTOP');
        await env.timers.sleep(this.sessionMs + random.below(2_000));
        victim?.signal('SIGCONT');
        this.zombies++;
      } else {
        if (random.below(2) === 0) await victim?.ready;
        await victim?.end('SIGKILL');
        victim?.start();
        this.kills++;
      }
    }
  }

  /** Until all that the flow reads, its own topics too, is committed as read. */
  async #settled(): Promise<void> {
    const own = [...(await this.log.topics())].filter(
      ([name]) =>
        name.startsWith(`${this.prefix}-`) &&
        (name.endsWith('-repartition') || SOURCES.some((source) => name === this.#topic(source))),
    );
    const places = own.flatMap(([topic, { partitions }]) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
    );
    const read = this.#isRead();
    const until = performance.now() + ROUND_MS_MAX;
    for (;;) {
      if (await this.#hasRead(places.filter(({ topic }) => read(topic)))) return;
      if (performance.now() > until) throw new Error('it stands still');
      await env.timers.sleep(100);
    }
  }

  async #hasRead(places: readonly TopicPartition[]): Promise<boolean> {
    try {
      // In this order: what is committed as read has been written on.
      const committed = await this.log.committed(this.prefix, places);
      const ends = await this.log.offsets(places, 'end');
      return ends.every((end, at) => end === 0 || committed[at]?.offset === end);
    } catch (error) {
      // The transaction of a process that was killed is open until the broker ends it.
      if (error instanceof MillraceError && error.retriable) return false;
      throw error;
    }
  }

  /** Not every program reads every topic. */
  #isRead(): (topic: string) => boolean {
    const { nodes } = this.#plan();
    const read = new Set(
      nodes.map((node) => (node.kind === 'source' ? node.source.topic?.name : undefined)),
    );
    return (topic) => topic.endsWith('-repartition') || read.has(topic);
  }

  #plan(): ReturnType<ReturnType<typeof flow>['plan']> {
    const program = programs(`${this.prefix}-`)[this.name];
    if (program === undefined) throw new Error(this.name);
    return flow(this.prefix, program.build).plan();
  }

  async #compare(): Promise<string[]> {
    const out = this.#topic('out');
    const topics = Object.fromEntries(
      Object.entries(this.topics).map(([name, records]) => [this.#topic(name), records]),
    );
    const bounded = await runBounded(this.#plan(), topics, this.partitions);
    const lines = (await new ShopReader(this.log).read(out)) ?? [];
    const kind = programs()[this.name]?.results ?? 'all';
    const found = summed(
      lines.map(({ key, value }) => ({ key: keyOf(key), value })),
      kind,
    );
    const wanted = summed(bounded.get(out) ?? [], kind);
    const missing = left(wanted, found);
    const extra = left(found, wanted);
    return [
      ...missing.map((line) => `missing: ${line}`),
      ...extra.map((line) => `too much: ${line}`),
    ];
  }
}

function keyOf(text: string): unknown {
  return text === '' ? undefined : JSON.parse(text);
}

/** What `lines` has more often than `others`. */
function left(lines: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count <= 0;
  });
}

const settings = [`group.min.session.timeout.ms=${MILLRACE_SESSION_MS}`];
const broker = await startBrokerUnderTest(settings);
const log = await connectKafka(env, { brokers: broker.address });
const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-'));
const endsAt = performance.now() + minutes * 60_000;
const sums = { rounds: 0, records: 0, kills: 0, zombies: 0, brokerKills: 0 };
process.stdout.write(`seed ${seed}\n`);
while (performance.now() < endsAt && process.exitCode === undefined) {
  const round = new Round(log, broker, directory);
  const begun = performance.now();
  const wrong = await round.run().catch((error: unknown) => [String(error)]);
  const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
  sums.rounds++;
  for (const name of ['records', 'kills', 'zombies', 'brokerKills'] as const)
    sums[name] += round[name];
  process.stdout.write(
    `${sums.rounds} ${round.name}: ${round.records} records, ${round.partitions} partitions, ${round.kills} kills, ${round.zombies} zombies, ${round.brokerKills} of the broker, ${seconds} s: ${wrong.length === 0 ? 'right' : 'WRONG'}\n`,
  );
  if (wrong.length > 0) {
    process.stdout.write(`${wrong.slice(0, 20).join('\n')}\n${round.said}\n`);
    process.exitCode = 1;
  }
  await round.kill();
}
process.stdout.write(`${JSON.stringify(sums)}\n`);
await log.close();
await broker.stop();
rmSync(directory, { recursive: true, force: true });
