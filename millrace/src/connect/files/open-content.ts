/** Opens the bytes of a split: a range of a file, or what it decompresses to. */
import type { Env, File } from '../../core/env.ts';
import { CompressedContent } from './compressed-content.ts';
import { openInput, shrunk, type Content } from './content.ts';
import type { FileSplit } from './file-split.ts';

/** @throws {MillraceError} ML_INPUT_MISSING, ML_INPUT_MALFORMED (the file has become shorter), ML_PERMISSION */
export function openContent(env: Env, split: FileSplit): Content {
  const file = openInput(env, split.path, split.name);
  try {
    if (file.size() < split.to) throw shrunk(split.name, split.to, file.size());
    if (split.compression === 'none') return new FileRange(file, split);
    return new CompressedContent(file, split.to, split.compression, split.name);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** [from, to) of a file, read on the spot. What the file has beyond it is never looked at. */
class FileRange implements Content {
  consumedBytes = 0;
  private readonly file: File;
  private readonly split: FileSplit;
  private position: number;

  constructor(file: File, split: FileSplit) {
    this.file = file;
    this.split = split;
    this.position = split.from;
  }

  read(buffer: Buffer, start: number, end: number): number {
    const { to, name } = this.split;
    const wanted = Math.min(end - start, to - this.position);
    if (wanted === 0) return 0;
    const count = this.file.read(buffer, start, start + wanted, this.position);
    if (count === 0) throw shrunk(name, to, this.file.size());
    this.position += count;
    this.consumedBytes += count;
    return count;
  }

  close(): void {
    this.file.close();
  }
}
