/**
 * The LZ4 frame format around blocks: what Kafka calls "lz4".
 *
 *   magic 0x184D2204 │ FLG │ BD │ content size u64? │ dictionary id u32? │ header checksum u8
 *   then blocks:       size u32 (high bit: stored as it is) │ data │ block checksum u32?
 *   then the end:      0 u32 │ content checksum u32?
 *
 *   FLG  bits 7-6 version (01)  5 blocks independent  4 block checksums  3 content size  2 content checksum  0 dictionary
 *   BD   bits 6-4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
 *
 * Owns: decoding. All numbers are little-endian. Takes every legal frame (linked blocks, sizes and checksums of all
 * kinds, frames one after the other, skippable frames) and checks every checksum there is. Dictionaries are refused:
 * no Kafka client uses one.
 *
 * Source: LZ4 frame format description 1.6; KIP-57 (Kafka's use of it).
 */
import { BoundedOutput, decompressedTooLarge, malformedCompression } from './bounded-output.ts';
import { decodeLz4Block } from './lz4-block.ts';
import { xxhash32 } from './xxhash32.ts';

// NOTE: a format of others, do not change.
const FRAME_MAGIC = 0x184d2204;
const SKIPPABLE_MAGIC_FIRST = 0x184d2a50;
const SKIPPABLE_MAGIC_LAST = 0x184d2a5f;
const FLAG_DICTIONARY = 0x01;
const FLAG_RESERVED = 0x02;
const FLAG_CONTENT_CHECKSUM = 0x04;
const FLAG_CONTENT_SIZE = 0x08;
const FLAG_BLOCK_CHECKSUM = 0x10;
const FLAG_INDEPENDENT = 0x20;
const VERSION_MASK = 0xc0;
const VERSION_01 = 0x40;
const STORED_BIT = 0x8000_0000;
const BLOCK_64_KIB = 4;
const HEADER_BYTES = 7;
/** The output begins no larger than this and grows as blocks prove to be there. */
const FIRST_BYTES_MAX = 256 * 1024;

interface FrameHeader {
  readonly flags: number;
  readonly blockBytesMax: number;
  /** -1 = not declared. */
  readonly contentBytes: number;
  /** Where the blocks begin. */
  readonly end: number;
}

/**
 * Decodes all the frames that `input` is made of.
 * @param bytesMax most bytes that they may become together.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function decodeLz4Frames(input: Buffer, bytesMax: number): Buffer {
  const end = input.length;
  const output = new BoundedOutput(Math.min(end * 4, FIRST_BYTES_MAX), bytesMax);
  let at = 0;
  if (at === end) throw malformed('no frame');
  while (at < end) {
    if (end - at < 4) throw malformed('bytes after the last frame');
    const magic = input.readUInt32LE(at);
    if (magic >= SKIPPABLE_MAGIC_FIRST && magic <= SKIPPABLE_MAGIC_LAST) {
      if (end - at < 8) throw malformed('a skippable frame is cut off');
      at += 8 + input.readUInt32LE(at + 4);
      if (at > end) throw malformed('a skippable frame is cut off');
    } else {
      if (magic !== FRAME_MAGIC) throw malformed('no frame where one should begin');
      at = decodeFrame(input, at, output);
    }
  }
  return output.bytes();
}

/** Decodes the frame at `start` behind what is in `output`; returns the position after it. */
function decodeFrame(input: Buffer, start: number, output: BoundedOutput): number {
  const end = input.length;
  const header = readHeader(input, start);
  const contentStart = output.length;
  if (header.contentBytes > output.bytesMax - contentStart)
    throw decompressedTooLarge(output.bytesMax);
  let at = header.end;
  for (;;) {
    if (end - at < 4) throw malformed('a frame ends without its end mark');
    const size = input.readUInt32LE(at);
    at += 4;
    if (size === 0) break;
    at = decodeBlock(input, { start: at, size }, output, { header, contentStart });
  }
  if (header.contentBytes >= 0 && output.length - contentStart !== header.contentBytes)
    throw malformed('the content is not as long as declared');
  if ((header.flags & FLAG_CONTENT_CHECKSUM) !== 0) {
    if (end - at < 4) throw malformed('a frame ends without its checksum');
    if (input.readUInt32LE(at) !== xxhash32(output.buffer, contentStart, output.length))
      throw malformed('the checksum of the content does not match');
    at += 4;
  }
  return at;
}

function decodeBlock(
  input: Buffer,
  block: { readonly start: number; readonly size: number },
  output: BoundedOutput,
  frame: { readonly header: FrameHeader; readonly contentStart: number },
): number {
  const { flags, blockBytesMax } = frame.header;
  const stored = (block.size & STORED_BIT) !== 0;
  const bytes = block.size & ~STORED_BIT;
  const { start } = block;
  const hasChecksum = (flags & FLAG_BLOCK_CHECKSUM) !== 0;
  if (bytes > blockBytesMax) throw malformed('a block is larger than its frame allows');
  if (bytes + (hasChecksum ? 4 : 0) > input.length - start) throw malformed('a block is cut off');
  if (hasChecksum && input.readUInt32LE(start + bytes) !== xxhash32(input, start, start + bytes))
    throw malformed('the checksum of a block does not match');
  if (stored) output.append(input, start, start + bytes);
  else {
    const historyStart = (flags & FLAG_INDEPENDENT) === 0 ? frame.contentStart : output.length;
    const range = { start, end: start + bytes, historyStart, bytesMax: blockBytesMax };
    decodeLz4Block(input, range, output);
  }
  return start + bytes + (hasChecksum ? 4 : 0);
}

function readHeader(input: Buffer, start: number): FrameHeader {
  const end = input.length;
  if (end - start < HEADER_BYTES) throw malformed('a frame header is cut off');
  const flags = input.readUInt8(start + 4);
  const descriptor = input.readUInt8(start + 5);
  if ((flags & VERSION_MASK) !== VERSION_01) throw malformed('an unknown frame version');
  if ((flags & FLAG_RESERVED) !== 0 || (descriptor & 0x8f) !== 0)
    throw malformed('reserved bits of a frame header are set');
  if ((flags & FLAG_DICTIONARY) !== 0) throw malformed('a frame asks for a dictionary');
  const blockCode = descriptor >>> 4;
  if (blockCode < BLOCK_64_KIB) throw malformed('an unknown block size');
  let at = start + 6;
  let contentBytes = -1;
  if ((flags & FLAG_CONTENT_SIZE) !== 0) {
    if (end - at < 9) throw malformed('a frame header is cut off');
    contentBytes = input.readUInt32LE(at) + input.readUInt32LE(at + 4) * 2 ** 32;
    at += 8;
  }
  if (input.readUInt8(at) !== ((xxhash32(input, start + 4, at) >>> 8) & 255))
    throw malformed('the checksum of a frame header does not match');
  return { flags, blockBytesMax: 1 << (8 + 2 * blockCode), contentBytes, end: at + 1 };
}

function malformed(reason: string): Error {
  return malformedCompression('LZ4', reason);
}
