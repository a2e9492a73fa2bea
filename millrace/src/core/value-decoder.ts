/**
 * Bytes back into values: the other half of `value-codec.ts`. Reads nothing outside of the bytes it is given, and allocates no more than
 * they are worth, whatever they hold.
 *
 * @hot Nothing here calls code of users, so where it is can be kept in the module.
 */
import { MillraceError } from './errors.ts';
import { VALUE_DEPTH_MAX } from './limits.ts';
import { SHORT_TEXT_BYTES_MAX, shortText } from './short-text.ts';
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

/** Longer key lists belong to dictionaries, whose keys nobody remembers. */
const SHAPE_LIST_BYTES_MAX = 8_192;
const HEXADECIMAL = /^[0-9a-f]+$/;

const NOTHING = Buffer.alloc(0);

const decoderShapes = new Shapes();
let bytes: Buffer = NOTHING;
let view: DataView = new DataView(NOTHING.buffer, NOTHING.byteOffset, 0);
let otherBytes: Buffer = NOTHING;
let otherView: DataView = view;
let position = 0;
let limit = 0;
let depthLeft = 0;

/**
 * The value whose encoding is buffer[start, end). Bytes are copied out.
 * @throws {MillraceError} ML_IO when the bytes are not exactly one value
 */
export function decodeValue(buffer: Buffer, start: number, end: number): unknown {
  const value = decodeValueAt(buffer, start, end);
  if (position !== end) throw malformed();
  return value;
}

/**
 * The value whose encoding begins at `start`, and ends at `end` or before: `decodedEnd` tells.
 * @throws {MillraceError} ML_IO when the bytes are no value
 */
export function decodeValueAt(buffer: Buffer, start: number, end: number): unknown {
  if (end > buffer.length) throw malformed();
  if (bytes !== buffer) useBuffer(buffer);
  position = start;
  limit = end;
  depthLeft = VALUE_DEPTH_MAX;
  return decodeAny();
}

/** Joins read from two buffers in turn: the view of the one before is kept, too. */
function useBuffer(buffer: Buffer): void {
  const [lastBytes, lastView] = [bytes, view];
  if (buffer === otherBytes) {
    bytes = otherBytes;
    view = otherView;
  } else {
    bytes = buffer;
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }
  otherBytes = lastBytes;
  otherView = lastView;
}

/** Where the value that `decodeValueAt` has just returned ends. */
export function decodedEnd(): number {
  return position;
}

function decodeAny(): unknown {
  const at = position;
  if (at >= limit) throw malformed();
  const tag = bytes[at] as number;
  position = at + 1;
  if (tag >= SMALL) return tag - SMALL;
  if (tag >= ASCII) return decodeAscii(tag - ASCII);
  switch (tag) {
    case UNDEFINED:
      return undefined;
    case NULL:
      return null;
    case FALSE:
      return false;
    case TRUE:
      return true;
    case INT16:
      return view.getInt16(take(2), true);
    case INT32:
      return view.getInt32(take(4), true);
    case DOUBLE:
      return view.getFloat64(take(8), true);
    case DATE:
      return new Date(view.getFloat64(take(8), true));
    case BIGINT64:
      return view.getBigInt64(take(8), true);
    case BIGINT:
      return decodeBigint();
    case BIGINT_NEGATIVE:
      return -decodeBigint();
    case TEXT:
      return decodeText(bytes[take(1)] as number);
    case TEXT_LONG:
      return decodeText(view.getUint32(take(4), true));
    case TEXT_UTF16:
      return decodeUtf16(view.getUint32(take(4), true));
    case BYTES:
    case BUFFER:
      return decodeBytes(tag);
    default:
      return decodeCollection(tag);
  }
}

function decodeCollection(tag: number): unknown {
  if (--depthLeft < 0) throw malformed();
  const value = decodeItems(tag);
  depthLeft++;
  return value;
}

