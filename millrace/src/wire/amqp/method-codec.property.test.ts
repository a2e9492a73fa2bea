/** All methods, against the table and against amqplib's definitions. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FieldTimestamp, type FieldValue } from './field-table.ts';
import { decodeMethod, encodeMethod, readByTable, writeByTable } from './method-codec.ts';
import {
  METHODS,
  methodEntry,
  type MethodFieldKind,
  type MethodInput,
  type MethodName,
} from './methods.ts';
import { AmqpReader } from './reader.ts';
import { AmqpFault } from './reply-codes.ts';
import { written } from './writer.ts';

interface ForeignInfo {
  readonly id: number;
  readonly classId: number;
  readonly methodId: number;
  readonly name: string;
  readonly args: readonly { readonly name: string; readonly type: string }[];
}

const require = createRequire(import.meta.url);
const defs = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js')) as {
  encodeMethod(id: number, channel: number, fields: unknown): Buffer;
  decode(id: number, payload: Buffer): Record<string, unknown>;
};

const NAMES = Object.keys(METHODS) as MethodName[];
const foreignInfos = Object.entries(defs as unknown as Record<string, ForeignInfo>)
  .filter(([key]) => key.startsWith('methodInfo'))
  .map(([, info]) => info);

const shortText = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ maxLength: 60, unit: 'grapheme' }).filter((text) => Buffer.byteLength(text) <= 255),
);
const tableValue: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.maxSafeNat().map((seconds) => new FieldTimestamp(seconds)),
);

const KINDS: Readonly<
  Record<Exclude<MethodFieldKind, `reserved-${string}`>, fc.Arbitrary<unknown>>
> = {
  octet: fc.nat({ max: 0xff }),
  short: fc.nat({ max: 0xffff }),
  long: fc.nat({ max: 0xffff_ffff }),
  longlong: fc.maxSafeNat(),
  bit: fc.boolean(),
  shortstr: shortText,
  text: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  table: fc.dictionary(fc.string({ minLength: 1, maxLength: 10 }), tableValue, {
    maxKeys: 4,
    noNullPrototype: true,
  }),
};

function inputs(name: MethodName): fc.Arbitrary<MethodInput> {
  const fields: Record<string, fc.Arbitrary<unknown>> = { name: fc.constant(name) };
  for (const [field, kind] of Object.entries(methodEntry(name).fields)) {
    if (!kind.startsWith('reserved-')) fields[field] = KINDS[kind as keyof typeof KINDS];
  }
  return fc.record(fields) as unknown as fc.Arbitrary<MethodInput>;
}

const anyMethod = fc.constantFrom(...NAMES).chain(inputs);

test('the table has the methods, ids and fields that amqplib has, and one of our own', () => {
  const ours = NAMES.filter((name) => name !== 'basic.release').map((name) => {
    const { classId, methodId, fields } = methodEntry(name);
    return [classId, methodId, Object.values(fields).map(foreignType).join()];
  });
  const theirs = foreignInfos.map(({ classId, methodId, args }) => [
    classId,
    methodId,
    args.map(({ type }) => type).join(),
  ]);
  const sorted = (rows: (string | number)[][]): unknown => rows.map((row) => row.join(' ')).sort();
  expect(ours).toHaveLength(66);
  expect(sorted(ours)).toEqual(sorted(theirs));
});

function foreignType(kind: MethodFieldKind): string {
  const plain = kind.replace('reserved-', '');
  return plain === 'text' || plain === 'bytes' ? 'longstr' : plain;
}

test('answers are methods of the same class', () => {
  for (const name of NAMES) {
    for (const answer of methodEntry(name).answers ?? []) {
      expect(METHODS).toHaveProperty([answer]);
      expect(answer.split('.')[0]).toBe(name.split('.')[0]);
    }
  }
});

test.each(NAMES)('%s goes out and comes back', (name) => {
  fc.assert(
    fc.property(inputs(name), (method) => {
      expect(decodeMethod(encodeMethod(method))).toEqual(method);
    }),
    { numRuns: 20 },
  );
});

test.each(foreignInfos.map((info) => [info.name, info] as const))(
  '%s is the same bytes as amqplib writes',
  (_, info) => {
    const name = NAMES.find((candidate) => {
      const { classId, methodId } = methodEntry(candidate);
      return classId === info.classId && methodId === info.methodId;
    }) as MethodName;
    fc.assert(
      fc.property(inputs(name), (method) => {
        const bytes = encodeMethod(method);
        // Numbers in tables may be of other types, so these are compared by what they are read as.
        const theirs = defs.encodeMethod(info.id, 1, foreignFields(name, info, method));
        const payload = theirs.subarray(7, theirs.length - 1);
        if (!hasTable(name)) expect(payload).toEqual(bytes);
        expect(decodeMethod(payload)).toEqual(method);
      }),
      { numRuns: 15 },
    );
  },
);

function hasTable(name: MethodName): boolean {
  return Object.values(methodEntry(name).fields).includes('table');
}

function foreignFields(
  name: MethodName,
  info: ForeignInfo,
  method: MethodInput,
): Record<string, unknown> {
  const given = method as unknown as Record<string, unknown>;
  const out: Record<string, unknown> = {};
  for (const [index, [field, kind]] of Object.entries(methodEntry(name).fields).entries()) {
    const theirs = info.args[index]?.name ?? '';
    const value = given[field];
    if (kind.startsWith('reserved-')) {
      if (kind === 'reserved-longstr') out[theirs] = Buffer.alloc(0);
    } else if (kind === 'text') out[theirs] = Buffer.from(value as string);
    else if (kind === 'table') {
      const entries = Object.entries(value as Record<string, FieldValue>);
      out[theirs] = Object.fromEntries(
        entries.map(([key, item]) => [
          key,
          item instanceof FieldTimestamp ? { '!': 'timestamp', value: item.seconds } : item,
        ]),
      );
    } else out[theirs] = value;
  }
  return out;
}

test('the paths of their own say what the table says', () => {
  const own = fc
    .constantFrom<MethodName[]>('basic.publish', 'basic.deliver', 'basic.ack', 'basic.nack')
    .chain(inputs);
  fc.assert(
    fc.property(own, (method) => {
      const bytes = written((writer) => writeByTable(writer, method));
      expect(encodeMethod(method)).toEqual(bytes);
      const reader = new AmqpReader().over(bytes, 4, bytes.length);
      const { classId, methodId } = methodEntry(method.name);
      expect(decodeMethod(bytes)).toEqual(readByTable(reader, classId, methodId));
    }),
    { numRuns: 300 },
  );
});

test('fields that are left out are nothing', () => {
  expect(decodeMethod(encodeMethod({ name: 'queue.declare' }))).toEqual({
    name: 'queue.declare',
    queue: '',
    passive: false,
    durable: false,
    exclusive: false,
    autoDelete: false,
    noWait: false,
    arguments: {},
  });
});

test('a damaged method is a method or a fault with its ids', () => {
  fc.assert(
    fc.property(
      anyMethod,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.nat(),
      (method, edits, cut) => {
        const bytes = encodeMethod(method);
        for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
        checkDecodes(cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes);
      },
    ),
    { numRuns: 400 },
  );
});

test('random bytes are a method or a fault', () => {
  fc.assert(
    fc.property(fc.constantFrom(...NAMES), fc.uint8Array({ maxLength: 80 }), (name, bytes) => {
      const { classId, methodId } = methodEntry(name);
      const ids = Buffer.from([0, classId, 0, methodId]);
      checkDecodes(Buffer.concat([ids, bytes]));
    }),
    { numRuns: 400 },
  );
});

function checkDecodes(bytes: Buffer): void {
  // Bytes around it, so that reading past its end would be seen as another result.
  const around = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(300, 0x41)]);
  try {
    const method = decodeMethod(around, 3, 3 + bytes.length);
    expect(encodeMethod(method).length).toBeGreaterThanOrEqual(4);
  } catch (error) {
    expect(error).toBeInstanceOf(AmqpFault);
    expect((error as AmqpFault).isHard).toBe(true);
  }
}

test('numbers out of range, and strings that are too long, are refused', () => {
  const refused: readonly MethodInput[] = [
    { name: 'basic.qos', prefetchCount: 65_536 },
    { name: 'basic.qos', prefetchCount: -1 },
    { name: 'basic.qos', prefetchCount: 1.5 },
    { name: 'basic.publish', exchange: 'x'.repeat(256) },
    { name: 'basic.publish', routingKey: 'é'.repeat(128) },
  ];
  for (const method of refused) {
    expect(() => encodeMethod(method)).toThrow(
      expect.objectContaining({ code: 'ML_WIRE_UNREPRESENTABLE' }) as Error,
    );
  }
});

test('what there is no method for, and text that is no UTF-8, are told with their codes', () => {
  expect(() => decodeMethod(Buffer.from([0, 60, 3, 0]))).toThrow(
    expect.objectContaining({ code: 540, classId: 60, methodId: 768 }) as Error,
  );
  expect(() => decodeMethod(Buffer.from([0, 60]))).toThrow(
    expect.objectContaining({ code: 501 }) as Error,
  );
  const publish = Buffer.concat([Buffer.from([0, 60, 0, 40, 0, 0, 1, 0xff, 0, 0])]);
  expect(() => decodeMethod(publish)).toThrow(
    expect.objectContaining({ code: 501, classId: 60, methodId: 40 }) as Error,
  );
});
