/**
 * What surrounds a message on a connection: the frame's size, the request and response headers, and how a stream of
 * bytes is cut into frames.
 *
 *   request    size int32 | api key int16 | api version int16 | correlation id int32 | client id | [tags] | body
 *   response   size int32 | correlation id int32 | [tags] | body
 *
 * `client id` is a classic nullable string in every header version. [tags] are the tagged fields of request header v2
 * and response header v1, which flexible versions use; the one exception is ApiVersions, whose response header is
 * always v0.
 *
 * Source: Kafka protocol guide, "Request Header"; KIP-482, KIP-511.
 */
import { MillraceError } from '../../core/errors.ts';
import { WIRE_ELEMENTS_MAX } from '../../core/limits.ts';
import { API_KEYS } from './api-keys.ts';
import {
  asMalformed,
  asUnrepresentable,
  decodeMessage,
  writeMessage,
  type DecodeOptions,
} from './codec.ts';
import { Reader } from './reader.ts';
import type { ApiMessages } from './registry.ts';
import type { Infer, InferInput, Message } from './schema.ts';
import { Writer } from './writer.ts';

/** Bytes of a frame's size prefix. */
export const SIZE_BYTES = 4;
const EMPTY: Buffer = Buffer.alloc(0);

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
}

export interface DecodedRequestHeader extends RequestHeader {
  /** Where the body starts, a position in the frame that was given. */
  readonly bodyStart: number;
}

/** 2 for flexible versions, 1 otherwise. */
export function requestHeaderVersion(api: ApiMessages, apiVersion: number): 1 | 2 {
  return apiVersion >= api.flexibleSince ? 2 : 1;
}

/** 1 for flexible versions, 0 otherwise and for ApiVersions. */
export function responseHeaderVersion(api: ApiMessages, apiVersion: number): 0 | 1 {
  return apiVersion >= api.flexibleSince && api.key !== API_KEYS.ApiVersions ? 1 : 0;
}

/**
 * Reads the header of a request frame (without its size prefix). `find` gives the API of a key: the header of an
 * unknown API, or of a version above what is known, is read as far as every version has it, so that it can be answered.
 * @throws ML_WIRE_MALFORMED
 */
export function decodeRequestHeader(
  frame: Buffer,
  find: (apiKey: number) => ApiMessages | undefined,
): DecodedRequestHeader {
  const reader = new Reader(frame, { start: 0, end: frame.length, elementsMax: WIRE_ELEMENTS_MAX });
  try {
    const apiKey = reader.int16();
    const apiVersion = reader.int16();
    const correlationId = reader.int32();
    const length = reader.stringLength();
    const clientId = length === -1 ? null : reader.text(length);
    const api = find(apiKey);
    const readable = api !== undefined && apiVersion <= api.validVersions.max;
    if (readable && requestHeaderVersion(api, apiVersion) === 2) reader.skipTaggedFields();
    return { apiKey, apiVersion, correlationId, clientId, bodyStart: reader.position };
  } catch (error) {
    throw asMalformed(error, 'RequestHeader', 2);
  }
}

/** A whole request frame, size prefix included. */
export function encodeRequest<Request extends Message>(
  api: ApiMessages<Request>,
  header: Omit<RequestHeader, 'apiKey'>,
  body: InferInput<Request>,
): Buffer {
  const writer = new Writer();
  try {
    writer.int32(0);
    writer.int16(api.key);
    writer.int16(header.apiVersion);
    writer.int32(header.correlationId);
    if (header.clientId === null) writer.int16(-1);
    else writer.string(header.clientId);
    if (requestHeaderVersion(api, header.apiVersion) === 2) writer.unsignedVarint(0);
  } catch (error) {
    throw asUnrepresentable(error, 'RequestHeader', 2);
  }
  writeMessage(api.request, header.apiVersion, body, writer);
  return sized(writer);
}

/** A whole response frame, size prefix included. */
export function encodeResponse<Response extends Message>(
  api: ApiMessages<Message, Response>,
  header: { readonly apiVersion: number; readonly correlationId: number },
  body: InferInput<Response>,
): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writer.int32(header.correlationId);
  if (responseHeaderVersion(api, header.apiVersion) === 1) writer.unsignedVarint(0);
  writeMessage(api.response, header.apiVersion, body, writer);
  return sized(writer);
}

/**
 * The first bytes of a response frame whose body of `bodyBytes` bytes follows: size prefix and header. For bodies that
 * are written as several buffers.
 */
export function encodeResponsePrefix(
  api: ApiMessages,
  header: { readonly apiVersion: number; readonly correlationId: number },
  bodyBytes: number,
): Buffer {
  const tagged = responseHeaderVersion(api, header.apiVersion) === 1;
  const prefix = Buffer.alloc(SIZE_BYTES + 4 + (tagged ? 1 : 0));
  prefix.writeInt32BE(prefix.length - SIZE_BYTES + bodyBytes, 0);
  prefix.writeInt32BE(header.correlationId, SIZE_BYTES);
  return prefix;
}

