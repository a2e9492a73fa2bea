import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CRC32C_IS_NATIVE, crc32c, crc32cJs } from './crc32c.ts';

/** The definition, one bit at a time. */
function oracle(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** Sizes on both sides of the point where the native routine takes over, and of the eight-byte steps. */
const bytesAnySize = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 370, maxLength: 400, size: 'max' }),
  fc.uint8Array({ minLength: 1000, maxLength: 2000, size: 'max' }),
);

test('gives the numbers of the standard', () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  const vectors: [Buffer, number][] = [
    [Buffer.alloc(32, 0), 0x8a9136aa],
    [Buffer.alloc(32, 0xff), 0x62a8ab43],
    [ascending, 0x46dd794e],
    [Buffer.from(ascending.toReversed()), 0x113fdb5c],
    [Buffer.from('123456789'), 0xe3069283],
    [Buffer.alloc(0), 0],
  ];
  for (const [bytes, expected] of vectors) {
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
    expect(crc32cJs(bytes, 0, bytes.length)).toBe(expected);
  }
});

test('is the definition, for every range of every size', () => {
  fc.assert(
    fc.property(bytesAnySize, fc.nat(), fc.nat(), (bytes, a, b) => {
      const start = Math.min(a % (bytes.length + 1), b % (bytes.length + 1));
      const end = Math.max(a % (bytes.length + 1), b % (bytes.length + 1));
      const expected = oracle(bytes.subarray(start, end));
      expect(crc32c(bytes, start, end)).toBe(expected);
      expect(crc32cJs(bytes, start, end)).toBe(expected);
    }),
  );
});

test('continues over ranges as if they were one', () => {
  fc.assert(
    fc.property(bytesAnySize, fc.nat(), (bytes, cut) => {
      const middle = cut % (bytes.length + 1);
      const whole = crc32c(bytes, 0, bytes.length);
      expect(crc32c(bytes, middle, bytes.length, crc32c(bytes, 0, middle))).toBe(whole);
      expect(crc32cJs(bytes, middle, bytes.length, crc32cJs(bytes, 0, middle))).toBe(whole);
    }),
  );
});

test('agrees with kafkajs', () => {
  const kafkajs = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C') as (
    bytes: Uint8Array,
  ) => number;
  fc.assert(
    fc.property(bytesAnySize, (bytes) => {
      expect(crc32c(bytes, 0, bytes.length)).toBe(kafkajs(bytes));
    }),
  );
});

test('refuses a range outside the buffer, however long', () => {
  for (const size of [10, 1000])
    for (const [start, end] of [
      [-1, size],
      [0, size + 1],
      [2, 1],
      [Number.NaN, size],
    ] as const)
      expect(() => crc32c(Buffer.alloc(size), start, end)).toThrow(RangeError);
});

test('long ranges use the native routine where there is one', () => {
  expect(CRC32C_IS_NATIVE).toBe(true);
});
