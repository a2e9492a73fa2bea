/**
 * The scores of a team, from "Streaming Systems" (Akidau, Chernyak, Lax, 2018), chapter 2: nine records that come in another order than that of
 * their times, and what each way of asking for sums makes of them. The book's early panes are records told at every change here.
 */
import { describe, expect, test } from 'vitest';
import type { Windowed } from '../../../src/core/key-order.ts';
import { createOperator } from '../../../src/engine/stream/operators/create-operator.ts';
import type { WindowAggregateNode } from '../../../src/flow/stream-nodes.ts';
import { aggregateNode, sumNode } from '../nodes.ts';
import { OperatorHarness } from '../operator-harness.ts';

const MINUTE = 60_000;

/** Minutes and seconds behind twelve o'clock. */
function at(minute: number, second: number): number {
  return minute * MINUTE + second * 1_000;
}

/** In the order in which they come. */
const SCORES: readonly (readonly [score: number, time: number])[] = [
  [5, at(0, 26)],
  [7, at(2, 24)],
  [3, at(3, 39)],
  [4, at(4, 19)],
  [8, at(3, 6)],
  [3, at(6, 39)],
  [9, at(1, 26)],
  [8, at(7, 26)],
  [1, at(7, 46)],
];

const TWO_MINUTES = { kind: 'tumbling', sizeMs: 2 * MINUTE, graceMs: 0 } as const;

function open(node: WindowAggregateNode, outOfOrderMs: number): OperatorHarness {
  return new OperatorHarness(node, createOperator, { outOfOrderMs });
}

function sendAll(harness: OperatorHarness): OperatorHarness {
  for (const [score, time] of SCORES) harness.send('team', score, time);
  return harness.advanceTo(at(60, 0));
}

function sums(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ value }) => value);
}

/** Sums that were told of the window that begins at twelve. */
function firstWindow(harness: OperatorHarness): unknown[] {
  return harness
    .take()
    .filter(({ key }) => (key as Windowed<string>).start === 0)
    .map(({ value }) => value);
}

test('classic batch: 48', () => {
  const node = aggregateNode({
    init: () => 0,
    add: (sum, score) => (sum as number) + (score as number),
    isKeyed: false,
    isTable: false,
  });
  const harness = new OperatorHarness(node, createOperator);
  for (const [score, time] of SCORES) harness.send('team', score, time);
  expect(sums(harness).at(-1)).toBe(48);
});

describe('windows of two minutes', () => {
  test('with a perfect watermark: 14, 18, 4, 12', () => {
    expect(sums(sendAll(open(sumNode(TWO_MINUTES), 10 * MINUTE)))).toEqual([14, 18, 4, 12]);
  });

  test('with a heuristic one that is too fast for the 9: 5, 18, 4, 12', () => {
    const harness = sendAll(open(sumNode(TWO_MINUTES), at(1, 20)));
    expect(sums(harness)).toEqual([5, 18, 4, 12]);
    expect(harness.lates).toEqual([{ key: 'team', value: 9, time: at(1, 26), old: undefined }]);
  });

  test('accumulating, with late data: 5, then 14', () => {
    const node = sumNode({ ...TWO_MINUTES, graceMs: 60 * MINUTE }, 'changes');
    expect(firstWindow(sendAll(open(node, 0)))).toEqual([5, 14]);
  });

  test('accumulating and retracting: what was told is told with what takes its place', () => {
    const node = sumNode({ ...TWO_MINUTES, graceMs: 60 * MINUTE }, 'changes');
    const changes = sendAll(open(node, 0))
      .take()
      .filter(({ key }) => (key as Windowed<string>).start === 0);
    expect(changes.map(({ value, old }) => [old, value])).toEqual([
      [undefined, 5],
      [5, 14],
    ]);
  });

  test('lateness of two minutes: the 6 is in time for 11, the 9 is not', () => {
    const node = sumNode({ ...TWO_MINUTES, graceMs: 2 * MINUTE }, 'changes');
    const harness = open(node, 0);
    harness.send('team', 5, at(0, 26)).advanceTo(at(3, 0));
    harness.send('team', 6, at(1, 30)).advanceTo(at(4, 0));
    harness.send('team', 9, at(1, 26));
    expect(firstWindow(harness)).toEqual([5, 11]);
    expect(harness.takeLate().map(({ value }) => value)).toEqual([9]);
  });

  test('by processing time the order of coming decides: 12 in the first two minutes', () => {
    // As the book says: give records the time at which they come, and have the same windows.
    const harness = open(sumNode(TWO_MINUTES), 0);
    const comes = [at(5, 19), at(5, 39), at(6, 13), at(6, 39), at(7, 6), at(7, 19)];
    const later = [at(8, 19), at(8, 39), at(9, 0)];
    for (const [index, time] of [...comes, ...later].entries())
      harness.send('team', SCORES[index]?.[0], time);
    harness.advanceTo(at(60, 0));
    expect(sums(harness)).toEqual([12, 18, 18]);
  });
});

describe('sessions of one minute', () => {
  const sessions = { kind: 'session', gapMs: MINUTE, graceMs: 60 * MINUTE } as const;

  test('the late 9 joins what was apart: 36, and 12', () => {
    expect(sums(sendAll(open(sumNode(sessions), 0)).advanceTo(at(600, 0)))).toEqual([36, 12]);
  });

  test('what was told of the sessions that it joins is taken back', () => {
    const harness = open(sumNode(sessions, 'changes'), 0);
    for (const [score, time] of SCORES.slice(0, 6)) harness.send('team', score, time);
    expect(sums(harness)).toEqual([5, 7, 3, undefined, 7, undefined, undefined, 22, 3]);
    harness.send('team', 9, at(1, 26));
    expect(harness.take().map(({ value, old }) => [old, value])).toEqual([
      [5, undefined],
      [22, undefined],
      [undefined, 36],
    ]);
  });
});
