/** Tables go out and come back the same, and mean the same to another implementation. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TABLE_DEPTH_MAX } from '../../core/queue-limits.ts';
import {
  decodeTable,
  encodeTable,
  equalFieldValues,
  equalTables,
  FieldDecimal,
  FieldTimestamp,
  skipValue,
  type FieldTable,
  type FieldValue,
} from './field-table.ts';
import { AmqpReader } from './reader.ts';
import { AmqpFault } from './reply-codes.ts';

const require = createRequire(import.meta.url);
const codec = require(join(dirname(require.resolve('amqplib')), 'lib/codec.js')) as {
  encodeTable(buffer: Buffer, table: unknown, offset: number): number;
  decodeFields(slice: Buffer): Record<string, unknown>;
};

const name = fc.oneof(
  fc.string({ maxLength: 12, unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', 'x-death', 'CC', ''),
);

const scalar: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.maxSafeNat().map((seconds) => new FieldTimestamp(seconds)),
  fc
    .tuple(fc.nat({ max: 255 }), fc.nat({ max: 0xffff_ffff }))
    .map(([scale, value]) => new FieldDecimal(scale, value)),
);

function tableOf(value: fc.Arbitrary<FieldValue>): fc.Arbitrary<FieldTable> {
  return fc.array(fc.tuple(name, value), { maxLength: 6 }).map((entries) => {
    const table = Object.create(null) as Record<string, FieldValue>;
    for (const [key, item] of entries) table[key] = item;
    return table;
  });
}

const { value } = fc.letrec<{ value: FieldValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 5 }),
    tableOf(tie('value')),
  ),
}));
const table = tableOf(value);

test('what is written is read, and written again, the same', () => {
  fc.assert(
    fc.property(table, (given) => {
      const bytes = encodeTable(given);
      const read = decodeTable(bytes);
      expect(read).toEqual(given);
      expect(equalTables(read, given)).toBe(true);
      expect(encodeTable(read)).toEqual(bytes);
    }),
    { numRuns: 150 },
  );
});

test('another implementation reads the same', () => {
  fc.assert(
    fc.property(table, (given) => {
      const bytes = encodeTable(given);
      fc.pre(!bytes.includes('__proto__'));
      expect(codec.decodeFields(bytes.subarray(4))).toEqual(foreign(given));
    }),
    { numRuns: 150 },
  );
});

/** What amqplib makes of a value: it wraps timestamps and decimals, has no bigint, and knows no `__proto__`. */
function foreign(given: FieldValue): unknown {
  if (given instanceof FieldTimestamp) return { '!': 'timestamp', value: given.seconds };
  if (given instanceof FieldDecimal) {
    return { '!': 'decimal', value: { places: given.scale, digits: given.value } };
  }
  if (typeof given === 'bigint') return Number(given);
  if (Array.isArray(given)) return given.map((item) => foreign(item as FieldValue));
  if (typeof given !== 'object' || given === null || given instanceof Uint8Array) return given;
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(given as FieldTable)) out[key] = foreign(item);
  return out;
}

/** Values in every type that amqplib can write. */
const typed: fc.Arbitrary<readonly [unknown, FieldValue]> = fc.oneof(
  fc.integer({ min: -128, max: 127 }).map((n) => [{ '!': 'int8', value: n }, n] as const),
  fc.nat({ max: 255 }).map((n) => [{ '!': 'uint8', value: n }, n] as const),
  fc.integer({ min: -32768, max: 32767 }).map((n) => [{ '!': 'int16', value: n }, n] as const),
  fc.nat({ max: 65535 }).map((n) => [{ '!': 'uint16', value: n }, n] as const),
  fc.integer().map((n) => [{ '!': 'int32', value: n }, n] as const),
  fc.nat({ max: 0xffff_ffff }).map((n) => [{ '!': 'uint32', value: n }, n] as const),
  fc.maxSafeInteger().map((n) => [{ '!': 'int64', value: n }, n] as const),
  fc.float().map((n) => [{ '!': 'float', value: n }, n] as const),
  fc.double().map((n) => [{ '!': 'double', value: n }, n] as const),
  fc.maxSafeNat().map((n) => [{ '!': 'timestamp', value: n }, new FieldTimestamp(n)] as const),
  fc.boolean().map((flag) => [flag, flag] as const),
  fc.string().map((text) => [text, text] as const),
  fc.constant([null, null] as const),
);

