/**
 * Stdin as a file: it can be read only once, and only by the process of the driver, while a split must be readable by any worker and
 * again after a failure. So it is copied into the spool directory of the job while the source is planned.
 */
import { MillraceError } from '../../core/errors.ts';
import { writeFully } from '../../core/files.ts';
import { FILE_READ_BYTES } from '../../core/limits.ts';
import { standardInput, type InputStream } from '../../core/standard-streams.ts';
import type { PlanContext } from '../../flow/source.ts';
import type { InputFile } from './file-split.ts';

/** Copies that were made or are being made, by path: two sources that read stdin get the same bytes. */
const spooled = new Map<string, Promise<InputFile>>();

/** @throws {MillraceError} ML_FLOW_INVALID without a spool directory, ML_DISK_FULL, ML_IO */
export function spoolStandardInput(
  context: PlanContext,
  input: InputStream = standardInput,
): Promise<InputFile> {
  const { spoolDirectory } = context;
  if (spoolDirectory === undefined)
    throw new MillraceError('ML_FLOW_INVALID', "stdin ('-') cannot be read here", {
      hint: 'Run the program with `millrace run`, or read a file',
    });
  const path = `${spoolDirectory}/stdin`;
  let copy = spooled.get(path);
  if (copy === undefined) {
    copy = copyStandardInput(context, path, input);
    spooled.set(path, copy);
  }
  return copy;
}

async function copyStandardInput(
  { env }: PlanContext,
  path: string,
  input: InputStream,
): Promise<InputFile> {
  const file = env.fs.open(path, 'create');
  try {
    const buffer = Buffer.allocUnsafeSlow(FILE_READ_BYTES);
    let sizeBytes = 0;
    for (let count; (count = await input.read(buffer)) > 0; sizeBytes += count)
      writeFully(file, buffer, 0, count, sizeBytes);
    return { path, name: 'stdin', sizeBytes };
  } finally {
    file.close();
  }
}
