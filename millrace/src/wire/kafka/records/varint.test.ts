import { createRequire } from 'node:module';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Cursor,
  readUvarint,
  readVarint,
  readVarlong,
  uvarintBytes,
  varintBytes,
  varlongBytes,
  writeUvarint,
  writeVarint,
  writeVarlong,
} from './varint.ts';

/** The definition over big integers: zigzag in `bits` bits, then seven bits a byte. */
function oracle(value: bigint, bits: bigint): number[] {
  let rest =
    bits === 0n ? value : BigInt.asUintN(Number(bits), (value << 1n) ^ (value >> (bits - 1n)));
  const bytes: number[] = [];
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

const uint32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffffffff }));
const int32 = fc.oneof(fc.integer({ min: -200, max: 200 }), fc.integer());
const safe = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.integer({ min: 0, max: 53 }).map((power) => 2 ** power - 1),
  fc.integer({ min: 0, max: 53 }).map((power) => -(2 ** power) + 1),
  fc.integer({ min: 0, max: 52 }).map((power) => -(2 ** power)),
);

const KINDS = [
  {
    name: 'uvarint',
    arbitrary: uint32,
    write: writeUvarint,
    read: readUvarint,
    size: uvarintBytes,
    bits: 0n,
  },
  {
    name: 'varint',
    arbitrary: int32,
    write: writeVarint,
    read: readVarint,
    size: varintBytes,
    bits: 32n,
  },
  {
    name: 'varlong',
    arbitrary: safe,
    write: writeVarlong,
    read: readVarlong,
    size: varlongBytes,
    bits: 64n,
  },
] as const;

describe.each(KINDS)('$name', ({ arbitrary, write, read, size, bits }) => {
  test('is written as defined, in as many bytes as said, and read back', () => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const buffer = Buffer.alloc(14, 0xee);
        const expected = oracle(BigInt(value), bits);
        const end = write(buffer, 2, value);
        expect([...buffer.subarray(2, end)]).toEqual(expected);
        expect(size(value)).toBe(expected.length);
        expect(buffer[1]).toBe(0xee);
        expect(buffer[end]).toBe(0xee);
        const cursor = new Cursor(buffer, 2, end);
        expect(read(cursor)).toBe(value);
        expect(cursor.position).toBe(end);
      }),
      { numRuns: 1000 },
    );
  });

  test('is bad bytes when the end comes first', () => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const buffer = Buffer.alloc(12);
        const end = write(buffer, 0, value);
        for (let cut = 0; cut < end; cut++) {
          const cursor = new Cursor(buffer, 0, cut);
          expect(read(cursor)).toBe(0);
          expect(cursor.position).toBe(-1);
        }
      }),
    );
  });

  test('is bad bytes when it does not end', () => {
    const cursor = new Cursor(Buffer.alloc(20, 0xff), 0, 20);
    expect(read(cursor)).toBe(0);
    expect(cursor.position).toBe(-1);
    expect(read(cursor)).toBe(0);
    expect(cursor.position).toBe(-1);
  });

  test('never reads what the definition would not, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (bytes) => {
        const cursor = new Cursor(bytes, 0, bytes.length);
        const value = read(cursor);
        if (cursor.position < 0) return;
        const consumed = [...bytes.subarray(0, cursor.position)];
        // Encodings with needless zero groups are legal: strip them before comparing.
        while (consumed.length > 1 && consumed.at(-1) === 0) {
          consumed.pop();
          consumed.push((consumed.pop() ?? 0) & 127);
        }
        expect(consumed).toEqual(oracle(BigInt(value), bits));
      }),
      { numRuns: 2000 },
    );
  });
});

test('numbers of more bits than the kind has are bad bytes', () => {
  const fiveBytes = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x1f]);
  const uvarint = new Cursor(fiveBytes, 0, 5);
  expect(readUvarint(uvarint)).toBe(0);
  expect(uvarint.position).toBe(-1);
  const largest = new Cursor(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), 0, 5);
  expect(readUvarint(largest)).toBe(0xffffffff);
});

test('64-bit numbers that are not safe integers are bad bytes', () => {
  for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
    const bytes = Buffer.from(oracle(value, 64n));
    const cursor = new Cursor(bytes, 0, bytes.length);
    expect(readVarlong(cursor), `${value}`).toBe(0);
    expect(cursor.position).toBe(-1);
  }
});

test('kafkajs writes and reads the same', () => {
  const require = createRequire(import.meta.url);
  interface KafkajsEncoder {
    readonly buffer: Buffer;
    writeVarInt(value: number): this;
    writeVarLong(value: number): this;
    writeUVarInt(value: number): this;
  }
  const Encoder = require('kafkajs/src/protocol/encoder') as new () => KafkajsEncoder;
  fc.assert(
    fc.property(int32, safe, fc.integer({ min: 0, max: 2 ** 31 - 1 }), (small, large, length) => {
      const theirs = new Encoder().writeVarInt(small).writeVarLong(large).writeUVarInt(length);
      const ours = Buffer.alloc(20);
      const end = writeUvarint(
        ours,
        writeVarlong(ours, writeVarint(ours, 0, small), large),
        length,
      );
      expect(ours.subarray(0, end).toString('hex')).toBe(theirs.buffer.toString('hex'));
    }),
  );
});
