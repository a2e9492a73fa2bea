/** Lines of a byte stream, as bytes: nothing is decoded, so that what goes in comes out. */
import { CLI_LINE_BYTES_MAX } from '../core/limits.ts';
import { MillraceError } from '../core/errors.ts';

const NEWLINE = 10;

/**
 * Yields the lines of `input` without their newline, many at a time. A last line without newline counts.
 * @throws {MillraceError} ML_LINE_TOO_LONG above `CLI_LINE_BYTES_MAX`
 */
export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let rest: Buffer = Buffer.alloc(0);
  let lineNumber = 0;
  for await (const chunk of input) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = data.indexOf(NEWLINE, start); end >= 0; end = data.indexOf(NEWLINE, start)) {
      lines.push(data.subarray(start, end));
      start = end + 1;
    }
    lineNumber += lines.length;
    rest = data.subarray(start);
    if (rest.length > CLI_LINE_BYTES_MAX) {
      throw new MillraceError(
        'ML_LINE_TOO_LONG',
        `line ${lineNumber + 1} of the input is longer than ${CLI_LINE_BYTES_MAX} bytes`,
      );
    }
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [rest];
}
