import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SimRandom } from '../core/sim/sim-random.ts';
import { halfSipHash, OffsetMap } from './offset-map.ts';

function hash64(bytes: Buffer): string {
  const out = new Uint32Array(2);
  halfSipHash(bytes, 0, bytes.length, 0x03020100, 0x07060504, out, 0);
  const hex = Buffer.alloc(8);
  hex.writeUInt32LE(out[0] ?? 0, 0);
  hex.writeUInt32LE(out[1] ?? 0, 4);
  return hex.toString('hex');
}

describe('the hash', () => {
  // The first published test vectors: key 00 01 … 07, messages of 0 and 1 bytes.
  test('is HalfSipHash-2-4', () => {
    expect(hash64(Buffer.alloc(0))).toBe('218d1f59b9b83cc8');
    expect(hash64(Buffer.of(0))).toBe('be552412f8387315');
  });

  test('depends on every byte and on the length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (bytes, pick) => {
        const changed = Buffer.from(bytes);
        const index = pick % changed.length;
        changed[index] = (changed[index] ?? 0) ^ (1 << (pick % 8));
        const hash = hash64(Buffer.from(bytes));
        expect(hash64(changed)).not.toBe(hash);
        expect(hash64(Buffer.concat([bytes, Buffer.of(0)]))).not.toBe(hash);
      }),
    );
  });

  test('looks at the range alone', () => {
    const bytes = Buffer.from('..key..');
    const a = new Uint32Array(2);
    const b = new Uint32Array(2);
    halfSipHash(bytes, 2, 5, 1, 2, a, 0);
    halfSipHash(Buffer.from('key'), 0, 3, 1, 2, b, 0);
    expect(a).toEqual(b);
  });
});

test('answers the latest offset of every key, as a map of keys would', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 300 }), (keys) => {
      const map = new OffsetMap(OffsetMap.bytesFor(300), new SimRandom(7));
      const model = new Map<string, number>();
      keys.forEach((key, offset) => {
        const bytes = Buffer.from(key);
        expect(map.put(bytes, 0, bytes.length, offset)).toBe(true);
        model.set(key, offset);
      });
      expect(map.size).toBe(model.size);
      for (const key of [...keys, 'none of them']) {
        const bytes = Buffer.from(key);
        expect(map.get(bytes, 0, bytes.length)).toBe(model.get(key) ?? -1);
      }
    }),
  );
});

test('refuses a new key when it is full, and still takes a known one', () => {
  const map = new OffsetMap(0, new SimRandom(1));
  const key = (index: number): Buffer => Buffer.from(`key ${index}`);
  let count = 0;
  while (map.put(key(count), 0, key(count).length, count)) count++;
  expect(count).toBe(map.capacityKeys);
  expect(map.latestOffset).toBe(count - 1);
  expect(map.put(key(0), 0, key(0).length, count)).toBe(true);
  expect(map.get(key(0), 0, key(0).length)).toBe(count);
  expect(map.get(key(count), 0, key(count).length)).toBe(-1);
});

test('holds as many keys as the memory was asked for', () => {
  for (const keys of [0, 1, 11, 12, 13, 1000])
    expect(
      new OffsetMap(OffsetMap.bytesFor(keys), new SimRandom(1)).capacityKeys,
    ).toBeGreaterThanOrEqual(keys);
});
