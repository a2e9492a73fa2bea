/** Whether two values are the same key. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { compareKeys, encodeKey } from '../../../core/key-codec.ts';

const left = new ByteWriter(64);
const right = new ByteWriter(64);

/** @throws {MillraceError} ML_KEY_INVALID for what cannot be a key */
export function isSameKey(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === 'string' || typeof b === 'string') return false;
  left.clear();
  right.clear();
  encodeKey(a, left);
  encodeKey(b, right);
  return compareKeys(left.buffer, 0, left.length, right.buffer, 0, right.length) === 0;
}
