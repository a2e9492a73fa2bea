/**
 * Cuts what a connection delivers into methods and contents. For servers and clients alike.
 *
 * Owns: the frame that is being received, and the contents that have not come whole, at most one for each channel.
 *
 * Invariants
 * - Nothing is allocated for a frame before its type and size were admitted, nor for a body before its announced size was; and then never
 *   more than twice what has come, or AMQP_BODY_FIRST_BYTES. All that is held for contents of one connection is bounded.
 * - A content that lies in one chunk is handed over as views of it.
 * - What cannot be read further (a frame with a wrong end, of an unknown type, too large) is told once, and is the last that is read.
 *
 * Which code a fault has is RabbitMQ's choice, where AMQP leaves one.
 *
 * @hot
 */
import {
  AMQP_BODY_BYTES_MAX,
  AMQP_BODY_FIRST_BYTES,
  AMQP_FRAME_BYTES_MAX,
  AMQP_INCOMPLETE_BYTES_MAX,
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
  type Content,
  type FrameHandler,
} from './frames.ts';
import { decodeMethod } from './method-codec.ts';
import {
  BASIC_CLASS,
  METHODS,
  methodEntry,
  type AmqpMethod,
  type ContentMethod,
} from './methods.ts';
import { longAt } from './reader.ts';
import { AmqpFault } from './reply-codes.ts';

export interface FrameAssemblerOptions {
  /** Largest frame, as negotiated. Default AMQP_FRAME_BYTES_MAX. */
  readonly frameBytesMax?: number;
  /** Largest body of a message. Default AMQP_BODY_BYTES_MAX. */
  readonly bodyBytesMax?: number;
}

const EMPTY: Buffer = Buffer.alloc(0);
/** What a content that waits for its rest is counted with beside its bytes. */
const WAITING_BYTES = 1_024;
/** A buffer of a frame that came in pieces is kept for the next one up to this size. */
const PARTIAL_KEPT_BYTES = 16 * 1024;

/** A content of which the method has come. */
class Incomplete {
  readonly channel: number;
  readonly method: ContentMethod;
  hasHeader = false;
  /** Nobody wants it: the rest is read and dropped. */
  isSkipped = false;
  bodyBytes = 0;
  filled = 0;
  properties = EMPTY;
  body = EMPTY;
  /** The properties are a view of memory that is not ours. */
  isBorrowed = false;
  hasWaited = false;
  /** What it is counted with. */
  heldBytes = 0;

  constructor(channel: number, method: ContentMethod) {
    this.channel = channel;
    this.method = method;
  }
}

class HandedOver implements Content {
  properties = EMPTY;
  body = EMPTY;
  isOwned = false;
}

export class FrameAssembler {
  /** Largest frame; set it when it has been negotiated. As RabbitMQ, 8 bytes more are let pass. */
  frameBytesMax: number;
  /** Whether contents may come. Without, whatever begins one is refused. */
  takesContents = true;
  private readonly bodyBytesMax: number;
  private readonly incompleteBytesMax: number;
  private readonly handler: FrameHandler;
  /** The start of a frame that is not complete. */
  private partial = EMPTY;
  private partialFilled = 0;
  /** The content of the channel that frames came for last; those of other channels wait in `waiting`. */
  private current: Incomplete | undefined;
  private readonly waiting = new Map<number, Incomplete>();
  private heldBytes = 0;
  private readonly handedOver = new HandedOver();
  /** What the handler has been called with. */
  private inHand: AmqpMethod | undefined;
  private isStopped = false;

  constructor(handler: FrameHandler, options: FrameAssemblerOptions = {}) {
    this.handler = handler;
    this.frameBytesMax = options.frameBytesMax ?? AMQP_FRAME_BYTES_MAX;
    this.bodyBytesMax = options.bodyBytesMax ?? AMQP_BODY_BYTES_MAX;
    this.incompleteBytesMax = Math.max(AMQP_INCOMPLETE_BYTES_MAX, 2 * this.bodyBytesMax);
  }

  /** Bytes that are held for frames and contents that have not come whole. */
  get incompleteBytes(): number {
    return this.heldBytes + this.partial.length;
  }

