/**
 * Compression of one part, beside the event loop: chunks go in, compressed bytes come out in order.
 *
 * Invariant: at most about two chunks are under way when the caller waits while it `isBusy`.
 */
import { createGzip, createZstdCompress } from 'node:zlib';
import type { Gzip, ZstdCompress } from 'node:zlib';
import { SINK_BUFFER_BYTES } from '../../core/limits.ts';

/** Takes compressed bytes; they are valid until it returns. */
type Output = (bytes: Buffer) => void;

export class Compressor {
  private readonly stream: Gzip | ZstdCompress;
  private readonly ended: Promise<void>;
  private pendingBytes = 0;
  private failure: unknown;
  private wake: (() => void) | undefined;

  constructor(kind: 'gzip' | 'zstd', output: Output) {
    this.stream = kind === 'gzip' ? createGzip() : createZstdCompress();
    this.stream.on('data', (bytes: Buffer) => {
      // What the disk refuses is thrown at the next call from outside: here nobody could catch it.
      if (this.failure !== undefined) return;
      try {
        output(bytes);
      } catch (error) {
        this.failure = error;
      }
    });
    this.ended = new Promise((resolve) => {
      this.stream.once('close', resolve);
    });
    this.stream.once('error', (error) => {
      this.failure ??= error;
    });
  }

  get isBusy(): boolean {
    return this.pendingBytes > SINK_BUFFER_BYTES;
  }

  /** Copies the bytes. */
  write(buffer: Uint8Array, start: number, end: number): void {
    this.check();
    const bytes = Buffer.allocUnsafe(end - start);
    bytes.set(buffer.subarray(start, end));
    this.pendingBytes += bytes.length;
    this.stream.write(bytes, () => {
      this.pendingBytes -= bytes.length;
      this.wake?.();
    });
  }

  /** Resolves when it can take more. */
  async drain(): Promise<void> {
    while (this.isBusy && this.failure === undefined)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    this.wake = undefined;
    this.check();
  }

  /** Resolves when all has come out. */
  async end(): Promise<void> {
    this.stream.end();
    await this.ended;
    this.check();
  }

  destroy(): void {
    this.stream.destroy();
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
