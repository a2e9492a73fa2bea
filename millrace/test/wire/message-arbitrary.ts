/**
 * Random messages, derived from their definitions: for any message and version, the objects that a decoder of that
 * version can return, so that encoding and decoding again must give the same object.
 */
import * as fc from 'fast-check';
import {
  ZERO_UUID,
  hasVersion,
  parseVersions,
  type Field,
  type Fields,
  type Message,
} from '../../src/wire/kafka/schema.ts';

export type Value = Readonly<Record<string, unknown>>;

const INT64 = fc.oneof(
  fc.constantFrom(
    -1,
    0,
    1,
    2 ** 32,
    -(2 ** 32),
    2 ** 31,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ),
  fc.maxSafeInteger(),
);
const TEXT = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.string({ minLength: 126, maxLength: 130 }),
);
const UUID = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
);
const BYTES = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

/** Mostly bytes at the edges of lengths and varints. */
const EDGE_BYTE = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat({ max: 255 }));

const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  bool: fc.boolean(),
  int8: fc.integer({ min: -0x80, max: 0x7f }),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  int32: fc.oneof(fc.constantFrom(-1, 0, 1, 0x7fff_ffff, -0x8000_0000), fc.integer()),
  int64: INT64,
  string: TEXT,
  uuid: fc.oneof({ weight: 1, arbitrary: fc.constant(ZERO_UUID) }, { weight: 3, arbitrary: UUID }),
  bytes: BYTES,
  records: BYTES,
};

/** The objects of `message` that version `version` can hold. */
export function messageArbitrary(message: Message, version: number): fc.Arbitrary<Value> {
  return structArbitrary(message.fields, version);
}

export function isPresent(field: Field, version: number): boolean {
  return hasVersion(parseVersions(field.versions), version);
}

export function isNullable(field: Field, version: number): boolean {
  return hasVersion(parseVersions(field.options.nullable), version);
}

/** What each kind is decoded as without bytes: written here a second time, to check the codec's. */
const NATURAL: Readonly<Record<Field['kind'], unknown>> = {
  bool: false,
  int8: 0,
  int16: 0,
  int32: 0,
  int64: 0,
  string: '',
  uuid: ZERO_UUID,
  bytes: Buffer.alloc(0),
  records: Buffer.alloc(0),
  array: [],
  struct: {},
};

export function defaultValue({ kind, options, fields = {} }: Field): unknown {
  if (options.default !== undefined) return options.default;
  if (kind === 'records' && options.nullable !== undefined) return null;
  return kind === 'struct' ? defaults(fields) : NATURAL[kind];
}

function defaults(fields: Fields): Value {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, defaultValue(field)]),
  );
}

function structArbitrary(fields: Fields, version: number): fc.Arbitrary<Value> {
  const parts: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [name, field] of Object.entries(fields)) parts[name] = fieldArbitrary(field, version);
  return fc.record(parts, { noNullPrototype: true });
}

function fieldArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  if (!isPresent(field, version)) return fc.constant(defaultValue(field));
  const some = valueArbitrary(field, version);
  const choices = [{ weight: 5, arbitrary: some }];
  if (isNullable(field, version)) choices.push({ weight: 1, arbitrary: fc.constant(null) });
  // A null default may not be writable in a version where the field is not nullable.
  const fallback = defaultValue(field);
  if (fallback !== null || isNullable(field, version)) {
    choices.push({ weight: 1, arbitrary: fc.constant(fallback) });
  }
  return fc.oneof(...choices);
}

function valueArbitrary(field: Field, version: number): fc.Arbitrary<unknown> {
  if (field.kind === 'struct') return structArbitrary(field.fields ?? {}, version);
  if (field.kind !== 'array') return SCALARS[field.kind] as fc.Arbitrary<unknown>;
  const element =
    field.element === 'struct' || field.element === undefined
      ? structArbitrary(field.fields ?? {}, version)
      : (SCALARS[field.element] as fc.Arbitrary<unknown>);
  return fc.array(element, { maxLength: 3 });
}

/** Bytes that were right once: some overwritten, cut, inserted or repeated; sometimes none. */
export function mutated(bytes: Buffer): fc.Arbitrary<Buffer> {
  const position = fc.nat({ max: Math.max(0, bytes.length) });
  const edit = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), at: position, byte: EDGE_BYTE }),
    fc.record({ kind: fc.constant('cut' as const), at: position, byte: EDGE_BYTE }),
    fc.record({ kind: fc.constant('insert' as const), at: position, byte: EDGE_BYTE }),
    fc.record({ kind: fc.constant('drop' as const), at: position, byte: EDGE_BYTE }),
  );
  return fc.array(edit, { maxLength: 3 }).map((edits) => {
    let out = Buffer.from(bytes);
    for (const { kind, at, byte } of edits) {
      if (kind === 'set' && at < out.length) out[at] = byte;
      else if (kind === 'cut') out = out.subarray(0, at);
      else if (kind === 'insert') {
        out = Buffer.concat([out.subarray(0, at), Buffer.from([byte]), out.subarray(at)]);
      } else if (kind === 'drop') {
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + 1)]);
      }
    }
    return out;
  });
}
