/**
 * The logger of the command line: one JSON object a line for machines, or one readable line for people. On stderr: stdout is for
 * data. Lines are written when they are logged, so that the last one before an end is there; data paths do not log.
 *
 * Not a library: it is on the way of every start (docs/decisions/start-up.md).
 */
import type { Clock } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { LogFields, Logger, LogLevel } from '../core/log.ts';

export interface LoggerOptions {
  /** Lines below it are not written. */
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  readonly clock: Clock;
  /** Takes whole lines, with their newline. */
  readonly write: (line: string) => void;
  /** Text lines show their level in colour. Default false. */
  readonly colour?: boolean;
}

type Format = (time: Date, level: LogLevel, message: string, fields: LogFields) => string;

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const COLOUR: Readonly<Record<LogLevel, string>> = {
  debug: '2',
  info: '32',
  warn: '33',
  error: '31',
};

export function createLogger(options: LoggerOptions): Logger {
  const format = options.format === 'json' ? jsonLine : textLine(options.colour ?? false);
  return withFields(options, format, {});
}

function withFields(options: LoggerOptions, format: Format, own: LogFields): Logger {
  const log =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void => {
      if (RANK[level] < RANK[options.level]) return;
      const all = fields === undefined ? own : { ...own, ...fields };
      options.write(`${format(new Date(options.clock.nowMs()), level, message, all)}\n`);
    };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    with: (fields) => withFields(options, format, { ...own, ...fields }),
  };
}

function jsonLine(time: Date, level: LogLevel, message: string, fields: LogFields): string {
  const head = { time: time.toISOString(), level, message };
  try {
    // Twice: it comes first, and no field of that name takes its place.
    return String(toJson({ ...head, ...fields, ...head }));
  } catch (error) {
    return String(toJson({ ...head, unprintable: String(error) }));
  }
}

/** `12:00:00.000 info  message  field=value`, and an error on lines of its own below. */
function textLine(colour: boolean): Format {
  return (time, level, message, fields) => {
    const label = level.padEnd(5);
    const shown = colour ? `\x1b[${COLOUR[level]}m${label}\x1b[0m` : label;
    const { error, ...rest } = fields;
    const values = Object.entries(rest).map(([name, value]) => `  ${name}=${textValue(value)}`);
    const below = error === undefined ? '' : `\n${textError(error)}`;
    return `${time.toISOString().slice(11, 23)} ${shown} ${message}${values.join('')}${below}`;
  };
}

/** Names that clients choose are quoted where they could pass for a line, or a field, of ours. */
function textValue(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=\p{C}]+$/u.test(value)) return value;
  try {
    return toJson(value) ?? String(value);
  } catch (error) {
    return `unprintable: ${String(error)}`;
  }
}

function textError(error: unknown): string {
  const described = describeError(error);
  const lines = typeof described === 'string' ? [described] : [described['stack'], ...fixOf(error)];
  return lines.join('\n').replaceAll(/^/gm, '    ');
}

function fixOf(error: unknown): string[] {
  return error instanceof MillraceError ? [`fix: ${error.hint}`] : [];
}

function describeError(error: unknown): string | Record<string, unknown> {
  if (!(error instanceof Error)) return String(error);
  const { message } = error;
  const stack = causes(error);
  if (!(error instanceof MillraceError)) return { message, stack };
  return { code: error.code, message, hint: error.hint, ...error.fields, stack };
}

/** The stack, and those of what caused it. */
function causes(error: Error): string {
  const stacks: string[] = [];
  for (let each: unknown = error; each instanceof Error && stacks.length < 8; each = each.cause) {
    const code = each instanceof MillraceError ? ` (${each.code})` : '';
    stacks.push(`${each.stack ?? each.message}${code}`);
  }
  return stacks.join('\ncaused by ');
}

/** @throws for values that contain themselves */
function toJson(value: unknown): string | undefined {
  return JSON.stringify(value, (_key, each: unknown) => {
    if (typeof each === 'bigint') return String(each);
    return each instanceof Error ? describeError(each) : each;
  });
}
