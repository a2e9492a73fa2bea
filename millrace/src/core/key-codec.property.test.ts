import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from './byte-writer.ts';
import { MillraceError } from './errors.ts';
import { compareKeys, decodeKey, encodeKey } from './key-codec.ts';
import { desc, isDescending, type Windowed } from './key-order.ts';
import { KEY_DEPTH_MAX } from './limits.ts';

function encode(key: unknown, descending = false): Buffer {
  const writer = new ByteWriter(1);
  encodeKey(key, writer, descending);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** Rank of the class of a key, in the documented order. */
function kindOf(key: unknown): number {
  if (key === undefined) return 0;
  if (key === null) return 1;
  if (typeof key === 'boolean') return 2;
  if (typeof key === 'number') return 3;
  if (typeof key === 'bigint') return 4;
  if (key instanceof Date) return 5;
  if (typeof key === 'string') return 6;
  if (key instanceof Uint8Array) return 7;
  return Array.isArray(key) ? 8 : 9;
}

function compareNumbers(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareSequences<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number) {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compare(a[index] as T, b[index] as T);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** The oracle: the order as the documentation says it, without any bytes. */
function compare(a: unknown, b: unknown): number {
  if (isDescending(a) && isDescending(b)) return -compare(a.value, b.value);
  const kind = kindOf(a) - kindOf(b);
  if (kind !== 0) return kind;
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === 'boolean') return Number(a) - Number(b);
  if (a instanceof Date && b instanceof Date) return compareNumbers(a.getTime(), b.getTime());
  if (typeof a === 'string' && typeof b === 'string')
    return compareSequences(
      Array.from(a),
      Array.from(b),
      (x, y) => (x.codePointAt(0) ?? 0) - (y.codePointAt(0) ?? 0),
    );
  if (a instanceof Uint8Array && b instanceof Uint8Array)
    return compareSequences([...a], [...b], (x, y) => x - y);
  if (Array.isArray(a) && Array.isArray(b)) return compareSequences<unknown>(a, b, compare);
  if (kindOf(a) === 9) {
    const [left, right] = [a as Windowed<unknown>, b as Windowed<unknown>];
    return (
      compare(left.key, right.key) ||
      compareNumbers(left.start, right.start) ||
      compareNumbers(left.end, right.end)
    );
  }
  return 0;
}

const anyText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '\0',
    'a',
    'a\0',
    'a\0\0',
    'ab',
    'é',
    '\ud800',
    '\udfff',
    '\u{10000}',
    '\uffff',
  ),
  // Lone surrogates anywhere.
  fc
    .array(fc.integer({ min: 0xd700, max: 0xe100 }), { maxLength: 6 })
    .map((units) => String.fromCharCode(...units)),
);
const anyNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(
    0,
    -0,
    1,
    -1,
    255,
    256,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_VALUE,
    Infinity,
    -Infinity,
    NaN,
  ),
);
const anyScalar = fc.oneof(
  anyText,
  anyNumber,
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 3_000n), max: 2n ** 3_000n }),
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array({ maxLength: 12 }),
  fc
    .array(fc.constantFrom(0, 1, 0xfe, 0xff), { maxLength: 5 })
    .map((bytes) => Uint8Array.from(bytes)),
);
const { key: anyKey } = fc.letrec<{ key: unknown }>((tie) => ({
  key: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    anyScalar,
    fc.array(tie('key'), { maxLength: 4 }),
    fc.record({ key: tie('key'), start: anyNumber, end: anyNumber }),
  ),
}));

/** -0 is 0, and marks are gone. */
function plain(key: unknown): unknown {
  if (isDescending(key)) return plain(key.value);
  if (Array.isArray(key)) return key.map(plain);
  if (kindOf(key) === 9) {
    const { key: inner, start, end } = key as Windowed<unknown>;
    return { key: plain(inner), start: plain(start), end: plain(end) };
  }
  return key === 0 ? 0 : key;
}

test('the order of the bytes is the order of the keys', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (a, b) => {
      const [left, right] = [encode(a), encode(b)];
      const order = Math.sign(compareKeys(left, 0, left.length, right, 0, right.length));
      expect(order).toBe(Math.sign(compare(a, b)));
      expect(order).toBe(Buffer.compare(left, right));
    }),
    { numRuns: 3_000 },
  );
});

test('keys that differ in one place are in order', () => {
  fc.assert(
    fc.property(
      fc.array(anyKey, { maxLength: 3 }),
      anyScalar,
      anyScalar,
      fc.array(anyKey, { maxLength: 2 }),
      fc.boolean(),
      (before, a, b, after, isNested) => {
        const nest = (key: unknown) =>
          isNested ? [...before, [key], ...after] : [...before, key, ...after];
        expect(Buffer.compare(encode(nest(a)), encode(nest(b)))).toBe(Math.sign(compare(a, b)));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('desc turns the order of what it marks around', () => {
  fc.assert(
    fc.property(anyKey, anyKey, anyKey, anyKey, (a, b, c, d) => {
      const order = Math.sign(compare(a, b));
      expect(Buffer.compare(encode(a, true), encode(b, true))).toBe(order === 0 ? 0 : -order);
      expect(encode(desc(a))).toEqual(encode(a, true));
      expect(encode(desc(desc(a)))).toEqual(encode(a));
      expect(encode(desc(a), true)).toEqual(encode(a));
      const mixed = (x: unknown, y: unknown) => [desc(x), y, desc([y, desc(x)])];
      expect(Buffer.compare(encode(mixed(a, c)), encode(mixed(b, d)))).toBe(
        Math.sign(compare(mixed(a, c), mixed(b, d))),
      );
    }),
    { numRuns: 1_000 },
  );
});

test('keys come back, without marks', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (a, b) => {
      for (const key of [a, desc(a), [a, desc(b), desc([a, desc(b)])]]) {
        const bytes = encode(key);
        const around = Buffer.concat([Buffer.from('##'), bytes, Buffer.from('##')]);
        expect(decodeKey(around, 2, 2 + bytes.length)).toStrictEqual(plain(key));
      }
    }),
    { numRuns: 1_500 },
  );
});

test('what cannot be a key is refused by name', () => {
  class Account {
    readonly id = 1;
  }
  const refuse = (key: unknown, text: string) =>
    expect(() => encode(key)).toThrow(
      expect.objectContaining({ code: 'ML_KEY_INVALID', message: `${text} cannot be a key` }),
    );
  refuse(() => 1, 'a function');
  refuse(Symbol('s'), 'a symbol');
  refuse({ a: 1 }, 'a plain object');
  refuse(['a', [new Map()]], 'an instance of Map');
  refuse(desc(new Account()), 'an instance of Account');
  refuse(Promise.resolve(1), 'an instance of Promise');
  const cycle: unknown[] = [];
  cycle.push(cycle);
  refuse(cycle, `an array that is nested more than ${KEY_DEPTH_MAX} levels deep`);
});

test('bytes that are no key give an error, never anything else', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.tuple(anyKey, fc.nat(), fc.nat(255)).map(([key, place, byte]) => {
          const bytes = encode([key, desc(key)]);
          bytes[place % bytes.length] = byte;
          return bytes.subarray(0, bytes.length - (place % 3));
        }),
      ),
      (bytes) => {
        try {
          decodeKey(Buffer.from(bytes), 0, bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(MillraceError);
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
