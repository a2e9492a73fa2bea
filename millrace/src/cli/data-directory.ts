/** Where jobs keep their records: the same directory as that of a broker, which does not mind. */
import { resolve } from 'node:path';
import { DEFAULT_DATA } from './start-options.ts';

/** Absolute path: `--data`, else MILLRACE_DATA, else ./millrace-data. */
export function dataDirectory(flag: string | undefined): string {
  return resolve(flag ?? process.env['MILLRACE_DATA'] ?? DEFAULT_DATA);
}
