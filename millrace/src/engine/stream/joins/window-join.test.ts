import { expect, test } from 'vitest';
import {
  KAFKA_IN_ORDER,
  KAFKA_OUT_OF_ORDER,
  inputs,
} from '../../../../test/stream/kafka-join-inputs.ts';
import type { KafkaInput } from '../../../../test/stream/kafka-join-inputs.ts';
import { pair, windowJoin } from '../../../../test/stream/join-tables.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { HarnessOptions } from '../../../../test/stream/operator-harness.ts';
import type { WindowJoinNode } from '../../../flow/stream-nodes.ts';
import { createWindowJoin } from './window-join.ts';

const HOUR = 3_600_000;
const WIDE = { before: 10_000, after: 10_000, grace: 24 * HOUR };
const TYPES = ['inner', 'left', 'outer'] as const;

function harnessOf(node: WindowJoinNode, options: HarnessOptions = {}): OperatorHarness {
  return new OperatorHarness(node, createWindowJoin, options);
}

function send(harness: OperatorHarness, input: KafkaInput, key: unknown = 0): string[] {
  harness.send(key, input.value, input.time, input.side === 'L' ? 0 : 1);
  return taken(harness);
}

function taken(harness: OperatorHarness): string[] {
  return harness.take().map(({ value, time }) => `${String(value)}@${time}`);
}

/** What each input gives that gives anything, by its number from 1: the way the tables in Kafka's documentation are written. */
function tableOf(harness: OperatorHarness, records: readonly KafkaInput[]): Record<number, string> {
  const rows: Record<number, string> = {};
  records.forEach((record, index) => {
    const results = send(harness, record);
    if (results.length > 0) rows[index + 1] = results.join(' ');
  });
  return rows;
}

for (const type of TYPES) {
  test(`StreamStreamJoinIntegrationTest in order, ${type}: every pair once, at the time of the later`, () => {
    expect(tableOf(harnessOf(windowJoin(type, WIDE)), KAFKA_IN_ORDER)).toEqual({
      4: 'A-a@4',
      5: 'B-a@5',
      6: 'A-b@6 B-b@6',
      9: 'C-a@9 C-b@9',
      10: 'A-c@10 B-c@10 C-c@10',
      14: 'A-d@14 B-d@14 C-d@14',
      15: 'D-a@15 D-b@15 D-c@15 D-d@15',
    });
  });

  test(`AbstractJoinIntegrationTest out of order, ${type}: partners in the order of their times`, () => {
    expect(tableOf(harnessOf(windowJoin(type, WIDE)), KAFKA_OUT_OF_ORDER)).toEqual({
      4: 'A-a@4',
      5: 'B-a@5',
      6: 'A-b@6 B-b@6',
      9: 'C-a@9 C-b@9',
      10: 'A-c@10 B-c@10 C-c@10',
      14: 'A-d@7 B-d@7 C-d@9',
      15: 'D-a@6 D-b@6 D-d@7 D-c@10',
      18: 'A-e@14 B-e@14 D-e@14 C-e@14',
      19: 'E-a@15 E-b@15 E-d@15 E-c@15 E-e@15',
      22: 'F-a@4 F-b@6 F-d@7 F-c@10 F-e@14',
      23: 'A-f@3 F-f@4 B-f@5 D-f@6 C-f@9 E-f@15',
    });
  });
}

test('StreamStreamJoinIntegrationTest self-join: both roles of each pair, and each record with itself', () => {
  const harness = harnessOf(windowJoin('inner', WIDE, { inputs: [0, 0] }));
  const rows = ['A2', 'B3', 'C5', 'D7'].map((text) => {
    const record = { value: text.charAt(0), time: Number(text.slice(1)) };
    harness.send(0, record.value, record.time, 0);
    harness.send(0, record.value, record.time, 1);
    return taken(harness).join(' ');
  });
  expect(rows).toEqual([
    'A-A@2',
    'B-A@3 A-B@3 B-B@3',
    'C-A@5 C-B@5 A-C@5 B-C@5 C-C@5',
    'D-A@7 D-B@7 D-C@7 A-D@7 B-D@7 C-D@7 D-D@7',
  ]);
});

test('the tail of the outer join in the documentation of Kafka: alone strictly behind window and grace, at 61, 81 and 101', () => {
  const harness = harnessOf(windowJoin('outer', { before: 15, after: 15, grace: 5 }));
  const rows = inputs('LE40 LF60 Rf80 LG100').map((record) => [
    ...send(harness, record, record.value?.toLowerCase() === 'f' ? 'f' : record.value),
  ]);
  // Different keys: F and f are 20 apart, so they do not meet with the same key either.
  expect(rows).toEqual([[], [], ['E-null@40'], ['F-null@60']]);
  const ticks = [99, 100, 101, 120, 121].map((time) => {
    harness.advanceTo(time);
    return taken(harness).join(' ');
  });
  expect(ticks).toEqual(['', '', 'null-f@80', '', 'G-null@100']);
});

