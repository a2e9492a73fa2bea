/**
 * Cuts what a socket delivers into request frames.
 *
 *   size int32 | api key int16 | api version int16 | …
 *
 * Owns: the frame that is being received. Invariants: nothing is allocated before size, key and version were read and
 * admitted; a frame never holds more than REQUEST_FIRST_BYTES or twice what has arrived of it, whichever is more; every
 * byte held is counted in the request memory. When that is used up the assembler says so and keeps what it was given.
 *
 * Produce frames lie in pooled memory, which the owner of the frame releases. Others have memory of their own, so that
 * what a coordinator keeps of a request stays what it was.
 *
 * @hot
 */
import { REQUEST_BYTES_MIN, REQUEST_FIRST_BYTES } from '../../core/limits.ts';
import { API_KEYS } from '../../wire/kafka/api-keys.ts';
import { SIZE_BYTES } from '../../wire/kafka/frames.ts';
import type { FramePool } from './frame-pool.ts';
import type { RequestMemory } from './request-memory.ts';

/** A whole request without its size prefix. */
export interface RequestFrame {
  readonly bytes: Buffer;
  readonly apiKey: number;
  /**
   * Gives the memory back; call once.
   * @param isFree nobody reads the frame any more. Default true; false leaves it to the collector.
   */
  release(isFree?: boolean): void;
}

export interface AssemblerOptions {
  readonly memory: RequestMemory;
  readonly pool: FramePool;
  /** Why a frame is refused, before anything is allocated for it; undefined lets it in. */
  readonly admit: (sizeBytes: number, apiKey: number, apiVersion: number) => string | undefined;
  readonly onFrame: (frame: RequestFrame) => void;
  /** There is memory again: push these bytes, which came meanwhile, and go on. */
  readonly onReady: (held: Buffer) => void;
}

/** Size, key and version. */
const START_BYTES = 8;
const EMPTY: Buffer = Buffer.alloc(0);

export class FrameAssembler {
  private readonly options: AssemblerOptions;
  private readonly start = Buffer.alloc(START_BYTES);
  private startFilled = 0;
  private sizeBytes = 0;
  private buffer = EMPTY;
  private filled = 0;
  /** What of the request memory the present frame holds. */
  private takenBytes = 0;
  /** Bytes that came while there was no memory for them. */
  private held = EMPTY;
  private stopWaiting: (() => void) | undefined;
  private closed = false;

  constructor(options: AssemblerOptions) {
    this.options = options;
  }

  /** true: give it nothing before `onReady`. */
  get isWaiting(): boolean {
    return this.stopWaiting !== undefined;
  }

  /** Bytes of a frame that is not complete, 0 between frames. */
  get receiving(): number {
    return this.startFilled === 0 ? 0 : Math.max(this.sizeBytes, START_BYTES);
  }

  /** The first bytes of the present frame, to tell what talks to us. */
  get firstBytes(): Buffer {
    return this.start.subarray(0, this.startFilled);
  }

  /** Takes the next bytes and copies them. Returns why the connection has to end, or undefined. */
  push(chunk: Buffer): string | undefined {
    if (this.isWaiting) {
      this.held = this.held.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.held, chunk]);
      return undefined;
    }
    let position = 0;
    while (position < chunk.length && !this.closed) {
      if (this.startFilled < START_BYTES) {
        position = this.readStart(chunk, position);
        const fault = this.checkStart();
        if (fault !== undefined) return fault;
        if (this.startFilled < START_BYTES) return undefined;
        this.filled = 0;
        if (position === chunk.length) return undefined;
      }
      if (!this.reserve(chunk.length - position)) {
        this.held = Buffer.from(chunk.subarray(position));
        return undefined;
      }
      const end = Math.min(chunk.length, position + this.missing());
      chunk.copy(this.buffer, this.filled, position, end);
      this.filled += end - position;
      position = end;
      if (this.missing() === 0) this.complete();
    }
    return undefined;
  }

  /** Gives back what an incomplete frame holds. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopWaiting?.();
    this.stopWaiting = undefined;
    this.options.memory.give(this.takenBytes);
    this.takenBytes = 0;
    this.buffer = EMPTY;
    this.held = EMPTY;
  }

  private missing(): number {
    return this.sizeBytes - this.filled;
  }

  private readStart(chunk: Buffer, position: number): number {
    const end = Math.min(chunk.length, position + START_BYTES - this.startFilled);
    chunk.copy(this.start, this.startFilled, position, end);
    this.startFilled += end - position;
    return end;
  }

  private checkStart(): string | undefined {
    if (this.startFilled < SIZE_BYTES) return undefined;
    const { start } = this;
    this.sizeBytes = start.readInt32BE(0);
    if (this.sizeBytes < REQUEST_BYTES_MIN) return `a request of ${this.sizeBytes} bytes`;
    const whole = this.startFilled === START_BYTES;
    // The size is judged as soon as it is there, with a key that everything is allowed for.
    const apiKey = whole ? start.readInt16BE(4) : API_KEYS.Produce;
    const apiVersion = whole ? start.readInt16BE(6) : 0;
    return this.options.admit(this.sizeBytes, apiKey, apiVersion);
  }

  /** Makes room for the next `bytes` of the frame, or begins to wait for memory. */
  private reserve(bytes: number): boolean {
    const needed = Math.min(this.sizeBytes, Math.max(this.filled, 4) + bytes);
    if (this.takenBytes > 0 && needed <= this.buffer.length) return true;
    const size =
      this.takenBytes === 0
        ? Math.min(this.sizeBytes, Math.max(needed, REQUEST_FIRST_BYTES))
        : Math.min(this.sizeBytes, Math.max(needed, this.buffer.length * 2));
    const more = size - this.takenBytes;
    if (this.options.memory.tryTake(more, this.takenBytes)) {
      this.grow(size);
      return true;
    }
    this.stopWaiting = this.options.memory.takeLater(more, this.takenBytes, () => {
      this.stopWaiting = undefined;
      this.grow(size);
      const { held } = this;
      this.held = EMPTY;
      this.options.onReady(held);
    });
    return false;
  }

  private grow(size: number): void {
    const isProduce = this.start.readInt16BE(4) === API_KEYS.Produce;
    const grown = isProduce ? this.options.pool.take(size) : Buffer.allocUnsafe(size);
    if (this.takenBytes === 0) {
      // Key and version belong to the frame.
      this.start.copy(grown, 0, SIZE_BYTES, START_BYTES);
      this.filled = START_BYTES - SIZE_BYTES;
    } else {
      this.buffer.copy(grown, 0, 0, this.filled);
      if (isProduce) this.options.pool.give(this.buffer);
    }
    this.buffer = grown;
    this.takenBytes = size;
  }

  private complete(): void {
    const { buffer, sizeBytes, takenBytes } = this;
    const { memory, pool } = this.options;
    const apiKey = this.start.readInt16BE(4);
    this.startFilled = 0;
    this.filled = 0;
    this.takenBytes = 0;
    this.buffer = EMPTY;
    const bytes = buffer.length === sizeBytes ? buffer : buffer.subarray(0, sizeBytes);
    this.options.onFrame({
      bytes,
      apiKey,
      release: (isFree = true) => {
        memory.give(takenBytes);
        if (isFree && apiKey === API_KEYS.Produce) pool.give(buffer);
      },
    });
  }
}
