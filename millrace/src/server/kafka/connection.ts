/**
 * One connection of a Kafka client.
 *
 * Owns: the order of its requests and answers, and the bounds of what it may occupy.
 * Invariants
 * - Requests are begun in the order in which they arrived and answered in that order. Produce requests that follow one
 *   another overlap: all are appended before the first is durable, so one sync can answer them together. Any other
 *   request is begun when everything before it has been answered.
 * - What is received and not answered stays within PIPELINE_REQUESTS_MAX and PIPELINE_BYTES_MAX plus one request; what
 *   is answered and not taken by the client within UNSENT_BYTES_MAX plus one answer. Beyond that this connection stops
 *   reading; others do not notice.
 * - A request that cannot be understood ends this connection, with one line in the log.
 *
 *   socket → FrameAssembler → queued → working (in order) → answered in order → socket
 *
 * @hot
 */
import type { Connection } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  FIRST_REQUEST_BYTES_MAX,
  PIPELINE_BYTES_MAX,
  PIPELINE_REQUESTS_MAX,
  REQUEST_RECEIVE_BYTES_PER_MS,
  REQUEST_RECEIVE_MS,
  UNSENT_BYTES_MAX,
} from '../../core/limits.ts';
import { API_KEYS } from '../../wire/kafka/api-keys.ts';
import { type ConnectionContext, dispatch, type Handled, keyFault } from './dispatcher.ts';
import { FrameAssembler, type RequestFrame } from './frame-assembler.ts';
import type { FramePool } from './frame-pool.ts';
import { foreignProtocol } from './foreign-protocol.ts';
import type { RequestMemory } from './request-memory.ts';

/** Answers up to this size together are sent as one buffer. */
const JOINED_BYTES_MAX = 64 * 1024;

export interface KafkaConnectionOptions {
  readonly connection: Connection;
  readonly context: Omit<ConnectionContext, 'signal'>;
  readonly memory: RequestMemory;
  readonly pool: FramePool;
  readonly requestBytesMax: number;
  readonly nowMs: () => number;
  /** The connection ends because of what the client did (`fault`) or because of us (`error`). */
  readonly onFault: (reason: string, error: unknown) => void;
  readonly onClosed: () => void;
}

/** A request from its arrival to its answer. */
class Working {
  readonly frame: RequestFrame;
  done = false;
  answer: Handled = undefined;

  constructor(frame: RequestFrame) {
    this.frame = frame;
  }
}

export class KafkaConnection {
  private readonly options: KafkaConnectionOptions;
  private readonly connection: Connection;
  private readonly assembler: FrameAssembler;
  private readonly aborter = new AbortController();
  private readonly context: ConnectionContext;
  private readonly queued: RequestFrame[] = [];
  private readonly working: Working[] = [];
  /** Bytes of the requests in `queued` and `working`. */
  private pendingBytes = 0;
  private paused = false;
  private flushing = false;
  private closing = false;
  /** The connection ends because of a request: what follows it is not looked at. */
  private failed = false;
  private closed = false;
  private isFirst = true;
  private lastActivityMs: number;
  private frameStartedMs: number;

  constructor(options: KafkaConnectionOptions) {
    this.options = options;
    this.connection = options.connection;
    this.context = { ...options.context, signal: this.aborter.signal };
    this.lastActivityMs = options.nowMs();
    this.frameStartedMs = this.lastActivityMs;
    this.assembler = new FrameAssembler({
      memory: options.memory,
      pool: options.pool,
      admit: (sizeBytes, apiKey) => this.admit(sizeBytes, apiKey),
      onFrame: (frame) => this.receive(frame),
      onReady: (held) => this.data(held),
    });
  }

  start(): void {
    this.connection.start({
      data: (chunk) => this.data(chunk),
      drained: () => this.drained(),
      ended: () => this.ended(),
      closed: () => this.onClosed(),
    });
  }

  /** Sends what was answered, then closes; requests that are worked on are answered first. */
  close(): void {
    this.closing = true;
    this.closeWhenIdle();
  }

  destroy(): void {
    this.connection.destroy();
  }

  /** Ends the connection when it is idle, or late with a request. */
  sweep(nowMs: number, limits: { readonly idleMs: number; readonly handshakeMs: number }): void {
    if (this.closed) return;
    const receiving = this.assembler.receiving;
    const waitedMs = nowMs - this.frameStartedMs;
    if (this.isFirst && this.working.length === 0) {
      if (waitedMs > limits.handshakeMs) this.fault('no request came in time');
    } else if (receiving > 0 && !this.paused) {
      const allowedMs = REQUEST_RECEIVE_MS + receiving / REQUEST_RECEIVE_BYTES_PER_MS;
      if (waitedMs > allowedMs) this.fault('a request did not arrive in time');
    } else if (nowMs - this.lastActivityMs > limits.idleMs && this.working.length === 0) {
      this.connection.destroy();
    }
  }

  private data(chunk: Buffer): void {
    if (this.closed || this.closing || this.failed) return;
    const nowMs = this.options.nowMs();
    if (this.assembler.receiving === 0) this.frameStartedMs = nowMs;
    this.lastActivityMs = nowMs;
    const refusal = this.assembler.push(chunk);
    if (refusal === undefined) this.updatePause();
    else this.fault(foreignProtocol(this.assembler.firstBytes) ?? refusal);
  }

