/** Properties, against amqplib's definitions, and what is read of them without decoding. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FieldTable, FieldValue } from './field-table.ts';
import {
  decodeProperties,
  encodeProperties,
  expirationMs,
  readFacts,
  withHeaders,
  withProperties,
  type BasicProperties,
  type HeaderChanges,
} from './properties.ts';
import { AmqpFault } from './reply-codes.ts';

const require = createRequire(import.meta.url);
const defs = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js')) as {
  encodeProperties(id: number, channel: number, bodySize: number, fields: unknown): Buffer;
  decode(id: number, payload: Buffer): Record<string, unknown>;
  readonly BasicProperties: number;
};

const NAMES = ['x-delay', 'x-dedupe-key', 'x-key', 'CC', 'BCC', 'x-death', 'a', '__proto__'];
const headerValue: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.string(), { maxLength: 3 }),
  fc.dictionary(fc.string({ maxLength: 5 }), fc.integer(), { maxKeys: 3, noNullPrototype: true }),
);
const headers = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), headerValue), { maxLength: 5 })
  .map(tableOf);
const text = fc
  .string({ maxLength: 30, unit: 'grapheme' })
  .filter((s) => Buffer.byteLength(s) < 256);

const properties: fc.Arbitrary<BasicProperties> = fc.record(
  {
    contentType: text,
    contentEncoding: text,
    headers,
    deliveryMode: fc.nat({ max: 255 }),
    priority: fc.nat({ max: 255 }),
    correlationId: text,
    replyTo: text,
    expiration: text,
    messageId: text,
    timestamp: fc.maxSafeNat(),
    type: text,
    userId: text,
    appId: text,
    clusterId: text,
  },
  { requiredKeys: [] },
);

function tableOf(entries: readonly (readonly [string, FieldValue])[]): FieldTable {
  const table = Object.create(null) as Record<string, FieldValue>;
  for (const [name, value] of entries) table[name] = value;
  return table;
}

test('what is written is read, and written again, the same', () => {
  fc.assert(
    fc.property(properties, (given) => {
      const bytes = encodeProperties(given);
      expect(decodeProperties(bytes)).toEqual(given);
      expect(encodeProperties(decodeProperties(bytes))).toEqual(bytes);
    }),
    { numRuns: 150 },
  );
});

test('another implementation writes the same bytes, and reads the same', () => {
  fc.assert(
    fc.property(properties, (given) => {
      const { headers: _ignored, ...others } = given;
      const frame = defs.encodeProperties(defs.BasicProperties, 1, 5, others);
      const theirs = frame.subarray(7 + 12, frame.length - 1);
      expect(encodeProperties(others)).toEqual(theirs);
      const bytes = encodeProperties(given);
      fc.pre(!bytes.includes('__proto__'));
      const read = Object.entries(defs.decode(defs.BasicProperties, bytes));
      expect(Object.fromEntries(read.filter(([, value]) => value !== undefined))).toEqual(
        JSON.parse(JSON.stringify(given)),
      );
    }),
    { numRuns: 150 },
  );
});

test('the facts are those of the decoded properties', () => {
  fc.assert(
    fc.property(properties, (given) => {
      const facts = readFacts(encodeProperties(given));
      const table = given.headers;
      const delay = table?.['x-delay'];
      const textOf = (name: string): string | undefined => {
        const value = table?.[name];
        return typeof value === 'string' ? value : undefined;
      };
      expect({ ...facts }).toEqual({
        isPersistent: given.deliveryMode === 2,
        priority: given.priority ?? 0,
        expiration: given.expiration,
        replyTo: given.replyTo,
        userId: given.userId,
        delayMs: typeof delay === 'number' && delay > 0 ? delay : undefined,
        dedupeKey: textOf('x-dedupe-key'),
        key: textOf('x-key'),
        hasCopies: table?.['CC'] !== undefined || table?.['BCC'] !== undefined,
        hasHeaders: table !== undefined,
      });
    }),
    { numRuns: 150 },
  );
});

test('headers are changed, and all else stays byte by byte', () => {
  const change = fc.oneof(headerValue, fc.constant(undefined));
  const changes = fc.array(fc.tuple(fc.constantFrom(...NAMES), change), { maxLength: 4 });
  fc.assert(
    fc.property(properties, changes, (given, entries) => {
      const bytes = encodeProperties(given);
      const wanted = tableOf(entries as [string, FieldValue][]) as HeaderChanges;
      const changed = withHeaders(bytes, wanted);
      const after = new Map(Object.entries(given.headers ?? {}));
      for (const [name, value] of Object.entries(wanted)) {
        if (value === undefined) after.delete(name);
        else after.set(name, value);
      }
      const { headers: _ignored, ...others } = given;
      const expected =
        after.size === 0 ? others : { ...others, headers: tableOf([...after.entries()]) };
      expect(decodeProperties(changed)).toEqual(expected);
      const { headers: _dropped, ...rest } = decodeProperties(changed);
      expect(rest).toEqual(others);
      // The order of what stayed is kept, so that nothing changes when nothing is asked for.
      const same = withProperties(bytes, {});
      expect(same).toEqual(bytes);
    }),
    { numRuns: 150 },
  );
});

test('single properties are set, replaced and taken away', () => {
  fc.assert(
    fc.property(properties, text, (given, name) => {
      const bytes = encodeProperties(given);
      const changed = withProperties(bytes, { expiration: undefined, replyTo: name, priority: 3 });
      const { expiration: _ignored, ...others } = given;
      expect(decodeProperties(changed)).toEqual({ ...others, replyTo: name, priority: 3 });
    }),
    { numRuns: 200 },
  );
});

test('damaged properties are read, or a fault: by all ways the same', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
  fc.assert(
    fc.property(properties, edits, fc.nat(), (given, changes, cut) => {
      const whole = encodeProperties(given);
      for (const [at, byte] of changes) whole[at % whole.length] = byte;
      const bytes = cut % 3 === 0 ? whole.subarray(0, cut % (whole.length + 1)) : whole;
      const decoded = faultOf(() => decodeProperties(bytes));
      const facts = faultOf(() => readFacts(bytes));
      const changed = faultOf(() => withHeaders(bytes, { 'x-death': [] }));
      expect([facts?.reply, changed?.reply]).toEqual([decoded?.reply, decoded?.reply]);
    }),
    { numRuns: 400 },
  );
});

test('random bytes are properties or a fault', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      faultOf(() => readFacts(Buffer.from(bytes)));
      faultOf(() => withHeaders(Buffer.from(bytes), { a: 1 }));
    }),
    { numRuns: 200 },
  );
});

function faultOf(run: () => unknown): AmqpFault | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof AmqpFault) return error;
    throw error;
  }
}

test('text that is no UTF-8 is let pass, as other brokers do, and stays as it is', () => {
  const bytes = Buffer.concat([Buffer.from([0xa0, 0, 1, 0xff, 0, 0, 0, 4, 2, 0xc3, 0x28, 0x56])]);
  expect(readFacts(bytes)).toMatchObject({ hasHeaders: true });
  expect(decodeProperties(bytes)).toEqual({ contentType: '\ufffd', headers: { '\ufffd(': null } });
  expect(withHeaders(bytes, {})).toEqual(bytes);
});

test('flags that nobody knows are refused', () => {
  for (const flags of [1, 2, 3]) {
    expect(faultOf(() => readFacts(Buffer.from([0, flags])))).toMatchObject({ code: 502 });
  }
});

test('an expiration is digits', () => {
  expect(expirationMs('0')).toBe(0);
  expect(expirationMs('60000')).toBe(60_000);
  for (const given of ['', '-1', '1.5', 'soon', ' 1', '1e3', '9'.repeat(16)]) {
    expect(expirationMs(given)).toBeUndefined();
  }
});
