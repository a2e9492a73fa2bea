import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { copyData } from './copy-data.ts';

const data = fc.anything({
  withDate: true,
  withMap: true,
  withSet: true,
  withBigInt: true,
  withTypedArray: false,
  withNullPrototype: true,
  withSparseArray: false,
});

/** All objects in it. */
function objectsOf(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found;
  found.add(value);
  const parts: unknown[] =
    value instanceof Map
      ? [...value].flat()
      : value instanceof Set
        ? [...value]
        : Object.values(value);
  for (const part of parts) objectsOf(part, found);
  return found;
}

function throughBytes(value: unknown): unknown {
  const writer = new ByteWriter(256);
  encodeValue(value, writer);
  return decodeValue(writer.buffer, 0, writer.length);
}

test('a copy is what the value is, and shares nothing with it', () => {
  fc.assert(
    fc.property(data, (value) => {
      const copy = copyData(value);
      expect(throughBytes(copy)).toEqual(throughBytes(value));
      const own = objectsOf(value);
      for (const object of objectsOf(copy)) expect(own.has(object)).toBe(false);
    }),
  );
});

test('bytes are copied as what they are', () => {
  const bytes = { buffer: Buffer.from('ab'), array: new Uint8Array([1, 2]) };
  const copy = copyData(bytes);
  expect(copy).toEqual(bytes);
  expect(Buffer.isBuffer(copy.buffer)).toBe(true);
  bytes.buffer[0] = 0;
  bytes.array[0] = 0;
  expect(copy).toEqual({ buffer: Buffer.from('ab'), array: new Uint8Array([1, 2]) });
});

test('a field that is called __proto__ stays a field', () => {
  const value = JSON.parse('{"__proto__":{"a":1}}') as object;
  expect(Object.keys(copyData(value))).toEqual(['__proto__']);
});
