/**
 * Keys as bytes whose order is the order of the keys: sorting, merging and partitioning compare bytes and know nothing else.
 * NOTE: bytes in run files and tables, do not renumber.
 *
 *   undefined 02 · null 03 · false 04 · true 05
 *   number    10, then its 8 bytes, most significant first, the sign bit turned; a negative one with all bits turned
 *   bigint    14 (negative, all that follows inverted) or 15, length of the magnitude, magnitude: most significant first
 *   Date      18, then as a number
 *   string    20, UTF-8; lone surrogates in 3 bytes like any other code point (WTF-8)
 *   bytes     28, as they are
 *   array     30, elements, 01
 *   windowed  38, key, start, end
 *
 * Order: undefined < null < booleans < numbers < bigints < dates < strings (by code point) < bytes < arrays (element by
 * element, shorter first) < windows. -0 is 0. NaN, and a date that is none, come last among their kind. A bigint never equals a number.
 *
 * Inside an array, strings and bytes have a 00 written as 00 FF and end in 00; every tag is below FF and above 00. At the top they
 * go to the end of the key, and the trailing zeros of a number are left out. What `desc` marks is encoded as inside an array, then
 * inverted: its tag has the highest bit. At the top it is followed by 01.
 *
 * @hot Strings and numbers allocate nothing.
 */
import type { ByteWriter } from './byte-writer.ts';
import { invalid, malformed, tooDeep } from './key-errors.ts';
import { isDescending, isWindowed, type Windowed } from './key-order.ts';
import { KEY_DEPTH_MAX } from './limits.ts';
import { SHORT_TEXT_BYTES_MAX, shortText } from './short-text.ts';

const END = 0x01;
const UNDEFINED = 0x02;
const NULL = 0x03;
const FALSE = 0x04;
const TRUE = 0x05;
const NUMBER = 0x10;
const BIGINT_NEGATIVE = 0x14;
const BIGINT = 0x15;
const DATE = 0x18;
const STRING = 0x20;
const BYTES = 0x28;
const ARRAY = 0x30;
const WINDOWED = 0x38;

/** Short strings are written and scanned by a loop; longer ones by one native call. */
const LOOP_CHARS_MAX = 24;
const REPLACEMENT = '\ufffd';

const scratch = new DataView(new ArrayBuffer(8));

/**
 * Appends the encoding of `key`.
 * @param descending inverts the order; marks of `desc` inside `key` invert theirs once more
 * @throws {MillraceError} ML_KEY_INVALID for what cannot be a key, also inside an array
 */
export function encodeKey(key: unknown, writer: ByteWriter, descending = false): void {
  let value = key;
  let isInverted = descending;
  while (typeof value === 'object' && value !== null && isDescending(value)) {
    isInverted = !isInverted;
    value = value.value;
  }
  if (isInverted) {
    const from = writer.length;
    encodeElement(value, writer, 1);
    invert(writer, from);
    writer.byte(END);
  } else if (typeof value === 'string') {
    writer.reserve(1 + value.length * 3);
    writer.buffer[writer.length++] = STRING;
    writeText(value, writer);
  } else if (typeof value === 'number') {
    encodeNumber(NUMBER, value, writer);
    dropZeros(writer);
  } else if (value instanceof Date) {
    encodeNumber(DATE, value.getTime(), writer);
    dropZeros(writer);
  } else if (value instanceof Uint8Array) {
    writer.byte(BYTES);
    writer.bytes(value, 0, value.length);
  } else {
    encodeElement(value, writer, 1);
  }
}

/**
 * The key whose encoding is buffer[start, end), without marks of `desc`. Bytes are copied out.
 * @throws {MillraceError} ML_IO when the bytes are no key
 */
export function decodeKey(buffer: Buffer, start: number, end: number): unknown {
  if (start >= end) throw malformed();
  switch (buffer[start] ?? 0) {
    case STRING:
      return readText(buffer, start + 1, end);
    case NUMBER:
      return decodeNumber(buffer, start + 1, end, 0);
    case DATE:
      return new Date(decodeNumber(buffer, start + 1, end, 0));
    case BYTES:
      return copyOut(buffer, start + 1, end);
    default: {
      const cursor = new Cursor(buffer, start, end);
      const key = cursor.element(0, 1);
      if ((buffer[start] ?? 0) > 0x7f) cursor.mark();
      if (cursor.at !== end) throw malformed();
      return key;
    }
  }
}

