/**
 * The examples over topics, against what is to be seen in their feed with the naked eye: under test with transactions that are lost on the
 * way, on the log of a directory without end, and up to now.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Flow,
  json,
  type Millrace,
  type NewRecord,
  openMillrace,
  string,
  topic,
  type Topic,
} from 'millrace';
import { type TestDriver, testFlow } from 'millrace/testing';
import * as enrichedOrders from './enriched-orders.ts';
import { feed, FEED_MS } from './feed.ts';
import * as fraud from './fraud.ts';
import * as pageViews from './page-views.ts';
import * as revenue from './revenue.ts';
import * as searchClicks from './search-clicks.ts';
import * as timeline from './timeline.ts';

const MINUTE = 60_000;
/** Whole minutes, as the feed has them; brokers delete what is older than a week. */
const START = Math.floor(Date.now() / MINUTE) * MINUTE - FEED_MS;
const END = START + 3 * FEED_MS;

type Line = readonly [key: unknown, value: unknown];

/** What has to be in a topic at the end. */
interface Output {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly underTest: (driver: TestDriver) => string[];
  readonly onLog: (millrace: Millrace) => Promise<string[]>;
}

/** @param kind of a table the last value of each key counts */
function output<Value, Key, WrittenValue, WrittenKey>(
  from: Topic<Value, Key, WrittenValue, WrittenKey>,
  lines: readonly Line[],
  kind: 'stream' | 'table' = 'stream',
): Output {
  return {
    name: from.name,
    lines,
    underTest: (driver) => linesOf(driver.outputs(from), kind),
    onLog: async (millrace) => {
      const records = [];
      for await (const record of millrace.consume(from, { until: 'now' })) records.push(record);
      return linesOf(records, kind);
    },
  };
}

interface Example {
  readonly flow: Flow;
  readonly inputs: readonly string[];
  /** Partitions of the inputs under test: disorder is that of a partition. */
  readonly partitions: number;
  readonly outputs: readonly Output[];
  /** Of the outputs, where a record that comes too late under test may be in time on a log: between two stages time moves with commits, and a
   * run up to now has everything at hand. */
  readonly orLines?: readonly (readonly Line[])[];
}

function minute(start: number, key: string): { key: string; start: number; end: number } {
  const from = START + start * MINUTE;
  return { key, start: from, end: from + MINUTE };
}

/** What was known of the customers, and when. */
const ANN = { name: 'Ann', tier: 'silver' };
const GOLDEN_ANN = { name: 'Ann', tier: 'gold' };
const BOB = { name: 'Bob', tier: 'gold' };
const CUSTOMER_THEN: Readonly<Record<string, object | null>> = {
  'o-1': ANN,
  'o-2': BOB,
  'o-3': ANN,
  'o-4': GOLDEN_ANN,
  'o-5': null,
  'o-6': BOB,
  'o-7': ANN,
  'o-8': GOLDEN_ANN,
};

const EXAMPLES: Readonly<Record<string, Example>> = {
  'page views per minute': {
    flow: pageViews.default,
    inputs: ['views'],
    partitions: 1,
    outputs: [
      output(pageViews.viewsPerMinute, [
        [minute(0, '/'), 3],
        [minute(0, '/shoes'), 2],
        [minute(1, '/'), 1],
        [minute(1, '/shoes'), 1],
        [minute(2, '/hats'), 2],
        [minute(90, '/'), 1],
      ]),
      output(pageViews.lateViews, [['/shoes', { user: 'eve' }]]),
    ],
    orLines: [
      [
        [minute(0, '/'), 3],
        [minute(0, '/shoes'), 3],
        [minute(1, '/'), 1],
        [minute(1, '/shoes'), 1],
        [minute(2, '/hats'), 2],
        [minute(90, '/'), 1],
      ],
      [],
    ],
  },
  'clicks of searches': {
    flow: searchClicks.default,
    inputs: ['searches', 'clicks'],
    partitions: 2,
    outputs: [
      output(searchClicks.outcomes, [
        ['s-1', { query: 'red shoes', clicked: '/shoes/17' }],
        ['s-1', { query: 'red shoes', clicked: '/shoes/4' }],
        ['s-2', { query: 'hats', clicked: '/hats/1' }],
        ['s-3', { query: 'umbrella', clicked: null }],
        ['s-9', { query: 'socks', clicked: '/socks/2' }],
      ]),
    ],
  },
  'orders with their customers': {
    flow: enrichedOrders.default,
    inputs: ['customers', 'orders'],
    partitions: 2,
    outputs: [
      output(
        enrichedOrders.enrichedOrders,
        feed('orders', START).map(({ key, value }): Line => {
          const order = value as enrichedOrders.Order;
          return [order.customerId, { ...order, customer: CUSTOMER_THEN[key ?? ''] ?? null }];
        }),
      ),
    ],
  },
  timelines: {
    flow: timeline.default,
    inputs: ['posts', 'follows'],
    partitions: 2,
    outputs: [
      output(
        timeline.timelines,
        [
          ['dee', [{ author: 'ann', text: 'shoes are here' }]],
          ['eve', [{ author: 'ann', text: 'shoes are here' }]],
        ],
        'table',
      ),
    ],
  },
  'stolen cards': {
    flow: fraud.default,
    inputs: ['payments'],
    partitions: 2,
    outputs: [
      output(fraud.alarms, [['card-1', { payment: 'p-6', amount: 999, tries: ['p-1', 'p-3'] }]]),
    ],
  },
  'revenue per tier': {
    flow: revenue.default,
    inputs: ['customers', 'orders'],
    partitions: 1,
    outputs: [
      output(revenue.revenue, [
        [minute(0, 'silver'), 25],
        [minute(0, 'gold'), 35],
        [minute(2, 'gold'), 65],
        [minute(90, 'gold'), 12],
      ]),
      output(revenue.lateOrders, [
        ['silver', { ...(feed('orders', START)[6]?.value as object), tier: 'silver' }],
      ]),
      output(revenue.deadLetters, []),
    ],
    orLines: [
      [
        [minute(0, 'silver'), 95],
        [minute(0, 'gold'), 35],
        [minute(2, 'gold'), 65],
        [minute(90, 'gold'), 12],
      ],
      [],
      [],
    ],
  },
};

