/**
 * What subscribers of a view are told, against its changelog; and what an answer says that it reflects, against the records of the topic:
 * while commits fail, the flow is started anew, and subscribers come and go.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { visibleBatches } from '../../../src/client/kafka/fetched-records.ts';
import type { Log } from '../../../src/client/log.ts';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { partitionOf } from '../../../src/core/murmur2.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { decodeValue } from '../../../src/core/value-codec.ts';
import { openEmbedded } from '../../../src/embedded-log.ts';
import type { RunningFlow } from '../../../src/engine/stream/runner/flow-types.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { decodeEntryKey } from '../../../src/engine/stream/state/entry-key.ts';
import { FlowViews } from '../../../src/engine/stream/views/flow-views.ts';
import type { ViewEvent } from '../../../src/engine/stream/views/view-changes.ts';
import { flow, json, string, topic } from '../../../src/index.ts';

const PARTITIONS = 2;
const RUNS = 8;
const KEYS = 'a b c d e f g h i j'.split(' ');
const CHANGELOG = 'counted-counts-changelog';

const program = flow('counted', (f) => {
  f.readKeyed(topic('hits', { key: string(), value: string() }))
    .count('counts')
    .write(topic('out', { value: json(), create: { partitions: 1 } }));
});

type Step =
  | { readonly kind: 'write'; readonly keys: readonly string[] }
  /** The next commits fail there. */
  | { readonly kind: 'fail'; readonly at: 'prepared' | 'flushed'; readonly times: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'wait'; readonly ms: number }
  /** The subscriber takes so many events, and may go then. */
  | { readonly kind: 'take'; readonly events: number; readonly leaves: boolean }
  | { readonly kind: 'ask' };

const someSteps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('write' as const),
        keys: fc.array(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 8 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('fail' as const),
        at: fc.constantFrom('prepared' as const, 'flushed' as const),
        times: fc.integer({ min: 1, max: 2 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('wait' as const),
        ms: fc.integer({ min: 1, max: 200 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('take' as const),
        events: fc.integer({ min: 1, max: 6 }),
        leaves: fc.constantFrom(false, false, true),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('ask' as const) }) },
  ),
  { minLength: 5, maxLength: 40 },
);

interface Fact {
  readonly partition: number;
  readonly key: string;
  readonly value: unknown;
}

/** Runs the steps on a flow, with a subscriber. */
class World {
  readonly env: Env;
  readonly log: Log;
  readonly written: string[][] = Array.from({ length: PARTITIONS }, () => []);
  /** What the subscriber knows. */
  readonly known = new Map<string, unknown>();
  readonly told: Fact[] = [];
  /** Offsets at which it began to be told of changes. */
  begun: readonly number[] | undefined;
  resets = 0;
  readonly faults: string[] = [];
  #failing: { at: string; times: number } = { at: '', times: 0 };
  #running: RunningFlow;
  #views: FlowViews;
  #events: AsyncGenerator<ViewEvent, undefined> | undefined;
  #id: string | undefined;

  constructor(env: Env, log: Log) {
    this.env = env;
    this.log = log;
    this.#running = this.#start();
    this.#views = new FlowViews({ log, running: this.#running, snapshotRows: 1 });
  }

  async run(step: Step): Promise<void> {
    switch (step.kind) {
      case 'write':
        return this.#write(step.keys);
      case 'fail':
        this.#failing = { at: step.at, times: step.times };
        return;
      case 'restart':
        await this.#leave();
        await this.#stop();
        this.#running = this.#start();
        this.#views = new FlowViews({ log: this.log, running: this.#running, snapshotRows: 1 });
        return;
      case 'wait':
        return this.env.timers.sleep(step.ms);
      case 'take':
        await this.#take(step.events);
        if (step.leaves) await this.#leave();
        return;
      case 'ask':
        return this.#ask();
    }
  }

  /** All is processed and told. */
  async end(): Promise<void> {
    const total = this.written.flat().length;
    await this.#running.ready;
    for (;;) {
      const { rows } = await this.#views.range('counts');
      const counted = rows.reduce((sum, { value }) => sum + Number(value), 0);
      await this.#take(1);
      if (counted === total && this.begun !== undefined && this.#isTold()) break;
    }
    await this.#leave();
    await this.#ask();
    await this.#stop();
  }

  /** The last commit of all is tried once. */
  async #stop(): Promise<void> {
    this.#failing.times = 0;
    await this.#running.stop();
    await this.#running.done;
  }

