/** Whatever is crashed and delivered again, a flow under test has written, and knows, what it has without. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json, string } from '../connect/topics/serdes.ts';
import { topic } from '../connect/topics/topic.ts';
import { flow } from '../flow/flow.ts';
import type { ProcessContext } from '../flow/stream-nodes.ts';
import { hopping, session, sliding, tumbling } from '../flow/window-specs.ts';
import type { TestDriver } from './test-driver.ts';
import { testFlow } from './test-flow.ts';

interface Event {
  readonly user: string;
  readonly n: number;
}
const time = { outOfOrder: 4 };
const clicks = topic('clicks', { key: string(), value: json<Event>(), time });
const users = topic('users', { key: string(), value: json<Event | null>() });
const OUTPUTS = ['windows', 'every', 'pairs', 'groups', 'timers', 'rates', 'late'];
const STATES = ['tumbling', 'hopping', 'sliding', 'sessions', 'every', 'groups', 'timers', 'users'];
const [windows, every, pairs, groups, timers, rates, late] = OUTPUTS.map((name) =>
  topic(name, { key: json(), value: json() }),
);
type Out = NonNullable<typeof windows>;

const program = flow('all-sorts', (f) => {
  const byUser = f.readKeyed(clicks);
  const byNumber = f.read(clicks).keyBy((click) => click.n);
  byNumber
    .window(tumbling(10))
    .count('tumbling')
    .late(late as Out)
    .write(windows as Out);
  byNumber
    .window(hopping(12, { every: 4 }))
    .aggregate('hopping', {
      init: () => 0,
      add: (sum, click) => sum + click.n,
      merge: (a, b) => a + b,
    })
    .write(windows as Out);
  byUser
    .window(sliding(6))
    .count('sliding')
    .write(windows as Out);
  byUser
    .window(session(5))
    .count('sessions')
    .write(windows as Out);
  byUser
    .window(tumbling(10))
    .count('every', { emit: { every: 100 } })
    .write(every as Out);
  byUser
    .leftJoin(
      'pairs',
      byUser.filter((click) => click.n > 2),
      (a, b) => [a.n, b?.n ?? null],
      { within: 5 },
    )
    .write(pairs as Out);
  f.table(users)
    .groupBy((user) => user.n)
    .aggregate('groups', { init: () => 0, add: (sum) => sum + 1, subtract: (sum) => sum - 1 })
    .write(groups as Out);
  byUser
    .process('timers', {
      onRecord: (click, context: ProcessContext<number, readonly [string, number]>) => {
        context.state = (context.state ?? 0) + click.n;
        context.setTimer(context.time + 7);
        context.setWallTimer(context.now + 130);
      },
      onTimer: (context, _key, kind) => context.emit([kind, context.state ?? 0], context.time),
    })
    .write(timers as Out);
  byUser
    .joinGlobal(
      'rates',
      f.globalTable(users, { name: 'rates-of' }),
      (click) => click.user,
      (click, user) => click.n * user.n,
    )
    .write(rates as Out);
});

const record = fc.record({
  user: fc.constantFrom('a', 'b', 'c'),
  n: fc.integer({ min: 0, max: 5 }),
  at: fc.integer({ min: 0, max: 12 }),
});
const steps = fc.array(
  fc.record({
    step: fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('clicks' as const),
          records: fc.array(record, { maxLength: 4 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('users' as const),
          records: fc.array(record, { maxLength: 2 }),
        }),
      },
      fc.record({ kind: fc.constant('wall' as const), ms: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 15 }) }),
    ),
    fates: fc.array(fc.constantFrom('crash' as const, 'redeliver' as const), { maxLength: 2 }),
  }),
  { maxLength: 8, size: 'max' },
);
type Steps = typeof steps extends fc.Arbitrary<infer S> ? S : never;

async function play(driver: TestDriver, given: Steps, withFates: boolean): Promise<void> {
  let now = 0;
  for (const { step, fates } of given) {
    if (step.kind === 'wall') await driver.advance(step.ms);
    else if (step.kind === 'time') await driver.advanceTime((now += step.ms));
    else if (step.kind === 'users')
      await driver.send(
        users,
        step.records.map(({ user, n, at }) => ({
          key: user,
          value: at > 9 ? null : { user, n },
          timestamp: now,
        })),
      );
    else {
      await driver.send(
        clicks,
        step.records.map(({ user, n, at }) => ({
          key: user,
          value: { user, n },
          timestamp: now + at,
        })),
      );
      now += 3;
    }
    if (withFates) for (const fate of fates) await driver[fate]();
  }
  await driver.advance('1s');
}

/** All that can be seen from outside. Who comes back says at once what it was to say every so often: there the last word counts. */
function seen(driver: TestDriver): unknown {
  const outputs = OUTPUTS.map((name) => {
    const lines = driver
      .outputs(name)
      .map(
        ({ key, value, timestamp }) =>
          [JSON.stringify(key), JSON.stringify([value, timestamp])] as const,
      );
    const counting = name === 'every' ? [...new Map(lines)] : lines;
    return [name, counting.map((line) => line.join(' ')).sort()];
  });
  const states = STATES.map((name) => [name, driver.state(name).entries()]);
  const { lateRecords, watermark, now } = driver;
  return { outputs, states, lateRecords, watermark, now };
}

test('crashes and deliveries leave nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      async (given, partitions, workers) => {
        const options = { topics: { clicks: partitions, users: partitions }, workers };
        await using plain = await testFlow(program, options);
        await using hit = await testFlow(program, options);
        await play(plain, given, false);
        await play(hit, given, true);
        expect(seen(hit)).toEqual(seen(plain));
      },
    ),
    { numRuns: 10 },
  );
});