/** In the order in which they come: by time, and not before the one before them in their topic. */
function arrivals({ inputs }: Example): { name: string; record: NewRecord<unknown, string> }[] {
  return inputs
    .flatMap((name) => {
      let at = 0;
      return feed(name, START).map((record) => {
        at = Math.max(at, Number(record.timestamp));
        return { name, record, at };
      });
    })
    .sort((a, b) => a.at - b.at);
}

function sorted(lines: readonly Line[]): string[] {
  return lines.map((line) => JSON.stringify(line)).sort();
}

/** What counts of the records of an output. */
function linesOf(
  records: readonly { key: unknown; value: unknown }[],
  kind: 'stream' | 'table',
): string[] {
  const lines = records.map(({ key, value }): Line => [key, value]);
  if (kind === 'stream') return sorted(lines);
  const latest = new Map(lines.map((line) => [JSON.stringify(line[0]), line]));
  return sorted([...latest.values()].filter(([, value]) => value !== null));
}

describe.each(Object.entries(EXAMPLES))('%s', (_name, example) => {
  test.each(['committed', 'lost'] as const)('under test: transactions are %s', async (fate) => {
    const { flow, inputs, partitions, outputs } = example;
    const topics = Object.fromEntries(inputs.map((name) => [name, partitions]));
    await using driver = await testFlow(flow, { topics, workers: 2, now: START });
    for (const [index, { name, record }] of arrivals(example).entries()) {
      await driver.send(name, record);
      if (fate === 'lost') await (index % 2 === 0 ? driver.crash() : driver.redeliver());
    }
    await driver.advanceTime(END);
    if (fate === 'lost') await driver.redeliver();
    for (const { name, lines, underTest } of outputs)
      expect(underTest(driver), name).toEqual(sorted(lines));
    expect(driver.lateRecords).toBe(0);
  });
});

const INPUTS = new Set(Object.values(EXAMPLES).flatMap(({ inputs }) => inputs));
/** Without end, what has the time of the last records is still open. */
const LAST = START + FEED_MS;

function isOpen([key]: Line): boolean {
  return typeof key === 'object' && key !== null && 'start' in key && Number(key.start) >= LAST;
}

describe('on the log of a directory', () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-examples-'));
  });

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  async function openShop(name: string): Promise<Millrace> {
    const millrace = await openMillrace({ dir: join(directory, name) });
    for (const input of INPUTS) {
      const to = topic(input, { key: string(), value: json(), create: { partitions: 1 } });
      await millrace.produce(to, feed(input, START));
    }
    return millrace;
  }

  /** All outputs of an example, and what may be in them. */
  function found(millrace: Millrace, { outputs }: Example): Promise<string[][]> {
    return Promise.all(outputs.map(({ onLog }) => onLog(millrace)));
  }

  function wanted(
    { outputs, orLines }: Example,
    counts: (line: Line) => boolean = () => true,
  ): string[][][] {
    const all = [outputs.map(({ lines }) => lines), ...(orLines === undefined ? [] : [orLines])];
    return all.map((lists) => lists.map((lines) => sorted(lines.filter(counts))));
  }

  test('all of them, without end', async () => {
    await using millrace = await openShop('endless');
    for (const { flow } of Object.values(EXAMPLES)) millrace.run(flow, { commitInterval: '20ms' });
    for (const [name, example] of Object.entries(EXAMPLES)) {
      const lines = wanted(example, (line) => !isOpen(line));
      await expect
        .poll(() => found(millrace, example), { timeout: 20_000, message: name })
        .toSatisfy((now) => lines.some((each) => isDeepStrictEqual(each, now)));
    }
  });

  test('all of them, up to now', async () => {
    await using millrace = await openShop('bounded');
    for (const [name, example] of Object.entries(EXAMPLES)) {
      await millrace.runUntil(example.flow);
      expect(wanted(example), name).toContainEqual(await found(millrace, example));
    }
  });
});
