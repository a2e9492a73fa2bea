import { expect, test } from 'vitest';
import { murmur2, partitionOf } from './murmur2.ts';

// The values that the tests of Kafka's Java client expect (UtilsTest.testMurmur2).
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('%s has the hash that Java gives it', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

test('a key is in the partition of its hash without sign', () => {
  expect(partitionOf(Buffer.from('foobar'), 100)).toBe(((-790332482 & 0x7fffffff) >>> 0) % 100);
  expect(partitionOf(Buffer.from(''), 1)).toBe(0);
});

test('a part of a buffer has the hash that it has by itself', () => {
  const key = Buffer.from('abcdefg');
  for (let start = 0; start <= key.length; start++)
    for (let end = start; end <= key.length; end++) {
      expect(murmur2(key, start, end)).toBe(murmur2(key.subarray(start, end)));
      expect(partitionOf(key, 7, start, end)).toBe(partitionOf(key.subarray(start, end), 7));
    }
});