  /** Takes the next bytes, and copies what it needs later. Throws what a handler throws, unless that is an AmqpFault. */
  push(chunk: Buffer): void {
    let position = this.partialFilled > 0 ? this.completePartial(chunk) : 0;
    while (!this.isStopped && chunk.length - position >= FRAME_START_BYTES) {
      const size = longAt(chunk, position + 3);
      if (!this.admit(chunk, position, size)) return;
      const end = position + FRAME_OVERHEAD_BYTES + size;
      if (end > chunk.length) break;
      this.frame(chunk, position, end);
      position = end;
    }
    if (this.isStopped) return;
    this.ownProperties(this.current);
    if (position < chunk.length) this.keepPartial(chunk, position, chunk.length);
  }

  /** Reads nothing more, and lets go of everything. Idempotent. */
  stop(): void {
    this.isStopped = true;
    this.partial = EMPTY;
    this.partialFilled = 0;
    this.current = undefined;
    this.waiting.clear();
    this.heldBytes = 0;
  }

  /** The channel is being closed from this side: what its content still lacks is read and dropped. */
  skipContent(channel: number): void {
    const incomplete = this.current?.channel === channel ? this.current : this.waiting.get(channel);
    if (incomplete !== undefined) this.skip(incomplete);
  }

  private skip(incomplete: Incomplete): void {
    incomplete.isSkipped = true;
    incomplete.properties = EMPTY;
    incomplete.isBorrowed = false;
    incomplete.body = EMPTY;
    this.uncount(incomplete);
  }

  // Frames --------------------------------------------------------------------------------------------------------

  /** Judges a frame by its start, before the rest is waited for. */
  private admit(bytes: Buffer, at: number, size: number): boolean {
    const type = bytes[at] as number;
    const isKnown = type >= FRAME_METHOD && type <= FRAME_BODY;
    if (size > this.frameBytesMax) {
      const most = this.frameBytesMax - FRAME_OVERHEAD_BYTES;
      this.breakOff(`a frame of ${size} bytes; ${most} is the most that was agreed upon`);
    } else if (!isKnown && type !== FRAME_HEARTBEAT) {
      this.breakOff(`a frame of the unknown type ${type}`);
    }
    return !this.isStopped;
  }

  /** The stream cannot be read any further. */
  private breakOff(reason: string): void {
    this.stop();
    this.handler.fault(0, new AmqpFault('FRAME_ERROR', reason));
  }

  /** A whole frame in bytes[start, end). */
  private frame(bytes: Buffer, start: number, end: number): void {
    if (bytes[end - 1] !== FRAME_END) {
      this.breakOff(`a frame that ends with ${bytes[end - 1]} instead of ${FRAME_END}`);
      return;
    }
    const channel = ((bytes[start + 1] as number) << 8) | (bytes[start + 2] as number);
    const payload = start + FRAME_START_BYTES;
    try {
      switch (bytes[start] as number) {
        case FRAME_METHOD:
          this.methodFrame(channel, decodeMethod(bytes, payload, end - 1));
          break;
        case FRAME_HEADER:
          this.headerFrame(this.contentOf(channel, 'header'), bytes, payload, end - 1);
          break;
        case FRAME_BODY:
          this.bodyFrame(this.contentOf(channel, 'body'), bytes, payload, end - 1);
          break;
        default:
          this.heartbeatFrame(channel, end - 1 - payload);
      }
    } catch (error) {
      this.failed(channel, error);
    }
  }

  private failed(channel: number, error: unknown): void {
    if (!(error instanceof AmqpFault)) {
      this.stop();
      throw error;
    }
    const { inHand } = this;
    this.inHand = undefined;
    if (inHand !== undefined) {
      const { classId, methodId } = methodEntry(inHand.name);
      error.about(classId, methodId);
    }
    const { current } = this;
    if (current?.channel === channel && !current.isSkipped) {
      const { classId, methodId } = methodEntry(current.method.name);
      error.about(classId, methodId);
      this.drop();
    }
    this.handler.fault(channel, error);
  }

  private heartbeatFrame(channel: number, size: number): void {
    if (size !== 0) throw new AmqpFault('FRAME_ERROR', `a heartbeat with ${size} bytes`);
    if (channel !== 0) throw new AmqpFault('UNEXPECTED_FRAME', `a heartbeat on channel ${channel}`);
    this.handler.heartbeat();
  }

