/**
 * Any value that goes from one task to another, as bytes and back: what `structuredClone` keeps of plain data, at the speed of the
 * inner loop. Every encoded value can be decoded by itself, because runs of records are cut and merged.
 *
 *   undefined 00 · null 01 · false 02 · true 03 · integers 0 to 127: 80 to ff
 *   int16 04 · int32 05 · double 06 · Date 07 double · bigint 08 int64 | 09 (negative) 0a u32 length, hexadecimal digits
 *   string    40 to 7f: 0 to 63 ASCII characters | 10 u8 length, UTF-8 | 11 u32 length, UTF-8 | 12 u32 length, UTF-16
 *   bytes     18 (Uint8Array) 19 (Buffer) u32 length
 *   array     20 u8 count | 21 u32 count, elements        Map 22, Set 23 u32 count, elements
 *   object    30 u8 length | 31 u32 length of the key list, the key list (strings), the values in its order
 *
 * Multi-byte numbers are little-endian. NOTE: bytes in run files and tables, do not renumber.
 *
 * Kept: -0, NaN, lone surrogates, undefined fields, the order of keys. Not kept: identity (a value that is reachable twice becomes
 * two), prototypes (an instance of a class becomes a plain object of its own enumerable fields), symbol keys, holes of
 * arrays (undefined), further properties of arrays, maps and so on.
 *
 * @hot
 */
import { ByteWriter } from './byte-writer.ts';
import { MillraceError } from './errors.ts';
import { VALUE_DEPTH_MAX } from './limits.ts';
import { isData, whereInvalid } from './value-path.ts';
import { Shape, Shapes } from './value-shapes.ts';
import {
  UNDEFINED,
  NULL,
  FALSE,
  TRUE,
  INT16,
  INT32,
  DOUBLE,
  DATE,
  BIGINT64,
  BIGINT_NEGATIVE,
  BIGINT,
  TEXT,
  TEXT_LONG,
  TEXT_UTF16,
  BYTES,
  BUFFER,
  ARRAY,
  ARRAY_LONG,
  MAP,
  SET,
  OBJECT,
  OBJECT_LONG,
  ASCII,
  SMALL,
} from './value-tags.ts';

export { decodedEnd, decodeValue, decodeValueAt } from './value-decoder.ts';

/** Short strings are written by a loop; longer ones by one native call. */
const LOOP_CHARS_MAX = 16;
/** Characters that always fit into 255 bytes. */
const TEXT_CHARS_MAX = 85;

/** Objects with more keys are dictionaries, whose keys nobody remembers. */
const SHAPE_KEYS_MAX = 256;

const scratch = new DataView(new ArrayBuffer(8));
const encoderShapes = new Shapes();
const NOTHING = Buffer.alloc(0);
/** The buffer that was written to last, by words: the same one for many records. */
let target: Buffer = NOTHING;
let targetView: DataView = new DataView(NOTHING.buffer, NOTHING.byteOffset, 0);

/**
 * Appends the encoding of `value`.
 * @throws {MillraceError} ML_VALUE_INVALID, naming the path inside the value, for functions, symbols, promises and so on, and for
 *   what is nested more than VALUE_DEPTH_MAX levels deep, as a cycle is. What was appended before is taken back.
 */
export function encodeValue(value: unknown, writer: ByteWriter): void {
  if (typeof value === 'string') {
    encodeText(value, writer);
    return;
  }
  const from = writer.length;
  if (encodeAny(value, writer, 0)) return;
  writer.length = from;
  throw invalid(value);
}

/** Returns false when the value, or one inside it, cannot be encoded. */
function encodeAny(value: unknown, writer: ByteWriter, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      encodeText(value, writer);
      return true;
    case 'number':
      encodeNumber(value, writer);
      return true;
    case 'boolean':
      writer.byte(value ? TRUE : FALSE);
      return true;
    case 'undefined':
      writer.byte(UNDEFINED);
      return true;
    case 'bigint':
      encodeBigint(value, writer);
      return true;
    case 'object':
      if (value === null) {
        writer.byte(NULL);
        return true;
      }
      if (depth >= VALUE_DEPTH_MAX) return false;
      if (Array.isArray(value)) return encodeArray(value, writer, depth);
      return Object.getPrototypeOf(value) === Object.prototype
        ? encodeFields(value as Record<string, unknown>, writer, depth)
        : encodeInstance(value, writer, depth);
    case 'function':
    case 'symbol':
      return false;
  }
}

