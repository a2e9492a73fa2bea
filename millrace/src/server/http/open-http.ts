/** The HTTP server of a process: it listens, bounds what may come, and ends in order. */
import { createAdaptorServer } from '@hono/node-server';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { addressText } from '../../core/address-text.ts';
import type { Env } from '../../core/env.ts';
import { assert } from '../../core/errors.ts';
import {
  HTTP_BODY_MS_MAX,
  HTTP_CLOSE_MS,
  HTTP_CONNECTIONS_MAX,
  HTTP_HEADER_BYTES_MAX,
  HTTP_IDLE_MS,
  HTTP_REQUEST_MS,
  HTTP_SUBSCRIPTIONS_MAX,
  HTTP_SWEEP_MS,
} from '../../core/http-limits.ts';
import { isLoopback, refuseOpenBind } from '../../core/open-bind.ts';
import { systemError } from '../../core/system-error.ts';
import type { Log } from '../../client/log.ts';
import type { RunningFlow } from '../../engine/stream/runner/flow-types.ts';
import { FlowViews } from '../../engine/stream/views/flow-views.ts';
import { badRequest, errorToJson } from './http-errors.ts';
import { IncomingWebhooks, type WebhookEndpoints } from './incoming-webhooks.ts';
import { checkOrigins } from './origin.ts';
import { createRoutes } from './routes.ts';
import { Slots } from './slots.ts';
import { TopicRoutes } from './topic-routes.ts';
import { acceptWebSockets, isWebSocket } from './web-sockets.ts';

export interface HttpOptions {
  readonly env: Env;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** 0: the system chooses. */
  readonly port: number;
  /** Allows to listen beyond this machine although everybody who reaches the port may read all views. Default false. */
  readonly insecure?: boolean | undefined;
  /** Of pages that may write and open WebSockets, besides those of this server: `https://app.example.com`, or `*`. Default: none. */
  readonly origins?: readonly string[] | undefined;
  /** Where other processes of a flow reach it. Default: where it listens. */
  readonly advertised?: { readonly host: string; readonly port: number } | undefined;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`, for other processes: what `runFlow` is given as `address`. */
  readonly address: string;
  /** Serves the views of a flow, under its name, until the flow ends. */
  serve(log: Log, running: RunningFlow): FlowViews;
  /** Serves the topics of a log, to read and to write, until this is closed. */
  serveTopics(log: Log): void;
  /**
   * Takes webhooks, until this is closed.
   * @throws {MillraceError} ML_CONFIG_INVALID
   */
  serveWebhooks(log: Log, endpoints: WebhookEndpoints): void;
  /** Answers what is being asked, tells subscribers, closes. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens. No flow is served before `serve`; the address is known before the flow runs, which has to tell it to the others.
 * @throws {MillraceError} ML_INSECURE_BIND, ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION
 * @example
 * const http = await openHttp({ env: realEnv(), port: 8080 });
 * const running = runFlow({ …, address: http.address });
 * http.serve(log, running);
 */
export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { env, host = '127.0.0.1', port, insecure, origins = [] } = options;
  if (insecure !== true) refuseOpenBind(host);
  checkOrigins(origins);
  const flows = new Map<string, FlowViews>();
  const closing = new AbortController();
  const slots = new Slots(HTTP_SUBSCRIPTIONS_MAX);
  const topics = new TopicRoutes({ env, slots, closing: closing.signal, origins });
  let webhooks: IncomingWebhooks | undefined;
  const app = createRoutes({
    env,
    flows,
    topics,
    slots,
    webhooks: () => webhooks,
    origins,
    isLocal: isLoopback(host),
    closing: closing.signal,
  });
  const serverOptions = {
    maxHeaderSize: HTTP_HEADER_BYTES_MAX,
    // A body may go on: whoever takes it watches that it does.
    requestTimeout: HTTP_BODY_MS_MAX,
    headersTimeout: HTTP_REQUEST_MS,
    // Node's default lets heads that never end take connections four times as long.
    connectionsCheckingInterval: HTTP_SWEEP_MS,
    keepAliveTimeout: HTTP_IDLE_MS,
    shouldUpgradeCallback: isWebSocket,
  };
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions,
  }) as Server;
  server.maxConnections = HTTP_CONNECTIONS_MAX;
  server.on('clientError', answerBadRequest);
  const isLocal = isLoopback(host);
  acceptWebSockets(server, { env, topics, slots, origins, isLocal, closing: closing.signal });
  await listen(server, host, port);
  const bound = server.address();
  assert(typeof bound === 'object' && bound !== null, 'a TCP server has an address');
  const reached = options.advertised ?? { host: bound.address, port: bound.port };
  let closed: Promise<void> | undefined;
  const address = addressText(reached);
  return {
    host: bound.address,
    port: bound.port,
    address,
    serve: (log, running) => {
      const views = new FlowViews({ log, running, address });
      flows.set(views.flow, views);
      const remove = (): void => {
        if (flows.get(views.flow) === views) flows.delete(views.flow);
      };
      running.done.then(remove, remove);
      return views;
    },
    serveTopics: (log) => topics.serve(log),
    serveWebhooks: (log, endpoints) => {
      webhooks = new IncomingWebhooks(env, log, endpoints);
    },
    close: () =>
      (closed ??= closeServer(env, server, closing).then(async () => {
        await topics.close();
        await webhooks?.close();
      })),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(systemError(error, `listen on ${host}:${port}`, undefined, { host, port }));
    };
    server.once('error', fail);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

function closeServer(env: Env, server: Server, closing: AbortController): Promise<void> {
  closing.abort();
  return new Promise((resolve) => {
    const late = env.timers.after(HTTP_CLOSE_MS, () => server.closeAllConnections());
    server.close(() => {
      late.cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** What is no HTTP, or has too long a head, never becomes a request. */
function answerBadRequest(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const isLong = error.code === 'HPE_HEADER_OVERFLOW';
  const [status, reason] = isLong ? [431, 'Request Header Fields Too Large'] : [400, 'Bad Request'];
  const what = isLong
    ? `the request line and the headers have more than ${HTTP_HEADER_BYTES_MAX} bytes`
    : 'this is no HTTP request';
  const body = `${JSON.stringify(errorToJson(badRequest(status, what, 'Ask for less at a time, over HTTP/1.1')))}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
