/** What the sources of files that are rows have in common: which files there are, how they are cut, and what is opened. */
import { MillraceError } from '../../core/errors.ts';
import { SPLIT_BYTES } from '../../core/limits.ts';
import type { ColumnLayout } from '../../flow/columns.ts';
import type {
  PlanContext,
  ReadContext,
  Source,
  SourcePlan,
  Split,
  SplitReader,
} from '../../flow/source.ts';
import { cutFile } from './file-cuts.ts';
import type { FileSplit, InputFile } from './file-split.ts';
import { detectCompression, listInput } from './input-files.ts';
import { RowChunks, type RowChunkOptions } from './row-chunks.ts';

export interface RowFormat<Value> {
  readonly format: string;
  readonly paths: readonly string[];
  readonly columns: ColumnLayout | undefined;
  readonly chunks: RowChunkOptions;
  /** Names the columns of a file that is cut: its splits must know them. */
  readonly readHeader?: (file: InputFile, context: PlanContext) => readonly string[] | undefined;
  /** Decodes the rows of one split. */
  readonly reader: (
    chunks: RowChunks,
    split: FileSplit,
    context: ReadContext,
  ) => SplitReader<Value, undefined>;
}

export function rowSource<Value>(format: RowFormat<Value>): Source<Value, undefined> {
  const { paths, columns, chunks, reader } = format;
  const openChunks = (split: Split, context: ReadContext): RowChunks =>
    new RowChunks(split.data as FileSplit, context, chunks);
  const source: Source<Value, undefined> = {
    kind: 'source',
    format: format.format,
    label: `${format.format} ${paths.join(' ')}`,
    paths,
    columns,
    plan: (context) => planFiles(format, context),
    open: (split, context) => reader(openChunks(split, context), split.data as FileSplit, context),
    ...(columns === undefined ? {} : { openBytes: openChunks }),
  };
  return Object.freeze(source);
}

/** A path, or several: frozen, never none. @throws {MillraceError} ML_FLOW_INVALID */
export function pathList(paths: string | readonly string[]): readonly string[] {
  const list = typeof paths === 'string' ? [paths] : [...paths];
  if (list.length === 0)
    throw new MillraceError('ML_FLOW_INVALID', 'a source of files is given no path at all', {
      hint: 'Name at least one file, directory or pattern',
    });
  for (const path of list)
    if (typeof path !== 'string' || path === '' || path.includes('\0'))
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `a source of files is given ${path === '' ? 'an empty text' : preview(path)}, which is no path`,
        { hint: 'Name a file, a directory or a pattern; a parameter may have no value' },
      );
  return Object.freeze(list);
}

function preview(path: unknown): string {
  return typeof path === 'string' ? JSON.stringify(path) : `a value of type ${typeof path}`;
}

async function planFiles<Value>(
  format: RowFormat<Value>,
  context: PlanContext,
): Promise<SourcePlan> {
  const files = await listInput(format.paths, context);
  const splits: Split[] = [];
  for (const file of files) {
    for (const data of splitsOf(file, format, context)) {
      const isWhole = data.from === 0 && data.to === file.sizeBytes;
      splits.push({
        index: splits.length,
        bytes: data.to - data.from,
        label: isWhole ? data.name : `${data.name} [${data.from}, ${data.to})`,
        data,
      });
    }
  }
  return { splits, files: files.map(({ path }) => path) };
}

function splitsOf<Value>(
  file: InputFile,
  format: RowFormat<Value>,
  context: PlanContext,
): FileSplit[] {
  const { path, name, sizeBytes } = file;
  const compression = detectCompression(context.env, file);
  const splitBytes = context.splitBytes > 0 ? context.splitBytes : SPLIT_BYTES;
  const count = compression === 'none' ? Math.max(1, Math.round(sizeBytes / splitBytes)) : 1;
  const cuts = cutFile(context.env, file, count, format.chunks);
  const header = cuts.length > 2 ? format.readHeader?.(file, context) : undefined;
  return cuts.slice(1).map((to, index) => {
    const from = cuts[index] ?? 0;
    const base: FileSplit = { path, name, from, to, compression };
    return header === undefined || from === 0 ? base : { ...base, header };
  });
}
