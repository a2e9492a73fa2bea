/**
 * Collects frames, to write many with one call. Small things are copied into blocks; a large body is written from where it lies, and must
 * not change until it has been.
 *
 * Owns: the blocks, from the first frame in one until the connection is done with it; then they are used again, by any writer.
 *
 * @hot
 */
import type { Connection } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  AMQP_BLOCK_BYTES,
  AMQP_BLOCKS_KEPT,
  AMQP_COPY_BYTES_MAX,
  AMQP_FRAME_BYTES_MAX,
} from '../../core/queue-limits.ts';
import {
  CONTENT_HEADER_BYTES,
  FRAME_BODY,
  FRAME_END,
  FRAME_HEADER,
  FRAME_HEARTBEAT,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  FRAME_START_BYTES,
} from './frames.ts';
import { writeMethod } from './method-codec.ts';
import { BASIC_CLASS, type ContentMethodName, type MethodInput } from './methods.ts';
import { AmqpWriter, putLong } from './writer.ts';

const EMPTY: Buffer = Buffer.alloc(0);
/** A method is begun in a block that has as much room left; one that is larger makes the block grow. */
const METHOD_ROOM_BYTES = 1_024;
/** What a write leaves mostly empty is copied: a block that waits for a slow peer would hold far more than it has. */
const COPIED_BYTES_MAX = AMQP_BLOCK_BYTES / 4;

/** Blocks that nobody uses. */
const free: Buffer[] = [];

export class FrameWriter {
  private frameBytesMax = AMQP_FRAME_BYTES_MAX;
  private readonly writer = new AmqpWriter(0);
  /** The writer has a block. */
  private hasBlock = false;
  /** Where in the block begins what is not in `chunks`. */
  private sealed = 0;
  private chunks: Uint8Array[] = [];
  private chunkBytes = 0;
  /** Blocks that are full. */
  private full: Buffer[] = [];

  /** Bytes that were not given to `writeTo` yet. */
  get bytes(): number {
    return this.chunkBytes + this.writer.length - this.sealed;
  }

  /** What was agreed upon; bodies are split accordingly. Default AMQP_FRAME_BYTES_MAX. */
  setFrameMax(bytes: number): void {
    this.frameBytesMax = bytes;
  }

  /** @throws {MillraceError} ML_WIRE_UNREPRESENTABLE; then nothing of it is written */
  method(channel: number, method: MethodInput): void {
    const { writer } = this;
    this.makeRoom(METHOD_ROOM_BYTES);
    const start = writer.length;
    try {
      this.begin(FRAME_METHOD, channel, 0);
      writeMethod(writer, method);
      this.checkSize(method.name, writer.length + 1 - start);
    } catch (error) {
      writer.length = start;
      throw error;
    }
    putLong(writer.buffer, start + 3, writer.length - start - FRAME_START_BYTES);
    writer.octet(FRAME_END);
  }

  /**
   * A method with its content.
   * @param properties flags and list
   * @param body must not change before it is written when it is larger than AMQP_COPY_BYTES_MAX
   */
  content(
    channel: number,
    method: MethodInput<ContentMethodName>,
    properties: Uint8Array,
    body: Uint8Array,
  ): void {
    this.checkSize('a header', FRAME_OVERHEAD_BYTES + CONTENT_HEADER_BYTES + properties.length);
    this.method(channel, method);
    const { writer } = this;
    this.makeRoom(FRAME_OVERHEAD_BYTES + CONTENT_HEADER_BYTES + properties.length);
    this.begin(FRAME_HEADER, channel, CONTENT_HEADER_BYTES + properties.length);
    writer.long(BASIC_CLASS << 16);
    writer.longlong(body.length);
    writer.bytes(properties, 0, properties.length);
    writer.octet(FRAME_END);
    const most = this.frameBytesMax - FRAME_OVERHEAD_BYTES;
    if (body.length <= most) {
      if (body.length > 0) this.body(channel, body);
      return;
    }
    for (let start = 0; start < body.length; start += most) {
      this.body(channel, body.subarray(start, start + most));
    }
  }

  heartbeat(): void {
    this.makeRoom(FRAME_OVERHEAD_BYTES);
    this.begin(FRAME_HEARTBEAT, 0, 0);
    this.writer.octet(FRAME_END);
  }

  /** Gives all that was collected to the connection. */
  writeTo(connection: Pick<Connection, 'write'>): void {
    const { writer } = this;
    if (this.chunks.length === 0 && writer.length <= COPIED_BYTES_MAX) {
      if (writer.length === 0) return;
      connection.write([Buffer.from(writer.buffer.subarray(0, writer.length))]);
      giveBack(writer.buffer);
      this.leaveBlock();
      return;
    }
    this.retire();
    const { chunks, full } = this;
    this.chunks = [];
    this.full = [];
    this.chunkBytes = 0;
    connection.write(chunks, () => {
      for (const block of full) giveBack(block);
    });
  }

  private body(channel: number, body: Uint8Array): void {
    const { writer } = this;
    const { length } = body;
    const isCopied = length <= AMQP_COPY_BYTES_MAX;
    this.makeRoom(FRAME_OVERHEAD_BYTES + (isCopied ? length : 0));
    this.begin(FRAME_BODY, channel, length);
    if (isCopied) {
      writer.buffer.set(body, writer.length);
      writer.length += length;
    } else {
      this.seal();
      this.chunks.push(body);
      this.chunkBytes += length;
    }
    writer.octet(FRAME_END);
  }

  private begin(type: number, channel: number, size: number): void {
    const { writer } = this;
    writer.octet(type);
    writer.short(channel);
    writer.long(size);
  }

  /** A block with room for so many bytes, unless they are more than one holds: then it grows. */
  private makeRoom(bytes: number): void {
    const { writer } = this;
    if (this.hasBlock && writer.length + bytes <= writer.buffer.length) return;
    if (this.hasBlock) this.retire();
    writer.buffer = free.pop() ?? Buffer.allocUnsafeSlow(AMQP_BLOCK_BYTES);
    this.hasBlock = true;
    writer.reserve(bytes);
  }

  /** The block is full, or is to be written. */
  private retire(): void {
    this.seal();
    if (this.hasBlock) this.full.push(this.writer.buffer);
    this.leaveBlock();
  }

  private leaveBlock(): void {
    const { writer } = this;
    writer.buffer = EMPTY;
    writer.length = 0;
    this.sealed = 0;
    this.hasBlock = false;
  }

  /** What is in the block becomes a chunk. */
  private seal(): void {
    const { writer, sealed } = this;
    if (writer.length === sealed) return;
    this.chunks.push(writer.buffer.subarray(sealed, writer.length));
    this.chunkBytes += writer.length - sealed;
    this.sealed = writer.length;
  }

  private checkSize(what: string, bytes: number): void {
    if (bytes <= this.frameBytesMax) return;
    throw new MillraceError(
      'ML_WIRE_UNREPRESENTABLE',
      `${what} of ${bytes} bytes does not fit into a frame of ${this.frameBytesMax}`,
      { hint: 'Make headers and arguments smaller, or frame_max larger' },
    );
  }
}

function giveBack(block: Buffer): void {
  if (free.length < AMQP_BLOCKS_KEPT && block.length === AMQP_BLOCK_BYTES) free.push(block);
}
