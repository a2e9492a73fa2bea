/**
 * A flow with every kind of state is started again, on its state on disk and without it: each store has what it had, entry by entry, and what
 * comes then is the same. `restart-figures.ts` says how long it takes.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MillraceError } from '../../src/core/errors.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';
import type { FlowEvent, RunningFlow } from '../../src/engine/stream/runner/flow-types.ts';
import { runFlow } from '../../src/engine/stream/runner/run-flow.ts';
import {
  flow,
  hopping,
  json,
  pattern,
  type ProcessContext,
  session,
  sliding,
  string,
  topic,
  tumbling,
} from '../../src/index.ts';

interface Event {
  readonly user: string;
  readonly n: number;
}

const PARTITIONS = 2;
const EVENTS = 400;
/** Who has lost its disk has lost its name, too, and waits until the group has forgotten that. */
const SESSION_MS = 1_500;
const START_MS = Date.now() - 3_600_000;
const time = { outOfOrder: 50 };
const serdes = { key: string(), value: json<Event>(), time };
const clicks = topic('clicks', serdes);
const views = topic('views', serdes);
const users = topic('users', serdes);

const everything = flow('all', (f) => {
  const keyed = f.readKeyed(clicks);
  const out = topic('out', { key: json(), value: json() });
  const profiles = f.table(users, { history: '1 minute' });
  keyed.count('counts').write(out);
  keyed.window(tumbling(100)).count('tumbling').write(out);
  keyed
    .window(hopping(90, { every: 30 }))
    .count('hopping')
    .write(out);
  keyed.window(sliding(40)).count('sliding').write(out);
  keyed
    .window(session(30))
    .aggregate('sessions', {
      init: () => [] as number[],
      add: (all, { n }) => [...all, n],
      merge: (a, b) => [...a, ...b],
    })
    .write(out);
  keyed.join('near', f.readKeyed(views), (a, b) => [a.n, b.n], { within: 60 }).write(out);
  keyed.join('profiles', profiles, (a, b) => [a.n, b.n]).write(out);
  keyed.dedupe('once', ({ n }) => n % 7, 500).write(out);
  keyed
    .match(
      'rises',
      pattern('low', ({ n }: Event) => n % 10 < 3)
        .followedBy('high', ({ n }) => n % 10 > 7)
        .within(200),
      ({ low, high }) => [low[0]?.n, high[0]?.n],
    )
    .write(out);
  keyed
    .process('silence', {
      onRecord: ({ n }, context: ProcessContext<number[], number>) => {
        context.state = [...(context.state ?? []).slice(-3), n];
        context.setTimer(context.time + 70);
        context.setWallTimer(context.now + 3_600_000);
      },
      onTimer: (context) => context.emit(context.state?.length ?? 0),
      ttl: '1 hour',
    })
    .write(out);
  f.read(clicks)
    .keyBy(({ n }) => n % 11)
    .aggregate('by-number', { init: () => 0, add: (sum, { n }) => sum + n })
    .groupBy((sum) => sum % 3)
    .count('by-rest')
    .write(out);
  f.readKeyed(views)
    .toTable('latest')
    .joinForeign(
      'named',
      f.readKeyed(clicks).toTable('last-click'),
      ({ n }) => `u${n % 5}`,
      (a, b) => [a.n, b.n],
    )
    .write(out);
});

const env = realEnv();
let directory: string;
let log: EmbeddedLog;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-restart-'));
  log = await openEmbedded(env, {
    dataDir: join(directory, 'log'),
    settings: { 'group.min.session.timeout.ms': SESSION_MS },
  });
  await log.createTopics(
    ['clicks', 'views', 'users', 'out'].map((name) => ({
      name,
      partitions: PARTITIONS,
      configs: {},
    })),
  );
});

afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Events `from` to `to - 1`, the same in each run. */
async function send(from: number, to: number): Promise<void> {
  const producer = await log.producer({});
  for (let n = from; n < to; n++) {
    const user = `u${(n * n) % 13}`;
    const name = ['clicks', 'views', 'clicks', 'users'][n % 4] ?? '';
    const at = START_MS + n * 5 - ((n * 31) % 40);
    producer.append(name, user.length % PARTITIONS, at, user, JSON.stringify({ user, n }));
  }
  await producer.flush();
  await producer.close();
}

