/** The bytes of a split, one after the other, as decoders get them; and what goes wrong with the file behind them. */
import type { Env, File } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';

export interface Content {
  /**
   * Puts bytes into buffer[start, end), start < end: as many as are at hand, at least one. 0 at the end. A promise only when they
   * have to be waited for.
   */
  read(buffer: Buffer, start: number, end: number): number | Promise<number>;
  /** Bytes of the file that were consumed. */
  readonly consumedBytes: number;
  close(): void;
}

/** Opens a file of the input; one that is gone is an input that is missing. */
export function openInput(env: Env, path: string, name: string): File {
  try {
    return env.fs.open(path, 'read');
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'ML_FILE_NOT_FOUND') throw error;
    throw new MillraceError(
      'ML_INPUT_MISSING',
      `${name} was there when the job began and is gone`,
      {
        cause: error,
        fields: { file: name },
        hint: 'Run the job again when the input stays',
      },
    );
  }
}

/** The error for a file that was cut while the job ran. */
export function shrunk(name: string, plannedBytes: number, sizeBytes: number): MillraceError {
  return new MillraceError(
    'ML_INPUT_MALFORMED',
    `${name} became shorter while it was read: ${plannedBytes} bytes were there when the job began, now ${sizeBytes}`,
    { fields: { file: name }, hint: 'Run the job again when nothing writes to the input' },
  );
}
