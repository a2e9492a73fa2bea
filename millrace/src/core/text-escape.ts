/**
 * Text that may not be UTF-8, as strings that lose nothing: each byte that is not part of a valid sequence becomes one lone surrogate,
 * U+DC80 for 0x80 to U+DCFF for 0xFF, and turns back into that byte when it is written. Valid text never decodes to such a
 * surrogate, because UTF-8 has no surrogates. Source: PEP 383 (`surrogateescape`); which bytes are invalid: Unicode 15 §3.9, table 3-7.
 *
 * A string made by a program may hold other lone surrogates, or these in an order that spells valid UTF-8: `encodeText` writes
 * U+FFFD for the former and the bytes for the latter. Invariant: encodeText(decodeText(bytes)) gives `bytes`.
 *
 * @hot Valid text costs one native call.
 */
import type { ByteWriter } from './byte-writer.ts';

const REPLACEMENT = '\ufffd';
const ESCAPE_BASE = 0xdc00;

/** The text of buffer[start, end). */
export function decodeText(buffer: Buffer, start: number, end: number): string {
  const text = buffer.utf8Slice(start, end);
  // U+FFFD stands for invalid bytes, or was written as such.
  return text.includes(REPLACEMENT) ? decodeInvalid(buffer, start, end) : text;
}

/** Appends the bytes of `text` to `writer`. */
export function encodeText(text: string, writer: ByteWriter): void {
  const { length } = text;
  // Each UTF-16 unit takes 3 bytes at most; two that are a pair take 4.
  writer.reserve(length * 3);
  if (text.isWellFormed()) writer.length += writer.buffer.utf8Write(text, writer.length);
  else encodeSurrogates(text, writer);
}

function decodeInvalid(buffer: Buffer, start: number, end: number): string {
  let text = '';
  let validFrom = start;
  for (let at = start; at < end; ) {
    const length = sequenceLength(buffer, at, end);
    if (length > 0) {
      at += length;
      continue;
    }
    if (validFrom < at) text += buffer.utf8Slice(validFrom, at);
    text += String.fromCharCode(ESCAPE_BASE + (buffer[at] ?? 0));
    at++;
    validFrom = at;
  }
  return validFrom < end ? text + buffer.utf8Slice(validFrom, end) : text;
}

/** Bytes of the valid sequence that begins at `at`; 0 when none does. */
function sequenceLength(buffer: Buffer, at: number, end: number): number {
  const first = buffer[at] ?? 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  const second = buffer[at + 1] ?? 0;
  // No overlong forms, no surrogates, nothing above U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let index = 2; index < length; index++)
    if (((buffer[at + index] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

function encodeSurrogates(text: string, writer: ByteWriter): void {
  const { buffer } = writer;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = text.charCodeAt(at + 1);
    if (unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
      at++;
      continue;
    }
    if (unit < 0xdc80 || unit > 0xdcff) continue;
    if (from < at) writer.length += buffer.utf8Write(text.slice(from, at), writer.length);
    buffer[writer.length++] = unit - ESCAPE_BASE;
    from = at + 1;
  }
  if (from < text.length) writer.length += buffer.utf8Write(text.slice(from), writer.length);
}