for (const [time, text] of [
  [60, ''],
  [61, 'E-null@40'],
] as const) {
  test(`a left record of 40, after 15 and grace 5, at T ${time}: ${text === '' ? 'waits' : 'comes out alone'}`, () => {
    const harness = harnessOf(windowJoin('left', { before: 15, after: 15, grace: 5 }));
    harness.send('k', 'E', 40).advanceTo(time);
    expect(taken(harness).join(' ')).toBe(text);
    expect(harness.operator.nextDue).toBe(text === '' ? 61 : Number.POSITIVE_INFINITY);
  });
}

test('KStreamKStreamOuterJoinTest.testOrdering: who has waited in vain comes out before the pairs of the record that moved T', () => {
  const harness = harnessOf(windowJoin('outer', { before: 100, after: 100 }));
  harness.send(0, 'A0', 0).send(1, 'A1', 100).send(1, 'a1', 110, 1);
  expect(taken(harness)).toEqual(['A0-null@0', 'A1-a1@110']);
});

test('KStreamKStreamOuterJoinTest.testGracePeriod: nothing is given up between the end of the window and the end of grace', () => {
  const harness = harnessOf(windowJoin('outer', { before: 100, after: 100, grace: 10 }));
  harness.send(0, 'A0', 0).send(1, 'a1', 0, 1).send(0, 'a0', 101, 1).send(1, 'A1', 101, 0);
  expect(taken(harness)).toEqual([]);
  harness.send(0, 'dummy', 211, 1);
  expect(taken(harness).sort()).toEqual(['A0-null@0', 'null-a1@0']);
});

test('KStreamKStreamOuterJoinTest.testOuterJoinDuplicates: records of one key and time are each their own', () => {
  const harness = harnessOf(windowJoin('outer', { before: 100, after: 100, grace: 10 }));
  harness.send(0, 'A0', 0).send(0, 'A0-0', 0).send(1, 'a1', 0, 1).send(1, 'a1-0', 0, 1);
  harness.send(1, 'a0', 111, 1);
  expect(taken(harness).sort()).toEqual(['A0-0-null@0', 'A0-null@0', 'null-a1-0@0', 'null-a1@0']);
  harness.send(3, 'dummy', 211, 1);
  harness.send(2, 'A2', 200).send(2, 'A2-0', 200).send(2, 'a2', 201, 1).send(2, 'a2-0', 201, 1);
  expect(taken(harness)).toEqual(['A2-a2@201', 'A2-0-a2@201', 'A2-a2-0@201', 'A2-0-a2-0@201']);
  harness.send(3, 'dummy', 1500, 1);
  expect(taken(harness)).toEqual(['null-a0@111', 'null-dummy@211']);
});

test('before and after are inclusive, and are counted from the left', () => {
  const harness = harnessOf(windowJoin('inner', { before: 3, after: 7, grace: 1000 }));
  harness.send('k', 'L', 100);
  for (const time of [96, 97, 100, 107, 108]) harness.send('k', `r${time}`, time, 1);
  expect(taken(harness)).toEqual(['L-r97@100', 'L-r100@100', 'L-r107@107']);
});

test('keys are compared as keys, not by identity', () => {
  const harness = harnessOf(windowJoin('inner', { before: 5, after: 5 }));
  harness.send(['a', 1], 'L', 1).send(['a', 1], 'r', 2, 1).send(['a', 2], 'x', 2, 1);
  expect(taken(harness)).toEqual(['L-r@2']);
});

for (const [type, left, right] of [
  ['inner', '', ''],
  ['left', 'L-null@5', ''],
  ['outer', 'L-null@5', 'null-r@5'],
] as const) {
  test(`a record without a key (KIP-962), ${type}: left "${left}", right "${right}"`, () => {
    const harness = harnessOf(windowJoin(type, { before: 5, after: 5 }));
    harness.send(null, 'L', 5);
    expect(taken(harness).join(' ')).toBe(left);
    harness.send(undefined, 'r', 5, 1);
    expect(taken(harness).join(' ')).toBe(right);
    expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });
}

test('an entry is forgotten when its wait is over, whether it has met somebody or not', () => {
  const harness = harnessOf(windowJoin('inner', { before: 0, after: 100, grace: 10 }));
  harness.send('k', 'L', 0).send('k', 'r', 0, 1);
  harness.advanceTo(10);
  expect(harness.operator.nextDue).toBe(11);
  // The right record meets nobody that comes later than its grace, so it is not kept for the hour of the left.
  harness.advanceTo(11);
  expect(harness.operator.nextDue).toBe(111);
  harness.advanceTo(111);
  expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  harness.take();
});