/** The correlation id of a response frame (without its size prefix): what tells which request it answers. */
export function correlationIdOf(frame: Buffer): number {
  if (frame.length < 4) {
    throw new MillraceError('ML_WIRE_MALFORMED', `a response frame of ${frame.length} bytes`);
  }
  return frame.readInt32BE(0);
}

/** The body of a response frame (without its size prefix). Buffers in it are views of `frame`. */
export function decodeResponse<Response extends Message>(
  api: ApiMessages<Message, Response>,
  apiVersion: number,
  frame: Buffer,
  options: Pick<DecodeOptions, 'leftover'> = {},
): Infer<Response> {
  const reader = new Reader(frame, { start: 0, end: frame.length, elementsMax: WIRE_ELEMENTS_MAX });
  try {
    reader.int32();
    if (responseHeaderVersion(api, apiVersion) === 1) reader.skipTaggedFields();
  } catch (error) {
    throw asMalformed(error, 'ResponseHeader', responseHeaderVersion(api, apiVersion));
  }
  return decodeMessage(api.response, apiVersion, frame, { ...options, start: reader.position });
}

function sized(writer: Writer): Buffer {
  const frame = writer.finish();
  frame.writeInt32BE(frame.length - SIZE_BYTES, 0);
  return frame;
}

/**
 * Cuts a stream of bytes into frames. Holds at most one incomplete frame, in a buffer of at most four times the bytes
 * that have arrived: a size prefix alone allocates nothing. A frame that lies in one chunk is a view of it; others are
 * copied into a buffer of their own.
 */
export class FrameSplitter {
  readonly #frameBytesMax: number;
  /** The start of an incomplete frame, size prefix included; `#filled` bytes of it are valid. */
  #pending: Buffer = EMPTY;
  #filled = 0;

  /** @param frameBytesMax largest frame that is accepted, without its size prefix. */
  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes that wait for the rest of their frame. */
  get bufferedBytes(): number {
    return this.#filled;
  }

  /**
   * Takes the next bytes of the stream and calls `onFrame` for each frame that they complete, without its size prefix.
   * @throws ML_WIRE_MALFORMED for a size that is negative or over the limit: nothing after it can be understood.
   */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let position = 0;
    if (this.#filled > 0) {
      position = this.#complete(chunk);
      const frame = this.#takeComplete();
      if (frame === undefined) return;
      onFrame(frame);
    }
    while (chunk.length - position >= SIZE_BYTES) {
      const start = position + SIZE_BYTES;
      const end = start + this.#sizeAt(chunk, position);
      if (end > chunk.length) break;
      position = end;
      onFrame(chunk.subarray(start, end));
    }
    if (position < chunk.length) this.#append(chunk, position, chunk.length);
  }

  /** Moves what the incomplete frame still needs out of `chunk`; returns the position after it. */
  #complete(chunk: Buffer): number {
    let position = 0;
    if (this.#filled < SIZE_BYTES) {
      position = Math.min(chunk.length, SIZE_BYTES - this.#filled);
      this.#append(chunk, 0, position);
      if (this.#filled < SIZE_BYTES) return position;
    }
    const missing = SIZE_BYTES + this.#sizeAt(this.#pending, 0) - this.#filled;
    const end = Math.min(chunk.length, position + missing);
    this.#append(chunk, position, end);
    return end;
  }

  #takeComplete(): Buffer | undefined {
    if (this.#filled < SIZE_BYTES) return undefined;
    const end = SIZE_BYTES + this.#sizeAt(this.#pending, 0);
    if (this.#filled < end) return undefined;
    const frame = this.#pending.subarray(SIZE_BYTES, end);
    this.#pending = EMPTY;
    this.#filled = 0;
    return frame;
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const needed = this.#filled + (end - start);
    if (needed > this.#pending.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#capacity(chunk, start), needed));
      this.#pending.copy(grown, 0, 0, this.#filled);
      this.#pending = grown;
    }
    chunk.copy(this.#pending, this.#filled, start, end);
    this.#filled = needed;
  }

  /** How large the buffer of the incomplete frame should be now: never beyond the frame. */
  #capacity(chunk: Buffer, start: number): number {
    const arrived = this.#filled + (chunk.length - start);
    if (arrived < SIZE_BYTES) return SIZE_BYTES;
    if (this.#filled > 0 && this.#filled < SIZE_BYTES) return SIZE_BYTES;
    const size = this.#filled === 0 ? this.#sizeAt(chunk, start) : this.#sizeAt(this.#pending, 0);
    return Math.min(SIZE_BYTES + size, arrived * 4);
  }

  #sizeAt(bytes: Buffer, position: number): number {
    const size = bytes.readInt32BE(position);
    if (size < 0 || size > this.#frameBytesMax) {
      throw new MillraceError(
        'ML_WIRE_MALFORMED',
        `a frame of ${size} bytes; the limit is ${this.#frameBytesMax}`,
        { fields: { size, limit: this.#frameBytesMax } },
      );
    }
    return size;
  }
}