/** Below 0, 0 or above 0 as the key a[aStart, aEnd) is before, equal to or after the key b[bStart, bEnd). */
export function compareKeys(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const length = aLength < bLength ? aLength : bLength;
  for (let index = 0; index < length; index++) {
    const difference = (a[aStart + index] as number) - (b[bStart + index] as number);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** In the form that knows its own end. */
function encodeElement(key: unknown, writer: ByteWriter, depth: number): void {
  switch (typeof key) {
    case 'string':
      writer.reserve(1);
      writer.buffer[writer.length++] = STRING;
      encodeTerminatedText(key, writer);
      return;
    case 'number':
      encodeNumber(NUMBER, key, writer);
      return;
    case 'boolean':
      writer.byte(key ? TRUE : FALSE);
      return;
    case 'undefined':
      writer.byte(UNDEFINED);
      return;
    case 'bigint':
      encodeBigint(key, writer);
      return;
    case 'object':
      encodeObject(key, writer, depth);
      return;
    case 'function':
    case 'symbol':
      throw invalid(key);
  }
}

function encodeObject(key: object | null, writer: ByteWriter, depth: number): void {
  if (key === null) writer.byte(NULL);
  else if (Array.isArray(key)) encodeArray(key, writer, depth);
  else if (key instanceof Date) encodeNumber(DATE, key.getTime(), writer);
  else if (key instanceof Uint8Array) {
    writer.byte(BYTES);
    encodeTerminated(key, writer);
  } else if (isDescending(key)) {
    if (depth > KEY_DEPTH_MAX) throw tooDeep();
    const from = writer.length;
    encodeElement(key.value, writer, depth + 1);
    invert(writer, from);
  } else if (isWindowed(key)) {
    if (depth > KEY_DEPTH_MAX) throw tooDeep();
    writer.byte(WINDOWED);
    encodeElement(key.key, writer, depth + 1);
    encodeNumber(NUMBER, key.start, writer);
    encodeNumber(NUMBER, key.end, writer);
  } else throw invalid(key);
}

function encodeArray(key: readonly unknown[], writer: ByteWriter, depth: number): void {
  if (depth > KEY_DEPTH_MAX) throw tooDeep();
  writer.byte(ARRAY);
  for (let index = 0; index < key.length; index++) encodeElement(key[index], writer, depth + 1);
  writer.byte(END);
}

function encodeNumber(tag: number, value: number, writer: ByteWriter): void {
  // Adding 0 makes -0 into 0; there are many NaN, and one is written.
  scratch.setFloat64(0, value === value ? value + 0 : Number.NaN);
  let high = scratch.getInt32(0);
  let low = scratch.getInt32(4);
  if (value !== value) {
    high = 0xfff80000 | 0;
    low = 0;
  } else if (high < 0) {
    high = ~high;
    low = ~low;
  } else high ^= 0x80000000;
  writer.reserve(9);
  const { buffer } = writer;
  const at = writer.length;
  buffer[at] = tag;
  buffer[at + 1] = high >>> 24;
  buffer[at + 2] = high >>> 16;
  buffer[at + 3] = high >>> 8;
  buffer[at + 4] = high;
  buffer[at + 5] = low >>> 24;
  buffer[at + 6] = low >>> 16;
  buffer[at + 7] = low >>> 8;
  buffer[at + 8] = low;
  writer.length = at + 9;
}

/** A shorter key is before a longer one that begins with it, so zeros at the end say nothing. */
function dropZeros(writer: ByteWriter): void {
  while (writer.buffer[writer.length - 1] === 0) writer.length--;
}

/** Missing bytes are zeros. */
function decodeNumber(buffer: Uint8Array, start: number, end: number, mask: number): number {
  if (end - start > 8) throw malformed();
  for (let index = 0; index < 8; index++)
    scratch.setUint8(index, start + index < end ? (buffer[start + index] ?? 0) ^ mask : 0);
  const high = scratch.getInt32(0);
  if (high < 0) scratch.setInt32(0, high ^ 0x80000000);
  else {
    scratch.setInt32(0, ~high);
    scratch.setInt32(4, ~scratch.getInt32(4));
  }
  return scratch.getFloat64(0);
}

function encodeBigint(key: bigint, writer: ByteWriter): void {
  const isNegative = key < 0n;
  let digits = (isNegative ? -key : key).toString(16);
  if (digits.length % 2 === 1) digits = `0${digits}`;
  const length = key === 0n ? 0 : digits.length / 2;
  writer.reserve(6 + digits.length / 2);
  writer.buffer[writer.length++] = isNegative ? BIGINT_NEGATIVE : BIGINT;
  const from = writer.length;
  if (length < 0xff) writer.buffer[writer.length++] = length;
  else {
    writer.buffer[writer.length] = 0xff;
    writer.buffer.writeUInt32BE(length, writer.length + 1);
    writer.length += 5;
  }
  if (length > 0) writer.length += writer.buffer.write(digits, writer.length, 'hex');
  if (isNegative) invert(writer, from);
}

function encodeTerminatedText(text: string, writer: ByteWriter): void {
  writer.reserve(text.length * 3 + 1);
  const from = writer.length;
  writeText(text, writer);
  if (text.includes('\0')) {
    const bytes = new Uint8Array(writer.buffer.subarray(from, writer.length));
    writer.length = from;
    encodeTerminated(bytes, writer);
  } else writer.buffer[writer.length++] = 0;
}

function encodeTerminated(bytes: Uint8Array, writer: ByteWriter): void {
  writer.reserve(bytes.length * 2 + 1);
  const { buffer } = writer;
  let at = writer.length;
  for (const byte of bytes) {
    buffer[at++] = byte;
    if (byte === 0) buffer[at++] = 0xff;
  }
  buffer[at++] = 0;
  writer.length = at;
}

/** Room for 3 bytes a character is there. */
function writeText(text: string, writer: ByteWriter): void {
  const { length } = text;
  const { buffer } = writer;
  const from = writer.length;
  if (length <= LOOP_CHARS_MAX) {
    let index = 0;
    for (; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) break;
      buffer[from + index] = unit;
    }
    if (index === length) {
      writer.length = from + length;
      return;
    }
  }
  if (text.isWellFormed()) writer.length = from + buffer.utf8Write(text, from);
  else writeIllFormed(text, writer);
}

function writeIllFormed(text: string, writer: ByteWriter): void {
  const { buffer } = writer;
  let at = writer.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0xd800 || unit > 0xdfff) {
      at += buffer.utf8Write(text.charAt(index), at);
      continue;
    }
    const point = text.codePointAt(index) ?? unit;
    if (point > 0xffff) {
      at += buffer.utf8Write(text.slice(index, index + 2), at);
      index++;
    } else {
      buffer[at++] = 0xe0 | (unit >> 12);
      buffer[at++] = 0x80 | ((unit >> 6) & 0x3f);
      buffer[at++] = 0x80 | (unit & 0x3f);
    }
  }
  writer.length = at;
}

