/** The way from an HTTP request to a WebSocket: who may, to what, and how many. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';
import { WebSocketServer } from 'ws';
import type { Env } from '../../core/env.ts';
import { HTTP_MESSAGE_BYTES_MAX, HTTP_SOCKETS_MAX } from '../../core/http-limits.ts';
import { badRequest, errorToJson, jsonHeaders, statusOf } from './http-errors.ts';
import { refuseForeign } from './origin.ts';
import { checkAddressed } from './routes.ts';
import { Slots } from './slots.ts';
import { checkTopic, type TopicRoutes } from './topic-routes.ts';
import { TopicSocket } from './topic-socket.ts';

export interface WebSocketsOptions {
  readonly env: Env;
  readonly topics: TopicRoutes;
  readonly isLocal: boolean;
  readonly origins: readonly string[];
  /** Of subscriptions, with those over HTTP. */
  readonly slots: Slots;
  readonly closing: AbortSignal;
}

/** An option of `http.createServer`: anything else that a client would rather speak, such as HTTP/2, is answered over HTTP/1.1. */
export function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

export function acceptWebSockets(server: Server, options: WebSocketsOptions): void {
  const { env, topics, slots, closing } = options;
  const sockets = new Slots(HTTP_SOCKETS_MAX);
  const accepting = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: HTTP_MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  });
  // What is no handshake is answered by it.
  accepting.on('wsClientError', (_error, socket) => void socket.destroy());
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until it is a WebSocket nobody else listens.
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    let release = (): void => {};
    try {
      if (socket.destroyed) return;
      const topic = topicOf(request, options);
      const { log, producing } = topics;
      release = sockets.take();
      const unused = (): void => release();
      socket.once('close', unused);
      accepting.handleUpgrade(request, socket, head, (webSocket) => {
        socket.off('error', onError);
        const parts = { env, log, topic, producing, slots, closing };
        new TopicSocket(webSocket, parts).serve(release);
      });
    } catch (error) {
      release();
      answer(socket, error);
    }
  });
}

/** @throws {MillraceError} ML_HTTP_REQUEST */
function topicOf(request: IncomingMessage, { isLocal, origins }: WebSocketsOptions): string {
  checkAddressed(request, isLocal);
  refuseForeign(request.headers, origins);
  const [, name] = /^\/topics\/([^/?#]+)\/socket$/.exec(request.url ?? '') ?? [];
  if (name === undefined)
    throw badRequest(404, 'no WebSocket is served at this path', 'There is /topics/<topic>/socket');
  return checkTopic(name);
}

function answer(socket: Duplex, error: unknown): void {
  const status = statusOf(error);
  const body = `${JSON.stringify(errorToJson(error))}\n`;
  const headers = { ...jsonHeaders(status), connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
