/**
 * How a command talks: data on stdout, messages and progress on stderr, an exit code that scripts can rely on.
 */
import { once } from 'node:events';
import { MillraceError } from '../core/errors.ts';

/** NOTE: public exit codes, do not renumber. */
export const EXIT = {
  ok: 0,
  /** The command failed; stderr says why and what to do. */
  failed: 1,
  /** The command line, a setting or the Node version is wrong. */
  usage: 2,
  /** A bug in Millrace. */
  bug: 70,
  /** The disk failed (fsync): nothing acknowledged is lost, but a person must look. */
  storage: 74,
  /** Ended by a second SIGINT or SIGTERM. */
  interrupted: 130,
} as const;

/** Writes data; waits when the reader of the pipe is slower than we are. */
export async function writeData(chunk: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
}

/** Writes one JSON document as one line. */
export async function writeJson(value: unknown): Promise<void> {
  await writeData(`${JSON.stringify(value, jsonValue)}\n`);
}

/** A line for the person at the terminal. */
export function say(message: string): void {
  process.stderr.write(`${message}\n`);
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
}

/** Columns aligned on the widest cell, two spaces apart; numbers to the right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => String(row[column] ?? '').length)),
  );
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return `${[line(header), ...rows.map((row) => line(row))].join('\n')}\n`;
}

/** Prints an error as a person wants it: what failed, and what to do. Returns the exit code. */
export function report(error: unknown): number {
  if (error instanceof MillraceError) {
    say(`error: ${error.message} (${error.code})`);
    say(`  fix: ${error.hint}`);
    return error.code === 'ML_CONFIG_INVALID' || error.code === 'ML_USAGE'
      ? EXIT.usage
      : EXIT.failed;
  }
  say(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return EXIT.failed;
}
