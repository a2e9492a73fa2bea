/** Short strings out of bytes without a native call, which costs as much as two dozen characters do. */

export const SHORT_TEXT_BYTES_MAX = 16;

/** @hot The string whose characters are the `length` bytes from `at`, at most SHORT_TEXT_BYTES_MAX. */
export function shortText(buffer: Uint8Array, at: number, length: number): string {
  if (length > 4) return length > 8 ? text9to16(buffer, at, length) : text5to8(buffer, at, length);
  if (length === 0) return '';
  const a = buffer[at] as number;
  if (length === 1) return String.fromCharCode(a);
  const b = buffer[at + 1] as number;
  if (length === 2) return String.fromCharCode(a, b);
  const c = buffer[at + 2] as number;
  if (length === 3) return String.fromCharCode(a, b, c);
  const d = buffer[at + 3] as number;
  return String.fromCharCode(a, b, c, d);
}

function text5to8(buffer: Uint8Array, at: number, length: number): string {
  const a = buffer[at] as number;
  const b = buffer[at + 1] as number;
  const c = buffer[at + 2] as number;
  const d = buffer[at + 3] as number;
  const e = buffer[at + 4] as number;
  if (length === 5) return String.fromCharCode(a, b, c, d, e);
  const f = buffer[at + 5] as number;
  if (length === 6) return String.fromCharCode(a, b, c, d, e, f);
  const g = buffer[at + 6] as number;
  if (length === 7) return String.fromCharCode(a, b, c, d, e, f, g);
  const h = buffer[at + 7] as number;
  return String.fromCharCode(a, b, c, d, e, f, g, h);
}

function text9to16(buffer: Uint8Array, at: number, length: number): string {
  const a = buffer[at] as number;
  const b = buffer[at + 1] as number;
  const c = buffer[at + 2] as number;
  const d = buffer[at + 3] as number;
  const e = buffer[at + 4] as number;
  const f = buffer[at + 5] as number;
  const g = buffer[at + 6] as number;
  const h = buffer[at + 7] as number;
  const i = buffer[at + 8] as number;
  if (length === 9) return String.fromCharCode(a, b, c, d, e, f, g, h, i);
  const j = buffer[at + 9] as number;
  if (length === 10) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j);
  const k = buffer[at + 10] as number;
  if (length === 11) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k);
  const l = buffer[at + 11] as number;
  if (length === 12) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k, l);
  const m = buffer[at + 12] as number;
  if (length === 13) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k, l, m);
  const n = buffer[at + 13] as number;
  if (length === 14) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  const o = buffer[at + 14] as number;
  if (length === 15) return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
  const p = buffer[at + 15] as number;
  return String.fromCharCode(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
}
