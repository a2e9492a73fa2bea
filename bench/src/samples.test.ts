import { expect, test } from 'vitest';
import { groupSamples, ratio, type Sample } from './samples.ts';

const PAIR = { ours: 'millrace', theirs: 'kafka' };

function sample(metric: Sample['metric'], side: string, value: number, othersCores = 0): Sample {
  return { metric, cell: 'one', side, value, othersCores };
}

function ratioOf(samples: readonly Sample[]): number | undefined {
  const [cell] = groupSamples(samples);
  return cell === undefined ? undefined : ratio(cell, PAIR);
}

test('a ratio above 1 means ahead, for rates and for times alike', () => {
  expect(ratioOf([sample('produceMBs', 'millrace', 200), sample('produceMBs', 'kafka', 100)])).toBe(
    2,
  );
  expect(ratioOf([sample('startMs', 'millrace', 200), sample('startMs', 'kafka', 100)])).toBe(0.5);
});

test('there is no ratio without samples of both sides', () => {
  expect(ratioOf([sample('startMs', 'kafka', 100)])).toBeUndefined();
});

test('disturbed samples are left out when there are others, and marked when there are not', () => {
  const [cell] = groupSamples([
    sample('produceMBs', 'millrace', 10, 1.5),
    sample('produceMBs', 'millrace', 100, 0.1),
    sample('produceMBs', 'kafka', 20, 1.5),
  ]);
  expect(cell?.sides.get('millrace')).toMatchObject({ median: 100, disturbed: false });
  expect(cell?.sides.get('kafka')).toMatchObject({ median: 20, disturbed: true });
});

test('cells come in the order of the metrics, and then as they were measured', () => {
  const cells = groupSamples([
    { metric: 'produceMBs', cell: 'b', side: 'kafka', value: 1 },
    { metric: 'produceMBs', cell: 'a', side: 'kafka', value: 1 },
    { metric: 'startMs', cell: 'c', side: 'kafka', value: 1 },
  ]);
  expect(cells.map(({ cell }) => cell)).toEqual(['c', 'b', 'a']);
});
