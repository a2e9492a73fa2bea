/**
 * Two connections that lead to each other inside one process: what is written into one comes out of the other. No copy is made;
 * bytes are handed over in a later turn of the event loop, so that neither side is called from within its own `write`, and two
 * sides that answer each other leave other work its turn.
 */
import type { Connection, ConnectionHandlers, Timers } from './env.ts';
import { assert } from './errors.ts';

interface Piece {
  readonly chunk: Uint8Array;
  /** Of the last chunk of a write. */
  readonly done: (() => void) | undefined;
}

/**
 * @param name what each side takes for the address of the other
 * @example const [client, server] = connectionPair(env.timers, 'in-process');
 */
export function connectionPair(timers: Timers, name: string): readonly [Connection, Connection] {
  const left = new PipeEnd(timers, name);
  const right = new PipeEnd(timers, name);
  left.peer = right;
  right.peer = left;
  return [left, right];
}

class PipeEnd implements Connection {
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort = 0;
  peer: PipeEnd | undefined;
  bufferedBytes = 0;
  private readonly timers: Timers;
  private readonly pieces: Piece[] = [];
  private handlers: ConnectionHandlers | undefined;
  private isPaused = false;
  private isScheduled = false;
  private isEnding = false;
  /** The other side was told that this one sends no more. */
  private hasEnded = false;
  private isClosed = false;
  private isClosedTold = false;

  constructor(timers: Timers, name: string) {
    this.timers = timers;
    this.localAddress = name;
    this.remoteAddress = name;
  }

  start(handlers: ConnectionHandlers): void {
    assert(this.handlers === undefined, 'a connection is started once');
    this.handlers = handlers;
    if (this.isClosed) this.timers.immediate(() => this.tellClosed());
    else this.peer?.schedule();
  }

  write(chunks: readonly Uint8Array[], done?: () => void): void {
    if (this.isEnding || this.isClosed || chunks.length === 0) {
      if (done !== undefined) this.timers.immediate(done);
      return;
    }
    const last = chunks.length - 1;
    for (const [index, chunk] of chunks.entries()) {
      this.bufferedBytes += chunk.length;
      this.pieces.push({ chunk, done: index === last ? done : undefined });
    }
    this.schedule();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.peer?.schedule();
  }

  end(): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    this.schedule();
  }

  destroy(): void {
    this.close();
    this.peer?.close();
  }

  /** Hands over in the next turn. */
  schedule(): void {
    if (this.isScheduled || this.isClosed) return;
    this.isScheduled = true;
    this.timers.immediate(() => {
      this.isScheduled = false;
      this.handOver();
    });
  }

  private handOver(): void {
    const { peer } = this;
    if (peer === undefined || peer.handlers === undefined) return;
    const isBehind = this.pieces.length > 0;
    // What is written meanwhile has its turn later.
    for (let left = this.pieces.length; left > 0 && peer.takes && !this.isClosed; left--) {
      const piece = this.pieces.shift();
      if (piece === undefined) break;
      const { chunk } = piece;
      peer.handlers.data(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this.bufferedBytes -= chunk.length;
      piece.done?.();
    }
    if (this.isClosed) return;
    if (this.pieces.length > 0) {
      if (peer.takes) this.schedule();
      return;
    }
    if (isBehind) this.handlers?.drained();
    if (this.isEnding && !this.hasEnded) this.tellEnd(peer);
  }

  private tellEnd(peer: PipeEnd): void {
    this.hasEnded = true;
    if (peer.hasEnded) this.destroy();
    else if (peer.handlers?.ended === undefined) peer.end();
    else peer.handlers.ended();
  }

  private get takes(): boolean {
    return !this.isPaused && !this.isClosed;
  }

  private close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.bufferedBytes = 0;
    const dropped = this.pieces.splice(0);
    this.timers.immediate(() => {
      for (const { done } of dropped) done?.();
      this.tellClosed();
    });
  }

  private tellClosed(): void {
    if (this.handlers === undefined || this.isClosedTold) return;
    this.isClosedTold = true;
    this.handlers.closed();
  }
}
