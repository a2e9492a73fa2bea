/**
 * The table-driven codec: turns a message definition (schema.ts) at one version into a reader and a writer, once, and
 * runs them. Owns the layout rules: classic and compact encodings, tagged fields, defaults, nullability.
 *
 *   classic   string: int16 length, bytes    bytes, array: int32 length, content    null: length -1
 *   flexible  string, bytes, array: unsigned varint of length + 1, content          null: 0
 *             every struct ends with its tagged fields: count, then (tag, size, content) by ascending tag
 *   a nullable struct is preceded by one byte: -1 for null, 1 otherwise
 *
 * Decoding is safe on any bytes: reader.ts checks every length, a definition cannot nest without end, and the array
 * elements of one message are bounded. Unknown tagged fields are skipped. Bytes after the message are refused
 * unless the caller says otherwise.
 *
 * Source: Kafka protocol guide; KIP-482; KIP-893 (nullable structs).
 */
import { MillraceError, assert } from '../../core/errors.ts';
import { WIRE_ELEMENTS_MAX } from '../../core/limits.ts';
import { Reader, WireFault } from './reader.ts';
import {
  ZERO_UUID,
  hasVersion,
  parseVersions,
  type Field,
  type Fields,
  type Infer,
  type InferInput,
  type Message,
  type ScalarKind,
} from './schema.ts';
import { Writer } from './writer.ts';

export interface DecodeOptions {
  /** Where the message starts in the buffer, in bytes; default 0. */
  readonly start?: number;
  /** Where it ends at the latest, exclusive; default the end of the buffer. */
  readonly end?: number;
  /** What to do with bytes after the message; default `refuse`. */
  readonly leftover?: 'refuse' | 'ignore';
}

/**
 * Decodes one message. Buffers in the result are views of `buffer`.
 * @throws ML_WIRE_MALFORMED with the fields `message`, `version`, `path` and `position` (a byte of `buffer`).
 */
export function decodeMessage<M extends Message>(
  message: M,
  version: number,
  buffer: Buffer,
  options: DecodeOptions = {},
): Infer<M> {
  const reader = new Reader(buffer, {
    start: options.start ?? 0,
    end: options.end ?? buffer.length,
    elementsMax: WIRE_ELEMENTS_MAX,
  });
  try {
    const value = codecOf(message, version).read(reader);
    if (reader.remaining() > 0 && options.leftover !== 'ignore') {
      reader.fail(`${reader.remaining()} bytes after the end of the message`);
    }
    return value as Infer<M>;
  } catch (error) {
    throw asMalformed(error, message.name, version);
  }
}

/**
 * Encodes one message into a buffer of its own.
 * @throws ML_WIRE_UNREPRESENTABLE when a value does not fit its type, or this version cannot say it.
 */
export function encodeMessage<M extends Message>(
  message: M,
  version: number,
  value: InferInput<M>,
): Buffer {
  const writer = new Writer();
  writeMessage(message, version, value, writer);
  return writer.finish();
}

/** As `encodeMessage`, to the end of what `writer` holds already. */
export function writeMessage<M extends Message>(
  message: M,
  version: number,
  value: InferInput<M>,
  writer: Writer,
): void {
  try {
    codecOf(message, version).write(writer, value);
  } catch (error) {
    throw asUnrepresentable(error, message.name, version);
  }
}

/** What a decoder throws for a fault inside it; other errors pass. */
export function asMalformed(error: unknown, message: string, version: number): unknown {
  if (!(error instanceof WireFault)) return error;
  const { path, position } = error;
  return new MillraceError(
    'ML_WIRE_MALFORMED',
    `malformed ${message} v${version} at byte ${position}${path === '' ? '' : `, ${path}`}: ${error.message}`,
    { fields: { message, version, path, position } },
  );
}

/** What an encoder throws for a fault inside it; other errors pass. */
export function asUnrepresentable(error: unknown, message: string, version: number): unknown {
  if (!(error instanceof WireFault)) return error;
  const { path } = error;
  return new MillraceError(
    'ML_WIRE_UNREPRESENTABLE',
    `cannot write ${message} v${version}${path === '' ? '' : `, ${path}`}: ${error.message}`,
    { fields: { message, version, path } },
  );
}