function encodeNumber(value: number, writer: ByteWriter): void {
  writer.reserve(9);
  const { buffer } = writer;
  const at = writer.length;
  const integer = value | 0;
  if (integer === value && !Object.is(value, -0)) {
    if (integer >= 0 && integer < 0x80) {
      buffer[at] = SMALL + integer;
      writer.length = at + 1;
    } else if (integer >= -0x8000 && integer < 0x8000) {
      buffer[at] = INT16;
      buffer[at + 1] = integer;
      buffer[at + 2] = integer >> 8;
      writer.length = at + 3;
    } else {
      buffer[at] = INT32;
      buffer[at + 1] = integer;
      buffer[at + 2] = integer >> 8;
      buffer[at + 3] = integer >> 16;
      buffer[at + 4] = integer >> 24;
      writer.length = at + 5;
    }
    return;
  }
  buffer[at] = DOUBLE;
  writer.length = at + 1;
  writeDouble(value, writer);
}

function writeDouble(value: number, writer: ByteWriter): void {
  scratch.setFloat64(0, value, true);
  const low = scratch.getInt32(0, true);
  const high = scratch.getInt32(4, true);
  writer.reserve(8);
  const { buffer } = writer;
  const at = writer.length;
  buffer[at] = low;
  buffer[at + 1] = low >> 8;
  buffer[at + 2] = low >> 16;
  buffer[at + 3] = low >> 24;
  buffer[at + 4] = high;
  buffer[at + 5] = high >> 8;
  buffer[at + 6] = high >> 16;
  buffer[at + 7] = high >> 24;
  writer.length = at + 8;
}

function writeLong(tag: number, count: number, writer: ByteWriter): void {
  writer.reserve(5);
  const { buffer } = writer;
  const at = writer.length;
  buffer[at] = tag;
  buffer[at + 1] = count;
  buffer[at + 2] = count >> 8;
  buffer[at + 3] = count >> 16;
  buffer[at + 4] = count >> 24;
  writer.length = at + 5;
}

function encodeText(text: string, writer: ByteWriter): void {
  const { length } = text;
  writer.reserve(5 + length * 3);
  const { buffer } = writer;
  const at = writer.length;
  if (length <= LOOP_CHARS_MAX) {
    let index = 0;
    for (; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) break;
      buffer[at + 1 + index] = unit;
    }
    if (index === length) {
      buffer[at] = ASCII + length;
      writer.length = at + 1 + length;
      return;
    }
  }
  if (length < 0x40) {
    const bytes = buffer.utf8Write(text, at + 1);
    if (bytes === length) {
      buffer[at] = ASCII + length;
      writer.length = at + 1 + length;
      return;
    }
  }
  if (!text.isWellFormed()) {
    writeLong(TEXT_UTF16, length * 2, writer);
    writer.length += buffer.ucs2Write(text, writer.length);
  } else if (length <= TEXT_CHARS_MAX) {
    const bytes = buffer.utf8Write(text, at + 2);
    buffer[at] = TEXT;
    buffer[at + 1] = bytes;
    writer.length = at + 2 + bytes;
  } else {
    const bytes = buffer.utf8Write(text, at + 5);
    writeLong(TEXT_LONG, bytes, writer);
    writer.length += bytes;
  }
}

function encodeBigint(value: bigint, writer: ByteWriter): void {
  if (BigInt.asIntN(64, value) === value) {
    writer.reserve(9);
    writer.buffer[writer.length] = BIGINT64;
    writer.buffer.writeBigInt64LE(value, writer.length + 1);
    writer.length += 9;
    return;
  }
  const digits = (value < 0n ? -value : value).toString(16);
  writeLong(value < 0n ? BIGINT_NEGATIVE : BIGINT, digits.length, writer);
  writer.reserve(digits.length);
  writer.length += writer.buffer.latin1Write(digits, writer.length);
}

