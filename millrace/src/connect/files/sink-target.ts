/** Where a sink of files writes: one file, a directory of parts, or stdout; and how it is compressed. */
import { MillraceError } from '../../core/errors.ts';
import type { SinkTarget } from '../../flow/sink.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** What every sink of files takes. */
export interface FileSinkOptions {
  /** One file, or a directory of parts. Default: `file` when the path ends in a known extension, else `directory`. */
  readonly layout?: 'file' | 'directory';
  /** A part is closed when it has about so many bytes (after compression). At least 1. Default: one part per task. Only for
   * directories. */
  readonly partBytes?: number;
  /** Default: by the extension of the path (`.gz`, `.zst`), else `none`. */
  readonly compression?: Compression;
}

/** Extensions that make a path one file, whatever is written into it. */
const KNOWN = ['.txt', '.log', '.ndjson', '.jsonl', '.csv', '.tsv', '.parquet'];
const COMPRESSED: Readonly<Record<string, Compression>> = { '.gz': 'gzip', '.zst': 'zstd' };
const EXTENSION: Readonly<Record<Compression, string>> = { none: '', gzip: '.gz', zstd: '.zst' };

export interface ResolvedTarget {
  readonly target: SinkTarget;
  readonly compression: Compression;
  readonly partBytes: number | undefined;
}

/**
 * @param extension of the parts of a directory, without that of the compression
 * @throws {MillraceError} ML_FLOW_INVALID
 */
export function resolveTarget(
  path: string,
  format: string,
  extension: string,
  options: FileSinkOptions,
): ResolvedTarget {
  const { compression, layout, partBytes } = options;
  const refuse = (what: string): never => {
    throw new MillraceError('ML_FLOW_INVALID', `the sink ${format} ${path}: ${what}`, {
      fields: { path },
    });
  };
  if (path === '') refuse('its path is empty');
  if (path.includes('\0')) refuse('is no path');
  if (compression !== undefined && !Object.hasOwn(EXTENSION, compression))
    refuse(`compression is none, gzip or zstd, not ${compression}`);
  if (layout !== undefined && layout !== 'file' && layout !== 'directory')
    refuse(`layout is file or directory, not ${layout as string}`);
  if (partBytes !== undefined && !(Number.isSafeInteger(partBytes) && partBytes > 0))
    refuse(`partBytes is a whole number above 0, not ${partBytes}`);
  const compressed = Object.keys(COMPRESSED).find((ending) => path.endsWith(ending));
  const bare = compressed === undefined ? path : path.slice(0, -compressed.length);
  const chosen = compression ?? COMPRESSED[compressed ?? ''] ?? 'none';
  if (path === '-')
    return { target: { kind: 'stdout' }, compression: chosen, partBytes: undefined };
  const isKnown = KNOWN.some((ending) => bare.endsWith(ending) && bare.length > ending.length);
  const isFile = layout === 'file' || (layout === undefined && isKnown && !path.endsWith('/'));
  if (isFile && partBytes !== undefined) refuse('partBytes is for a directory of parts');
  const target: SinkTarget = isFile
    ? { kind: 'file', path }
    : { kind: 'directory', path, extension: `${extension}${EXTENSION[chosen]}` };
  return { target, compression: chosen, partBytes };
}