// Compilation -----------------------------------------------------------------------------------------------------

/** The reader and writer of one value at one version. */
interface Codec {
  readonly read: (reader: Reader) => unknown;
  readonly write: (writer: Writer, value: unknown) => void;
  /** The fewest bytes that a value takes, at least 1: what an array's count is checked against. */
  readonly bytesMin: number;
}

type Struct = Record<string, unknown>;

interface Version {
  readonly number: number;
  readonly flexible: boolean;
}

const codecs = new WeakMap<Message, (Codec | undefined)[]>();

function codecOf(message: Message, version: number): Codec {
  let ofMessage = codecs.get(message);
  if (ofMessage === undefined) codecs.set(message, (ofMessage = []));
  const known = ofMessage[version];
  if (known !== undefined) return known;
  assert(
    Number.isInteger(version) && version >= message.minVersion && version <= message.maxVersion,
    `${message.name} has no version ${version}`,
  );
  const codec = structCodec(message.fields, {
    number: version,
    flexible: version >= message.flexibleSince,
  });
  ofMessage[version] = codec;
  return codec;
}

function fieldCodec(field: Field, version: Version): Codec {
  const nullable = hasVersion(parseVersions(field.options.nullable), version.number);
  if (field.kind === 'array') {
    return arrayCodec(elementCodec(field, version), { nullable, flexible: version.flexible });
  }
  if (field.kind === 'struct') {
    const codec = structCodec(field.fields ?? {}, version);
    return nullable ? nullableStructCodec(codec) : codec;
  }
  return scalarCodec(field.kind, { nullable, flexible: version.flexible });
}

function elementCodec(field: Field, version: Version): Codec {
  const element = field.element ?? 'struct';
  if (element === 'struct') return structCodec(field.fields ?? {}, version);
  return scalarCodec(element, { nullable: false, flexible: version.flexible });
}

interface TaggedField {
  readonly name: string;
  readonly tag: number;
  readonly codec: Codec;
  readonly fallback: unknown;
  readonly isDefault: (value: unknown) => boolean;
}

/** A field that this version does not have. */
interface AbsentField {
  readonly name: string;
  readonly isDefault: (value: unknown) => boolean;
}

function structCodec(fields: Fields, version: Version): Codec {
  const template: Struct = {};
  const names: string[] = [];
  const plain: Codec[] = [];
  const tagged: TaggedField[] = [];
  const absent: AbsentField[] = [];
  for (const [name, field] of Object.entries(fields)) {
    const fallback = defaultOf(field);
    template[name] = fallback;
    const { tag, ignorable } = field.options;
    const isDefault = (value: unknown): boolean => equalsDefault(field, value);
    if (!hasVersion(parseVersions(field.versions), version.number)) {
      if (ignorable !== true) absent.push({ name, isDefault });
      continue;
    }
    const codec = fieldCodec(field, version);
    if (tag === undefined) {
      names.push(name);
      plain.push(codec);
    } else {
      assert(version.flexible, `the tagged field ${name} is in a version without tags`);
      tagged.push({ name, tag, codec, fallback, isDefault });
    }
  }
  tagged.sort((a, b) => a.tag - b.tag);
  const bytes = plain.reduce((sum, codec) => sum + codec.bytesMin, version.flexible ? 1 : 0);
  return {
    bytesMin: Math.max(1, bytes),
    read: structReader(template, names, plain, version.flexible ? tagged : undefined),
    write: structWriter({ template, names, plain, tagged, absent, version }),
  };
}

function structReader(
  template: Struct,
  names: readonly string[],
  codecs: readonly Codec[],
  tagged: readonly TaggedField[] | undefined,
): Codec['read'] {
  const reads = codecs.map((codec) => codec.read);
  const count = reads.length;
  return (reader) => {
    // One shape for all versions of a message, with the defaults of the absent fields in place.
    const out = { ...template };
    let index = 0;
    try {
      for (; index < count; index++) {
        out[names[index] as string] = (reads[index] as Codec['read'])(reader);
      }
    } catch (error) {
      throw located(error, names[index] as string);
    }
    if (tagged !== undefined) {
      if (tagged.length === 0) reader.skipTaggedFields();
      else readTagged(reader, tagged, out);
    }
    return out;
  };
}

