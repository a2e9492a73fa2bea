/** What a request asks for, from its query. Nothing is guessed: a parameter that nobody knows is an error. */
import { type ErrorCode, MillraceError } from '../../core/errors.ts';
import { HTTP_KEY_CHARS_MAX } from '../../core/http-limits.ts';
import type { KeySelection } from '../../engine/stream/views/key-range.ts';
import { keyOfJson } from './json-text.ts';

export class RequestParameters {
  readonly #query: URLSearchParams;
  readonly #code: ErrorCode;

  /**
   * @param code of errors
   * @throws {MillraceError} for names that are not among `known`, or come twice
   */
  constructor(
    query: URLSearchParams,
    known: readonly string[],
    code: ErrorCode = 'ML_VIEW_REQUEST',
  ) {
    this.#query = query;
    this.#code = code;
    const seen = new Set<string>();
    for (const name of query.keys()) {
      const fields = { parameter: name.slice(0, HTTP_KEY_CHARS_MAX) };
      if (!known.includes(name))
        throw new MillraceError(this.#code, `there is no parameter '${fields.parameter}' here`, {
          hint: known.length === 0 ? 'Leave it out' : `There are ${known.join(', ')}`,
          fields,
        });
      if (seen.has(name))
        throw new MillraceError(this.#code, `the parameter '${name}' is there twice`, {
          fields,
        });
      seen.add(name);
    }
  }

  has(name: string): boolean {
    return this.#query.has(name);
  }

  text(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }

  /** Text; JSON with `keys=json`. @throws {MillraceError} ML_VIEW_REQUEST */
  key(name: string): unknown {
    const text = this.#query.get(name) ?? '';
    checkKeyText(name, text);
    return this.#isJson ? keyOfJson(text, name) : text;
  }

  /** Which keys: `key`, `from`, `to`, `prefix`. */
  selection(): KeySelection {
    const selection: { key?: unknown; from?: unknown; to?: unknown; prefix?: unknown } = {};
    for (const name of ['key', 'from', 'to', 'prefix'] as const)
      if (this.has(name)) selection[name] = this.key(name);
    return selection;
  }

  /** A whole number. @throws {MillraceError} ML_VIEW_REQUEST */
  count(name: string, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (value >= 1 && value <= max) return value;
    throw new MillraceError(this.#code, `${name} is a number from 1 to ${max}`, {
      fields: { parameter: name },
    });
  }

  /** A whole number from 0 on. @throws {MillraceError} ML_HTTP_REQUEST */
  integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new MillraceError(this.#code, `${name} is a whole number from 0 on`, {
      fields: { parameter: name },
    });
  }

  /** A time that a record can have. @throws {MillraceError} ML_HTTP_REQUEST */
  moment(name: string): number | undefined {
    const ms = this.time(name);
    if (ms === undefined || ms >= 0) return ms;
    throw new MillraceError(this.#code, `${name} is before 1970`, { fields: { parameter: name } });
  }

  /** Milliseconds since 1970; given so, or as an ISO text. @throws {MillraceError} ML_VIEW_REQUEST */
  time(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const ms = /^-?\d{1,16}$/.test(text) ? Number(text) : isoTime(text);
    if (Number.isSafeInteger(ms)) return ms;
    throw new MillraceError(this.#code, `${name} is no time`, {
      hint: 'Write 2026-01-31T12:00:00Z, or milliseconds since 1970',
      fields: { parameter: name },
    });
  }

  get #isJson(): boolean {
    const keys = this.text('keys') ?? 'text';
    if (keys === 'text' || keys === 'json') return keys === 'json';
    throw new MillraceError(this.#code, 'keys is text or json', {
      fields: { parameter: 'keys' },
    });
  }
}

/** @throws {MillraceError} ML_VIEW_REQUEST */
export function checkKeyText(name: string, text: string): void {
  if (text.length <= HTTP_KEY_CHARS_MAX) return;
  throw new MillraceError(
    'ML_VIEW_REQUEST',
    `${name} is longer than ${HTTP_KEY_CHARS_MAX} characters`,
    { fields: { parameter: name, characters: text.length } },
  );
}

/** A date alone means its beginning in UTC; a time without a zone is refused, because it means something else on each machine. */
function isoTime(text: string): number {
  return /^[+-]?\d{4,6}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
}
