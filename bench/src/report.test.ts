import { expect, test } from 'vitest';
import type { Machine } from './machine.ts';
import { formatReport } from './report.ts';

const MACHINE: Machine = {
  cpu: 'a processor',
  cores: 2,
  memoryBytes: 16e9,
  system: 'Linux 6',
  disks: ['vda (reported as flash, write back)'],
  dataFreeBytes: 1e9,
  node: 'v24.0.0',
  commit: 'abc1234',
  loadAverage: 0.5,
};

test('shows medians, spreads, ratios, and what was disturbed', () => {
  const cell = 'wire, 100 B, 1 partition';
  const text = formatReport({
    machine: MACHINE,
    limits: undefined,
    sides: [
      { name: 'millrace', version: '1', durability: 'disk' },
      { name: 'kafka', version: '4', durability: 'page cache' },
    ],
    comparisons: [{ ours: 'millrace', theirs: 'kafka' }],
    samples: [
      { metric: 'produceMBs', cell, side: 'millrace', value: 180 },
      { metric: 'produceMBs', cell, side: 'millrace', value: 220 },
      { metric: 'produceMBs', cell, side: 'kafka', value: 100, othersCores: 1 },
    ],
  });
  expect(text).toContain('Produce with acks=all, MB/s of values (higher is better)');
  const row = text.split('\n').find((line) => line.startsWith('wire'));
  expect(row?.split(/ {2,}/)).toEqual([cell, '200 ±10%', '!100', '2.00×']);
  expect(text).toContain('! marks');
});
