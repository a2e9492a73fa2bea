/** Patterns, dedupe and calls that wait in whole flows, on a log in memory. */
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import { pattern } from '../../../src/flow/pattern-builder.ts';
import { tumbling } from '../../../src/flow/window-specs.ts';
import { openFlow, send, written } from '../tasks/cluster.ts';

interface Payment {
  readonly card: string;
  readonly amount: number;
}

const payments = topic('payments', { value: json<Payment>(), time: { outOfOrder: '5 ms' } });
const out = topic('out', { key: json(), value: json() });
const late = topic('late', { key: json(), value: json() });
const timedOut = topic('timed-out', { key: json(), value: json() });

const fraud = pattern('small', (payment: Payment) => payment.amount < 1)
  .next('large', (payment) => payment.amount > 500)
  .within('60 ms');

function payment(card: string, amount: number, time: number, partition = 0) {
  return { value: { card, amount }, time, partition };
}

test('fraud: a small payment, and directly behind it a large one, in the order of event times', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(payments)
        .keyBy(({ card }) => card)
        .match('fraud', fraud, ({ small: [first], large: [then] }) => [first.amount, then.amount])
        .timedOut(({ small }) => small.map(({ amount }) => amount), timedOut)
        .late(late)
        .write(out);
    },
    { topics: { payments: 2 }, workers: 2 },
  );
  send(cluster, 'payments', [
    // Against their order in time; the two partitions have one card each.
    payment('a', 600, 13),
    payment('a', 0.5, 10),
    payment('b', 0.1, 10, 1),
    payment('b', 20, 11, 1),
    payment('b', 700, 12, 1),
    payment('a', 0.7, 20),
  ]);
  await cluster.run();
  send(cluster, 'payments', [payment('x', 5, 200), payment('y', 5, 200, 1)]);
  await cluster.run();
  send(cluster, 'payments', [payment('a', 800, 30)]);
  await cluster.run();
  expect(written(cluster, 'out')).toMatchObject([{ key: 'a', value: [0.5, 600], time: 13 }]);
  expect(written(cluster, 'timed-out')).toMatchObject([{ key: 'a', value: [0.7], time: 80 }]);
  expect(written(cluster, 'late')).toMatchObject([{ key: 'a', value: { amount: 800 }, time: 30 }]);
  await cluster.close();
});

test('what a crash loses of a match under way comes back from the changelog', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(payments)
        .keyBy(({ card }) => card)
        .match('fraud', fraud, ({ large: [then] }) => then.amount)
        .write(out);
    },
    { topics: { payments: 1 }, workers: 1 },
  );
  send(cluster, 'payments', [payment('a', 0.5, 10), payment('x', 5, 20)]);
  await cluster.run();
  const [worker] = cluster.workers;
  if (worker !== undefined) await cluster.crash(worker);
  send(cluster, 'payments', [payment('a', 600, 21), payment('x', 5, 40)]);
  await cluster.run();
  expect(written(cluster, 'out')).toMatchObject([{ key: 'a', value: 600, time: 21 }]);
  await cluster.close();
});

test('matches are not late for a window behind them', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(payments)
        .keyBy(({ card }) => card)
        .match('fraud', fraud, () => 'fraud')
        .window(tumbling('10 ms'))
        .count('frauds')
        .write(out);
    },
    { topics: { payments: 1 } },
  );
  send(cluster, 'payments', [
    payment('a', 0.5, 18),
    payment('a', 600, 19),
    payment('x', 5, 25),
    payment('x', 5, 500),
  ]);
  await cluster.run();
  expect(written(cluster, 'out')).toMatchObject([
    { key: { key: 'a', start: 10, end: 20 }, value: 1, time: 19 },
  ]);
  await cluster.close();
});

test('dedupe: by an id, over keys and partitions', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(payments)
        .dedupe('once', ({ card }) => card, '10 ms')
        .write(out);
    },
    { topics: { payments: 2, out: 1 } },
  );
  send(cluster, 'payments', [
    payment('a', 1, 1),
    payment('a', 2, 1, 1),
    payment('b', 3, 2),
    payment('a', 4, 12, 1),
  ]);
  await cluster.run();
  const cards = written(cluster, 'out').map(({ value }) => (value as Payment).card);
  expect(cards.sort()).toEqual(['a', 'a', 'b']);
  await cluster.close();
});

test('calls that wait hold back the time of the windows behind them', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(payments)
        .mapAsync('rated', async (each) => {
          // Earlier ones take longer.
          for (let turn = 0; turn < 50 - each.amount; turn++) await Promise.resolve();
          return each;
        })
        .keyBy(({ card }) => card)
        .window(tumbling('10 ms'))
        .count('payments-per-card')
        .write(out);
    },
    { topics: { payments: 1 } },
  );
  send(
    cluster,
    'payments',
    Array.from({ length: 40 }, (_, n) => payment('a', n, n)),
  );
  send(cluster, 'payments', [payment('b', 40, 100), payment('b', 41, 200)]);
  await cluster.run();
  const counts = written(cluster, 'out').filter(({ key }) => (key as { key: string }).key === 'a');
  expect(counts.map(({ value }) => value)).toEqual([10, 10, 10, 10]);
  await cluster.close();
});
