/**
 * Writes AMQP's primitive types into a buffer that grows.
 *
 * Source: AMQP 0-9-1, "AMQP Data Types".
 */
import { ByteWriter } from '../../core/byte-writer.ts';
import { MillraceError } from '../../core/errors.ts';

export const SHORT_STRING_BYTES_MAX = 255;
/** Shorter ASCII is written faster here than by a call into the machine. */
const LOOP_CHARACTERS_MAX = 40;
/** The buffer of the writer that `written` keeps. */
const SPARE_BYTES_MAX = 4 * 1024;

export class AmqpWriter extends ByteWriter {
  octet(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value;
  }

  short(value: number): void {
    this.reserve(2);
    const { buffer, length } = this;
    buffer[length] = value >>> 8;
    buffer[length + 1] = value;
    this.length = length + 2;
  }

  long(value: number): void {
    this.reserve(4);
    putLong(this.buffer, this.length, value);
    this.length += 4;
  }

  /** Unsigned; what is beyond 64 bits becomes the highest. */
  longlong(value: number): void {
    this.reserve(8);
    const isBeyond = value >= 0x1_0000_0000_0000_0000;
    putLong(this.buffer, this.length, isBeyond ? 0xffff_ffff : Math.floor(value / 0x1_0000_0000));
    putLong(this.buffer, this.length + 4, isBeyond ? 0xffff_ffff : value % 0x1_0000_0000);
    this.length += 8;
  }

  /** @throws {MillraceError} ML_WIRE_UNREPRESENTABLE for more than 255 bytes */
  shortString(text: string): void {
    const characters = text.length;
    if (characters > SHORT_STRING_BYTES_MAX) throw tooLong(text);
    // Three bytes are the most that a character of a string becomes.
    this.reserve(1 + characters * 3);
    const { buffer } = this;
    const start = this.length + 1;
    const ascii = characters <= LOOP_CHARACTERS_MAX ? putAscii(buffer, start, text) : -1;
    const bytes = ascii === -1 ? buffer.utf8Write(text, start) : ascii;
    if (bytes > SHORT_STRING_BYTES_MAX) throw tooLong(text);
    buffer[start - 1] = bytes;
    this.length = start + bytes;
  }

  longText(text: string): void {
    this.reserve(4 + text.length * 3);
    const { buffer } = this;
    const start = this.length + 4;
    const ascii = text.length <= LOOP_CHARACTERS_MAX ? putAscii(buffer, start, text) : -1;
    const bytes = ascii === -1 ? buffer.utf8Write(text, start) : ascii;
    putLong(buffer, this.length, bytes);
    this.length = start + bytes;
  }

  longBytes(content: Uint8Array): void {
    this.long(content.length);
    this.bytes(content, 0, content.length);
  }
}

let spare: AmqpWriter | undefined = new AmqpWriter(SPARE_BYTES_MAX);

/** What `write` writes, as a buffer of its own. Mostly by a writer that was there before: buffers cost more than what is put into them. */
export function written(write: (writer: AmqpWriter) => void): Buffer {
  const writer = spare ?? new AmqpWriter();
  spare = undefined;
  writer.clear();
  write(writer);
  const bytes = Buffer.from(writer.buffer.subarray(0, writer.length));
  if (writer.buffer.length <= SPARE_BYTES_MAX) spare = writer;
  else spare = new AmqpWriter(SPARE_BYTES_MAX);
  return bytes;
}

/** @hot */
export function putLong(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 24;
  buffer[at + 1] = value >>> 16;
  buffer[at + 2] = value >>> 8;
  buffer[at + 3] = value;
}

/** @hot @returns the number of bytes, or -1 for a text that is not ASCII */
function putAscii(buffer: Uint8Array, start: number, text: string): number {
  const { length } = text;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return -1;
    buffer[start + index] = code;
  }
  return length;
}

function tooLong(text: string): MillraceError {
  return new MillraceError(
    'ML_WIRE_UNREPRESENTABLE',
    `a short string of AMQP holds ${SHORT_STRING_BYTES_MAX} bytes, '${text.slice(0, 40)}…' has more`,
    { hint: 'Names of exchanges and queues, routing keys and names of headers are short strings' },
  );
}