function decodeItems(tag: number): unknown {
  switch (tag) {
    case ARRAY:
      return decodeArray(bytes[take(1)] as number);
    case ARRAY_LONG:
      return decodeArray(view.getUint32(take(4), true));
    case MAP:
      return decodeMap(view.getUint32(take(4), true));
    case SET:
      return decodeSet(view.getUint32(take(4), true));
    case OBJECT:
      return decodeObject(bytes[take(1)] as number);
    case OBJECT_LONG:
      return decodeObject(view.getUint32(take(4), true));
    default:
      throw malformed();
  }
}

/** Goes `count` bytes on; returns where they begin. */
function take(count: number): number {
  const at = position;
  if (count > limit - at) throw malformed();
  position = at + count;
  return at;
}

function decodeAscii(length: number): string {
  const at = take(length);
  return length <= SHORT_TEXT_BYTES_MAX
    ? shortText(bytes, at, length)
    : bytes.latin1Slice(at, at + length);
}

function decodeText(length: number): string {
  const at = take(length);
  return bytes.utf8Slice(at, at + length);
}

function decodeUtf16(length: number): string {
  const at = take(length);
  if (length % 2 === 1) throw malformed();
  return bytes.ucs2Slice(at, at + length);
}

function decodeBigint(): bigint {
  const length = view.getUint32(take(4), true);
  const at = take(length);
  const digits = bytes.latin1Slice(at, at + length);
  if (!HEXADECIMAL.test(digits)) throw malformed();
  return BigInt(`0x${digits}`);
}

function decodeBytes(tag: number): Uint8Array {
  const length = view.getUint32(take(4), true);
  const at = take(length);
  const from = bytes.subarray(at, at + length);
  return tag === BUFFER ? Buffer.from(from) : new Uint8Array(from);
}

/** Every element takes a byte at least, so a count that is too large is known before anything is allocated. */
function checkCount(count: number): void {
  if (count > limit - position) throw malformed();
}

function decodeArray(count: number): unknown[] {
  checkCount(count);
  const array: unknown[] = [];
  for (let index = 0; index < count; index++) array.push(decodeAny());
  return array;
}

function decodeMap(count: number): Map<unknown, unknown> {
  checkCount(count);
  const map = new Map<unknown, unknown>();
  for (let index = 0; index < count; index++) {
    const key = decodeAny();
    map.set(key, decodeAny());
  }
  return map;
}

function decodeSet(count: number): Set<unknown> {
  checkCount(count);
  const set = new Set<unknown>();
  for (let index = 0; index < count; index++) set.add(decodeAny());
  return set;
}

function decodeObject(length: number): object {
  const at = take(length);
  const previous = decoderShapes.last;
  let shape = previous.next;
  if (!isList(shape, at, length)) {
    if (length > SHAPE_LIST_BYTES_MAX)
      return new Shape(decodeKeys(at, length), NOTHING).object(decodeAny);
    shape = decoderShapes.ofList(bytes, at, at + length, () => decodeKeys(at, length));
    decoderShapes.learn(previous, shape);
  } else decoderShapes.last = shape;
  return shape.object(decodeAny);
}

function isList(shape: Shape, at: number, length: number): boolean {
  if (shape.list.length !== length) return false;
  const { view: list } = shape;
  let index = 0;
  for (; index + 4 <= length; index += 4)
    if (view.getInt32(at + index, true) !== list.getInt32(index, true)) return false;
  for (; index < length; index++)
    if (view.getInt8(at + index) !== list.getInt8(index)) return false;
  return true;
}

function decodeKeys(start: number, length: number): string[] {
  const outer = limit;
  position = start;
  limit = start + length;
  const keys: string[] = [];
  while (position < limit) {
    const key = decodeAny();
    if (typeof key !== 'string') throw malformed();
    keys.push(key);
  }
  limit = outer;
  return keys;
}

function malformed(): MillraceError {
  return new MillraceError('ML_IO', 'the bytes are not a value: they were damaged on their way', {
    hint: 'Look for disk errors with `dmesg`, and run the job again',
  });
}