test('what another implementation writes is read, in each of its types', () => {
  fc.assert(
    fc.property(fc.array(typed, { maxLength: 8 }), (values) => {
      const buffer = Buffer.alloc(16_384);
      const length = codec.encodeTable(buffer, { list: values.map(([given]) => given) }, 0);
      const read = decodeTable(buffer, 0, length);
      expect(read).toEqual({ list: values.map(([, expected]) => expected) });
    }),
    { numRuns: 150 },
  );
});

test('skipping accepts what reading accepts, and refuses what it refuses', () => {
  fc.assert(
    fc.property(
      table,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      (given, edits) => {
        const bytes = Buffer.concat([Buffer.from('F'), encodeTable(given)]);
        for (const [at, byte] of edits) bytes[1 + (at % (bytes.length - 1))] = byte;
        const skipped = faultOf(() => {
          const reader = new AmqpReader().over(bytes, 0, bytes.length);
          skipValue(reader, 0);
          if (reader.remaining() > 0) reader.fail('bytes are left');
        });
        const read = faultOf(() => void decodeTable(bytes, 1));
        expect(skipped?.reply).toBe(read?.reply);
      },
    ),
    { numRuns: 200 },
  );
});

test('random bytes are a table or a fault', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      faultOf(() => void decodeTable(Buffer.from(bytes)));
    }),
    { numRuns: 200 },
  );
});

/** The fault that it throws; any other error passes and fails the test. */
function faultOf(run: () => void): AmqpFault | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpFault) return error;
    throw error;
  }
}

test('names of prototypes are names', () => {
  const read = decodeTable(encodeTable(JSON.parse('{"__proto__":{"a":1}}') as FieldTable));
  expect(Object.keys(read)).toEqual(['__proto__']);
  expect(read['a']).toBeUndefined();
  expect(read['toString']).toBeUndefined();
  expect(Object.getPrototypeOf({})).toBe(Object.prototype);
});

function nested(depth: number): Buffer {
  let bytes = Buffer.alloc(4);
  for (let level = 1; level < depth; level++) {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length + 3);
    bytes = Buffer.concat([size, Buffer.from([1]), Buffer.from('aF'), bytes]);
  }
  return bytes;
}

test('tables inside one another are bounded, in and out', () => {
  expect(decodeTable(nested(TABLE_DEPTH_MAX))).toBeTypeOf('object');
  for (const depth of [TABLE_DEPTH_MAX + 1, 1_000, 3_000]) {
    expect(faultOf(() => void decodeTable(nested(depth)))).toMatchObject({
      code: 502,
      isHard: true,
    });
  }
  const circle: Record<string, FieldValue> = {};
  circle['self'] = circle;
  expect(() => encodeTable(circle)).toThrow(/inside one another, or a circle/);
});

test('what a table cannot hold is refused', () => {
  const refused: readonly unknown[] = [
    2n ** 63n,
    new FieldTimestamp(-1),
    new FieldTimestamp(Number.NaN),
    new FieldDecimal(256, 1),
    new FieldDecimal(1, -1),
    Symbol('x'),
    () => 1,
  ];
  for (const given of refused) {
    expect(() => encodeTable({ given: given as FieldValue })).toThrow(
      expect.objectContaining({ code: 'ML_WIRE_UNREPRESENTABLE' }) as Error,
    );
  }
  expect(() => encodeTable({ ['é'.repeat(128)]: 1 })).toThrow(/255 bytes/);
});

test('tables are equal in any order of names, and only then', () => {
  expect(equalTables({ a: 1, b: [2n] }, { b: [2], a: 1 })).toBe(true);
  expect(equalTables({ a: 1 }, { a: '1' })).toBe(false);
  expect(equalTables({ a: 1 }, { b: 1 })).toBe(false);
  expect(equalTables({ a: null }, {})).toBe(false);
  expect(equalFieldValues([1], { 0: 1 })).toBe(false);
  expect(equalFieldValues(new FieldTimestamp(1), { seconds: 1 })).toBe(false);
  expect(equalFieldValues(Buffer.from('a'), 'a')).toBe(false);
});
