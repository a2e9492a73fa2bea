/**
 * Views of every kind of operator, by key, by range and page by page, against what a naive program makes of all records. On a broker on a
 * simulated machine, over several partitions.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Env } from '../../../src/core/env.ts';
import { partitionOf } from '../../../src/core/murmur2.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { openEmbedded } from '../../../src/embedded-log.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { FlowViews } from '../../../src/engine/stream/views/flow-views.ts';
import type { ViewRow } from '../../../src/engine/stream/views/view-row.ts';
import {
  flow,
  hopping,
  json,
  type ProcessContext,
  session,
  sliding,
  string,
  topic,
  tumbling,
} from '../../../src/index.ts';

const PARTITIONS = 2;
const RUNS = 6;
const START = 1_000_000;
/** Windows stay open. */
const grace = '1 hour';

interface Hit {
  readonly id: number;
  readonly key: string;
  readonly time: number;
  readonly n: number;
}

const program = flow('shown', (f) => {
  const hits = f.read(
    topic('hits', { value: json<Hit>(), time: { of: ({ time }) => time, outOfOrder: '1 hour' } }),
  );
  const out = topic('out', { value: json() });
  const byKey = hits.keyBy(({ key }) => key);
  byKey.count('counts').write(out);
  byKey
    .aggregate('means', {
      init: () => ({ sum: 0, count: 0 }),
      add: ({ sum, count }, { n }) => ({ sum: sum + n, count: count + 1 }),
      finish: ({ sum, count }) => sum / count,
    })
    .write(out);
  const latest = byKey.toTable('latest');
  latest
    .groupBy(({ n }) => n % 3)
    .aggregate('rests', { init: () => 0, add: (a, b) => a + b.n, subtract: (a, b) => a - b.n })
    .write(out);
  byKey.window(tumbling(10, { grace })).count('tumbling').write(out);
  byKey
    .window(hopping(20, { every: 10, grace }))
    .count('hopping')
    .write(out);
  byKey
    .window(hopping(20, { every: 10, grace }))
    .count('hops', { emit: 'changes' })
    .write(out);
  byKey.window(sliding(10, { grace })).count('sliding').write(out);
  byKey.window(sliding(10, { grace })).count('slides', { emit: 'changes' }).write(out);
  byKey.window(session(10, { grace })).count('visits').write(out);
  byKey
    .process('largest', {
      onRecord: ({ n }: Hit, context: ProcessContext<number, number>) => {
        context.state = Math.max(context.state ?? 0, n);
      },
    })
    .write(out);
  const names = topic('names', { key: string(), value: string() });
  const known = f.table(names);
  latest.join('named', known, (hit, name) => `${name} ${hit.n}`).write(out);
  latest
    .joinForeign(
      'rest-names',
      known,
      ({ n }) => `r${n % 3}`,
      ({ n }, name) => `${name} ${n}`,
    )
    .write(out);
  byKey
    .joinGlobal(
      'all-named',
      f.globalTable(names, { name: 'all' }),
      ({ key }) => key,
      ({ n }, name) => [n, name],
    )
    .write(out);
  const past = f.table(topic('past', { key: string(), value: json<number>() }), {
    history: '1 hour',
  });
  byKey.join('then', past, ({ n }, was) => n + was).write(out);
});

type Model = ReadonlyMap<string, readonly ViewRow[]>;

