/** Scenarios of the tests of Kafka Streams, by their names there (Apache-2.0; written anew): what windows tell, and when. */
import { describe, expect, test } from 'vitest';
import type { Windowed } from '../../../src/core/key-order.ts';
import { createOperator } from '../../../src/engine/stream/operators/create-operator.ts';
import type { WindowAggregateNode } from '../../../src/flow/stream-nodes.ts';
import type { EmitPolicy } from '../../../src/flow/windows.ts';
import { countNode, windowNode } from '../nodes.ts';
import { type Emitted, OperatorHarness } from '../operator-harness.ts';

/** `k 0/2 = 4 @1` */
function told({ key, value, time }: Emitted): string {
  const { key: of, start, end } = key as Windowed<string>;
  return `${of} ${start}/${end} = ${String(value)} @${time}`;
}

function run(node: WindowAggregateNode, times: readonly (number | [string, number])[]): string[] {
  const harness = new OperatorHarness(node, createOperator);
  for (const at of times) {
    const [key, time] = typeof at === 'number' ? ['k1', at] : at;
    harness.send(key, 'v1', time);
  }
  return harness.take().map(told);
}

describe('SuppressScenarioTest', () => {
  const window = { kind: 'tumbling', sizeMs: 2, graceMs: 1 } as const;
  const times = [0, 1, 2, 1, 0, 5, 0];

  test('shouldSupportFinalResultsForTimeWindows: every change', () => {
    expect(run(countNode(window, 'changes'), times)).toEqual([
      'k1 0/2 = 1 @0',
      'k1 0/2 = 2 @1',
      'k1 2/4 = 1 @2',
      'k1 0/2 = 3 @1',
      'k1 0/2 = 4 @1',
      'k1 4/6 = 1 @5',
    ]);
  });

  test('shouldSupportFinalResultsForTimeWindows: final results', () => {
    expect(run(countNode(window), times)).toEqual(['k1 0/2 = 4 @1', 'k1 2/4 = 1 @2']);
  });

  test('shouldSupportFinalResultsForTimeWindowsWithLargeJump', () => {
    const grown = { ...window, graceMs: 2 };
    const jumping = [0, 1, 2, 0, 3, 0, 4, 0, 30];
    expect(run(countNode(grown, 'changes'), jumping)).toEqual([
      'k1 0/2 = 1 @0',
      'k1 0/2 = 2 @1',
      'k1 2/4 = 1 @2',
      'k1 0/2 = 3 @1',
      'k1 2/4 = 2 @3',
      'k1 0/2 = 4 @1',
      'k1 4/6 = 1 @4',
      'k1 30/32 = 1 @30',
    ]);
    expect(run(countNode(grown), jumping)).toEqual([
      'k1 0/2 = 4 @1',
      'k1 2/4 = 2 @3',
      'k1 4/6 = 1 @4',
    ]);
  });

  describe('shouldSupportFinalResultsForSlidingWindows', () => {
    const sliding = { kind: 'sliding', sizeMs: 5, graceMs: 15 } as const;
    const disordered = [10, 11, 10, 13, 10, 24, 5, 7, 90];
    const final = [
      'k1 5/10 = 5 @10',
      'k1 6/11 = 5 @11',
      'k1 8/13 = 5 @13',
      'k1 11/16 = 2 @13',
      'k1 12/17 = 1 @13',
      'k1 19/24 = 1 @24',
    ];

    test('every change', () => {
      expect(run(countNode(sliding, 'changes'), disordered).sort()).toEqual(
        [
          'k1 11/16 = 1 @11',
          'k1 11/16 = 2 @13',
          'k1 12/17 = 1 @13',
          'k1 19/24 = 1 @24',
          'k1 5/10 = 1 @10',
          'k1 5/10 = 2 @10',
          'k1 5/10 = 3 @10',
          'k1 5/10 = 4 @10',
          'k1 5/10 = 5 @10',
          'k1 6/11 = 2 @11',
          'k1 6/11 = 3 @11',
          'k1 6/11 = 4 @11',
          'k1 6/11 = 5 @11',
          'k1 8/13 = 4 @13',
          'k1 8/13 = 5 @13',
          'k1 85/90 = 1 @90',
        ].sort(),
      );
    });

    test('final results, of panes', () => {
      expect(run(countNode(sliding), disordered)).toEqual(final);
    });

    test('final results, of aggregates that cannot be merged', () => {
      expect(run({ ...countNode(sliding), merge: undefined }, disordered)).toEqual(final);
    });
  });

  describe('shouldSupportFinalResultsForSessionWindows', () => {
    const session = { kind: 'session', gapMs: 5, graceMs: 0 } as const;
    // Since KIP-633 a session is open until its gap is over, too: k2 has to come later than in the scenario of old.
    const times = [0, 5, 1, ['k2', 11] as [string, number], 5, 30];

    test('every change', () => {
      expect(run(countNode(session, 'changes'), times)).toEqual([
        'k1 0/0 = 1 @0',
        'k1 0/0 = undefined @0',
        'k1 0/5 = 2 @5',
        // Kafka deletes it here, and tells it anew: one change says the same.
        'k1 0/5 = 3 @5',
        'k2 11/11 = 1 @11',
        'k1 30/30 = 1 @30',
      ]);
    });

    test('final results', () => {
      expect(run(countNode(session), times)).toEqual(['k1 0/5 = 3 @5', 'k2 11/11 = 1 @11']);
    });
  });
});

