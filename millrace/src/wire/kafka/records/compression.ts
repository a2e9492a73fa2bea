/**
 * The four codecs of record batches, one way in and one way out.
 *
 * Owns: the names and numbers of the codecs, and the bounds of decompression: an absolute size, and above a size
 * where any ratio is fine also a ratio, because a few bytes of a bomb must not cost us the absolute size each.
 * Everything is synchronous and runs on the calling thread: the broker itself never comes here for Produce and Fetch.
 *
 * Costs on one core of a loaded machine, JSON text, 16 KiB at a time, of decompressed bytes (records.bench.ts measures):
 * decompress gzip 0.6 GB/s, snappy 1.1, lz4 0.35 (in JavaScript, see lz4-block.ts), zstd 0.5; compress gzip 0.1,
 * snappy 1.0, lz4 0.7, zstd 0.3. A call has 5 to 30 µs of its own, so 1 KB goes ten times slower: small
 * batches are not worth compressing.
 *
 * Source: KIP-98, KIP-57 (lz4 framing), KIP-110 (zstd).
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  RECORDS_DECOMPRESSED_BYTES_FREE,
  RECORDS_DECOMPRESSED_BYTES_MAX,
  RECORDS_DECOMPRESSION_RATIO_MAX,
} from '../../../core/limits.ts';
import { BoundedOutput, decompressedTooLarge, malformedCompression } from './bounded-output.ts';
import { decodeLz4Frames } from './lz4-frame.ts';
import { requireNative } from './native-package.ts';
import { decodeSnappy, encodeSnappy } from './snappy.ts';

/** The codecs by their number in the attributes of a batch. NOTE: persistent format, do not renumber. */
export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type Compression = (typeof COMPRESSIONS)[number];

/** Output is taken in pieces of this size by gzip and zstd. */
const CHUNK_BYTES_MIN = 16 * 1024;
const CHUNK_BYTES_MAX = 256 * 1024;
/** The largest window a zstd frame may ask for: 128 MiB, the library's own default, which level 22 needs. */
const ZSTD_WINDOW_LOG_MAX = 27;

/** The number of a codec in the attributes of a batch, 0 to 4. */
export function compressionId(compression: Compression): number {
  return COMPRESSIONS.indexOf(compression);
}

/**
 * The codec with that number.
 * @throws {MillraceError} ML_RECORDS_MALFORMED for 5 to 7, which do not exist.
 */
export function compressionName(id: number): Compression {
  const name = COMPRESSIONS[id];
  if (name === undefined) throw malformedCompression('record', `there is no codec ${id}`);
  return name;
}

/**
 * Most bytes that `compressedBytes` bytes may become: `bytesMax`, and no more than a fixed ratio once that is above
 * RECORDS_DECOMPRESSED_BYTES_FREE.
 */
export function decompressedBytesMax(
  compressedBytes: number,
  bytesMax: number = RECORDS_DECOMPRESSED_BYTES_MAX,
): number {
  const byRatio = compressedBytes * RECORDS_DECOMPRESSION_RATIO_MAX;
  return Math.min(bytesMax, Math.max(RECORDS_DECOMPRESSED_BYTES_FREE, byRatio));
}

interface Codec {
  compress(input: Buffer): Buffer;
  decompress(input: Buffer, bytesMax: number): Buffer;
}

const CODECS: Readonly<Record<Compression, Codec>> = {
  none: { compress: (input) => input, decompress: plain },
  gzip: { compress: (input) => gzipSync(input), decompress: gunzip },
  snappy: { compress: encodeSnappy, decompress: decodeSnappy },
  lz4: { compress: (input) => nativeLz4().compressFrameSync(input), decompress: decodeLz4Frames },
  zstd: {
    compress: (input) => zstdCompressSync(input, { pledgedSrcSize: input.length }),
    decompress: unzstd,
  },
};

/**
 * Compresses the whole of `input`.
 * @returns a new buffer; for `none` the input.
 */
export function compress(compression: Compression, input: Buffer): Buffer {
  return CODECS[compression].compress(input);
}

/**
 * Decompresses the whole of `input`.
 * @param bytesMax most bytes that it may become; see `decompressedBytesMax` for what it should be.
 * @returns a new buffer; for `none` the input.
 * @throws {MillraceError} ML_RECORDS_MALFORMED when the bytes are not of that format; ML_RECORDS_TOO_LARGE when they
 * become more than `bytesMax`, found before more than that is allocated.
 */
export function decompress(compression: Compression, input: Buffer, bytesMax: number): Buffer {
  return CODECS[compression].decompress(input, bytesMax);
}

function plain(input: Buffer, bytesMax: number): Buffer {
  if (input.length > bytesMax) throw decompressedTooLarge(bytesMax);
  return input;
}

function gunzip(input: Buffer, bytesMax: number): Buffer {
  try {
    return gunzipSync(input, { maxOutputLength: bytesMax, chunkSize: chunkBytes(input.length) });
  } catch (cause) {
    throw fromZlib(cause, 'gzip', bytesMax);
  }
}

/** Zstandard data may be several frames; Node decodes one a call and says how far it came. */
function unzstd(input: Buffer, bytesMax: number): Buffer {
  let first: Buffer | undefined;
  let output: BoundedOutput | undefined;
  let at = 0;
  do {
    const rest = at === 0 ? input : input.subarray(at);
    const budget = bytesMax - (output?.length ?? first?.length ?? 0);
    const frame = unzstdFrame(rest, budget, bytesMax);
    at += frame.inputBytes;
    if (first === undefined) {
      first = frame.bytes;
      continue;
    }
    if (output === undefined) {
      output = new BoundedOutput(first.length + frame.bytes.length, bytesMax);
      output.append(first, 0, first.length);
    }
    output.append(frame.bytes, 0, frame.bytes.length);
  } while (at < input.length);
  return output === undefined ? first : output.bytes();
}

function unzstdFrame(
  input: Buffer,
  budget: number,
  bytesMax: number,
): { readonly bytes: Buffer; readonly inputBytes: number } {
  try {
    const result: unknown = zstdDecompressSync(input, {
      // Zero is not a legal maximum; one byte too many is found by the caller's bound.
      maxOutputLength: Math.max(budget, 1),
      chunkSize: chunkBytes(input.length),
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
      info: true,
    });
    const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } };
    if (engine.bytesWritten < 1) throw malformedCompression('zstd', 'a frame is cut off');
    return { bytes: buffer, inputBytes: engine.bytesWritten };
  } catch (cause) {
    throw fromZlib(cause, 'zstd', bytesMax);
  }
}

function chunkBytes(compressedBytes: number): number {
  return Math.min(Math.max(compressedBytes * 4, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
}

function fromZlib(cause: unknown, format: string, bytesMax: number): unknown {
  if (!(cause instanceof Error) || !('code' in cause)) return cause;
  if (cause.code === 'ERR_BUFFER_TOO_LARGE') return decompressedTooLarge(bytesMax);
  return malformedCompression(format, cause.message);
}

interface NativeLz4 {
  compressFrameSync(input: Buffer): Buffer;
}

let lz4: NativeLz4 | undefined;

/** Loaded when first used. Its frames have independent blocks, which is all that the Java client reads. */
function nativeLz4(): NativeLz4 {
  lz4 ??= requireNative('lz4-napi') as NativeLz4;
  return lz4;
}
