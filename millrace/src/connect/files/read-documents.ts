/** Files as records: each is one, its path and its whole text. */
import { ByteWriter } from '../../core/byte-writer.ts';
import { MillraceError } from '../../core/errors.ts';
import { DOCUMENT_BYTES_MAX, FILE_READ_BYTES } from '../../core/limits.ts';
import { decodeText } from '../../core/text-escape.ts';
import type {
  PlanContext,
  ReadContext,
  Source,
  SourcePlan,
  SplitReader,
} from '../../flow/source.ts';
import { pathList } from './file-source.ts';
import type { FileSplit } from './file-split.ts';
import { detectCompression, listInput } from './input-files.ts';
import { openContent } from './open-content.ts';

export interface Document {
  /** As the program would name the file: relative where the path of the source is. */
  readonly path: string;
  readonly text: string;
}

export interface DocumentReadOptions {
  /** A file that has more bytes, after decompression, is ML_FILE_TOO_LARGE. Default: 16 MiB. */
  readonly documentBytesMax?: number | undefined;
}

export function documentsSource(
  paths: string | readonly string[],
  options: DocumentReadOptions = {},
): Source<Document, undefined> {
  const list = pathList(paths);
  const bytesMax = options.documentBytesMax ?? DOCUMENT_BYTES_MAX;
  const source: Source<Document, undefined> = {
    kind: 'source',
    format: 'documents',
    label: `documents ${list.join(' ')}`,
    paths: list,
    columns: undefined,
    plan: (context) => planDocuments(list, context),
    open: (split, context) => new DocumentReader(split.data as FileSplit, context, bytesMax),
  };
  return Object.freeze(source);
}

async function planDocuments(paths: readonly string[], context: PlanContext): Promise<SourcePlan> {
  const files = await listInput(paths, context);
  const splits = files.map((file, index) => {
    const { path, name, sizeBytes } = file;
    const compression = detectCompression(context.env, file);
    const data: FileSplit = { path, name, from: 0, to: sizeBytes, compression };
    return { index, bytes: sizeBytes, label: name, data };
  });
  return { splits, files: files.map(({ path }) => path) };
}

class DocumentReader implements SplitReader<Document, undefined> {
  consumedBytes = 0;
  private readonly split: FileSplit;
  private readonly context: ReadContext;
  private readonly bytesMax: number;
  private isDone = false;

  constructor(split: FileSplit, context: ReadContext, bytesMax: number) {
    this.split = split;
    this.context = context;
    this.bytesMax = bytesMax;
  }

  async read(emit: (value: Document, key: undefined) => boolean): Promise<boolean> {
    if (this.isDone) return true;
    const { name, to } = this.split;
    const content = await this.content();
    this.isDone = true;
    this.consumedBytes = to;
    const hasMark = content.length >= 3 && content.buffer.readUIntBE(0, 3) === BYTE_ORDER_MARK;
    const text = decodeText(content.buffer, hasMark ? 3 : 0, content.length);
    emit({ path: name, text }, undefined);
    return true;
  }

  position(): string {
    return this.split.name;
  }

  mark(): number {
    return 0;
  }

  locate(): string {
    return this.split.name;
  }

  close(): void {}

  /** The bytes of the file, decompressed. */
  private async content(): Promise<ByteWriter> {
    const { split, bytesMax } = this;
    const content = openContent(this.context.env, split);
    // One byte more than the file has: the read that finds the end needs no more room.
    const stepBytes = Math.min(FILE_READ_BYTES, split.to + 1);
    const bytes = new ByteWriter(stepBytes);
    try {
      for (;;) {
        if (bytes.length === bytes.buffer.length) bytes.reserve(stepBytes);
        const count = await content.read(bytes.buffer, bytes.length, bytes.buffer.length);
        if (count === 0) return bytes;
        bytes.length += count;
        if (bytes.length > bytesMax) throw tooLarge(split.name, bytesMax);
      }
    } finally {
      content.close();
    }
  }
}

/** U+FEFF in UTF-8. */
const BYTE_ORDER_MARK = 0xefbbbf;

function tooLarge(name: string, bytesMax: number): MillraceError {
  return new MillraceError('ML_FILE_TOO_LARGE', `${name} has more than ${bytesMax} bytes`, {
    fields: { file: name, documentBytesMax: bytesMax },
    hint: 'Allow more with `documentBytesMax`, or read it line by line: files.lines(path)',
  });
}
