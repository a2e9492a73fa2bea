/** What serdes say of values and bytes that do not fit, and what schemas check. */
import protobufjs from 'protobufjs';
import { expect, test } from 'vitest';
import type { Serde } from '../../flow/serde.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { avro } from './avro-serde.ts';
import { msgpack } from './msgpack-serde.ts';
import { protobuf } from './protobuf-serde.ts';
import { bytes, json, serdeOf, string, text } from './serdes.ts';

interface Order {
  readonly id: string;
}
/** `id` must be a text. */
const orderSchema: StandardSchema<Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof (value as { readonly id?: unknown }).id === 'string'
        ? { value: value as Order }
        : { issues: [{ message: 'expected text', path: ['id'] }] },
  },
};

function decode<T>(serde: Serde<T>, given: Uint8Array | string): T | Promise<T> {
  const buffer = Buffer.from(given);
  return serde.decode(buffer, 0, buffer.length);
}

test('names stand for serdes', () => {
  for (const name of ['json', 'string', 'bytes', 'msgpack']) expect(serdeOf(name)?.name).toBe(name);
  expect(serdeOf('xml')).toBeUndefined();
  expect(serdeOf({ name: 'mine' })).toBeUndefined();
  const own: Serde<number> = { name: 'mine', decode: () => 1, encode: String };
  expect(serdeOf(own)).toBe(own);
});

test('where nothing is said text is read, and all else is written as JSON', () => {
  expect(text().encode('plain')).toBe('plain');
  expect(text().encode(Buffer.from('raw'))).toEqual(Buffer.from('raw'));
  expect(text().encode({ key: 'gold', start: 0, end: 60_000 })).toBe(
    '{"key":"gold","start":0,"end":60000}',
  );
  expect(text().encode(5)).toBe('5');
  expect(decode(text(), '5')).toBe('5');
});

test.each<[name: string, value: unknown, serde: Serde<unknown>, sentence: string]>([
  ['a number', 5, string(), 'it is no string, but a number'],
  ['an object', {}, string(), 'it is no string, but an object'],
  ['a text', 'x', bytes(), 'it is no bytes, but a string'],
  ['a function', () => 0, json(), 'JSON cannot write a function'],
  ['a bigint', 1n, json(), 'JSON cannot write it: Do not know how to serialize a BigInt'],
  ['a bigint beyond 64 bits', 2n ** 64n, msgpack(), 'MessagePack cannot write it: '],
])('%s is not written where it does not fit', (_name, value, serde, sentence) => {
  expect(() => serde.encode(value)).toThrow(sentence);
});

test('MessagePack that others have written is read', () => {
  // fixmap of 2: "a" → 1, "b" → [true, nil, bin8 of one byte]
  const given = Buffer.from([0x82, 0xa1, 0x61, 0x01, 0xa1, 0x62, 0x93, 0xc3, 0xc0, 0xc4, 1, 9]);
  expect(decode(msgpack(), given)).toEqual({ a: 1, b: [true, null, Buffer.from([9])] });
  expect(Buffer.from(msgpack().encode({ a: 1 }))).toEqual(Buffer.from([0x81, 0xa1, 0x61, 0x01]));
});

test.each([
  ['json', json(orderSchema)],
  ['msgpack', msgpack(orderSchema)],
])('%s: a schema checks what is read and what is written', (_name, serde) => {
  const written = serde.encode({ id: 'a' });
  expect(decode(serde, written)).toEqual({ id: 'a' });
  expect(() => serde.encode({ id: 1 } as never)).toThrow(
    'it does not fit its schema: id: expected text',
  );
  const unchecked = serde.name === 'json' ? json() : msgpack();
  expect(() => decode(serde, unchecked.encode({ id: 1 }))).toThrow('id: expected text');
});

test('a schema that answers later is for reading alone', async () => {
  const later: StandardSchema<Order> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) => Promise.resolve({ value: value as Order }),
    },
  };
  await expect(decode(json(later), '{"id":"a"}')).resolves.toEqual({ id: 'a' });
  expect(() => json(later).encode({ id: 'a' })).toThrow('its schema answers later');
});

const point = { type: 'record', name: 'Point', fields: [{ name: 'x', type: 'int' }] };

test('Avro: schemas tell serdes apart, values are plain objects', () => {
  const serde = avro<{ x: number }>(point);
  const other = avro({ ...point, fields: [{ name: 'y', type: 'int' }] });
  expect(serde.name).toMatch(/^avro Point [0-9a-f]{32}$/);
  expect(other.name).not.toBe(serde.name);
  expect(Buffer.from(serde.encode({ x: -1 }))).toEqual(Buffer.from([1]));
  const value = decode(serde, [1] as unknown as Uint8Array);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(() => serde.encode({ x: 'a' } as never)).toThrow('it does not fit its Avro schema: ');
  expect(() => decode(serde, '')).toThrow('it is not Avro of its schema: ');
});

test('Avro: a claim of billions of items costs nothing', () => {
  const claim = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0x1f, 0]);
  for (const items of ['null', 'string', 'long'])
    expect(() => decode(avro({ type: 'array', items }), claim)).toThrow(
      'it is not Avro of its schema: it ',
    );
});

test('Protocol Buffers: 64-bit integers are text, and what does not fit is refused', () => {
  const { root } = protobufjs.parse(
    'syntax = "proto3"; package shop; message Order { string id = 1; int64 number = 2; int32 small = 3; }',
  );
  const serde = protobuf(root.lookupType('Order'));
  expect(serde.name).toBe('protobuf .shop.Order');
  const largest = { id: 'a', number: '9223372036854775807', small: 0 };
  expect(decode(serde, serde.encode(largest))).toEqual(largest);
  expect(decode(serde, '')).toEqual({ id: '', number: '0', small: 0 });
  for (const wrong of [{ id: 5 }, { small: 'x' }, { number: 'x' }, { small: 1.5 }, 5])
    expect(() => serde.encode(wrong)).toThrow('it does not fit Order: ');
  expect(() => decode(serde, [0x0a, 0xff] as unknown as Uint8Array)).toThrow(
    'it is not a message of Order: ',
  );
});
