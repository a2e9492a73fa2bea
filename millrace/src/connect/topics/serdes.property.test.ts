/** All serdes: what is written is read again, whatever surrounds it; and of any bytes comes a value or an error that says what is wrong. */
import fc from 'fast-check';
import protobufjs from 'protobufjs';
import { expect, test } from 'vitest';
import type { Serde } from '../../flow/serde.ts';
import { avro } from './avro-serde.ts';
import { msgpack } from './msgpack-serde.ts';
import { protobuf } from './protobuf-serde.ts';
import { bytes, json, string, text } from './serdes.ts';

const reading = avro({
  type: 'record',
  name: 'Reading',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'celsius', type: 'double' },
    { name: 'raw', type: 'bytes' },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    { name: 'counts', type: { type: 'map', values: 'int' } },
    { name: 'note', type: ['null', 'string'] },
    { name: 'nothing', type: { type: 'array', items: 'null' } },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['IN', 'OUT'] } },
    { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 4 } },
    { name: 'parts', type: { type: 'array', items: 'Reading' } },
  ],
});

const { root } = protobufjs.parse(`
  syntax = "proto3";
  message Order {
    string id = 1;
    double total = 2;
    int64 number = 3;
    bytes raw = 4;
    repeated string tags = 5;
    map<string, int32> counts = 6;
    optional bool paid = 7;
    repeated Order parts = 8;
  }
`);
const order = protobuf(root.lookupType('Order'));

const buffers = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const numbers = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n));
// What a prototype is called is no name of a member for any of the libraries.
const names = fc.string({ maxLength: 8 }).filter((name) => name !== '__proto__');
const texts = fc.string({ unit: 'grapheme', maxLength: 12 });

const readings = fc.letrec((tie) => ({
  reading: fc.record({
    id: texts,
    celsius: numbers,
    raw: buffers,
    tags: fc.array(texts, { maxLength: 4 }),
    counts: fc.dictionary(names, fc.integer(), { noNullPrototype: true, maxKeys: 4 }),
    note: fc.option(texts),
    nothing: fc.array(fc.constant(null), { maxLength: 5 }),
    kind: fc.constantFrom('IN', 'OUT'),
    hash: fc.uint8Array({ minLength: 4, maxLength: 4 }).map((array) => Buffer.from(array)),
    parts: fc.oneof({ maxDepth: 2 }, fc.constant([]), fc.array(tie('reading'), { maxLength: 2 })),
  }),
})).reading;

const orders = fc.letrec((tie) => ({
  order: fc.record({
    id: texts,
    total: numbers,
    number: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    raw: buffers,
    tags: fc.array(texts, { maxLength: 4 }),
    counts: fc.dictionary(names, fc.integer(), { noNullPrototype: true, maxKeys: 4 }),
    parts: fc.oneof({ maxDepth: 2 }, fc.constant([]), fc.array(tie('order'), { maxLength: 2 })),
  }),
})).order;

const packed = fc.anything({
  key: names,
  maxDepth: 3,
  withBigInt: false,
  withNullPrototype: false,
  withTypedArray: false,
  values: [
    fc.boolean(),
    numbers,
    fc.integer(),
    texts,
    fc.constant(null),
    buffers,
    fc.date({ noInvalidDate: true }),
    fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 63n - 1n }),
  ],
});

const SERDES: readonly (readonly [Serde<unknown>, fc.Arbitrary<unknown>])[] = [
  [
    json(),
    fc
      .jsonValue({ noUnicodeString: false })
      .map((value) => JSON.parse(JSON.stringify(value)) as unknown),
  ],
  [string(), fc.string({ unit: 'grapheme' })],
  [bytes(), buffers],
  [text(), fc.string({ unit: 'grapheme' })],
  [msgpack(), packed],
  [reading, readings],
  [order, orders],
];

function bytesOf(serde: Serde<unknown>, value: unknown): Buffer {
  return Buffer.from(serde.encode(value));
}

function decodeAmong(serde: Serde<unknown>, written: Uint8Array): unknown {
  const around = Buffer.concat([Buffer.from([1, 2, 3]), written, Buffer.from([4, 5])]);
  const value = serde.decode(around, 3, 3 + written.length);
  // What was decoded keeps nothing of the buffer, which is used again.
  around.fill(0xff);
  return value;
}

test.each(SERDES)('$name gives what it was given', (serde, values) => {
  fc.assert(
    fc.property(values, (value) => {
      expect(decodeAmong(serde, bytesOf(serde, value))).toEqual(value);
    }),
    { numRuns: 300 },
  );
});

test.each(SERDES)('$name makes a value or a sentence of anything', (serde, values) => {
  const damaged = fc
    .tuple(values, fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 12 }))
    .map(([value, at, byte, cut]) => {
      const written = bytesOf(serde, value);
      if (written.length > 0) written[at % written.length] = byte;
      return written.subarray(0, Math.max(0, written.length - (cut > 6 ? 0 : cut)));
    });
  const anything = fc.oneof(fc.uint8Array({ maxLength: 64 }), damaged);
  fc.assert(
    fc.property(anything, (given) => {
      const buffer = Buffer.from(given);
      try {
        serde.decode(buffer, 0, buffer.length);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).message).toMatch(/^it is not /);
      }
    }),
    { numRuns: 1_000 },
  );
});

test('bytes that are no text survive as text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (given) => {
      const buffer = Buffer.from(given);
      const read = string().decode(buffer, 0, buffer.length) as string;
      expect(bytesOf(string(), read)).toEqual(buffer);
    }),
  );
});
