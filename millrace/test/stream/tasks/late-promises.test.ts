/** What is behind promises sees the same T with each record, however they are settled. */
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import { tumbling } from '../../../src/flow/window-specs.ts';
import { openFlow, send, written } from './cluster.ts';

const events = topic('events', { key: json<string>(), value: json<number>() });
const out = topic('out', { key: json(), value: json() });
const TIMES = [1, 50, 5, 51, 120, 45, 121];

/** @param order in which the calls come back, so many at a time */
async function counts(order: readonly (readonly number[])[]): Promise<unknown> {
  const waiting: (() => void)[] = [];
  const isSync = order.length === 0;
  const cluster = await openFlow(
    (f) => {
      f.readKeyed(events)
        .mapValues((value) =>
          isSync
            ? value
            : new Promise<number>((resolve) => {
                waiting[value] = () => {
                  resolve(value);
                };
              }),
        )
        .window(tumbling(10))
        .count('counts')
        .write(out);
    },
    { topics: { events: 1 } },
  );
  send(
    cluster,
    'events',
    TIMES.map((time, value) => ({ key: 'k', value, time })),
  );
  const [running] = cluster.tasks;
  if (running === undefined) throw new Error('there is one task');
  cluster.turn(running);
  for (const some of order) {
    for (const value of some) waiting[value]?.();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    cluster.turn(running);
  }
  await cluster.run();
  const late = running.task.metrics.lateDropped;
  const found = written(cluster, 'out').map(({ key, value }) => [key, value]);
  await cluster.close();
  return { late, found };
}

test('one at a time, all at once, the last first', async () => {
  const expected = await counts([]);
  expect(expected).toMatchObject({ late: 2 });
  const numbers = TIMES.map((_, index) => index);
  expect(await counts(numbers.map((number) => [number]))).toEqual(expected);
  expect(await counts([numbers])).toEqual(expected);
  expect(await counts([numbers.toReversed()])).toEqual(expected);
  expect(
    await counts([
      [1, 2],
      [0, 4],
      [3, 5, 6],
    ]),
  ).toEqual(expected);
});