function readText(buffer: Buffer, start: number, end: number): string {
  if (end - start <= SHORT_TEXT_BYTES_MAX && isAscii(buffer, start, end))
    return shortText(buffer, start, end - start);
  const text = buffer.utf8Slice(start, end);
  // U+FFFD stands for what is not UTF-8, or was there before.
  return text.includes(REPLACEMENT) ? readIllFormed(buffer, start, end) : text;
}

function isAscii(buffer: Uint8Array, start: number, end: number): boolean {
  let all = 0;
  for (let at = start; at < end; at++) all |= buffer[at] as number;
  return all < 0x80;
}

function readIllFormed(buffer: Buffer, start: number, end: number): string {
  let text = '';
  let from = start;
  for (let at = start; at + 2 < end; at++) {
    const second = buffer[at + 1] ?? 0;
    if (buffer[at] !== 0xed || second < 0xa0) continue;
    text += buffer.utf8Slice(from, at);
    text += String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | ((buffer[at + 2] ?? 0) & 0x3f));
    from = at + 3;
    at += 2;
  }
  return text + buffer.utf8Slice(from, end);
}

function invert(writer: ByteWriter, from: number): void {
  const { buffer, length } = writer;
  for (let at = from; at < length; at++) buffer[at] = ~(buffer[at] ?? 0);
}

