/**
 * How a command talks: data on stdout, messages and progress on stderr, an exit code that scripts can rely on.
 */
import { MillraceError } from '../core/errors.ts';
import { CLI_OUTPUT_BYTES } from '../core/limits.ts';
import { systemError } from '../core/system-error.ts';

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

/** The reader of stdout has gone, as `head` does when it has enough: nothing more is wanted, and nothing went wrong. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Makes a closed stdout or stderr an end instead of a crash. Once, before anything is written. */
export function watchOutput(): void {
  // Failed writes reach their writer through the callback.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
}

/**
 * Writes data; resolves when the system has taken it, so that memory stays bounded however slow the reader is.
 * @throws {OutputClosed} when nobody reads any more
 */
export async function writeData(chunk: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(chunk, (error) => {
      if (error === null || error === undefined) resolve();
      else if ((error as NodeJS.ErrnoException).code === 'EPIPE') reject(new OutputClosed());
      else reject(systemError(error, 'write to stdout'));
    });
  });
}

/** Collects data that comes in small pieces. */
export class DataOutput {
  #buffer = Buffer.allocUnsafe(2 * CLI_OUTPUT_BYTES);
  #end = 0;

  /** Enough is collected for a write. */
  get isFull(): boolean {
    return this.#end >= CLI_OUTPUT_BYTES;
  }

  append(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    source.copy(this.#buffer, this.#end, start, end);
    this.#end += end - start;
  }

  appendText(text: string): void {
    this.#reserve(3 * text.length); // The most that UTF-8 makes of a UTF-16 unit.
    this.#end += this.#buffer.write(text, this.#end);
  }

  appendByte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#end++] = byte;
  }

  /** @throws {OutputClosed} when nobody reads any more */
  async flush(): Promise<void> {
    if (this.#end === 0) return;
    const end = this.#end;
    this.#end = 0;
    await writeData(this.#buffer.subarray(0, end));
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.#end + bytes));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

/** Writes one JSON document as one line. */
export async function writeJson(value: unknown): Promise<void> {
  await writeData(`${JSON.stringify(value)}\n`);
}

/** A line for the person at the terminal. */
export function say(message: string): void {
  process.stderr.write(`${printable(message)}\n`);
}

/**
 * Text that others have chosen, as names of queues, must not control the terminal, nor turn around what stands beside it: it is shown by
 * its numbers. Line ends and tabs stay.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu,
    (each) => `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Columns aligned on the widest cell, two spaces apart; numbers to the right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const shown = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell : cellText(cell))),
  );
  const widths = header.map((title, column) =>
    shown.reduce((most, row) => Math.max(most, String(row[column] ?? '').length), title.length),
  );
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return `${[line(header), ...shown.map((row) => line(row))].join('\n')}\n`;
}

function cellText(text: string): string {
  return printable(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

/** Prints an error as a person wants it: what failed, and what to do. Returns the exit code. */
export function report(error: unknown): number {
  if (error instanceof OutputClosed) return EXIT.ok;
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
