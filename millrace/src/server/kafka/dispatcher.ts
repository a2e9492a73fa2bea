/**
 * From the bytes of a request to the bytes of its answer: finds the API, decodes, calls the handler, encodes.
 *
 * Owns: what is said to requests that no handler sees. Source: KIP-35 and KIP-511 (ApiVersions of an unknown version is
 * answered in v0 with UNSUPPORTED_VERSION; every other unknown key or version ends the connection, as in Kafka).
 */
import { MillraceError } from '../../core/errors.ts';
import { API_KEYS } from '../../wire/kafka/api-keys.ts';
import { encodeResponse, decodeRequestHeader } from '../../wire/kafka/frames.ts';
import { apiMessages, messages } from '../../wire/kafka/registry.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type { RequestContext } from './api.ts';
import { advertisedVersions, type ServedApi, servedApi } from './registry.ts';

/** An answer as it goes to the socket. */
export interface Answer {
  readonly chunks: readonly Uint8Array[];
  /** Gives back the memory of the chunks; call once, when they were sent or will not be. */
  readonly release: (() => void) | undefined;
}

/** undefined: nothing is answered. */
export type Handled = Answer | undefined;

/** Everything of a request's context but what its header says. */
export type ConnectionContext = Pick<RequestContext, 'broker' | 'connection' | 'signal'>;

/** Why a frame that begins so is not worth receiving; undefined when it is. */
export function keyFault(apiKey: number): string | undefined {
  return servedApi(apiKey) === undefined ? `an API key that is not served: ${apiKey}` : undefined;
}

/**
 * Handles one request. What the handler does before its first wait is done when this returns.
 * @throws {MillraceError} ML_REQUEST_REFUSED, ML_WIRE_MALFORMED: the connection has to end
 */
export function dispatch(frame: Buffer, connection: ConnectionContext): Handled | Promise<Handled> {
  const header = decodeRequestHeader(frame, apiMessages);
  const { apiKey, apiVersion, correlationId } = header;
  const served = servedApi(apiKey);
  if (served === undefined) throw notServed(`API key ${apiKey}`);
  const { api } = served;
  if (apiVersion < api.minVersion || apiVersion > api.maxVersion) {
    if (apiKey === API_KEYS.ApiVersions) return unknownApiVersions(correlationId);
    throw notServed(
      `version ${apiVersion} of ${api.name}, which is served in versions ${api.minVersion} to ${api.maxVersion}`,
    );
  }
  const request = served.decode(frame, header.bodyStart, apiVersion);
  const context: RequestContext = {
    broker: connection.broker,
    connection: connection.connection,
    signal: connection.signal,
    apiVersion,
    correlationId,
    clientId: header.clientId,
  };
  const response = api.handle(request, context);
  return response instanceof Promise
    ? response.then((settled) => answer(served, context, settled))
    : answer(served, context, response);
}

function answer(served: ServedApi, context: RequestContext, response: unknown): Handled {
  if (response === undefined) return undefined;
  const { release } = response as { readonly release?: () => void };
  try {
    return { chunks: served.encode(response, context), release };
  } catch (error) {
    release?.();
    throw error;
  }
}

function unknownApiVersions(correlationId: number): Answer {
  const body = { errorCode: errorCode('UNSUPPORTED_VERSION'), apiKeys: advertisedVersions() };
  const header = { apiVersion: 0, correlationId };
  return {
    chunks: [encodeResponse(messages[API_KEYS.ApiVersions], header, body)],
    release: undefined,
  };
}

function notServed(what: string): MillraceError {
  return new MillraceError('ML_REQUEST_REFUSED', `a client asked for ${what}`);
}
