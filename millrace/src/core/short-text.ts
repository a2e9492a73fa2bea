/** Short strings out of bytes without a native call, which costs more than a few characters do. */

/** @hot The ASCII string of `length` bytes from `at`; undefined when it is longer than 8 characters or not ASCII. */
export function shortText(buffer: Uint8Array, at: number, length: number): string | undefined {
  if (length > 8) return undefined;
  if (length < 4) return tinyText(buffer, at, length);
  const a = buffer[at] as number;
  const b = buffer[at + 1] as number;
  const c = buffer[at + 2] as number;
  const d = buffer[at + 3] as number;
  let all = a | b | c | d;
  if (length === 4) return all > 0x7f ? undefined : String.fromCharCode(a, b, c, d);
  const e = buffer[at + 4] as number;
  all |= e;
  if (length === 5) return all > 0x7f ? undefined : String.fromCharCode(a, b, c, d, e);
  const f = buffer[at + 5] as number;
  all |= f;
  if (length === 6) return all > 0x7f ? undefined : String.fromCharCode(a, b, c, d, e, f);
  const g = buffer[at + 6] as number;
  all |= g;
  if (length === 7) return all > 0x7f ? undefined : String.fromCharCode(a, b, c, d, e, f, g);
  const h = buffer[at + 7] as number;
  return (all | h) > 0x7f ? undefined : String.fromCharCode(a, b, c, d, e, f, g, h);
}

function tinyText(buffer: Uint8Array, at: number, length: number): string | undefined {
  if (length === 0) return '';
  const a = buffer[at] as number;
  if (length === 1) return a > 0x7f ? undefined : String.fromCharCode(a);
  const b = buffer[at + 1] as number;
  if (length === 2) return (a | b) > 0x7f ? undefined : String.fromCharCode(a, b);
  const c = buffer[at + 2] as number;
  return (a | b | c) > 0x7f ? undefined : String.fromCharCode(a, b, c);
}