/** What each view has to show, in order. */
function modelOf(hits: readonly Hit[], names: ReadonlyMap<string, string>): Model {
  const byKey = grouped(hits, ({ key }) => key);
  const keys = [...byKey.keys()].sort();
  const of = (key: string): readonly Hit[] => byKey.get(key) ?? [];
  const last = (key: string): Hit => of(key).at(-1) as Hit;
  const rows = (valueOf: (key: string) => unknown): ViewRow[] =>
    keys.flatMap((key) => {
      const value = valueOf(key);
      return value === undefined ? [] : [{ key, value }];
    });
  const windows = (
    startsOf: (times: readonly number[]) => Iterable<number>,
    lengthMs: number,
    last: number,
  ): ViewRow[] =>
    keys.flatMap((key) => {
      const times = of(key).map(({ time }) => time);
      return [...new Set(startsOf(times))]
        .sort((a, b) => a - b)
        .map((start) => ({
          key,
          start,
          end: start + lengthMs,
          value: times.filter((time) => time >= start && time <= start + last).length,
        }))
        .filter(({ value }) => value > 0);
    });
  const fixed = (every: number, size: number) => (times: readonly number[]) =>
    times.flatMap((time) => {
      const first = Math.floor((time - size) / every) * every + every;
      return Array.from({ length: size / every }, (_, index) => first + index * every);
    });
  const slidingStarts = (times: readonly number[]): number[] =>
    times.flatMap((time) =>
      times.some((other) => other > time && other <= time + 11)
        ? [time - 10, time + 1]
        : [time - 10],
    );
  const rests = grouped(keys, (key) => last(key).n % 3);
  return new Map<string, readonly ViewRow[]>([
    ['counts', rows((key) => of(key).length)],
    ['means', rows((key) => of(key).reduce((sum, { n }) => sum + n, 0) / of(key).length)],
    ['latest', rows(last)],
    ['largest', rows((key) => Math.max(...of(key).map(({ n }) => n)))],
    [
      'rests',
      [...rests]
        .sort(([a], [b]) => a - b)
        .map(([key, members]) => ({
          key,
          value: members.reduce((sum, each) => sum + last(each).n, 0),
        })),
    ],
    ['tumbling', windows(fixed(10, 10), 10, 9)],
    ['hopping', windows(fixed(10, 20), 20, 19)],
    ['hops', windows(fixed(10, 20), 20, 19)],
    ['sliding', windows(slidingStarts, 10, 10)],
    ['slides', windows(slidingStarts, 10, 10)],
    [
      'visits',
      keys.flatMap((key) =>
        sessionsOf(
          key,
          of(key).map(({ time }) => time),
        ),
      ),
    ],
    [
      'names',
      [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ key, value })),
    ],
    [
      'all',
      [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ key, value })),
    ],
    [
      'named',
      rows((key) => (names.has(key) ? `${names.get(key) ?? ''} ${last(key).n}` : undefined)),
    ],
    ['rest-names', rows((key) => `rest ${last(key).n % 3} ${last(key).n}`)],
  ]);
}

function grouped<T, K>(all: readonly T[], keyOf: (each: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const each of all) groups.set(keyOf(each), [...(groups.get(keyOf(each)) ?? []), each]);
  return groups;
}

function sessionsOf(key: string, times: readonly number[]): ViewRow[] {
  const sessions: { key: string; start: number; end: number; value: number }[] = [];
  for (const time of times.toSorted((a, b) => a - b)) {
    const open = sessions.at(-1);
    if (open !== undefined && time - open.end <= 10) {
      open.end = time;
      open.value++;
    } else sessions.push({ key, start: time, end: time, value: 1 });
  }
  return sessions;
}

const KEYS = ['a', 'ab', 'b', 'ba', 'c', 'cé', 'd/e f'];

