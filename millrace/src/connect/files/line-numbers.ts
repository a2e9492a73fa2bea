/** Line numbers, found when somebody asks: nothing counts lines while all is well. */
import type { Env } from '../../core/env.ts';
import { FILE_READ_BYTES } from '../../core/limits.ts';
import { countByte } from './byte-search.ts';

const LF = 10;

/** How many LFs are in the first `position` bytes of a file: the line there is the one after them. */
export function countLines(env: Env, path: string, position: number): number {
  const file = env.fs.open(path, 'read');
  try {
    const buffer = Buffer.allocUnsafe(Math.min(FILE_READ_BYTES, position));
    let lines = 0;
    for (let at = 0; at < position; ) {
      const count = file.read(buffer, 0, Math.min(buffer.length, position - at), at);
      if (count === 0) break;
      lines += countByte(buffer, 0, count, LF);
      at += count;
    }
    return lines;
  } finally {
    file.close();
  }
}