  private admit(sizeBytes: number, apiKey: number): string | undefined {
    const { requestBytesMax } = this.options;
    if (sizeBytes > requestBytesMax)
      return `a request of ${sizeBytes} bytes; socket.request.max.bytes is ${requestBytesMax}`;
    if (this.isFirst && sizeBytes > FIRST_REQUEST_BYTES_MAX && apiKey !== API_KEYS.Produce)
      return `a first request of ${sizeBytes} bytes`;
    return keyFault(apiKey);
  }

  private receive(frame: RequestFrame): void {
    this.frameStartedMs = this.lastActivityMs;
    this.queued.push(frame);
    this.pendingBytes += frame.bytes.length;
    this.pump();
  }

  /** Begins every request whose turn it is. */
  private pump(): void {
    while (this.queued.length > 0 && !this.closed && !this.failed) {
      const [frame] = this.queued;
      if (frame === undefined || !this.mayBegin(frame)) return;
      this.queued.shift();
      this.begin(frame);
    }
  }

  private mayBegin(frame: RequestFrame): boolean {
    if (this.connection.bufferedBytes > UNSENT_BYTES_MAX) return false;
    const last = this.working.at(-1);
    if (last === undefined) return true;
    return frame.apiKey === API_KEYS.Produce && last.frame.apiKey === API_KEYS.Produce;
  }

  private begin(frame: RequestFrame): void {
    const working = new Working(frame);
    this.working.push(working);
    try {
      const handled = dispatch(frame.bytes, this.context);
      this.isFirst = false;
      if (!(handled instanceof Promise)) {
        this.finish(working, handled);
        return;
      }
      handled.then(
        (answer) => this.finish(working, answer),
        (error: unknown) => this.fail(working, error),
      );
    } catch (error) {
      this.fail(working, error);
    }
  }

  private finish(working: Working, answer: Handled): void {
    working.done = true;
    working.frame.release();
    if (this.closed || this.failed) {
      answer?.release?.();
      return;
    }
    working.answer = answer;
    if (this.working[0] !== working || this.flushing) return;
    // Requests that became durable together finish one after the other in this turn: one write sends all answers.
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.flush();
    });
  }

  /** A handler failed, or the request could not be read: nothing after it can be answered in order. */
  private fail(working: Working, error: unknown): void {
    working.done = true;
    // A device that failed may still be reading from it.
    working.frame.release(false);
    if (this.closed) return;
    const known =
      error instanceof MillraceError &&
      (error.code === 'ML_WIRE_MALFORMED' || error.code === 'ML_REQUEST_REFUSED');
    if (known) this.fault(error.message);
    else this.end('a request failed', error);
  }

  /** Sends the answers that are next in order. */
  private flush(): void {
    if (this.closed || this.failed) return;
    const chunks: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    let count = 0;
    for (const working of this.working) {
      if (!working.done) break;
      count++;
      this.pendingBytes -= working.frame.bytes.length;
      const { answer } = working;
      if (answer === undefined) continue;
      for (const chunk of answer.chunks) chunks.push(chunk);
      if (answer.release !== undefined) releases.push(answer.release);
    }
    this.working.splice(0, count);
    if (chunks.length > 0) this.write(chunks, releases);
    this.pump();
    this.updatePause();
    this.closeWhenIdle();
  }

  private write(chunks: readonly Uint8Array[], releases: readonly (() => void)[]): void {
    this.lastActivityMs = this.options.nowMs();
    if (releases.length === 0) {
      this.connection.write(joined(chunks));
      return;
    }
    this.connection.write(chunks, () => {
      for (const release of releases) release();
    });
  }

  private drained(): void {
    this.lastActivityMs = this.options.nowMs();
    this.pump();
    this.updatePause();
  }

  /** Stops reading while more is pending than this connection may have, or there is no memory. */
  private updatePause(): void {
    const full =
      this.assembler.isWaiting ||
      this.queued.length + this.working.length >= PIPELINE_REQUESTS_MAX ||
      this.pendingBytes >= PIPELINE_BYTES_MAX ||
      this.connection.bufferedBytes > UNSENT_BYTES_MAX;
    if (full === this.paused || this.closed) return;
    this.paused = full;
    if (full) {
      this.connection.pause();
    } else {
      this.frameStartedMs = this.options.nowMs();
      this.connection.resume();
    }
  }

  /** The client sends no more. It gets the answers to what it asked, but nothing waits for it any longer. */
  private ended(): void {
    this.closing = true;
    this.aborter.abort();
    this.closeWhenIdle();
  }

  private closeWhenIdle(): void {
    if (this.closing && !this.closed && this.queued.length === 0 && this.working.length === 0)
      this.connection.end();
  }

  private fault(reason: string): void {
    this.end(reason, undefined);
  }

  private end(reason: string, error: unknown): void {
    if (this.closed || this.failed) return;
    this.failed = true;
    this.options.onFault(reason, error);
    this.assembler.close();
    this.dropQueued();
    this.connection.destroy();
  }

  private dropQueued(): void {
    for (const frame of this.queued) frame.release();
    this.queued.length = 0;
  }

  private onClosed(): void {
    if (this.closed) return;
    this.closed = true;
    this.aborter.abort();
    this.assembler.close();
    this.dropQueued();
    // Those that are still worked on release their own when they settle.
    for (const working of this.working) if (working.done) working.answer?.release?.();
    this.working.length = 0;
    this.options.onClosed();
  }
}

/** Many small answers as one buffer: a copy of some bytes is less work than one more write. */
function joined(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  if (chunks.length === 1) return chunks;
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return bytes <= JOINED_BYTES_MAX ? [Buffer.concat(chunks, bytes)] : chunks;
}
