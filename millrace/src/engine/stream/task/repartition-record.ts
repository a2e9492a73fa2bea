/**
 * Records of repartition topics. Described in docs/formats/repartition-record.md. NOTE: persistent format, do not change.
 *
 *   record   key: the key as `core/key-codec` writes it · value: the value as `core/value-codec` writes it, then, where there is one, the
 *            one before it in the same way · timestamp: its time · no headers
 *   marker   key: none · one header, `millrace-time` · value, little-endian: writer u32 │ counting u8 │ T float64 │ until float64
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { RecordHeader } from '../../../client/log.ts';
import type { Counting, WriterTime } from '../time/time-tracker.ts';

/** How a writer tells its time: it will send nothing from before `time`; -Infinity: it cannot say. */
export interface Marker extends Readonly<WriterTime> {
  readonly writer: number;
}

export const MARKER_HEADERS: readonly RecordHeader[] = [{ key: 'millrace-time', value: null }];
const MARKER_BYTES = 21;
const COUNTINGS: readonly Counting[] = ['counts', 'absent', 'clock'];

/** Encodes one record after the other into the same memory: [0, keyEnd) is the key, [keyEnd, end) the value. */
export class RepartitionEncoder {
  readonly writer = new ByteWriter(1024);
  keyEnd = 0;

  /** @throws {MillraceError} ML_KEY_INVALID, ML_VALUE_INVALID */
  encode(key: unknown, value: unknown, old: unknown): void {
    const { writer } = this;
    writer.clear();
    encodeKey(key, writer);
    this.keyEnd = writer.length;
    encodeValue(value, writer);
    if (old !== undefined) encodeValue(old, writer);
  }
}

export function encodeMarker({ writer, time, counting, until }: Marker): Buffer {
  const bytes = Buffer.alloc(MARKER_BYTES);
  bytes.writeUInt32LE(writer, 0);
  bytes.writeUInt8(COUNTINGS.indexOf(counting), 4);
  bytes.writeDoubleLE(time, 5);
  bytes.writeDoubleLE(until, 13);
  return bytes;
}

/** @throws {MillraceError} ML_INPUT_MALFORMED */
export function decodeMarker(bytes: Buffer, start: number, end: number): Marker {
  const counting = end - start === MARKER_BYTES ? COUNTINGS[bytes[start + 4] ?? 255] : undefined;
  const time = counting === undefined ? Number.NaN : bytes.readDoubleLE(start + 5);
  const until = counting === undefined ? Number.NaN : bytes.readDoubleLE(start + 13);
  const isTime = time < Number.POSITIVE_INFINITY && !Number.isNaN(until);
  if (counting === undefined || !isTime)
    throw new MillraceError('ML_INPUT_MALFORMED', 'it is no marker of a repartition topic');
  return { writer: bytes.readUInt32LE(start), time, counting, until };
}
