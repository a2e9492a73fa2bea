/**
 * Strings out of bytes that come again and again: names of exchanges, routing keys, consumer tags. A string that was made is remembered
 * with its bytes, in a place that a hash of them chooses; another one with that place takes it over.
 *
 * Invariant: what is remembered has a fixed size, whatever comes.
 *
 * @hot
 */
import { isUtf8 } from 'node:buffer';
import { SHORT_STRING_CACHED_BYTES_MAX, SHORT_STRING_SLOTS } from '../../core/queue-limits.ts';
import { AmqpFault } from './reply-codes.ts';

const lengths = new Uint8Array(SHORT_STRING_SLOTS);
const contents = new Uint8Array(SHORT_STRING_SLOTS * SHORT_STRING_CACHED_BYTES_MAX);
const texts: string[] = Array.from({ length: SHORT_STRING_SLOTS }, () => '');

/**
 * The string of buffer[start, start + length); bytes that are no UTF-8 become U+FFFD.
 * @param isStrict they are refused instead. @throws {AmqpFault} FRAME_ERROR
 */
export function readShortString(
  buffer: Buffer,
  start: number,
  length: number,
  isStrict: boolean,
): string {
  if (length === 0) return '';
  if (length > SHORT_STRING_CACHED_BYTES_MAX) {
    if (isStrict && !isText(buffer, start, length)) throw malformed();
    return buffer.utf8Slice(start, start + length);
  }
  let hash = length;
  const end = start + length;
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (buffer[at] as number)) | 0;
  const slot = (hash ^ (hash >>> 15)) & (SHORT_STRING_SLOTS - 1);
  const base = slot * SHORT_STRING_CACHED_BYTES_MAX;
  if (lengths[slot] === length && equals(buffer, start, base, length)) return texts[slot] as string;
  const text = buffer.utf8Slice(start, end);
  // What is remembered is good for those who are strict, too.
  if (!isText(buffer, start, length)) {
    if (isStrict) throw malformed();
    return text;
  }
  lengths[slot] = length;
  for (let at = 0; at < length; at++) contents[base + at] = buffer[start + at] as number;
  texts[slot] = text;
  return text;
}

function equals(buffer: Buffer, start: number, base: number, length: number): boolean {
  for (let at = 0; at < length; at++) {
    if (buffer[start + at] !== contents[base + at]) return false;
  }
  return true;
}

function isText(buffer: Buffer, start: number, length: number): boolean {
  const end = start + length;
  for (let at = start; at < end; at++) {
    if ((buffer[at] as number) >= 0x80) return isUtf8(buffer.subarray(start, end));
  }
  return true;
}

function malformed(): AmqpFault {
  return new AmqpFault('FRAME_ERROR', 'malformed UTF-8 in a short string');
}
