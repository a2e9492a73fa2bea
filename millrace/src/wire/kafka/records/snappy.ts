/**
 * Snappy as Kafka clients use it: a bare Snappy block (librdkafka, franz-go, Sarama), or blocks inside the framing of
 * the Java library by Xerial (Java client, kafkajs). It is NOT the "framing format" of the Snappy project.
 *
 *   0x82 "SNAPPY" 0x00 │ version i32be (1) │ lowest compatible version i32be (1)      16 bytes, may come again
 *   then chunks:         length i32be │ bare Snappy block, which begins with its decompressed length (uvarint)
 *
 * Owns: both directions. A block is given to the native decoder only after the length that it declares was compared
 * with what may be written and with what its bytes can possibly become, so that a lie is found before memory is taken.
 *
 * Source: Snappy format description ("preamble"); snappy-java's SnappyOutputStream.
 */
import { BoundedOutput, decompressedTooLarge, malformedCompression } from './bounded-output.ts';
import { requireNative } from './native-package.ts';
import { Cursor, readUvarint } from './varint.ts';

// NOTE: a format of others, do not change.
const XERIAL_MAGIC_FIRST = 0x82534e41;
const XERIAL_MAGIC_SECOND = 0x50505900;
const XERIAL_HEADER_BYTES = 16;
const XERIAL_VERSION = 1;
/** What the Java library puts into one chunk. */
const CHUNK_BYTES = 32 * 1024;

/** The densest element is a copy of 64 bytes in 3 bytes. */
const RATIO_MAX = 22;

interface NativeSnappy {
  compressSync(input: Buffer): Buffer;
  uncompressSync(input: Buffer): Buffer;
}

let loaded: NativeSnappy | undefined;

/** Loaded when first used: most brokers never look inside a Snappy batch. */
function native(): NativeSnappy {
  loaded ??= requireNative('snappy') as NativeSnappy;
  return loaded;
}

/**
 * Decodes the whole of `input`, framed or bare.
 * @param bytesMax most bytes that it may become.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function decodeSnappy(input: Buffer, bytesMax: number): Buffer {
  const end = input.length;
  if (!hasXerialHeader(input, 0)) return decodeBlock(input, bytesMax);
  const output = new BoundedOutput(Math.min(end * 3, CHUNK_BYTES * 4), bytesMax);
  let at = 0;
  while (at < end) {
    if (hasXerialHeader(input, at)) {
      if (input.readInt32BE(at + 12) > XERIAL_VERSION)
        throw malformed('an unknown framing version');
      at += XERIAL_HEADER_BYTES;
      continue;
    }
    if (end - at < 4) throw malformed('a chunk length is cut off');
    const bytes = input.readInt32BE(at);
    at += 4;
    if (bytes < 0 || bytes > end - at) throw malformed('a chunk is longer than what follows');
    const block = decodeBlock(input.subarray(at, at + bytes), bytesMax - output.length);
    output.append(block, 0, block.length);
    at += bytes;
  }
  return output.bytes();
}

function hasXerialHeader(input: Buffer, at: number): boolean {
  return (
    input.length - at >= XERIAL_HEADER_BYTES &&
    input.readUInt32BE(at) === XERIAL_MAGIC_FIRST &&
    input.readUInt32BE(at + 4) === XERIAL_MAGIC_SECOND
  );
}

function decodeBlock(block: Buffer, bytesMax: number): Buffer {
  const cursor = new Cursor(block, 0, block.length);
  const declared = readUvarint(cursor);
  if (cursor.position < 0) throw malformed('a block does not begin with its length');
  if (declared > (block.length - cursor.position) * RATIO_MAX)
    throw malformed('a block declares more than its bytes can become');
  if (declared > bytesMax) throw decompressedTooLarge(bytesMax);
  try {
    return native().uncompressSync(block);
  } catch (cause) {
    throw malformed(cause instanceof Error ? cause.message : 'the decoder refused it');
  }
}

/** Encodes the whole of `input` in the Xerial framing, which every Kafka client reads. */
export function encodeSnappy(input: Buffer): Buffer {
  const header: Buffer = Buffer.allocUnsafe(XERIAL_HEADER_BYTES);
  header.writeUInt32BE(XERIAL_MAGIC_FIRST, 0);
  header.writeUInt32BE(XERIAL_MAGIC_SECOND, 4);
  header.writeInt32BE(XERIAL_VERSION, 8);
  header.writeInt32BE(XERIAL_VERSION, 12);
  const parts = [header];
  for (let at = 0; at < input.length; at += CHUNK_BYTES) {
    const block = native().compressSync(input.subarray(at, at + CHUNK_BYTES));
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(block.length, 0);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

function malformed(reason: string): Error {
  return malformedCompression('Snappy', reason);
}
