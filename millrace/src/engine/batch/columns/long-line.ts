/** The error for a line that is longer than its source allows, where it is found inside a chunk. */
import { MillraceError } from '../../../core/errors.ts';
import { decodeText } from '../../../core/text-escape.ts';
import type { ByteChunk, ChunkReader } from '../../../flow/source.ts';

/** Of the line, so much is shown. */
const RAW_BYTES_MAX = 1024;
const LF = 0x0a;

/** @param at where the line begins in the chunk */
export function longLine(
  chunk: ByteChunk,
  chunks: ChunkReader,
  at: number,
  lineBytesMax: number,
): { readonly error: MillraceError; readonly raw: string } {
  const position = chunks.locate(at);
  const error = new MillraceError(
    'ML_LINE_TOO_LONG',
    `${position}: the line is longer than ${lineBytesMax} bytes`,
    {
      fields: { position, lineBytesMax },
      hint: 'Check that the file holds lines; if it does, raise `lineBytesMax` of the source',
    },
  );
  const lineFeed = chunk.buffer.indexOf(LF, at);
  const lineEnd = lineFeed < 0 || lineFeed > chunk.end ? chunk.end : lineFeed + 1;
  const end = Math.min(lineEnd, at + RAW_BYTES_MAX);
  return { error, raw: decodeText(chunk.buffer, at, end) };
}
