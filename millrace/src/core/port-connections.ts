/**
 * Connections over a `MessagePort`, so that a thread reaches what runs in another one without sockets. A port that both threads have
 * carries nothing but new ports, one for each connection.
 *
 *   thread: portConnector(port).connect() ── { port } ──▶ acceptFromPort(port, onConnection)
 *   each connection: 'bytes' (an ArrayBuffer that changes its owner) ▶ … ◀ 'taken' (so many bytes), 'end'; a closed port is a lost connection
 *
 * What is written is copied once, into memory that then belongs to the other thread: the memory of the writer may be part of a pool.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Connection, ConnectionHandlers, Timers } from './env.ts';
import { assert } from './errors.ts';

type Message =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'taken'; readonly byteCount: number }
  | { readonly kind: 'end' };

/** @returns a port to be handed to a thread, for `connectOverPort` there; closing it refuses further connections */
export function acceptFromPort(
  timers: Timers,
  name: string,
  onConnection: (connection: Connection) => void,
): { readonly port: MessagePort; close(): void } {
  const { port1, port2 } = new MessageChannel();
  port1.on('message', (port: MessagePort) => onConnection(new PortConnection(timers, port, name)));
  return { port: port2, close: () => port1.close() };
}

/** A new connection to whoever accepts at the other end of `port`. */
export function connectOverPort(timers: Timers, port: MessagePort, name: string): Connection {
  const { port1, port2 } = new MessageChannel();
  port.postMessage(port2, [port2]);
  return new PortConnection(timers, port1, name);
}

class PortConnection implements Connection {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort = 0;
  bufferedBytes = 0;
  private readonly timers: Timers;
  private readonly port: MessagePort;
  private readonly arrived: Uint8Array[] = [];
  private handlers: ConnectionHandlers | undefined;
  private isPaused = false;
  private isEnding = false;
  private otherEnded = false;
  private otherEndTold = false;
  private isClosed = false;
  private isClosedTold = false;

  constructor(timers: Timers, port: MessagePort, name: string) {
    this.timers = timers;
    this.port = port;
    this.localAddress = name;
    this.remoteAddress = name;
    port.on('message', (message: Message) => this.receive(message));
    port.on('close', () => this.close());
  }

  start(handlers: ConnectionHandlers): void {
    assert(this.handlers === undefined, 'a connection is started once');
    this.handlers = handlers;
    this.timers.immediate(() => {
      if (this.isClosed) this.tellClosed();
      else this.deliver();
    });
  }

  write(chunks: readonly Uint8Array[], done?: () => void): void {
    if (!this.isEnding && !this.isClosed && chunks.length > 0) {
      const bytes = joined(chunks);
      this.bufferedBytes += bytes.length;
      this.send({ kind: 'bytes', bytes }, bytes);
    }
    if (done !== undefined) this.timers.immediate(done);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.timers.immediate(() => this.deliver());
  }

  end(): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    this.send({ kind: 'end' });
    this.closeWhenBothEnded();
  }

  destroy(): void {
    this.port.close();
    this.close();
  }

  private receive(message: Message): void {
    if (this.isClosed) return;
    switch (message.kind) {
      case 'bytes':
        this.arrived.push(message.bytes);
        this.deliver();
        break;
      case 'taken':
        this.bufferedBytes -= message.byteCount;
        if (this.bufferedBytes === 0) this.handlers?.drained();
        this.closeWhenBothEnded();
        break;
      case 'end':
        this.otherEnded = true;
        this.deliver();
        break;
    }
  }

  private deliver(): void {
    const { handlers } = this;
    if (handlers === undefined) return;
    let byteCount = 0;
    while (!this.isPaused && !this.isClosed) {
      const bytes = this.arrived.shift();
      if (bytes === undefined) break;
      byteCount += bytes.length;
      handlers.data(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    }
    if (this.isClosed) return;
    if (byteCount > 0) this.send({ kind: 'taken', byteCount });
    if (!this.otherEnded || this.otherEndTold || this.arrived.length > 0) return;
    this.otherEndTold = true;
    if (handlers.ended === undefined) this.end();
    else handlers.ended();
    this.closeWhenBothEnded();
  }

  private send(message: Message, moved?: Uint8Array): void {
    this.port.postMessage(message, moved === undefined ? [] : [moved.buffer as ArrayBuffer]);
  }

  /** All was taken on both sides. */
  private closeWhenBothEnded(): void {
    if (this.isEnding && this.otherEndTold && this.bufferedBytes === 0) this.port.close();
  }

  private close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.bufferedBytes = 0;
    this.timers.immediate(() => this.tellClosed());
  }

  private tellClosed(): void {
    if (this.handlers === undefined || this.isClosedTold) return;
    this.isClosedTold = true;
    this.handlers.closed();
  }
}

/** A copy in memory of its own. */
function joined(chunks: readonly Uint8Array[]): Uint8Array {
  let byteCount = 0;
  for (const chunk of chunks) byteCount += chunk.length;
  // Not of Node's pool, which cannot change its owner.
  const bytes = Buffer.allocUnsafeSlow(byteCount);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
