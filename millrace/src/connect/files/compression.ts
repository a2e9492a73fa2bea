/** What a file is compressed with: told by its first bytes, or by the end of its name. */
import { MillraceError } from '../../core/errors.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** First bytes that are enough to know. */
export const MAGIC_BYTES = 8;

const EXTENSIONS: Readonly<Record<string, Compression>> = { '.gz': 'gzip', '.zst': 'zstd' };

/** Formats that are known, to be refused: as text they would be nonsense. */
const REFUSED: readonly { readonly name: string; readonly magic: string; readonly tool: string }[] =
  [
    { name: 'bzip2', magic: 'BZh', tool: 'bzcat' },
    { name: 'xz', magic: '\xfd7zXZ\0', tool: 'xzcat' },
    { name: 'lz4', magic: '\x04"M\x18', tool: 'lz4cat' },
    { name: 'zip', magic: 'PK\x03\x04', tool: 'unzip -p' },
  ];
/** What follows `BZh1` to `BZh9` in a bzip2 file: the digits of pi. */
const BZIP2_BLOCK = '1AY&';

/**
 * @param head the first MAGIC_BYTES of the file, or all of it
 * @throws {MillraceError} ML_INPUT_MALFORMED for compressed files of other kinds
 */
export function compressionOf(name: string, head: Buffer): Compression {
  const text = head.latin1Slice(0, head.length);
  if (text.startsWith('\x1f\x8b')) return 'gzip';
  if (text.startsWith('(\xb5/\xfd')) return 'zstd';
  for (const { name: format, magic, tool } of REFUSED) {
    if (!text.startsWith(magic)) continue;
    if (format === 'bzip2' && text.slice(4, 8) !== BZIP2_BLOCK) continue;
    throw new MillraceError('ML_INPUT_MALFORMED', `${name} is compressed with ${format}`, {
      fields: { file: name },
      hint: `gzip and zstd are read; for others, decompress into stdin: ${tool} ${name} | millrace run … (input '-')`,
    });
  }
  return extensionCompression(name);
}

/** What the end of a name says. */
function extensionCompression(name: string): Compression {
  return EXTENSIONS[name.slice(name.lastIndexOf('.'))] ?? 'none';
}
