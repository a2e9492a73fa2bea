/** Values as strings of their bytes, a character each: a third of the memory of a Buffer, and the collector knows how to free them. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import { ASCII, BYTES, DATE, UNDEFINED } from '../../../core/value-tags.ts';

const scratch = new ByteWriter(1024);

/** Whether it can be changed in place, so that only its bytes can be kept. */
export function isChangeable(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** @hot A new value each time. */
export function unpack(packed: string): unknown {
  const { length } = packed;
  if (length > scratch.buffer.length) {
    scratch.length = 0;
    scratch.reserve(length);
  }
  const { buffer } = scratch;
  buffer.latin1Write(packed, 0);
  return decodeValue(buffer, 0, length);
}

/** The bytes of a value. */
export function packed(buffer: Buffer, start: number, end: number): string {
  return buffer.latin1Slice(start, end);
}

/** Whether the value whose bytes begin at `start` can be changed in place. */
export function isChangeableAt(buffer: Uint8Array, start: number): boolean {
  const tag = buffer[start] ?? UNDEFINED;
  return tag === DATE || (tag >= BYTES && tag < ASCII);
}
