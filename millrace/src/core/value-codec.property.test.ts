import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from './byte-writer.ts';
import { MillraceError } from './errors.ts';
import { VALUE_DEPTH_MAX } from './limits.ts';
import { decodedEnd, decodeValue, decodeValueAt, encodeValue } from './value-codec.ts';

function encode(value: unknown): Buffer {
  const writer = new ByteWriter(1);
  encodeValue(value, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** `toStrictEqual` looks at `constructor`, which here may be a field like any other. */
function expectSame(got: unknown, wanted: unknown): void {
  if (!isDeepStrictEqual(got, wanted)) expect(got).toStrictEqual(wanted);
}

const anyText = fc.oneof(
  fc.string({ maxLength: 100 }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc
    .array(fc.integer({ min: 0xd7f0, max: 0xe010 }), { maxLength: 8 })
    .map((units) => String.fromCharCode(...units)),
  fc.nat(400).map((length) => 'é'.repeat(length)),
  fc.nat(400).map((length) => 'x'.repeat(length)),
);
const anyName = fc.oneof(
  fc.constantFrom('id', 'name', 'total', '__proto__', '7', '10', '"', '', 'constructor'),
  anyText,
);
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    anyText,
    fc.double(),
    fc.integer(),
    fc.constantFrom(0, -0, 127, 128, -1, 32_767, 32_768, -32_768, -32_769, 2 ** 31, NaN, Infinity),
    fc.bigInt(),
    fc.bigInt({ min: -(2n ** 500n), max: 2n ** 500n }),
    fc.constantFrom(undefined, null, true, false, 2n ** 63n, -(2n ** 63n), -(2n ** 63n) - 1n),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 5 }),
    fc
      .array(fc.tuple(anyName, tie('value')), { maxLength: 6 })
      .map((fields) => Object.fromEntries(fields)),
    fc
      .array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 })
      .map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
  ),
}));

test('values come back as they were, each from its own bytes', () => {
  fc.assert(
    fc.property(fc.array(anyValue, { maxLength: 6 }), (values) => {
      const writer = new ByteWriter(1);
      const ends = values.map((value) => {
        encodeValue(value, writer);
        return writer.length;
      });
      let start = 0;
      for (const [index, value] of values.entries()) {
        // Exact copies: nothing outside of its own bytes is needed.
        const end = ends[index] ?? 0;
        const own = Buffer.from(writer.buffer.subarray(start, end));
        expectSame(decodeValue(own, 0, own.length), value);
        expectSame(decodeValueAt(writer.buffer, start, writer.length), value);
        expect(decodedEnd()).toBe(end);
        start = end;
      }
    }),
    { numRuns: 800 },
  );
});

test('many records of few kinds come back, with the order of their keys', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(anyName, { maxLength: 5 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 200 }),
      (kinds, picks) => {
        for (const [index, pick] of picks.entries()) {
          const names = kinds[pick % kinds.length] ?? [];
          const record = Object.fromEntries(
            names.map((name, at) => [name, at === 1 ? { name, index } : index]),
          );
          const bytes = encode(record);
          const decoded = decodeValue(bytes, 0, bytes.length) as object;
          expectSame(decoded, record);
          expect(Object.keys(decoded)).toEqual(Object.keys(record));
          expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('bytes are copied out', () => {
  const bytes = encode([Buffer.from('abc'), new Uint8Array([1, 2])]);
  const decoded = decodeValue(bytes, 0, bytes.length);
  bytes.fill(0);
  expect(decoded).toStrictEqual([Buffer.from('abc'), new Uint8Array([1, 2])]);
});

test('instances become plain objects of their own enumerable fields', () => {
  class Point {
    readonly x = 1;
    readonly y = [2];
    get sum(): number {
      return 3;
    }
  }
  const bytes = encode({ at: new Point(), bare: Object.assign(Object.create(null), { a: 1 }) });
  expect(decodeValue(bytes, 0, bytes.length)).toStrictEqual({
    at: { x: 1, y: [2] },
    bare: { a: 1 },
  });
});

test('objects with very many keys are dictionaries', () => {
  const value = Object.fromEntries(
    Array.from({ length: 3_000 }, (_, index) => [`key-${index}`, index]),
  );
  const bytes = encode([value, value]);
  expect(decodeValue(bytes, 0, bytes.length)).toStrictEqual([value, value]);
});

test('what cannot be encoded is named with its path, and nothing of it is appended', () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [() => 1, 'the value is a function'],
    [{ orders: [1, { total: Symbol('x') }] }, '.orders[1].total is a symbol'],
    [{ 'first name': new Map([['k', /x/]]) }, '["first name"].get("k") is a RegExp'],
    [[Promise.resolve(1)], '[0] is a promise (an await is missing)'],
    [{ a: new Float64Array(1) }, '.a is a Float64Array'],
    [new Set([new WeakMap()]), '.values() is a WeakMap'],
    [{ why: new TypeError('x') }, '.why is an Error'],
  ];
  for (const [value, text] of cases) {
    const writer = new ByteWriter();
    encodeValue('before', writer);
    const { length } = writer;
    expect(() => encodeValue(value, writer)).toThrow(
      expect.objectContaining({
        code: 'ML_VALUE_INVALID',
        message: `${text}, which cannot be encoded`,
      }),
    );
    expect(writer.length).toBe(length);
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  expect(() => encode({ cycle })).toThrow(`nested more than ${VALUE_DEPTH_MAX} levels deep`);
});

test('bytes that are no value give an error, and no more memory than they have', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .array(
            fc.constantFrom(
              0x20,
              0x21,
              0x22,
              0x23,
              0x30,
              0x31,
              0x10,
              0x11,
              0x12,
              0x18,
              0x0a,
              0xff,
              0x41,
              0x30,
            ),
            { maxLength: 80 },
          )
          .map((bytes) => Uint8Array.from(bytes)),
        fc.tuple(anyValue, fc.nat(), fc.nat(255), fc.nat(3)).map(([value, place, byte, cut]) => {
          const bytes = encode([value, { value }]);
          bytes[place % bytes.length] = byte;
          return bytes.subarray(0, bytes.length - cut);
        }),
      ),
      (bytes) => {
        // What is behind the end must not be read.
        const padded = Buffer.concat([bytes, Buffer.alloc(64, 0x82)]);
        const exact = Buffer.from(bytes);
        const outcome = (buffer: Buffer): unknown => {
          try {
            return decodeValue(buffer, 0, bytes.length);
          } catch (error) {
            expect(error).toBeInstanceOf(MillraceError);
            return 'error';
          }
        };
        expectSame(outcome(padded), outcome(exact));
      },
    ),
    { numRuns: 3_000 },
  );
});

test('depth is bounded for bytes, too', () => {
  const deep = Buffer.alloc(200_000, Buffer.of(0x20, 0x01));
  expect(() => decodeValue(deep, 0, deep.length)).toThrow(MillraceError);
});