  private methodFrame(channel: number, method: AmqpMethod): void {
    if (this.current !== undefined || this.waiting.size > 0) this.expectMethod(channel);
    if (hasContent(method)) {
      if (channel === 0) throw new AmqpFault('UNEXPECTED_FRAME', 'a content on channel 0');
      if (!this.takesContents)
        throw new AmqpFault('UNEXPECTED_FRAME', 'a content before the connection is open');
      this.current = new Incomplete(channel, method);
      return;
    }
    this.inHand = method;
    this.handler.method(channel, method);
    this.inHand = undefined;
  }

  /** A method begins on this channel: that is not the time for one when a content is not complete. */
  private expectMethod(channel: number): void {
    this.turnTo(channel);
    const { current } = this;
    if (current === undefined) return;
    if (current.isSkipped) {
      this.drop();
      return;
    }
    const expected = current.hasHeader ? 'a content body' : 'a content header';
    throw new AmqpFault('UNEXPECTED_FRAME', `expected ${expected}, got a method instead`);
  }

  /** The content of a channel that a header or a body came for. */
  private contentOf(channel: number, what: string): Incomplete {
    if (this.current?.channel !== channel) this.turnTo(channel);
    const { current } = this;
    if (current !== undefined) return current;
    throw new AmqpFault('UNEXPECTED_FRAME', `expected a method, got a content ${what} instead`);
  }

  /** Makes the content of this channel the current one, if it has one. */
  private turnTo(channel: number): void {
    const { current } = this;
    if (current?.channel === channel) return;
    if (current !== undefined) {
      this.ownProperties(current);
      if (!current.hasWaited) this.count(current, WAITING_BYTES);
      current.hasWaited = true;
      this.waiting.set(current.channel, current);
    }
    this.current = this.waiting.get(channel);
    if (this.current !== undefined) this.waiting.delete(channel);
  }

  // Contents ------------------------------------------------------------------------------------------------------

