import { expect, test } from 'vitest';
import { columnAggregation } from './column-aggregation.ts';
import { compareText } from './compare-text.ts';
import { compileExpression } from './evaluate.ts';
import {
  avg,
  col,
  type ColumnExpression,
  count,
  countDistinct,
  max,
  min,
  sum,
  words,
} from './expressions.ts';

const row = { status: 404, path: '/a?b=1', ok: false, none: null, text: '12.5', day: new Date(0) };

function value(expression: ColumnExpression): unknown {
  return compileExpression(expression.expression)(row);
}

test.each([
  ['equal numbers', col('status').eq(404), true],
  ['different numbers', col('status').ne(404), false],
  ['a number and a text', col('status').eq('404'), false],
  ['a number unlike a text', col('status').ne('404'), false],
  ['null and a number', col('none').eq(0), false],
  ['null unlike a number', col('none').ne(0), false],
  ['null less than a number', col('none').lt(1), false],
  ['null at most null', col('none').le(col('none')), false],
  ['null equal to null', col('none').eq(col('none')), false],
  ['false less than true', col('ok').lt(true), true],
  ['less than itself', col('status').lt(col('status')), false],
  ['at most itself', col('status').le(col('status')), true],
  ['a date equal to itself', col('day').eq(col('day')), false],
  ['one of several', col('status').in([200, 404]), true],
  ['null one of several', col('none').in([200]), false],
  ['and', col('status').ge(400).and(col('status').lt(500), col('ok').eq(false)), true],
  ['or', col('status').lt(400).or(col('ok')), false],
  ['not of a condition', col('status').lt(400).not(), true],
  ['not of null', col('none').not(), true],
  ['null', col('none').isNull(), true],
  ['not null', col('ok').isNull(), false],
  ['starts', col('path').startsWith('/a'), true],
  ['ends', col('path').endsWith('=1'), true],
  ['contains', col('path').contains('?c'), false],
  ['a number that contains', col('status').contains('4'), false],
  ['sum', col('status').plus(1), 405],
  ['of a text', col('text').plus(1), null],
  ['of a number in a text', col('text').number().minus(0.5), 12],
  ['of a number as a number', col('status').number(), 404],
  ['no number', col('path').number(), null],
  ['division', col('status').dividedBy(4), 101],
  ['division by 0', col('status').dividedBy(0), null],
  ['never -0', col('status').times(0).times(-1), 0],
  ['too large', col('status').times(1e308), null],
  ['before', col('path').before('?'), '/a'],
  ['before what is not there', col('path').before('#'), '/a?b=1'],
  ['before in a number', col('status').before('0'), null],
])('%s', (_name, expression, expected) => {
  expect(value(expression)).toBe(expected);
});

test('a column that a row lacks is an error, which names those that it has', () => {
  expect(() => value(col('stauts'))).toThrow('no column "stauts"; there are status, path');
  expect(() => value(col('toString'))).toThrow('no column "toString"');
  const isOptional = { kind: 'column', name: 'toString', isOptional: true } as const;
  expect(compileExpression(isOptional)(row)).toBeNull();
});

test('lower case is that of Unicode', () => {
  expect(compileExpression(col('a').lower().expression)({ a: 'ÄÖ Σ' })).toBe('äö σ');
});

test('words are runs of ASCII letters, or of anything but blanks', () => {
  const text = { line: "don't  stop\tnaïve\r" };
  expect(compileExpression(words('line').expression)(text)).toEqual([
    'don',
    't',
    'stop',
    'na',
    've',
  ]);
  expect(compileExpression(words('line', 'blanks').expression)(text)).toEqual([
    "don't",
    'stop',
    'naïve',
  ]);
  expect(compileExpression(words('line').expression)({ line: null })).toEqual([]);
});

test('text is in the order of code points, and bytes that are no UTF-8 in that of bytes', () => {
  const inOrder = ['', 'a', 'ab', 'b', 'é', '\uffff', '\u{10000}', '\u{10ffff}'];
  for (const [index, left] of inOrder.entries()) {
    for (const [other, right] of inOrder.entries()) {
      expect(Math.sign(compareText(left, right))).toBe(Math.sign(index - other));
    }
  }
  // The byte 80 is less than the first one of é.
  expect(compareText('\udc80', 'é')).toBeLessThan(0);
});

const rows = [
  { day: 'mon', bytes: 1, user: 'ann' },
  { day: 'mon', bytes: null, user: 'bob' },
  { day: 'mon', bytes: -0, user: 'ann' },
  { day: 'mon', bytes: 'x', user: null },
  { day: 'mon', bytes: 2.5, user: 7 },
];

const aggregates = {
  rows: count(),
  bytes: sum('bytes'),
  mean: avg('bytes'),
  least: min('bytes'),
  most: max('bytes'),
  users: countDistinct('user'),
};

const aggregation = columnAggregation(
  ['day'],
  Object.fromEntries(
    Object.entries(aggregates).map(([name, { aggregate }]) => [name, aggregate] as const),
  ),
);

function accumulated(some: readonly object[]): unknown {
  return some.reduce<unknown>((state, each) => aggregation.add(state, each), aggregation.init());
}

test('aggregates skip null and what is not of their kind, and count counts rows', () => {
  expect(aggregation.finish(accumulated(rows), aggregation.key(rows[0]))).toEqual({
    day: 'mon',
    rows: 5,
    bytes: 3.5,
    mean: 3.5 / 3,
    least: 0,
    most: 'x',
    users: 3,
  });
});

test('merged parts give what the whole gives, and nothing gives null and 0', () => {
  for (let cut = 0; cut <= rows.length; cut++) {
    const left = accumulated(rows.slice(0, cut));
    const right = structuredClone(accumulated(rows.slice(cut)));
    expect(aggregation.finish(aggregation.merge(left, right), ['mon'])).toEqual(
      aggregation.finish(accumulated(rows), ['mon']),
    );
  }
  expect(aggregation.finish(aggregation.init(), ['mon'])).toEqual({
    day: 'mon',
    rows: 0,
    bytes: null,
    mean: null,
    least: null,
    most: null,
    users: 0,
  });
});
