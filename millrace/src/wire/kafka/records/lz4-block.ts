/**
 * The LZ4 block format: sequences of literals and matches, without any frame around them.
 *
 *   token │ literal length … │ literals │ offset u16le │ match length …
 *   high nibble: literals, 15 = more bytes follow, each adding up to 255      low nibble: match length - 4, likewise
 *
 * Owns: decoding one block into a `BoundedOutput`, whose earlier bytes are what matches may reach back to. Written in
 * JavaScript because the native package decodes into memory whose size the input chooses, which is what a bomb needs.
 *
 * @hot
 * Source: the LZ4 block format description.
 */
import { type BoundedOutput, malformedCompression } from './bounded-output.ts';

const MATCH_BYTES_MIN = 4;
/** Copies shorter than this are done byte by byte: a call costs more. */
const SHORT_COPY_BYTES = 32;

export interface Lz4Block {
  readonly start: number;
  readonly end: number;
  /** Matches may not reach before this position of the output. */
  readonly historyStart: number;
  /** Most bytes that the block may become. */
  readonly bytesMax: number;
}

/**
 * Decodes `block` of `input` behind what is already in `output`.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function decodeLz4Block(input: Buffer, block: Lz4Block, output: BoundedOutput): void {
  const { end } = block;
  const limit = output.length + block.bytesMax;
  let at = block.start;
  let out = output.length;
  let buffer = output.buffer;
  for (;;) {
    if (at >= end) throw malformed('a block ends where a token should be');
    const token = input[at++] as number;
    let literals = token >>> 4;
    if (literals === 15) {
      let byte = 255;
      while (byte === 255) {
        if (at >= end) throw malformed('a block ends inside a literal length');
        byte = input[at++] as number;
        literals += byte;
      }
    }
    if (literals > end - at) throw malformed('literals reach past the end of the block');
    if (literals > limit - out) throw tooLong();
    if (literals > buffer.length - out) buffer = grow(output, out, literals);
    if (literals < SHORT_COPY_BYTES) {
      for (const last = at + literals; at < last; ) buffer[out++] = input[at++] as number;
    } else {
      input.copy(buffer, out, at, at + literals);
      at += literals;
      out += literals;
    }
    if (at === end) break; // The last sequence has literals only.
    if (end - at < 2) throw malformed('a block ends inside a match offset');
    const offset = (input[at] as number) | ((input[at + 1] as number) << 8);
    at += 2;
    if (offset === 0 || offset > out - block.historyStart)
      throw malformed('a match reaches before the beginning');
    let matched = (token & 15) + MATCH_BYTES_MIN;
    if (matched === 15 + MATCH_BYTES_MIN) {
      let byte = 255;
      while (byte === 255) {
        if (at >= end) throw malformed('a block ends inside a match length');
        byte = input[at++] as number;
        matched += byte;
      }
    }
    if (matched > limit - out) throw tooLong();
    if (matched > buffer.length - out) buffer = grow(output, out, matched);
    if (matched < SHORT_COPY_BYTES) {
      for (const last = out + matched; out < last; out++)
        buffer[out] = buffer[out - offset] as number;
    } else {
      copyMatch(buffer, out, offset, matched);
      out += matched;
    }
  }
  output.length = out;
}

/** Copies `bytes` bytes from `offset` before `at` to `at`; the two may overlap, and then the pattern repeats. */
function copyMatch(buffer: Buffer, at: number, offset: number, bytes: number): void {
  // Each round copies what is there already and so lengthens the stretch that repeats.
  let done = 0;
  while (done < bytes) {
    const part = Math.min(offset + done, bytes - done);
    buffer.copyWithin(at + done, at - offset, at - offset + part);
    done += part;
  }
}

function grow(output: BoundedOutput, length: number, bytes: number): Buffer {
  output.length = length;
  output.reserve(bytes);
  return output.buffer;
}

function tooLong(): Error {
  return malformed('a block becomes larger than its frame allows');
}

function malformed(reason: string): Error {
  return malformedCompression('LZ4', reason);
}
