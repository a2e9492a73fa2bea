import { expect, test } from 'vitest';
import { brokersOption } from './brokers.ts';
import { formatBytes, formatCount, formatDuration, parseBytes, wholeNumber } from './numbers.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [1_500_000, '1.5 MB'],
  [2e15, '2000.0 TB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('counts have a unit that goes with them', () => {
  expect(formatCount(1, 'record')).toBe('1 record');
  expect(formatCount(0, 'record')).toBe('0 records');
  expect(formatCount(1_234_567, 'record')).toBe('1,234,567 records');
});

test('whole numbers are whole, and not below what is allowed', () => {
  expect(wholeNumber('--count', '42')).toBe(42);
  expect(() => wholeNumber('--count', '0', 1)).toThrow('--count takes a whole number from 1');
  for (const text of ['-1', '1.5', '1e3', '', ' 1', '0x10'])
    expect(() => wholeNumber('--count', text)).toThrow('--count takes a whole number');
});

test('brokers are those of the option, else of the environment, else the one on this machine', () => {
  const environment = { MILLRACE_BROKERS: 'b:2' };
  expect(brokersOption('a:1, [::1]:3', environment)).toEqual([
    { host: 'a', port: 1 },
    { host: '::1', port: 3 },
  ]);
  expect(brokersOption(undefined, environment)).toEqual([{ host: 'b', port: 2 }]);
  expect(brokersOption(undefined, {})).toEqual([{ host: '127.0.0.1', port: 9092 }]);
  for (const text of ['a', 'a:', ':1', 'a:70000', 'a:1,', 'http://a:1'])
    expect(() => brokersOption(text, {})).toThrow('is not a broker address');
});

test.each([
  ['1048576', 1_048_576],
  ['256MB', 256_000_000],
  ['256 MB', 256_000_000],
  ['256MiB', 268_435_456],
  ['256m', 268_435_456],
  ['1.5GB', 1_500_000_000],
  ['10kB', 10_000],
  ['7b', 7],
])('%s are %i bytes', (text, bytes) => {
  expect(parseBytes('--memory', text)).toBe(bytes);
});

test.each(['', 'MB', '-1', '1XB', '1e3', '0x10', '1.', '9999999999TB'])('%j is no size', (text) => {
  expect(() => parseBytes('--memory', text)).toThrow(/--memory takes/);
});

test('a size has a least value', () => {
  expect(() => parseBytes('--memory', '999kB', 1_000_000)).toThrow(
    '--memory takes at least 1.0 MB',
  );
});

test.each([
  [4, '0.00 s'],
  [310, '0.31 s'],
  [12_400, '12.4 s'],
  [99_960, '1 m 40 s'],
  [185_000, '3 m 05 s'],
  [7_380_000, '2 h 03 m'],
])('%i ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
