/** Errors as answers: a status, and JSON that says what is wrong and what to do about it. */
import { type ErrorCode, MillraceError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { VIEW_RETRY_AFTER_SECONDS } from '../../core/http-limits.ts';

const STATUS: Partial<Record<ErrorCode, number>> = {
  ML_HTTP_BUSY: 503,
  ML_HTTP_REQUEST: 400,
  ML_KEY_INVALID: 400,
  ML_OFFSET_OUT_OF_RANGE: 410,
  ML_RECORDS_TOO_LARGE: 413,
  ML_TOPIC_MISSING: 404,
  ML_VIEW_MOVING: 503,
  ML_VIEW_REQUEST: 400,
  ML_VIEW_UNFOLLOWED: 409,
  ML_VIEW_UNKNOWN: 404,
  ML_VIEW_UNREACHABLE: 503,
  ML_WEBHOOK_UNVERIFIED: 401,
};

export function statusOf(error: unknown): number {
  if (!(error instanceof MillraceError)) return 500;
  const { status } = error.fields;
  if (error.code === 'ML_HTTP_REQUEST' && typeof status === 'number') return status;
  return STATUS[error.code] ?? (error.retriable ? 503 : 500);
}

/** No stack, and no cause: those are for the log. */
export function errorToJson(error: unknown): { readonly error: Json } {
  if (!(error instanceof MillraceError))
    return {
      error: {
        code: 'ML_USER_FUNCTION',
        message: error instanceof Error ? error.message : String(error),
        hint: 'A function of the flow has failed on what is stored: correct the program',
        retriable: false,
      },
    };
  const { code, message, hint, retriable, fields } = error;
  return { error: { code, message, hint, retriable, fields } };
}

export function errorResponse(error: unknown): Response {
  return jsonResponse(errorToJson(error), statusOf(error));
}

export function jsonResponse(body: { readonly [name: string]: Json }, status = 200): Response {
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: jsonHeaders(status) });
}

export function jsonHeaders(status: number): Record<string, string> {
  return {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 503 ? { 'retry-after': String(VIEW_RETRY_AFTER_SECONDS) } : {}),
  };
}

/** @param status what HTTP calls it */
export function badRequest(status: number, message: string, hint?: string): MillraceError {
  return new MillraceError('ML_HTTP_REQUEST', message, {
    fields: { status },
    ...(hint === undefined ? {} : { hint }),
  });
}