describe('KStreamSlidingWindowAggregateTest', () => {
  const joined = (emit: EmitPolicy['kind'], graceMs = 5): WindowAggregateNode =>
    windowNode({ kind: 'sliding', sizeMs: 10, graceMs }, emit, {
      init: () => '0',
      add: (text, value) => `${String(text)}+${String(value)}`,
    });
  const send = (node: WindowAggregateNode, records: readonly [string, number][]): string[] => {
    const harness = new OperatorHarness(node, createOperator);
    for (const [value, time] of records) harness.send('A', value, time);
    return harness.take().map(told);
  };
  const small: readonly [string, number][] = [
    ['1', 10],
    ['2', 10],
    ['3', 14],
    ['4', 15],
    ['5', 20],
    ['6', 22],
    ['7', 30],
  ];

  test('testAggregateSmallInput, on window close', () => {
    expect(send(joined('close'), small)).toEqual([
      'A 0/10 = 0+1+2 @10',
      'A 4/14 = 0+1+2+3 @14',
      'A 5/15 = 0+1+2+3+4 @15',
      'A 10/20 = 0+1+2+3+4+5 @20',
      'A 11/21 = 0+3+4+5 @20',
      'A 12/22 = 0+3+4+5+6 @22',
    ]);
  });

  test('testAggregateSmallInput, on window update', () => {
    expect(send(joined('changes'), small).sort()).toEqual(
      [
        'A 0/10 = 0+1 @10',
        'A 0/10 = 0+1+2 @10',
        'A 4/14 = 0+1+2+3 @14',
        'A 5/15 = 0+1+2+3+4 @15',
        'A 10/20 = 0+1+2+3+4+5 @20',
        'A 11/21 = 0+3 @14',
        'A 11/21 = 0+3+4 @15',
        'A 11/21 = 0+3+4+5 @20',
        'A 12/22 = 0+3+4+5+6 @22',
        'A 15/25 = 0+4 @15',
        'A 15/25 = 0+4+5 @20',
        'A 15/25 = 0+4+5+6 @22',
        'A 16/26 = 0+5 @20',
        'A 16/26 = 0+5+6 @22',
        'A 20/30 = 0+5+6+7 @30',
        'A 21/31 = 0+6 @22',
        'A 21/31 = 0+6+7 @30',
        'A 23/33 = 0+7 @30',
      ].sort(),
    );
  });

  test('a record that is late for its own window is in those that are open', () => {
    // Kafka makes 5/15 without the record of 11, because 1/11 was closed when it came.
    const node = joined('close', 10);
    const harness = new OperatorHarness(node, createOperator);
    harness.send('B', 'x', 25);
    for (const [value, time] of [
      ['1', 11],
      ['2', 15],
    ] as const)
      harness.send('A', value, time);
    harness.advanceTo(1_000);
    expect(harness.take().map(told)).toEqual([
      'A 5/15 = 0+1+2 @15',
      'A 12/22 = 0+2 @15',
      'B 15/25 = 0+x @25',
    ]);
  });
});

describe('KStreamSessionWindowAggregateProcessorTest', () => {
  const gapMs = 5 * 60_000;
  const node = countNode({ kind: 'session', gapMs, graceMs: 10 * gapMs }, 'changes');

  /** What the changes leave. */
  const table = (records: readonly (readonly [string, number])[]): string[] => {
    const harness = new OperatorHarness(node, createOperator);
    const rows = new Map<string, string>();
    for (const [key, time] of records) harness.send(key, 'v', time);
    for (const each of harness.take()) {
      const { key, start, end } = each.key as Windowed<string>;
      if (each.value === undefined) rows.delete(`${key} ${start}/${end}`);
      else rows.set(`${key} ${start}/${end}`, told(each));
    }
    return [...rows.values()].sort();
  };

  test('shouldCreateSingleSessionWhenWithinGap', () => {
    expect(
      table([
        ['john', 0],
        ['john', 500],
      ]),
    ).toEqual(['john 0/500 = 2 @500']);
  });

  test('shouldMergeSessions', () => {
    expect(
      table([
        ['mel', 0],
        ['mel', gapMs + 1],
        ['mel', gapMs / 2],
      ]),
    ).toEqual([`mel 0/${gapMs + 1} = 3 @${gapMs + 1}`]);
  });

  test('shouldUpdateSessionIfTheSameTime', () => {
    expect(
      table([
        ['mel', 0],
        ['mel', 0],
      ]),
    ).toEqual(['mel 0/0 = 2 @0']);
  });

  test('shouldHandleMultipleSessionsAndMerging', () => {
    const half = gapMs / 2;
    const next = gapMs + 1;
    expect(
      table([
        ['a', 0],
        ['b', 0],
        ['c', 0],
        ['d', 0],
        ['d', half],
        ['a', next],
        ['b', next],
        ['a', next + half],
        ['c', next + half],
      ]),
    ).toEqual(
      [
        'a 0/0 = 1 @0',
        `a ${next}/${next + half} = 2 @${next + half}`,
        'b 0/0 = 1 @0',
        `b ${next}/${next} = 1 @${next}`,
        'c 0/0 = 1 @0',
        `c ${next + half}/${next + half} = 1 @${next + half}`,
        `d 0/${half} = 2 @${half}`,
      ].sort(),
    );
  });

  test('shouldImmediatelyForwardRemovedSessionsWhenMerging', () => {
    expect(run(node, [0, 5])).toEqual(['k1 0/0 = 1 @0', 'k1 0/0 = undefined @0', 'k1 0/5 = 2 @5']);
  });
});
