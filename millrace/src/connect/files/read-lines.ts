/** Text files as lines. @hot */
import { LINE_BYTES_MAX } from '../../core/limits.ts';
import type { Source } from '../../flow/source.ts';
import { BlockReader, lineEnd } from './block-reader.ts';
import { pathList, rowSource } from './file-source.ts';
import type { EmitRow } from './row-reader.ts';

export interface LineReadOptions {
  /** Longest line, in bytes without its line end. Default 16 MiB. */
  readonly lineBytesMax?: number | undefined;
}

/** For tests. */
export interface ReadTuning {
  readonly chunkBytes?: number | undefined;
}

export function linesSource(
  paths: string | readonly string[],
  options: LineReadOptions = {},
  tuning: ReadTuning = {},
): Source<string, undefined> {
  const lineBytesMax = options.lineBytesMax ?? LINE_BYTES_MAX;
  return rowSource<string>({
    format: 'lines',
    paths: pathList(paths),
    columns: { kind: 'line', lineBytesMax },
    chunks: { lineBytesMax, quote: -1, ...tuning },
    reader: (chunks, split, context) => new LineReader(chunks, split, context, { lineBytesMax }),
  });
}

class LineReader extends BlockReader<string> {
  protected decodeBlock(emit: EmitRow<string>): boolean {
    const { block } = this;
    const { length } = block;
    for (let at = this.at; at < length; at = this.at) {
      const lf = block.indexOf('\n', at);
      const end = lf < 0 ? length : lf;
      this.lineAt = at;
      this.at = end + 1;
      if (!emit(block.substring(at, lineEnd(block, at, end)), undefined)) return false;
    }
    return true;
  }
}
