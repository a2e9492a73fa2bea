/** JSON of somebody else, to be written again: numbers that JavaScript cannot hold keep their digits. */
import { badRequest } from './http-errors.ts';

/** Where there is something like it, it is worth to look. */
const MAY_LOSE = /\d[\d.]{15}|\d[eE]/;

interface Context {
  readonly source?: string;
}

const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => object };

/** What `JSON.stringify` writes with the same numbers. @throws {MillraceError} ML_HTTP_REQUEST */
export function parseExactJson(text: string, what: string): unknown {
  try {
    if (!MAY_LOSE.test(text)) return JSON.parse(text);
    return JSON.parse(text, keepDigits as (this: unknown, key: string, value: unknown) => unknown);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw badRequest(400, `${what} is no JSON: ${reason}`, 'Write JSON as of RFC 8259, in UTF-8');
  }
}

function keepDigits(_name: string, value: unknown, context: Context): unknown {
  if (typeof value !== 'number' || context.source === undefined) return value;
  return String(value) === context.source ? value : rawJSON(context.source);
}