test('a record behind its grace meets those who still wait, and never those who came out alone', () => {
  const harness = harnessOf(windowJoin('outer', { before: 10, after: 10 }));
  harness.send('k', 'old', 85).send('k', 'new', 95).advanceTo(100);
  expect(taken(harness)).toEqual(['old-null@85']);
  harness.send('k', 'r', 88, 1);
  expect(taken(harness)).toEqual(['new-r@95']);
});

test('a record whose own wait is over comes out alone at once', () => {
  const harness = harnessOf(windowJoin('left', { before: 10, after: 10 }));
  harness.advanceTo(100).send('k', 'L', 89);
  expect(taken(harness)).toEqual(['L-null@89']);
  expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
});

for (const [time, isLate] of [
  [75, false],
  [74, true],
] as const) {
  test(`before 10, after 10, grace 5 at T 100: a record of ${time} is ${isLate ? '' : 'not '}late`, () => {
    const harness = harnessOf(windowJoin('inner', { before: 10, after: 10, grace: 5 }));
    harness.advanceTo(100).send('k', 'r', time, 1);
    expect(harness.takeLate()).toEqual(
      isLate ? [{ key: 'k', value: 'r', time, old: undefined }] : [],
    );
  });
}

test('late records are counted when nobody reads them, once in a self-join', () => {
  const harness = harnessOf(windowJoin('left', { before: 1, after: 1 }), { hasSideOutputs: false });
  harness.advanceTo(100).send('k', 'L', 50).send('k', 'r', 50, 1);
  expect(harness.dropped).toBe(2);
  const self = harnessOf(windowJoin('inner', { before: 1, after: 1 }, { inputs: [0, 0] }), {
    hasSideOutputs: false,
  });
  self.advanceTo(100).send('k', 'x', 50).send('k', 'x', 50, 1);
  expect(self.dropped).toBe(1);
});

test('in a self-join also a record that comes late meets itself, or is late', () => {
  for (let time = 80; time <= 100; time++) {
    const harness = harnessOf(windowJoin('outer', { before: 3, after: 9 }, { inputs: [0, 0] }));
    harness.advanceTo(100).send('k', 'x', time).send('k', 'x', time, 1);
    const late = harness.takeLate().length;
    expect([time, taken(harness).join(' '), late]).toEqual(
      time + 3 < 100 ? [time, '', 1] : [time, `x-x@${time}`, 0],
    );
  }
});

test('a function that throws takes the whole record away, and nothing of it has happened', () => {
  const node = windowJoin(
    'outer',
    { before: 10, after: 10 },
    {
      fn: (left, right) => {
        if (right === 'bad' && left === 'B') throw new Error('no B with bad');
        return pair(left, right, undefined);
      },
    },
  );
  const harness = harnessOf(node);
  harness.send('k', 'A', 1).send('k', 'B', 2).send('k', 'bad', 3, 1);
  expect(taken(harness)).toEqual([]);
  expect(harness.failures.map(({ record, key }) => [record, key])).toEqual([['bad', 'k']]);
  // A was not marked as matched by the pair A-bad, and bad is not kept.
  harness.advanceTo(100);
  expect(taken(harness)).toEqual(['A-null@1', 'B-null@2']);
});

test('a function that returns a promise is an error that says what to do', () => {
  const node = windowJoin(
    'inner',
    { before: 10, after: 10 },
    {
      fn: () => Promise.reject(new Error('unheard')),
    },
  );
  const harness = harnessOf(node);
  harness.send('k', 'A', 1).send('k', 'a', 3, 1);
  expect(harness.failures.map(({ error }) => error)).toMatchObject([
    {
      code: 'ML_USER_FUNCTION',
      message: 'the function of the join "pairs" returned a promise',
      hint: expect.stringContaining('mapAsync'),
    },
  ]);
});

test('what waits is durable: a crash repeats nothing and forgets nothing', () => {
  const harness = harnessOf(windowJoin('outer', { before: 10, after: 10 }));
  harness.send('k', 'A', 1).send('k', 'a', 2, 1).send('j', 'B', 3).commit();
  harness.take();
  // Not committed: B has met b, and C waits.
  harness.send('j', 'b', 4, 1).send('i', 'C', 5);
  expect(taken(harness)).toEqual(['B-b@4']);
  harness.crash().advanceTo(100);
  expect(taken(harness)).toEqual(['B-null@3']);
});