function encodeArray(value: readonly unknown[], writer: ByteWriter, depth: number): boolean {
  const { length } = value;
  if (length < 0x100) {
    writer.reserve(2);
    writer.buffer[writer.length] = ARRAY;
    writer.buffer[writer.length + 1] = length;
    writer.length += 2;
  } else writeLong(ARRAY_LONG, length, writer);
  for (let index = 0; index < length; index++)
    if (!encodeAny(value[index], writer, depth + 1)) return false;
  return true;
}

/** A plain object: with the keys that are expected, or with others. */
function encodeFields(
  value: Readonly<Record<string, unknown>>,
  writer: ByteWriter,
  depth: number,
): boolean {
  const previous = encoderShapes.last;
  const shape = previous.next;
  const { keys } = shape;
  const from = writer.length;
  writeList(shape, writer);
  encoderShapes.last = shape;
  let index = 0;
  // Nothing in Object.prototype is enumerable, so these are its own keys.
  for (const key in value) {
    if (keys[index] !== key) {
      index = -1;
      break;
    }
    if (!encodeAny(value[key], writer, depth + 1)) return false;
    index++;
  }
  if (index === keys.length) return true;
  writer.length = from;
  return encodeUnexpected(value, previous, writer, depth);
}

function encodeUnexpected(
  value: Readonly<Record<string, unknown>>,
  previous: Shape,
  writer: ByteWriter,
  depth: number,
): boolean {
  const keys = Object.keys(value);
  if (keys.length > SHAPE_KEYS_MAX) {
    const list = new ByteWriter(keys.length * 8);
    for (const key of keys) encodeText(key, list);
    writeList(new Shape(keys, list.buffer.subarray(0, list.length)), writer);
  } else {
    const shape = encoderShapes.ofKeys(keys, writer, encodeText);
    encoderShapes.learn(previous, shape);
    writeList(shape, writer);
  }
  for (const key of keys) if (!encodeAny(value[key], writer, depth + 1)) return false;
  return true;
}

function writeList(shape: Shape, writer: ByteWriter): void {
  const { list, view } = shape;
  const { length } = list;
  if (length > 0xff) {
    writeLong(OBJECT_LONG, length, writer);
    writer.bytes(list, 0, length);
    return;
  }
  writer.reserve(2 + length);
  const { buffer } = writer;
  const at = writer.length;
  buffer[at] = OBJECT;
  buffer[at + 1] = length;
  if (buffer !== target) {
    target = buffer;
    targetView = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }
  let index = 0;
  for (; index + 4 <= length; index += 4)
    targetView.setInt32(at + 2 + index, view.getInt32(index, true), true);
  for (; index < length; index++) buffer[at + 2 + index] = list[index] as number;
  writer.length = at + 2 + length;
}

/** What is neither an array nor a plain object. */
function encodeInstance(value: object, writer: ByteWriter, depth: number): boolean {
  if (value instanceof Date) {
    writer.byte(DATE);
    writeDouble(value.getTime(), writer);
    return true;
  }
  if (value instanceof Uint8Array) {
    writeLong(Buffer.isBuffer(value) ? BUFFER : BYTES, value.length, writer);
    writer.bytes(value, 0, value.length);
    return true;
  }
  if (value instanceof Map) {
    writeLong(MAP, value.size, writer);
    for (const [key, item] of value) {
      if (!encodeAny(key, writer, depth + 1)) return false;
      if (!encodeAny(item, writer, depth + 1)) return false;
    }
    return true;
  }
  if (value instanceof Set) {
    writeLong(SET, value.size, writer);
    for (const item of value) if (!encodeAny(item, writer, depth + 1)) return false;
    return true;
  }
  if (!isData(value)) return false;
  return encodeUnexpected(
    value as Readonly<Record<string, unknown>>,
    encoderShapes.last,
    writer,
    depth,
  );
}

function invalid(value: unknown): MillraceError {
  const { path, reason } = whereInvalid(value);
  return new MillraceError('ML_VALUE_INVALID', `${path} is ${reason}, which cannot be encoded`);
}
