/**
 * What one file per API key exports: a handler with the versions it serves. `registry.ts` lists them all, ApiVersions
 * advertises exactly that list, and `docs/reference/kafka-support.md` is generated from it and from the header comment
 * of each file (its `Behaviour:` and `Deviations:` lists).
 */
import type { Broker } from '../../broker/broker.ts';

/** What a handler may know of the connection a request came on. */
export interface ConnectionInfo {
  /** Unique in this process. */
  readonly id: number;
  readonly remoteAddress: string;
  /** Where this client reached us: what Metadata and FindCoordinator tell it to connect to. */
  readonly advertisedHost: string;
  readonly advertisedPort: number;
}

export interface RequestContext {
  readonly broker: Broker;
  readonly connection: ConnectionInfo;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** Fires when the connection is gone: waiting handlers give up. */
  readonly signal: AbortSignal;
}

/** A response that holds memory of a pool: the server calls `release` once, when the response was sent or never will be. */
export interface Releasable {
  readonly release?: () => void;
}

/** A decoded request in, the response's object out; the server decodes, encodes, and keeps responses in order. */
export interface Api<Request, Response> {
  readonly key: number;
  /** Kafka's name: `OffsetCommit`. */
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** What ApiVersions says when it differs from what is served (Produce: KAFKA-18659). */
  readonly advertisedMinVersion?: number;
  /** `undefined` means that nothing is answered (Produce with acks=0). Everything a client can do wrong is an error code in
   * the response; a throw closes the connection and is logged. */
  handle(
    request: Request,
    context: RequestContext,
  ): Response | undefined | Promise<Response | undefined>;
}

/** Keeps the request and response types of a handler while giving it its literal shape. */
export function defineApi<Request, Response>(api: Api<Request, Response>): Api<Request, Response> {
  return api;
}
