/** Keys that match nothing: null, and undefined, as in SQL. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';

const NULL = onlyByteOf(null);
const UNDEFINED = onlyByteOf(undefined);

/** Whether an encoded key is null or undefined. A null inside an array of keys is a value like any other. */
export function isNullKey(buffer: Buffer, start: number, end: number): boolean {
  if (end - start !== 1) return false;
  const byte = buffer[start];
  return byte === NULL || byte === UNDEFINED;
}

function onlyByteOf(key: null | undefined): number | undefined {
  const writer = new ByteWriter(8);
  encodeKey(key, writer);
  return writer.buffer[0];
}
