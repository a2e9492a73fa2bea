/**
 * What the bytes of a field are as a number or a boolean: one definition for everything that reads columns.
 *
 * @hot Digits are read from the bytes; a string is made only for numbers that doubles cannot give exactly that way.
 */

const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
/** Up to so many digits an integer is exact, and so is one division or multiplication by a power of ten up to 10^22 (Clinger 1990). */
const EXACT_DIGITS = 15;
const POWERS_OF_TEN: readonly number[] = Array.from({ length: 23 }, (_, power) => 10 ** power);
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * The number that buffer[start, end) writes in decimal: `[+-] digits [. digits] [e [+-] digits]`, with digits before or behind the
 * dot. NaN for everything else (blanks, hexadecimal, `NaN`, `Infinity`, nothing at all) and for what is beyond the range of doubles.
 * @example parseNumber(Buffer.from('-12.5'), 0, 5) // => -12.5
 */
export function parseNumber(buffer: Buffer, start: number, end: number): number {
  let at = start;
  const sign = buffer[at] ?? 0;
  if ((sign === MINUS || sign === PLUS) && at < end) at++;
  if (end - at > EXACT_DIGITS + 1 || at === end) return parseLongNumber(buffer, start, end);
  let digits = 0;
  let value = 0;
  let dotAt = -1;
  for (; at < end; at++) {
    const byte = buffer[at] ?? 0;
    const digit = byte - ZERO;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digits++;
    } else if (byte === DOT && dotAt < 0) dotAt = at;
    else return parseLongNumber(buffer, start, end);
  }
  if (digits === 0 || digits > EXACT_DIGITS) return parseLongNumber(buffer, start, end);
  if (dotAt >= 0) value /= POWERS_OF_TEN[end - dotAt - 1] ?? 1;
  return sign === MINUS ? -value : value;
}

/** `parseNumber` of text[start, end). */
export function parseNumberText(text: string, start: number, end: number): number {
  let at = start;
  const sign = text.charCodeAt(at);
  if ((sign === MINUS || sign === PLUS) && at < end) at++;
  if (end - at > EXACT_DIGITS + 1 || at === end) return parseLongText(text.slice(start, end));
  let digits = 0;
  let value = 0;
  let dotAt = -1;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    const digit = code - ZERO;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digits++;
    } else if (code === DOT && dotAt < 0) dotAt = at;
    else return parseLongText(text.slice(start, end));
  }
  if (digits === 0 || digits > EXACT_DIGITS) return parseLongText(text.slice(start, end));
  if (dotAt >= 0) value /= POWERS_OF_TEN[end - dotAt - 1] ?? 1;
  return sign === MINUS ? -value : value;
}

/** 1: `true`, 0: `false`, in any mix of cases; -1: neither. */
export function parseBoolean(buffer: Buffer, start: number, end: number): 1 | 0 | -1 {
  const length = end - start;
  if (length !== 4 && length !== 5) return -1;
  return parseBooleanText(buffer.latin1Slice(start, end), 0, length);
}

/** `parseBoolean` of text[start, end). */
export function parseBooleanText(text: string, start: number, end: number): 1 | 0 | -1 {
  const length = end - start;
  if (length !== 4 && length !== 5) return -1;
  const word = text.slice(start, end).toLowerCase();
  if (word === 'true') return 1;
  return word === 'false' ? 0 : -1;
}

function parseLongNumber(buffer: Buffer, start: number, end: number): number {
  return parseLongText(buffer.latin1Slice(start, end));
}

function parseLongText(text: string): number {
  if (!NUMBER.test(text)) return Number.NaN;
  const value = Number(text);
  return Number.isFinite(value) ? value : Number.NaN;
}
