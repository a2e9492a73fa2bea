/**
 * Rows of CSV that have quotes in them: whether they are well formed, and what their fields hold. The same rules as those of the
 * reader of rows: a field that begins with a quote ends with one, quotes inside it are doubled, and other fields have none.
 *
 * @hot
 */
import type { LaneMemory } from './lane-memory.ts';
import type { ScannedField } from './scan-kernel.ts';
import type { Scratch } from './scratch.ts';

export interface Quoting {
  readonly separator: number;
  readonly quote: number;
}

/**
 * Looks at the fields of the row [start, end) and sets the ranges of those that are wanted to their text, without quotes.
 * False when the row is malformed.
 */
export function unquoteRow(
  memory: LaneMemory,
  scratch: Scratch,
  { separator, quote }: Quoting,
  place: { readonly row: number; readonly start: number; readonly end: number },
  fields: readonly ScannedField[],
): boolean {
  const { row, start, end } = place;
  let index = 0;
  let wanted = 0;
  for (let at = start; ; index++) {
    const isQuoted = at < end && memory.buffer[at] === quote;
    const from = isQuoted ? at + 1 : at;
    const to = isQuoted
      ? closingQuote(memory.buffer, from, end, quote)
      : plainEnd(memory.buffer, at, end, separator);
    if (to < 0 || (!isQuoted && hasByte(memory.buffer, from, to, quote))) return false;
    const behind = isQuoted ? to + 1 : to;
    if (behind < end && memory.buffer[behind] !== separator) return false;
    const field = fields[wanted];
    if (field?.position === index) {
      setRange(memory, scratch, field.ranges + row * 8, isQuoted ? quote : -1, from, to);
      wanted++;
    }
    if (behind >= end) return true;
    at = behind + 1;
  }
}

/** Where the quote is that ends the field from `from`; -1: nowhere. */
function closingQuote(buffer: Buffer, from: number, end: number, quote: number): number {
  for (let at = from; at < end; at++) {
    if (buffer[at] !== quote) continue;
    if (at + 1 === end || buffer[at + 1] !== quote) return at;
    at++;
  }
  return -1;
}

function plainEnd(buffer: Buffer, from: number, end: number, separator: number): number {
  let at = from;
  while (at < end && buffer[at] !== separator) at++;
  return at;
}

function hasByte(buffer: Buffer, from: number, to: number, byte: number): boolean {
  for (let at = from; at < to; at++) if (buffer[at] === byte) return true;
  return false;
}

/** A field with doubled quotes is copied with single ones. @param quote -1: it is plain */
function setRange(
  memory: LaneMemory,
  scratch: Scratch,
  range: number,
  quote: number,
  from: number,
  to: number,
): void {
  let start = from;
  let end = to;
  if (quote >= 0 && hasByte(memory.buffer, from, to, quote)) {
    scratch.reserve(to - from);
    const { buffer } = memory;
    start = scratch.end;
    for (let at = from; at < to; at++) {
      buffer[scratch.end++] = buffer[at] as number;
      if (buffer[at] === quote) at++;
    }
    end = scratch.end;
  }
  memory.i32[range >> 2] = start;
  memory.i32[(range >> 2) + 1] = end;
}