/** Reads what knows its own end. `mask` is 0xff inside what was inverted. */
class Cursor {
  private readonly buffer: Buffer;
  at: number;
  private readonly end: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  element(outerMask: number, depth: number): unknown {
    let mask = outerMask;
    let tag = this.byte() ^ mask;
    if (tag > 0x7f) {
      mask ^= 0xff;
      tag ^= 0xff;
    }
    switch (tag) {
      case UNDEFINED:
        return undefined;
      case NULL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case NUMBER:
        return this.number(mask);
      case DATE:
        return new Date(this.number(mask));
      case BIGINT:
        return this.bigint(mask);
      case BIGINT_NEGATIVE:
        return -this.bigint(mask ^ 0xff);
      case STRING: {
        const bytes = this.terminated(mask);
        return readText(bytes, 0, bytes.length);
      }
      case BYTES:
        return this.bytes(mask);
      case ARRAY:
        return this.array(mask, depth);
      case WINDOWED:
        return this.windowed(mask, depth);
      default:
        throw malformed();
    }
  }

  /** What is inverted at the top has an END behind it: nothing at all would be before the 00 of an inverted 00 FF. */
  mark(): void {
    if (this.byte() !== END) throw malformed();
  }

  private byte(): number {
    if (this.at >= this.end) throw malformed();
    return this.buffer[this.at++] ?? 0;
  }

  private number(mask: number): number {
    const start = this.at;
    if (start + 8 > this.end) throw malformed();
    this.at += 8;
    return decodeNumber(this.buffer, start, start + 8, mask);
  }

  private bigint(mask: number): bigint {
    let length = this.byte() ^ mask;
    if (length === 0xff) {
      length = 0;
      for (let index = 0; index < 4; index++) length = length * 256 + (this.byte() ^ mask);
    }
    if (this.at + length > this.end) throw malformed();
    const magnitude = Buffer.from(this.buffer.subarray(this.at, this.at + length));
    this.at += length;
    if (mask !== 0)
      for (let index = 0; index < length; index++) magnitude[index] = ~(magnitude[index] ?? 0);
    return length === 0 ? 0n : BigInt(`0x${magnitude.toString('hex')}`);
  }

  private bytes(mask: number): Uint8Array {
    const bytes = this.terminated(mask);
    return copyOut(bytes, 0, bytes.length);
  }

  private terminated(mask: number): Buffer {
    let end = this.at;
    let escapes = 0;
    for (; ; end++) {
      if (end >= this.end) throw malformed();
      if (((this.buffer[end] ?? 0) ^ mask) !== 0) continue;
      if (end + 1 >= this.end || ((this.buffer[end + 1] ?? 0) ^ mask) !== 0xff) break;
      escapes++;
      end++;
    }
    const bytes = Buffer.allocUnsafe(end - this.at - escapes);
    let to = 0;
    for (let at = this.at; at < end; at++) {
      const byte = (this.buffer[at] ?? 0) ^ mask;
      bytes[to++] = byte;
      if (byte === 0) at++;
    }
    this.at = end + 1;
    return bytes;
  }

  private windowed(mask: number, depth: number): Windowed<unknown> {
    if (depth > KEY_DEPTH_MAX) throw malformed();
    const [key, start, end] = [0, 1, 2].map(() => this.element(mask, depth + 1));
    if (typeof start !== 'number' || typeof end !== 'number') throw malformed();
    return { key, start, end };
  }

  private array(mask: number, depth: number): unknown[] {
    if (depth > KEY_DEPTH_MAX) throw malformed();
    const elements: unknown[] = [];
    for (;;) {
      if (this.at >= this.end) throw malformed();
      if (((this.buffer[this.at] ?? 0) ^ mask) === END) break;
      elements.push(this.element(mask, depth + 1));
    }
    this.at++;
    return elements;
  }
}

function copyOut(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}
