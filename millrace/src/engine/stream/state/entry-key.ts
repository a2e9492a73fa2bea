/**
 * (key, sub) as bytes, whose order is the order of entries: the key of a changelog record, and behind the number of the store that of a row
 * on disk. It is the key [key, sub] of `core/key-codec`, because inside an array a key knows its own end.
 *
 *   30 · the key as an element · 10, 8 bytes of sub · 01
 *
 * NOTE: persistent format, see docs/formats/task-state.md.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';

/** sub and the end of the array. */
export const SUB_BYTES = 10;
const END = 0x01;
/** The first of those UTF-16 units that need care. */
const SURROGATES = 0xd800;
const STRING = '\x20';
const NUMBER = '\x10';

const pair: [unknown, number] = [undefined, 0];
const writer = new ByteWriter(256);

/** @hot Appends the bytes of (key, sub). @throws {MillraceError} ML_KEY_INVALID */
export function encodeEntryKey(key: unknown, sub: number, into: ByteWriter): void {
  pair[0] = key;
  pair[1] = sub;
  encodeKey(pair, into);
}

/** @throws {MillraceError} ML_IO when the bytes are no key of an entry */
export function decodeEntryKey(
  buffer: Buffer,
  start: number,
  end: number,
): { readonly key: unknown; readonly sub: number } {
  const decoded = decodeKey(buffer, start, end);
  if (Array.isArray(decoded) && decoded.length === 2) {
    const [key, sub] = decoded as [unknown, unknown];
    if (typeof sub === 'number') return { key, sub };
  }
  throw new MillraceError('ML_IO', 'the bytes are not the key of an entry of a store', {
    hint: 'Look for disk errors with `dmesg`; the changelog topic may only be written by its flow',
  });
}

/** The part of the bytes that all entries of a key have in common, a character each: its order is that of the keys. */
export function orderOf(key: unknown): string {
  writer.length = 0;
  encodeEntryKey(key, 0, writer);
  return writer.buffer.latin1Slice(0, writer.length - SUB_BYTES);
}

/** With what the order of all keys begins that are arrays and begin with these elements. */
export function orderOfPrefix(elements: readonly unknown[]): string {
  writer.length = 0;
  encodeEntryKey(elements, 0, writer);
  return writer.buffer.latin1Slice(0, writer.length - SUB_BYTES - 1);
}

/** The smallest order behind all that begin with `prefix`; undefined: there is none. */
export function orderBehind(prefix: string): string | undefined {
  let length = prefix.length;
  while (length > 0 && prefix.charCodeAt(length - 1) === 0xff) length--;
  if (length === 0) return undefined;
  const last = prefix.charCodeAt(length - 1);
  return prefix.slice(0, length - 1) + String.fromCharCode(last + 1);
}

/** Whether a table of keys has the key itself, not its order: see `isDirect`. */
export function isDirectOrder(order: string): boolean {
  return order[1] === STRING || order[1] === NUMBER;
}

/** Strings and numbers are keys of a Map as they are. */
export function isDirect(key: unknown): key is string | number {
  return typeof key === 'string' || typeof key === 'number';
}

export function keyOfOrder(order: string): unknown {
  writer.length = 0;
  writer.reserve(order.length + 1);
  const length = writer.buffer.latin1Write(order, 0);
  writer.buffer[length] = END;
  const [key] = decodeKey(writer.buffer, 0, length + 1) as unknown[];
  return key;
}

/** Below 0, 0 or above 0 as key `a` is before, equal to or after key `b`. */
export function compareEntryKeys(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  if (typeof a === 'number' && typeof b === 'number' && a === a && b === b) return a - b;
  return compareOrders(a, b);
}

/** By code point, which the order of UTF-16 is but for surrogates. */
function compareTexts(a: string, b: string): number {
  const length = a.length < b.length ? a.length : b.length;
  for (let index = 0; index < length; index++) {
    const unitA = a.charCodeAt(index);
    const unitB = b.charCodeAt(index);
    if (unitA === unitB) continue;
    return unitA < SURROGATES || unitB < SURROGATES ? unitA - unitB : compareOrders(a, b);
  }
  return a.length - b.length;
}

function compareOrders(a: unknown, b: unknown): number {
  const orderA = orderOf(a);
  const orderB = orderOf(b);
  return orderA < orderB ? -1 : orderA > orderB ? 1 : 0;
}