const someHits = fc
  .array(
    fc.record({
      key: fc.constantFrom(...KEYS),
      at: fc.integer({ min: 0, max: 80 }),
      n: fc.integer({ min: 0, max: 9 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((all) => all.map(({ key, at, n }, id): Hit => ({ id, key, n, time: START + at })));

/** `time` is said by others. */
function plain({ key, start, end, value }: ViewRow): ViewRow {
  return start === undefined ? { key, value } : { key, start, end: end ?? Number.NaN, value };
}

async function shown(
  hits: readonly Hit[],
  check: (views: FlowViews, model: Model, env: Env) => Promise<void>,
): Promise<void> {
  const machine = new SimMachine(7);
  const env = machine.boot();
  const all = async (): Promise<void> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    await log.createTopics(
      ['hits', 'names', 'past'].map((name) => ({ name, partitions: PARTITIONS, configs: {} })),
    );
    await log.createTopics([{ name: 'out', partitions: 1, configs: {} }]);
    const names = new Map([
      ['a', 'Ann'],
      ['b', 'Bob'],
      ['r0', 'rest 0'],
      ['r1', 'rest 1'],
      ['r2', 'rest 2'],
    ]);
    const producer = await log.producer({});
    for (const [key, name] of names)
      producer.append('names', partitionOf(Buffer.from(key), PARTITIONS), START, key, name);
    for (const hit of hits)
      producer.append(
        'hits',
        partitionOf(Buffer.from(hit.key), PARTITIONS),
        START,
        null,
        JSON.stringify(hit),
      );
    for (const time of [1_000, 2_000, 3_000])
      producer.append('past', partitionOf(Buffer.from('a'), PARTITIONS), time, 'a', String(time));
    await producer.flush();
    const running = runFlow({ log, plan: program.plan(), dataDirectory: '/data', state: 'memory' });
    await running.ready;
    const views = new FlowViews({ log, running });
    await check(views, modelOf(hits, names), env);
    await running.stop();
    await running.done;
    await log.close();
  };
  await machine.run(all());
}

async function eventually(
  views: FlowViews,
  env: Env,
  view: string,
  wanted: readonly ViewRow[],
): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { rows } = await views.range(view, { limit: 1_000 });
    try {
      expect([view, ...rows.map(plain)]).toEqual([view, ...wanted]);
      return;
    } catch (error) {
      if (tries > 50) throw error;
      await env.timers.sleep(100);
    }
  }
}

test('every view shows what a naive program makes of all records, by range and by key', async () => {
  await fc.assert(
    fc.asyncProperty(someHits, fc.integer({ min: 1, max: 7 }), async (hits, limit) => {
      await shown(hits, async (views, model, env) => {
        expect(
          views
            .list()
            .map(({ name }) => name)
            .sort(),
        ).toEqual([...model.keys(), 'past'].sort());
        for (const [view, rows] of model) {
          await eventually(views, env, view, rows);
          expect(await pagesOf(views, view, limit)).toEqual(rows);
          for (const key of new Set(rows.map((row) => row.key)))
            expect((await views.get(view, key)).rows.map(plain)).toEqual(
              rows.filter((row) => row.key === key),
            );
          for (const { key, start, end, value } of rows) {
            if (start === undefined) continue;
            const { rows: one } = await views.get(view, key, { start });
            expect(one.map(plain)).toEqual([{ key, start, end, value }]);
          }
          expect((await views.get(view, 'nobody')).rows).toEqual([]);
          if (view === 'rests') continue;
          const selected = await views.range(view, { from: 'ab', to: 'c' });
          expect(selected.rows.map(plain)).toEqual(
            rows.filter(({ key }) => String(key) >= 'ab' && String(key) < 'c'),
          );
          const begun = await views.range(view, { prefix: 'c' });
          expect(begun.rows.map(plain)).toEqual(
            rows.filter(({ key }) => String(key).startsWith('c')),
          );
        }
        expect((await views.get('past', 'a')).rows).toEqual([
          { key: 'a', value: 3_000, time: 3_000 },
        ]);
        expect((await views.get('past', 'a', { at: 2_500 })).rows).toEqual([
          { key: 'a', value: 2_000, time: 2_000 },
        ]);
        expect((await views.get('past', 'a', { at: 500 })).rows).toEqual([]);
      });
    }),
    { numRuns: RUNS },
  );
});

async function pagesOf(views: FlowViews, view: string, limit: number): Promise<ViewRow[]> {
  const rows: ViewRow[] = [];
  let cursor: string | undefined;
  do {
    const page = await views.range(view, { limit, cursor });
    expect(page.rows.length).toBeLessThanOrEqual(limit);
    rows.push(...page.rows.map(plain));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return rows;
}
