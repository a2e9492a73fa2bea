/** Changes as records of a changelog. Many share one buffer, which is never written to again where something of it was handed out. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { STATE_FLUSH_BYTES } from '../../../core/stream-limits.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { Entry } from './entry.ts';
import { encodeEntryKey } from './entry-key.ts';
import { isChangeable, packed } from './packed-value.ts';

export type Append = (
  store: string,
  key: Uint8Array,
  value: Uint8Array | null,
  time: number,
) => void;

export class ChangeWriter {
  private readonly store: string;
  private writer = new ByteWriter(1024);

  constructor(store: string) {
    this.store = store;
  }

  /**
   * @hot
   * @returns the bytes of the value, if it can be changed in place
   */
  write(entry: Entry, time: number, append: Append | undefined): string | undefined {
    const { value } = entry;
    if (this.writer.length > STATE_FLUSH_BYTES)
      this.writer = new ByteWriter(STATE_FLUSH_BYTES + 4096);
    const { writer } = this;
    const start = writer.length;
    encodeEntryKey(entry.key, entry.sub, writer);
    const middle = writer.length;
    if (value !== undefined) encodeValue(value, writer);
    const { buffer, length: end } = writer;
    const valueBytes = value === undefined ? null : buffer.subarray(middle, end);
    append?.(this.store, buffer.subarray(start, middle), valueBytes, time);
    return isChangeable(value) ? packed(buffer, middle, end) : undefined;
  }
}

/** A value of the program, or its key, is none that can be stored. */
export function notStorable(error: unknown, store: string, key: unknown): MillraceError {
  const name = describeKey(key);
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError(
    'ML_VALUE_INVALID',
    `the state of ${store} for key ${name} cannot be stored: ${message}`,
    { cause: error, fields: { store, key: name } },
  );
}

function describeKey(key: unknown): string {
  const text = typeof key === 'string' ? JSON.stringify(key) : String(key);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
