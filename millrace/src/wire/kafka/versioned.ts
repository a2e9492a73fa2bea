/**
 * Messages with their version in front, as an int16: how Kafka writes the keys and values of its internal topics, the
 * payloads of control records, and what members and leaders of consumer groups exchange.
 *
 *   version int16 | message
 */
import { MillraceError } from '../../core/errors.ts';
import { decodeMessage, writeMessage, type DecodeOptions } from './codec.ts';
import type { Infer, InferInput, Message } from './schema.ts';
import { Writer } from './writer.ts';

const VERSION_BYTES = 2;

export interface Versioned<T> {
  readonly version: number;
  readonly value: T;
}

/** @throws ML_WIRE_UNREPRESENTABLE */
export function encodeVersioned<M extends Message>(
  message: M,
  version: number,
  value: InferInput<M>,
): Buffer {
  const writer = new Writer();
  writer.int16(version);
  writeMessage(message, version, value, writer);
  return writer.finish();
}

/**
 * Decodes a message of any version that its definition has. Buffers in the result are views of `buffer`.
 * @throws ML_WIRE_MALFORMED, also for a version that is not known: look at `versionOf` first where that may be.
 */
export function decodeVersioned<M extends Message>(
  message: M,
  buffer: Buffer,
  options: Pick<DecodeOptions, 'leftover'> = {},
): Versioned<Infer<M>> {
  const version = versionOf(buffer);
  if (version < message.minVersion || version > message.maxVersion) {
    throw new MillraceError('ML_WIRE_MALFORMED', `${message.name} has no version ${version}`, {
      fields: { message: message.name, version },
    });
  }
  const value = decodeMessage(message, version, buffer, { ...options, start: VERSION_BYTES });
  return { version, value };
}

/** The version in front of a message; in the key of an internal record it tells what the record is. */
export function versionOf(buffer: Buffer): number {
  if (buffer.length < VERSION_BYTES) {
    throw new MillraceError('ML_WIRE_MALFORMED', `no version in ${buffer.length} bytes`);
  }
  return buffer.readInt16BE(0);
}
