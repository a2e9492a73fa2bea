/**
 * Whether a page of a browser may do what it asks. A page of another site can send requests to this machine, and open WebSockets, in the
 * name of the person who looks at it: what changes anything is refused to pages of sites that nobody has named.
 *
 * Source: Fetch standard (Origin, Sec-Fetch-Site, CORS), RFC 6455 §10.2.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { MillraceError } from '../../core/errors.ts';
import { isAddress } from '../../core/ip-address.ts';
import { isLoopback } from '../../core/open-bind.ts';
import { badRequest } from './http-errors.ts';

const PREFLIGHT_SECONDS = 600;

/** @throws {MillraceError} ML_CONFIG_INVALID for what is no origin */
export function checkOrigins(origins: readonly string[]): void {
  for (const origin of origins)
    if (origin !== '*' && URL.parse(origin)?.origin !== origin)
      throw new MillraceError('ML_CONFIG_INVALID', `'${origin}' is no origin`, {
        hint: "Write scheme, host and port if it has one, as in 'https://app.example.com', and nothing behind; '*' is any",
      });
}

/** @throws {MillraceError} ML_HTTP_REQUEST (403) */
export function refuseForeign(headers: IncomingHttpHeaders, origins: readonly string[]): void {
  const { origin } = headers;
  if (origin === undefined) {
    // A browser tells the origin with whatever is not a GET; nothing else sends this header.
    const site = headers['sec-fetch-site'];
    if (site !== 'cross-site' && site !== 'same-site') return;
  } else if (isNamed(origin, origins) || isOwn(origin, headers.host)) return;
  throw badRequest(
    403,
    `pages of ${(origin ?? 'other sites').slice(0, 200)} may not ask for this`,
    'Name the origin of the page when the server is started: http: { origins: […] }',
  );
}

/** Lets pages of origins that were named read what is answered. */
export function allowOrigin(
  headers: IncomingHttpHeaders,
  response: ServerResponse,
  origins: readonly string[],
): void {
  const { origin } = headers;
  if (origins.length > 0) response.setHeader('vary', 'Origin');
  if (origin === undefined || !isNamed(origin, origins)) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', 'idempotent-replayed');
}

/** What a browser asks before it sends what a form could not. */
export function preflightHeaders(): Record<string, string> {
  return {
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': 'content-type, idempotency-key, last-event-id',
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  };
}

function isNamed(origin: string, origins: readonly string[]): boolean {
  return origins.includes('*') || origins.includes(origin);
}

/** By a name that no other site can have: one that it leads here itself would be its own, too. */
function isOwn(origin: string, host: string | undefined): boolean {
  const url = URL.parse(origin);
  if (url === null || url.host === '' || url.host !== host?.toLowerCase()) return false;
  const name = url.hostname.replace(/^\[|\]$/g, '');
  return isLoopback(name) || isAddress(name);
}
