/**
 * What all on a connection is made of:
 *
 *   frame    type u8 | channel u16 | size u32 | payload | 0xCE
 *   method   class u16 | method u16 | fields                              (type 1)
 *   header   class u16 | weight u16 = 0 | body size u64 | properties      (type 2)
 *   body     bytes                                                        (type 3)
 *
 * A method that has content is followed, on its channel, by one header and as many bodies as its size needs, none for 0.
 *
 * NOTE: numbers of the protocol, do not change.
 *
 * Source: AMQP 0-9-1, "Transport".
 */
import type { AmqpMethod, ContentMethod } from './methods.ts';
import type { AmqpFault } from './reply-codes.ts';

/** What a client begins with: `AMQP`, 0, 0-9-1. */
export const PROTOCOL_HEADER: Buffer = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);

export const FRAME_METHOD = 1;
export const FRAME_HEADER = 2;
export const FRAME_BODY = 3;
export const FRAME_HEARTBEAT = 8;
export const FRAME_END = 0xce;
/** Type, channel, size. */
export const FRAME_START_BYTES = 7;
/** What a frame has beside its payload; frame_max counts it. */
export const FRAME_OVERHEAD_BYTES = 8;
/** Class, weight, body size. */
export const CONTENT_HEADER_BYTES = 12;

/**
 * What a method carries. The object is used again, and so is its memory when the handler has returned; but what is a view of the chunk that
 * was pushed lasts as long as that.
 */
export interface Content {
  /** Flags and list, as in `QueueMessage.properties`; not looked into. */
  readonly properties: Buffer;
  readonly body: Buffer;
  /** The body has memory of its own and may be kept without a copy. The properties never. */
  readonly isOwned: boolean;
}

/** What comes out of a FrameAssembler. An AmqpFault that `method` or `content` throw comes back as `fault`, with the ids of the method. */
export interface FrameHandler {
  /** A method that has no content. */
  method(channel: number, method: AmqpMethod): void;
  content(channel: number, method: ContentMethod, content: Content): void;
  heartbeat(): void;
  /** Something came that may not: the channel, or the connection, is to be closed. Frames go on unless the stream cannot be read further. */
  fault(channel: number, fault: AmqpFault): void;
}
