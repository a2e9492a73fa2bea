/** A file of the input, and what a split of it says: plain JSON. */
import type { Compression } from './compression.ts';

export interface InputFile {
  /** Absolute. */
  readonly path: string;
  /** For people: relative where the program's path is. */
  readonly name: string;
  readonly sizeBytes: number;
}

export interface FileSplit {
  /** Absolute. */
  readonly path: string;
  /** As people know the file: the path as they wrote it. */
  readonly name: string;
  /** Bytes of the file. Both ends are ends of rows: rows belong to one split as a whole. A compressed file is one split. */
  readonly from: number;
  readonly to: number;
  readonly compression: Compression;
  /** CSV: the columns of the file, for splits that do not begin with the header. */
  readonly header?: readonly string[];
}