function readTagged(reader: Reader, tagged: readonly TaggedField[], out: Struct): void {
  const count = reader.unsignedVarint();
  let previous = -1;
  for (let index = 0; index < count; index++) {
    const tag = reader.unsignedVarint();
    if (tag <= previous) reader.fail(`tag ${tag} after tag ${previous}`);
    previous = tag;
    const size = reader.unsignedVarint();
    const start = reader.take(size);
    const field = tagged.find((candidate) => candidate.tag === tag);
    if (field === undefined) continue;
    const outerEnd = reader.end;
    reader.position = start;
    reader.end = start + size;
    try {
      out[field.name] = field.codec.read(reader);
      if (reader.remaining() > 0) reader.fail(`${reader.remaining()} bytes after the tagged field`);
    } catch (error) {
      throw located(error, field.name);
    }
    reader.end = outerEnd;
  }
}

function structWriter(struct: {
  readonly template: Struct;
  readonly names: readonly string[];
  readonly plain: readonly Codec[];
  readonly tagged: readonly TaggedField[];
  readonly absent: readonly AbsentField[];
  readonly version: Version;
}): Codec['write'] {
  const { template, names, plain, tagged, absent, version } = struct;
  const fallbacks = names.map((name) => template[name]);
  return (writer, value) => {
    if (typeof value !== 'object' || value === null) writer.fail('an object is needed');
    const input = value as Struct;
    for (const { name, isDefault } of absent) {
      if (input[name] !== undefined && !isDefault(input[name])) {
        throw located(new WireFault('this version does not have the field', writer.position), name);
      }
    }
    let index = 0;
    try {
      for (; index < names.length; index++) {
        const given = input[names[index] as string];
        (plain[index] as Codec).write(writer, given === undefined ? fallbacks[index] : given);
      }
    } catch (error) {
      throw located(error, names[index] as string);
    }
    if (version.flexible) writeTagged(writer, tagged, input);
  };
}

function writeTagged(writer: Writer, tagged: readonly TaggedField[], input: Struct): void {
  let count = 0;
  for (const { name, isDefault } of tagged) {
    if (input[name] !== undefined && !isDefault(input[name])) count++;
  }
  writer.unsignedVarint(count);
  if (count === 0) return;
  for (const { name, tag, codec, isDefault } of tagged) {
    const value = input[name];
    if (value === undefined || isDefault(value)) continue;
    writer.unsignedVarint(tag);
    const start = writer.position;
    try {
      codec.write(writer, value);
    } catch (error) {
      throw located(error, name);
    }
    writer.insertLength(start);
  }
}

function nullableStructCodec(codec: Codec): Codec {
  return {
    bytesMin: 1,
    read: (reader) => {
      const present = reader.int8();
      if (present < -1) reader.fail(`a struct's presence is ${present}`);
      return present === -1 ? null : codec.read(reader);
    },
    write: (writer, value) => {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) codec.write(writer, value);
    },
  };
}

interface Encoding {
  readonly nullable: boolean;
  readonly flexible: boolean;
}

function arrayCodec(element: Codec, { nullable, flexible }: Encoding): Codec {
  const { bytesMin } = element;
  return {
    bytesMin: flexible ? 1 : 4,
    read: (reader) => {
      const count = flexible ? reader.unsignedVarint() - 1 : reader.int32();
      if (count === -1) return nullable ? null : reader.fail('null is not allowed');
      reader.checkCount(count, bytesMin);
      const out: unknown[] = [];
      try {
        for (let index = 0; index < count; index++) out.push(element.read(reader));
      } catch (error) {
        throw located(error, `[${out.length}]`);
      }
      return out;
    },
    write: (writer, value) => {
      if (value === null) {
        if (!nullable) writer.fail('null is not allowed');
        writer.count(flexible, -1);
        return;
      }
      if (!Array.isArray(value)) writer.fail('an array is needed');
      const elements = value as readonly unknown[];
      writer.count(flexible, elements.length);
      let index = 0;
      try {
        for (; index < elements.length; index++) element.write(writer, elements[index]);
      } catch (error) {
        throw located(error, `[${index}]`);
      }
    },
  };
}

