/**
 * Structured log lines: what rooms below the command line know of logging. The command line passes a logger that
 * writes; tests pass one that is silent or collects.
 */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Values of a log line, by name; an Error under `error` is written with its code, message and stack. Never secrets. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Never throws. A message is one sentence without a final period; what varies goes into the fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose every line also has `fields`. */
  with(fields: LogFields): Logger;
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps its lines, for tests. Loggers made by `with` add to the same list. */
export class CollectingLogger implements Logger {
  readonly lines: LogLine[];
  private readonly fields: LogFields;

  constructor(lines: LogLine[] = [], fields: LogFields = {}) {
    this.lines = lines;
    this.fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.add('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.add('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.add('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.add('error', message, fields);
  }

  with(fields: LogFields): CollectingLogger {
    return new CollectingLogger(this.lines, { ...this.fields, ...fields });
  }

  private add(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields: { ...this.fields, ...fields } });
  }
}
