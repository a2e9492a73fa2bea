/** The order of text: by its bytes in UTF-8, which is the order of code points. */
import { ByteWriter } from '../core/byte-writer.ts';
import { encodeText } from '../core/text-escape.ts';

const FIRST_SURROGATE = 0xd800;
const leftBytes = new ByteWriter();
const rightBytes = new ByteWriter();

/**
 * Less than 0, 0, or more, as `left` comes before, with or behind `right`. JavaScript's own `<` compares UTF-16 units and puts
 * U+10000 before U+FFFF. Bytes that are no UTF-8 have their place as bytes.
 */
export function compareText(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const a = left.charCodeAt(at);
    const b = right.charCodeAt(at);
    if (a === b) continue;
    if (a < FIRST_SURROGATE && b < FIRST_SURROGATE) return a - b;
    return compareEncoded(left, right);
  }
  return left.length - right.length;
}

function compareEncoded(left: string, right: string): number {
  leftBytes.clear();
  rightBytes.clear();
  encodeText(left, leftBytes);
  encodeText(right, rightBytes);
  return Buffer.compare(
    leftBytes.buffer.subarray(0, leftBytes.length),
    rightBytes.buffer.subarray(0, rightBytes.length),
  );
}
