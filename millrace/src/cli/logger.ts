/** The logger of the command line: JSON lines through pino, or one readable line each on a terminal. On stderr: stdout is for data. */
import { pino, type Logger as Pino } from 'pino';
import { MillraceError } from '../core/errors.ts';
import type { LogFields, Logger, LogLevel } from '../core/log.ts';

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
}

export function createLogger(options: LoggerOptions): Logger {
  const destination =
    options.format === 'json' ? pino.destination({ dest: 2, sync: true }) : new TextLines();
  return wrap(
    pino(
      {
        level: options.level,
        base: null,
        messageKey: 'message',
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        serializers: { error: describeError },
      },
      destination,
    ),
  );
}

function wrap(inner: Pino): Logger {
  return {
    debug: (message, fields) => inner.debug(fields ?? {}, message),
    info: (message, fields) => inner.info(fields ?? {}, message),
    warn: (message, fields) => inner.warn(fields ?? {}, message),
    error: (message, fields) => inner.error(fields ?? {}, message),
    with: (fields: LogFields) => wrap(inner.child(fields)),
  };
}

function describeError(error: unknown): unknown {
  if (error instanceof MillraceError) {
    return {
      code: error.code,
      message: error.message,
      hint: error.hint,
      ...error.fields,
      stack: error.stack,
    };
  }
  return error instanceof Error ? { message: error.message, stack: error.stack } : String(error);
}

const COLOURS: Readonly<Record<string, string>> = {
  debug: '2',
  info: '32',
  warn: '33',
  error: '31',
};

/** Turns pino's JSON lines into `12:00:00.000 info  message  field=value`. A warning is worth the second parse; data paths do not log. */
class TextLines {
  readonly #colour = process.stderr.isTTY;

  write(line: string): void {
    const { level, time, message, error, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const clock = String(time).slice(11, 23);
    const label = String(level).padEnd(5);
    const shown = this.#colour ? `\x1b[${COLOURS[String(level)] ?? '0'}m${label}\x1b[0m` : label;
    const rest = Object.entries(fields).map(
      ([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    process.stderr.write(`${clock} ${shown} ${String(message)}${rest.join('')}\n`);
    if (error !== undefined) process.stderr.write(`${indent(error)}\n`);
  }
}

function indent(error: unknown): string {
  const { stack, hint, code } = (
    typeof error === 'object' && error !== null ? error : {}
  ) as Record<string, unknown>;
  const text = typeof stack === 'string' ? stack : JSON.stringify(error);
  const lines = code === undefined ? [text] : [`${String(code)}: ${text}`, `fix: ${String(hint)}`];
  return lines.join('\n').replaceAll(/^/gm, '    ');
}