function scalarCodec(kind: ScalarKind, encoding: Encoding): Codec {
  if (kind === 'string') return stringCodec(encoding);
  if (kind === 'bytes' || kind === 'records') return bytesCodec(encoding);
  return FIXED[kind];
}

/** The kinds whose encoding is the same in every version. */
const FIXED: Readonly<Record<Exclude<ScalarKind, 'string' | 'bytes' | 'records'>, Codec>> = {
  bool: {
    bytesMin: 1,
    read: (reader) => reader.bool(),
    write: (writer, value) => writer.bool(value as boolean),
  },
  int8: {
    bytesMin: 1,
    read: (reader) => reader.int8(),
    write: (writer, value) => writer.int8(value as number),
  },
  int16: {
    bytesMin: 2,
    read: (reader) => reader.int16(),
    write: (writer, value) => writer.int16(value as number),
  },
  int32: {
    bytesMin: 4,
    read: (reader) => reader.int32(),
    write: (writer, value) => writer.int32(value as number),
  },
  int64: {
    bytesMin: 8,
    read: (reader) => reader.int64(),
    write: (writer, value) => writer.int64(value as number),
  },
  uuid: {
    bytesMin: 16,
    read: (reader) => reader.uuid(),
    write: (writer, value) => writer.uuid(value as string),
  },
};

function stringCodec({ nullable, flexible }: Encoding): Codec {
  return {
    bytesMin: flexible ? 1 : 2,
    read: (reader) => {
      const length = flexible ? reader.compactStringLength() : reader.stringLength();
      if (length === -1) return nullable ? null : reader.fail('null is not allowed');
      return reader.text(length);
    },
    write: (writer, value) => {
      if (value === null && !nullable) writer.fail('null is not allowed');
      if (value !== null && typeof value !== 'string') writer.fail('a string is needed');
      writer.nullableString(flexible, value as string | null);
    },
  };
}

function bytesCodec({ nullable, flexible }: Encoding): Codec {
  return {
    bytesMin: flexible ? 1 : 4,
    read: (reader) => {
      const length = flexible ? reader.compactBytesLength() : reader.bytesLength();
      if (length === -1) return nullable ? null : reader.fail('null is not allowed');
      return reader.view(length);
    },
    write: (writer, value) => {
      if (value === null) {
        if (!nullable) writer.fail('null is not allowed');
        writer.count(flexible, -1);
        return;
      }
      if (!(value instanceof Uint8Array)) writer.fail('bytes are needed');
      const content = value as Uint8Array;
      writer.count(flexible, content.length);
      writer.raw(content);
    },
  };
}

function located(error: unknown, step: string): unknown {
  return error instanceof WireFault ? error.within(step) : error;
}

// Defaults --------------------------------------------------------------------------------------------------------

const EMPTY_BYTES: Buffer = Buffer.alloc(0);

/** What Kafka takes for a field without a default of its own. Shared between decoded objects: they are read-only. */
const NATURAL: Readonly<Record<Exclude<Field['kind'], 'struct'>, unknown>> = {
  bool: false,
  int8: 0,
  int16: 0,
  int32: 0,
  int64: 0,
  string: '',
  uuid: ZERO_UUID,
  bytes: EMPTY_BYTES,
  records: EMPTY_BYTES,
  array: Object.freeze([]),
};

/** What a decoded object holds for a field that is not on the wire. */
function defaultOf(field: Field): unknown {
  const { kind, fields = {}, options } = field;
  if (options.default !== undefined) return options.default;
  if (kind === 'records' && options.nullable !== undefined) return null;
  if (kind !== 'struct') return NATURAL[kind];
  return Object.freeze(
    Object.fromEntries(Object.entries(fields).map(([name, inner]) => [name, defaultOf(inner)])),
  );
}

function equalsDefault(field: Field, value: unknown): boolean {
  const fallback = defaultOf(field);
  if (value === null || fallback === null) return value === fallback;
  // No array or buffer has a default with content.
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  if (field.kind !== 'struct') return value === fallback;
  return Object.entries(field.fields ?? {}).every(([name, inner]) => {
    const given = (value as Struct)[name];
    return given === undefined || equalsDefault(inner, given);
  });
}
