/** Keys of joins are made by functions and serdes, so they may be what cannot be a key: an object, a symbol. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import type { OperatorContext } from '../operators/operator.ts';
import { recordFailed } from '../operators/record-failure.ts';

const scratch = new ByteWriter(64);

/**
 * @returns the key
 * @throws {MillraceError} ML_KEY_INVALID
 */
export function checkedKey(key: unknown): unknown {
  if (typeof key !== 'string' && typeof key !== 'number') {
    scratch.clear();
    encodeKey(key, scratch);
  }
  return key;
}

/** false: it is not, and the flow says that such records are skipped. @throws what stops the task */
export function isUsableKey(
  context: Pick<OperatorContext, 'failed'>,
  key: unknown,
  record: unknown,
): boolean {
  try {
    checkedKey(key);
    return true;
  } catch (error) {
    recordFailed(context, error, record, key);
    return false;
  }
}