  private headerFrame(content: Incomplete, bytes: Buffer, start: number, end: number): void {
    if (content.hasHeader) {
      if (content.isSkipped) return;
      throw new AmqpFault('UNEXPECTED_FRAME', 'expected a content body, got a header instead');
    }
    if (end - start < CONTENT_HEADER_BYTES) {
      throw new AmqpFault('FRAME_ERROR', `a content header in ${end - start} bytes`);
    }
    const classId = ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
    const weight = ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number);
    if (classId !== BASIC_CLASS || weight !== 0) {
      const reason = `expected a content header for class ${BASIC_CLASS}, got one for class ${classId}`;
      throw new AmqpFault('UNEXPECTED_FRAME', reason);
    }
    content.hasHeader = true;
    content.bodyBytes = longAt(bytes, start + 4) * 0x1_0000_0000 + longAt(bytes, start + 8);
    if (content.isSkipped) {
      if (content.bodyBytes === 0) this.drop();
      return;
    }
    if (content.bodyBytes > this.bodyBytesMax) this.refuseLarge(content);
    content.properties = bytes.subarray(start + CONTENT_HEADER_BYTES, end);
    content.isBorrowed = true;
    if (content.bodyBytes === 0) this.complete(content, EMPTY, true);
  }

  private refuseLarge(content: Incomplete): never {
    const { classId, methodId } = METHODS[content.method.name];
    this.skip(content);
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `message size ${content.bodyBytes} is larger than configured max size ${this.bodyBytesMax}`,
      { classId, methodId },
    );
  }

  private bodyFrame(content: Incomplete, bytes: Buffer, start: number, end: number): void {
    if (!content.hasHeader) {
      if (content.isSkipped) return;
      throw new AmqpFault('UNEXPECTED_FRAME', 'expected a content header, got a body instead');
    }
    const size = end - start;
    if (size > content.bodyBytes - content.filled) {
      const reason = `a body of ${content.filled + size} bytes, where ${content.bodyBytes} were announced`;
      throw new AmqpFault('FRAME_ERROR', reason);
    }
    if (size === content.bodyBytes) {
      if (content.isSkipped) this.drop();
      else this.complete(content, bytes.subarray(start, end), false);
      return;
    }
    if (!content.isSkipped) {
      this.makeRoom(content, size);
      bytes.copy(content.body, content.filled, start, end);
    }
    content.filled += size;
    if (content.filled < content.bodyBytes) return;
    if (content.isSkipped) this.drop();
    else this.complete(content, content.body, true);
  }

  private makeRoom(content: Incomplete, bytes: number): void {
    const needed = content.filled + bytes;
    if (needed <= content.body.length) return;
    const wanted = Math.max(needed, content.body.length * 2, AMQP_BODY_FIRST_BYTES);
    const size = Math.min(content.bodyBytes, wanted);
    this.count(content, size - content.body.length);
    const grown = Buffer.allocUnsafeSlow(size);
    content.body.copy(grown, 0, 0, content.filled);
    content.body = grown;
  }

  private complete(content: Incomplete, body: Buffer, isOwned: boolean): void {
    this.drop();
    const { handedOver } = this;
    handedOver.properties = content.properties;
    handedOver.body = body;
    handedOver.isOwned = isOwned;
    this.inHand = content.method;
    this.handler.content(content.channel, content.method, handedOver);
    this.inHand = undefined;
    handedOver.properties = EMPTY;
    handedOver.body = EMPTY;
  }

  /** The current content is done. */
  private drop(): void {
    if (this.current !== undefined) this.uncount(this.current);
    this.current = undefined;
  }

  private ownProperties(content: Incomplete | undefined): void {
    if (content === undefined || !content.isBorrowed) return;
    content.isBorrowed = false;
    content.properties = Buffer.from(content.properties);
    this.heldBytes += content.properties.length;
    content.heldBytes += content.properties.length;
  }

  /** @throws {AmqpFault} RESOURCE_ERROR */
  private count(content: Incomplete, bytes: number): void {
    if (this.heldBytes + bytes > this.incompleteBytesMax) {
      throw new AmqpFault(
        'RESOURCE_ERROR',
        `messages that have not come whole would take more than ${this.incompleteBytesMax} bytes`,
      );
    }
    this.heldBytes += bytes;
    content.heldBytes += bytes;
  }

  private uncount(content: Incomplete): void {
    this.heldBytes -= content.heldBytes;
    content.heldBytes = 0;
  }

  // Frames that come in pieces ------------------------------------------------------------------------------------

  /** Moves what the incomplete frame still needs out of the chunk. @returns where the rest begins */
  private completePartial(chunk: Buffer): number {
    let position = 0;
    if (this.partialFilled < FRAME_START_BYTES) {
      position = Math.min(chunk.length, FRAME_START_BYTES - this.partialFilled);
      this.keepPartial(chunk, 0, position);
      if (this.isStopped || this.partialFilled < FRAME_START_BYTES) return position;
    }
    const end = FRAME_OVERHEAD_BYTES + longAt(this.partial, 3);
    const rest = Math.min(chunk.length, position + end - this.partialFilled);
    this.keepPartial(chunk, position, rest);
    if (this.partialFilled === end) {
      const { partial } = this;
      this.partialFilled = 0;
      if (partial.length > PARTIAL_KEPT_BYTES) this.partial = EMPTY;
      this.frame(partial, 0, end);
    }
    return rest;
  }

  private keepPartial(chunk: Buffer, start: number, end: number): void {
    const needed = this.partialFilled + end - start;
    if (needed > this.partial.length) {
      const grown = Buffer.allocUnsafeSlow(this.partialCapacity(chunk, start, needed));
      this.partial.copy(grown, 0, 0, this.partialFilled);
      this.partial = grown;
    }
    const hadStart = this.partialFilled >= FRAME_START_BYTES;
    chunk.copy(this.partial, this.partialFilled, start, end);
    this.partialFilled = needed;
    if (!hadStart && needed >= FRAME_START_BYTES) {
      this.admit(this.partial, 0, longAt(this.partial, 3));
    }
  }

  /** How large the buffer of the incomplete frame should be: never beyond the frame, nor four times what has come. */
  private partialCapacity(chunk: Buffer, start: number, needed: number): number {
    if (needed < FRAME_START_BYTES || (this.partialFilled > 0 && needed === FRAME_START_BYTES)) {
      return FRAME_START_BYTES;
    }
    const sizeOf = this.partialFilled === 0 ? longAt(chunk, start + 3) : longAt(this.partial, 3);
    return Math.max(needed, Math.min(FRAME_OVERHEAD_BYTES + sizeOf, needed * 4));
  }
}

function hasContent(method: AmqpMethod): method is ContentMethod {
  const { name } = method;
  return (
    name === 'basic.publish' ||
    name === 'basic.deliver' ||
    name === 'basic.get-ok' ||
    name === 'basic.return'
  );
}
