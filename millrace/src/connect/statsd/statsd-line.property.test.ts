import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseStatsdLine, type StatsdMetric } from './statsd-line.ts';

function parse(line: string): { readonly result: string; readonly metrics: StatsdMetric[] } {
  const metrics: StatsdMetric[] = [];
  return { result: parseStatsdLine(line, (metric) => metrics.push(metric)), metrics };
}

const plain = { rate: 1, tags: {} };

test.each<[string, Partial<StatsdMetric>[]]>([
  ['gorets:1|c', [{ name: 'gorets', type: 'counter', value: 1, ...plain }]],
  ['gorets:1|c|@0.1', [{ type: 'counter', value: 1, rate: 0.1 }]],
  ['glork:320|ms|@0.1', [{ type: 'timer', value: 320, rate: 0.1 }]],
  ['gaugor:333|g', [{ type: 'gauge', value: 333, ...plain }]],
  ['gaugor:-10|g', [{ type: 'gauge', value: -10, delta: true }]],
  ['gaugor:+4|g', [{ type: 'gauge', value: 4, delta: true }]],
  ['uniques:765|s', [{ type: 'set', value: '765' }]],
  ['users:a:b|s', [{ type: 'set', value: 'a:b' }]],
  ['x:1.5e3|h|#a:b:c,d,,a:2', [{ type: 'histogram', value: 1500, tags: { a: '2', d: '' } }]],
  ['x:1:2:.5|d', [{ value: 1 }, { value: 2 }, { type: 'distribution', value: 0.5 }]],
  ['x:1|c|T1656581400|c:ci-1|e:it-true', [{ timestamp: 1_656_581_400_000, container: 'ci-1' }]],
  ['x:1|c|#__proto__:1,constructor', [{ name: 'x' }]],
  ['a b/ü:1|c', [{ name: 'a b/ü' }]],
])('%s', (line, expected) => {
  const { result, metrics } = parse(line);
  expect(result).toBe('metrics');
  expect(metrics).toHaveLength(expected.length);
  for (const [index, each] of expected.entries()) expect(metrics[index]).toMatchObject(each);
  expect(metrics.every((metric) => 'delta' in metric === /:[+-].*g/.test(line))).toBe(true);
});

test.each([
  'x',
  ':1|c',
  'x:|c',
  'x:1',
  'x:1|',
  'x:1|q',
  'x:1|constructor',
  'x:1|__proto__',
  'x:one|c',
  'x:0x10|c',
  'x:1e999|c',
  'x:NaN|g',
  'x:1:y|ms',
  'x:1|c|@0',
  'x:1|c|@1.5',
  'x:1|c|@',
  'x:1|c|Tomorrow',
  'x:1|c|!',
  'x\u0000:1|c',
  `${'x'.repeat(5_000)}:1|c`,
])('malformed: %s', (line) => {
  expect(parse(line)).toEqual({ result: 'malformed', metrics: [] });
});

test.each(['_e{5,4}:title|text', '_sc|name|0'])('unsupported: %s', (line) => {
  expect(parse(line)).toEqual({ result: 'unsupported', metrics: [] });
});

const word = fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/);
const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 });
const LETTERS = { counter: 'c', timer: 'ms', gauge: 'g', histogram: 'h', distribution: 'd' };

test('what was written is read', () => {
  fc.assert(
    fc.property(
      fc.record({
        name: word,
        type: fc.constantFrom(...(Object.keys(LETTERS) as (keyof typeof LETTERS)[])),
        values: fc.array(number, { minLength: 1, maxLength: 5 }),
        rate: fc.option(fc.constantFrom(0.001, 0.25, 1)),
        tags: fc.option(fc.dictionary(word, word, { minKeys: 1 })),
      }),
      ({ name, type, values, rate, tags }) => {
        const tagged = Object.entries(tags ?? {}).map(([tag, value]) => `${tag}:${value}`);
        const line =
          `${name}:${values.join(':')}|${LETTERS[type]}` +
          (rate === null ? '' : `|@${rate}`) +
          (tags === null ? '' : `|#${tagged.join(',')}`);
        const { result, metrics } = parse(line);
        expect(result).toBe('metrics');
        expect(metrics.map((metric) => ({ ...metric, tags: { ...metric.tags } }))).toEqual(
          values.map((value) => ({ name, type, value, rate: rate ?? 1, tags: { ...tags } })),
        );
      },
    ),
  );
});

test('whatever comes, it is metrics that JSON can hold, or none', () => {
  const piece = fc.oneof(
    fc.constantFrom(':', '|', '#', '@', ',', 'c', 'ms', 'g', 's', 'T', '+', '-', '1', '0.5', 'e9'),
    fc.string({ unit: 'binary', maxLength: 4 }),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 16 }).map((parts) => parts.join('')),
      (line) => {
        const { result, metrics } = parse(line);
        expect(metrics.length > 0).toBe(result === 'metrics');
        for (const metric of metrics) {
          expect(metric.name).not.toBe('');
          expect(metric.rate > 0 && metric.rate <= 1).toBe(true);
          if (typeof metric.value === 'number') expect(Number.isFinite(metric.value)).toBe(true);
          const back = JSON.parse(JSON.stringify(metric)) as StatsdMetric;
          expect(Object.entries(back.tags)).toEqual(Object.entries(metric.tags));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