function start(events: FlowEvent[] = []): RunningFlow {
  return runFlow({
    log,
    plan: everything.plan(),
    dataDirectory: join(directory, 'state'),
    commitIntervalMs: 20,
    sessionMs: SESSION_MS,
    onEvent: (event) => events.push(event),
  });
}

/** Until all that the flow reads, its own topics too, is committed as read. */
async function settled(): Promise<void> {
  const names = [...(await log.topics()).keys()].filter(
    (name) => ['clicks', 'views', 'users'].includes(name) || name.endsWith('-repartition'),
  );
  const places = names.flatMap((name) =>
    Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: name, partition })),
  );
  for (;;) {
    // In this order: what is committed as read has been written on.
    const committed = await log.committed('all', places);
    const ends = await log.offsets(places, 'end');
    if (ends.every((end, index) => end === 0 || committed[index]?.offset === end)) return;
    await env.timers.sleep(20);
  }
}

/** Every entry of every store, as it is asked for. */
async function stateOf(running: RunningFlow): Promise<Map<string, string[]>> {
  const stores = [...(await log.topics()).keys()]
    .filter((name) => name.endsWith('-changelog'))
    .map((name) => name.slice('all-'.length, -'-changelog'.length));
  const found = new Map<string, string[]>(stores.map((store) => [store, []]));
  const tasks = running.assignment()?.members.flatMap((member) => member.tasks) ?? [];
  for (const task of tasks) {
    for (const store of stores) {
      const range = { kind: 'range', store, from: undefined, to: undefined, limit: 1e6 } as const;
      try {
        const { entries } = await running.ask(task, range);
        for (const entry of entries)
          found.get(store)?.push(`${task.stage}-${task.partition} ${JSON.stringify(entry)}`);
      } catch (error) {
        // Not every task has every store.
        expect((error as MillraceError).code).toBe('ML_USAGE');
      }
    }
  }
  return found;
}

function restored(events: readonly FlowEvent[]): number {
  let records = 0;
  for (const each of events)
    if (each.kind === 'worker' && each.event.kind === 'running')
      records += each.event.restoredRecords;
  return records;
}

test('state on disk, and state from changelogs, is what it was, and goes on the same', async () => {
  const first = start();
  await first.ready;
  await send(0, EVENTS);
  await settled();
  const wanted = await stateOf(first);
  await first.stop();
  await first.done;
  expect(wanted.size).toBeGreaterThan(14);
  for (const [store, entries] of wanted) expect([store, entries.length > 0]).toEqual([store, true]);
  const states = join(directory, 'state');
  cpSync(states, join(directory, 'kept'), { recursive: true });

  const onDisk: FlowEvent[] = [];
  const second = start(onDisk);
  await second.ready;
  expect(await stateOf(second)).toEqual(wanted);
  expect(restored(onDisk)).toBe(0);
  await second.stop();

  rmSync(states, { recursive: true });
  const fromLog: FlowEvent[] = [];
  const third = start(fromLog);
  await third.ready;
  expect(await stateOf(third)).toEqual(wanted);
  expect(restored(fromLog)).toBeGreaterThan(EVENTS);
  await send(EVENTS, EVENTS + 200);
  await settled();
  const grown = await stateOf(third);
  expect(grown).not.toEqual(wanted);
  await third.stop();

  // What is on disk is old now: the changelogs have the rest.
  rmSync(states, { recursive: true });
  cpSync(join(directory, 'kept'), states, { recursive: true });
  const caughtUp: FlowEvent[] = [];
  const last = start(caughtUp);
  await last.ready;
  expect(await stateOf(last)).toEqual(grown);
  expect(restored(caughtUp)).toBeGreaterThan(0);
  expect(restored(caughtUp)).toBeLessThan(restored(fromLog));
  await last.stop();
  await last.done;
});
