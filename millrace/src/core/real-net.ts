/**
 * TCP over `node:net`. Nagle's algorithm is off. One `write` is one system call however many chunks it has.
 *
 * Half-open connections are allowed: a client that has sent its last request still gets its answers.
 *
 * All connections receive into one buffer: a chunk is handed on before the next read begins. That takes a third of
 * the processor time of Node's `data` events, which allocate 64 KiB for every read. For accepted connections Node has
 * no option for it, so their handle moves into a socket that has; should Node hide the handle, `data` events remain.
 */

import * as nodeNet from 'node:net';
import type {
  Connection,
  ConnectionHandlers,
  DatagramOptions,
  DatagramSocket,
  Listener,
  ListenOptions,
  Net,
} from './env.ts';
import type { MillraceError } from './errors.ts';
import { assert } from './errors.ts';
import { CONNECT_TIMEOUT_MS, LISTEN_BACKLOG_CONNECTIONS, RECEIVE_BYTES } from './limits.ts';
import { bindDatagrams } from './real-datagrams.ts';
import { systemError } from './system-error.ts';

/** Where every read puts its bytes. Allocated with the first connection, for the life of the process. */
let receiveBuffer: Buffer | undefined;

export class RealNet implements Net {
  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const { host, port, onAcceptError } = options;
    // A connection reads nothing before it is started, so that the first bytes meet a handler.
    const server = nodeNet.createServer(
      { noDelay: true, allowHalfOpen: true, pauseOnConnect: true },
      (socket) => onConnection(accepted(socket)),
    );
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(systemError(error, `listen on ${host}:${port}`, undefined, { host, port }));
      };
      server.once('error', fail);
      server.listen({ host, port, backlog: LISTEN_BACKLOG_CONNECTIONS, exclusive: true }, () => {
        server.off('error', fail);
        server.on('error', (error) => onAcceptError?.(systemError(error, 'accept a connection')));
        resolve(new RealListener(server));
      });
    });
  }

  connect(options: { readonly host: string; readonly port: number }): Promise<Connection> {
    const { host, port } = options;
    return new Promise((resolve, reject) => {
      const receiver = new Receiver();
      const { onread } = receiver;
      const socket = nodeNet.connect({ host, port, noDelay: true, allowHalfOpen: true, onread });
      const fail = (error: Error): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(connectError(error, host, port));
      };
      const timer = setTimeout(() => {
        fail(new Error(`no answer within ${CONNECT_TIMEOUT_MS} ms`));
      }, CONNECT_TIMEOUT_MS);
      socket.once('error', fail);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', fail);
        resolve(new RealConnection(socket, receiver));
      });
    });
  }

  datagrams(
    options: DatagramOptions,
    onDatagram: (datagram: Buffer) => void,
  ): Promise<DatagramSocket> {
    return bindDatagrams(options, onDatagram);
  }
}

/** Hands what a socket has read into the common buffer to the connection that owns the socket. */
class Receiver {
  readonly onread: nodeNet.OnReadOpts;
  receive: ((chunk: Buffer) => void) | undefined;

  constructor() {
    receiveBuffer ??= Buffer.allocUnsafeSlow(RECEIVE_BYTES);
    const buffer = receiveBuffer;
    this.onread = {
      buffer,
      callback: (byteCount) => {
        this.receive?.(buffer.subarray(0, byteCount));
        return true;
      },
    };
  }
}

/** Node's name for the handle of the operating system inside a socket: not part of its documented interface. */
const HANDLE = '_handle';

function accepted(socket: nodeNet.Socket): RealConnection {
  const inside = socket as unknown as { [HANDLE]?: { readonly useUserBuffer?: unknown } | null };
  const handle = inside[HANDLE];
  if (typeof handle?.useUserBuffer !== 'function') return new RealConnection(socket, undefined);
  inside[HANDLE] = null;
  const receiver = new Receiver();
  const { onread } = receiver;
  const options = { handle, allowHalfOpen: true, onread } as unknown;
  return new RealConnection(new nodeNet.Socket(options as nodeNet.SocketConstructorOpts), receiver);
}

class RealListener implements Listener {
  readonly host: string;
  readonly port: number;
  private readonly server: nodeNet.Server;

  constructor(server: nodeNet.Server) {
    const address = server.address();
    assert(typeof address === 'object' && address !== null, 'a TCP listener has an address');
    this.host = address.address;
    this.port = address.port;
    this.server = server;
  }

  close(): Promise<void> {
    // Node calls back when the last connection has ended; the port is free long before.
    this.server.close();
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

class RealConnection implements Connection {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  private readonly socket: nodeNet.Socket;
  /** undefined when the socket tells of data by events. */
  private readonly receiver: Receiver | undefined;
  private handlers: ConnectionHandlers | undefined;
  private isClosed = false;
  /** A `write` has left bytes behind since the last `drained`. */
  private isBehind = false;
  private isEnding = false;
  private error: MillraceError | undefined;

  constructor(socket: nodeNet.Socket, receiver: Receiver | undefined) {
    // Nothing is read before a handler is there.
    socket.pause();
    this.socket = socket;
    this.receiver = receiver;
    this.localAddress = socket.localAddress ?? '';
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    socket.on('error', (error) => {
      this.error ??= this.lost(error);
    });
    socket.once('close', this.onClose);
  }

  get bufferedBytes(): number {
    return this.socket.destroyed ? 0 : this.socket.writableLength;
  }

  start(handlers: ConnectionHandlers): void {
    assert(this.handlers === undefined, 'a connection is started once');
    this.handlers = handlers;
    if (this.isClosed) {
      process.nextTick(() => handlers.closed(this.error));
      return;
    }
    const receive = (chunk: Buffer): void => handlers.data(chunk);
    if (this.receiver === undefined) this.socket.on('data', receive);
    else this.receiver.receive = receive;
    this.socket.once('end', () => {
      if (handlers.ended === undefined) this.end();
      else handlers.ended();
    });
    this.socket.resume();
  }

  write(chunks: readonly Uint8Array[], done?: () => void): void {
    const { socket } = this;
    const last = chunks.length - 1;
    if (last < 0 || this.isEnding || !socket.writable) {
      if (done !== undefined) process.nextTick(done);
      return;
    }
    const written = done === undefined ? this.onWritten : this.written(done);
    if (last > 0) socket.cork();
    for (let index = 0; index <= last; index++) {
      const chunk = chunks[index];
      if (chunk !== undefined) socket.write(chunk, index === last ? written : undefined);
    }
    if (last > 0) socket.uncork();
    if (socket.writableLength > 0) this.isBehind = true;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.isEnding = true;
    this.socket.end();
  }

  destroy(): void {
    this.isEnding = true;
    this.socket.destroy();
  }

  private readonly onWritten = (): void => {
    if (!this.isBehind || this.isClosed || this.socket.destroyed || this.bufferedBytes > 0) return;
    this.isBehind = false;
    this.handlers?.drained();
  };

  private readonly onClose = (): void => {
    this.isClosed = true;
    this.handlers?.closed(this.error);
  };

  private written(done: () => void): () => void {
    return () => {
      done();
      this.onWritten();
    };
  }

  private lost(error: Error): MillraceError {
    const { remoteAddress, remotePort } = this;
    const what = `go on with the connection of ${remoteAddress}:${remotePort}`;
    return systemError(error, what, 'ML_CONNECTION_LOST', { remoteAddress, remotePort });
  }
}

function connectError(error: Error, host: string, port: number): MillraceError {
  return systemError(error, `connect to ${host}:${port}`, 'ML_CONNECT_FAILED', { host, port });
}
