/** A request, as routes have it in their hands. */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { RequestParameters } from './request-parameters.ts';

export interface Bindings {
  readonly Bindings: HttpBindings;
}
export type Ask = Context<Bindings>;

/** @throws {MillraceError} ML_VIEW_REQUEST */
export function parametersOf(ask: Ask, known: readonly string[]): RequestParameters {
  return new RequestParameters(new URL(ask.req.url).searchParams, known);
}

/** @throws {MillraceError} ML_HTTP_REQUEST */
export function topicParameters(ask: Ask, known: readonly string[]): RequestParameters {
  return new RequestParameters(new URL(ask.req.url).searchParams, known, 'ML_HTTP_REQUEST');
}

/** Fires when nobody waits for the answer any more. */
export function goneSignal(ask: Ask): AbortSignal {
  const gone = new AbortController();
  const { outgoing } = ask.env;
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  if (outgoing.destroyed) gone.abort();
  return gone.signal;
}