  #isTold(): boolean {
    const counted = [...this.known.values()].reduce<number>((sum, value) => sum + Number(value), 0);
    return counted === this.written.flat().length;
  }

  #start(): RunningFlow {
    return runFlow({
      log: this.log,
      plan: program.plan(),
      dataDirectory: '/data',
      state: 'memory',
      commitIntervalMs: 20,
      atStep: (step) => {
        if (step !== this.#failing.at || this.#failing.times-- <= 0) return;
        throw new MillraceError('ML_CONNECTION_LOST', 'the test says so');
      },
    });
  }

  async #write(keys: readonly string[]): Promise<void> {
    const producer = await this.log.producer({});
    for (const key of keys) {
      const partition = partitionOf(Buffer.from(key), PARTITIONS);
      producer.append('hits', partition, 1_000, key, 'x');
      this.written[partition]?.push(key);
    }
    await producer.flush();
    await producer.close();
  }

  /** An answer is exactly what the records make that it reflects. */
  async #ask(): Promise<void> {
    await this.#running.ready;
    for (const key of KEYS) {
      const { rows, asOf } = await this.#views.get('counts', key);
      const partition = partitionOf(Buffer.from(key), PARTITIONS);
      const offset = asOf.partitions[`hits-${partition}`] ?? 0;
      const due =
        this.written[partition]?.slice(0, offset).filter((each) => each === key).length ?? 0;
      const shown = Number(rows[0]?.value ?? 0);
      if (shown !== due) this.faults.push(`${key} is ${shown} as of ${offset}, and ${due} are`);
    }
  }

  async #take(count: number): Promise<void> {
    await this.#running.ready;
    this.#events ??= this.#views.changes('counts', { after: this.#id });
    for (let taken = 0; taken < count; taken++) {
      const { value: event } = await this.#events.next();
      if (event === undefined) throw new Error('a subscription has no end');
      this.#hear(event);
      if (event.kind === 'idle') return;
    }
  }

  #hear(event: ViewEvent): void {
    switch (event.kind) {
      case 'reset':
        this.resets++;
        this.#forget();
        return;
      case 'row':
        this.known.set(String(event.row.key), event.row.value);
        return;
      case 'ready':
        this.begun ??= event.id
          .split('.')
          .slice(1)
          .map((text) => Number.parseInt(text, 36));
        this.#id = event.id;
        return;
      case 'change': {
        const key = String(event.change.key);
        // Counts grow: what is told twice, or late, does not.
        const known = Number(this.known.get(key) ?? 0);
        const now = Number(event.change.value);
        if (now <= known) this.faults.push(`${key} is told to be ${now} behind ${known}`);
        this.known.set(key, event.change.value);
        if (event.id === '') return;
        this.#id = event.id;
        this.told.push({
          partition: partitionOf(Buffer.from(key), PARTITIONS),
          key,
          value: event.change.value,
        });
        return;
      }
      case 'idle':
        this.#id = event.id;
    }
  }

  async #leave(): Promise<void> {
    await this.#events?.return(undefined);
    this.#events = undefined;
    // A snapshot that was not whole is begun again.
    if (this.#id === undefined) this.#forget();
  }

  #forget(): void {
    this.#id = undefined;
    this.known.clear();
    this.told.length = 0;
    this.begun = undefined;
  }
}

/** What is committed in the changelog from these offsets on, by partition. */
async function changelogFrom(log: Log, begun: readonly number[]): Promise<Fact[][]> {
  const facts: Fact[][] = begun.map(() => []);
  const partitions = begun.map((_, partition) => ({ topic: CHANGELOG, partition }));
  const ends = await log.offsets(partitions, 'stable');
  const reader = log.reader({ uncommitted: false });
  const left = new Set(begun.keys());
  reader.assign(partitions.map((each, index) => ({ ...each, offset: begun[index] ?? 0 })));
  for (const [partition, end] of ends.entries())
    if ((end ?? 0) <= (begun[partition] ?? 0)) left.delete(partition);
  while (left.size > 0) {
    for (const records of await reader.poll(100)) {
      for (const batch of visibleBatches(records))
        while (batch.next()) {
          if (batch.offset < records.from) continue;
          const { key } = decodeEntryKey(batch.data, batch.keyStart, batch.keyEnd);
          const value = decodeValue(
            batch.data,
            batch.valueStart,
            batch.valueEnd,
          ) as readonly unknown[];
          facts[records.partition]?.push({
            partition: records.partition,
            key: String(key),
            value: value[0],
          });
        }
      if (records.next >= (ends[records.partition] ?? 0)) left.delete(records.partition);
    }
  }
  reader.close();
  return facts;
}

test('subscribers are told each committed change once, however often they come back, and answers are what they reflect', async () => {
  await fc.assert(
    fc.asyncProperty(someSteps, fc.integer({ min: 0, max: 1_000 }), async (steps, seed) => {
      const machine = new SimMachine(seed);
      const env = machine.boot();
      const all = async (): Promise<void> => {
        const log = await openEmbedded(env, { dataDir: '/data/log' });
        await log.createTopics([{ name: 'hits', partitions: PARTITIONS, configs: {} }]);
        const world = new World(env, log);
        // So that snapshots have pages.
        await world.run({ kind: 'write', keys: KEYS });
        await world.run({ kind: 'wait', ms: 200 });
        for (const step of steps) await world.run(step);
        await world.end();
        expect(world.faults).toEqual([]);
        expect(world.resets).toBe(0);
        const facts = await changelogFrom(log, world.begun ?? []);
        for (let partition = 0; partition < PARTITIONS; partition++)
          expect(world.told.filter((each) => each.partition === partition)).toEqual(
            facts[partition],
          );
        const counts = new Map<string, number>();
        for (const key of world.written.flat()) counts.set(key, (counts.get(key) ?? 0) + 1);
        expect(new Map(world.known)).toEqual(counts);
        await log.close();
      };
      await machine.run(all());
    }),
    { numRuns: RUNS },
  );
});
