/**
 * The frames that driver and workers speak, over whatever carries bytes in order: pipes of child processes today.
 *
 * ```
 * frame := length u32 big-endian, of the body | type u8 | body (JSON, UTF-8)
 * ```
 *
 * The decoder takes the stream in pieces of any size. A length is checked before memory is taken for it, and memory is taken
 * as the bytes come: a length alone allocates nothing.
 */
import { MillraceError } from '../../../core/errors.ts';
import { FRAME_BYTES_MAX } from '../../../core/limits.ts';

/** NOTE: wire constants, do not renumber. Below 16 from the driver, from 16 on from the worker. */
export const FRAME = {
  /** Which program to load. */
  init: 1,
  /** What the stages are built from. */
  plan: 2,
  /** One attempt at one task. */
  task: 3,
  /** The attempt that runs is not wanted any more. */
  cancel: 4,
  /** The program is loaded. */
  ready: 16,
  progress: 17,
  /** The result of the attempt. */
  done: 18,
  /** The attempt failed; before READY: the program cannot be loaded. */
  error: 19,
  /** A line for the people who watch the job. */
  log: 20,
} as const;

export type FrameName = keyof typeof FRAME;

export interface Frame {
  readonly name: FrameName;
  readonly body: unknown;
}

const HEADER_BYTES = 5;
const NAMES: ReadonlyMap<number, FrameName> = new Map(
  (Object.keys(FRAME) as FrameName[]).map((name) => [FRAME[name], name]),
);

/** @throws {MillraceError} ML_WIRE_UNREPRESENTABLE when the body is larger than a frame may be */
export function encodeFrame(name: FrameName, body: unknown): Buffer {
  const text = JSON.stringify(body) ?? 'null';
  const length = Buffer.byteLength(text);
  if (length > FRAME_BYTES_MAX) {
    throw new MillraceError(
      'ML_WIRE_UNREPRESENTABLE',
      `a frame '${name}' of ${length} bytes; at most ${FRAME_BYTES_MAX} go between driver and worker`,
      {
        hint: 'Run the job with fewer partitions, or with larger splits: --partitions, --split-size',
      },
    );
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(FRAME[name], 4);
  frame.write(text, HEADER_BYTES);
  return frame;
}

/** Puts frames together from a stream that is cut anywhere. After it has thrown it must not be used any more. */
export class FrameDecoder {
  /** What has come of the frame that is not whole yet. */
  #pieces: Buffer[] = [];
  #held = 0;
  /** Bytes that the frame has, with its header; undefined while that is not known. */
  #needed: number | undefined;

  /**
   * Takes the next piece of the stream and returns the frames that it completes.
   * @param chunk copied where it has to be kept
   * @throws {MillraceError} ML_WIRE_MALFORMED
   */
  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (rest.length > 0) {
      const wanted = (this.#needed ?? HEADER_BYTES) - this.#held;
      const piece = rest.subarray(0, wanted);
      rest = rest.subarray(piece.length);
      this.#pieces.push(Buffer.from(piece));
      this.#held += piece.length;
      if (piece.length < wanted) break;
      if (this.#needed === undefined) {
        const header = Buffer.concat(this.#pieces);
        this.#pieces = [header];
        this.#needed = HEADER_BYTES + lengthOf(header);
        if (this.#needed > HEADER_BYTES) continue;
      }
      frames.push(decode(Buffer.concat(this.#pieces)));
      this.#pieces = [];
      this.#held = 0;
      this.#needed = undefined;
    }
    return frames;
  }

  /** @throws {MillraceError} ML_WIRE_MALFORMED when the stream has ended in the middle of a frame */
  end(): void {
    if (this.#held > 0) throw malformed(`it ends after ${this.#held} bytes of a frame`);
  }
}

function lengthOf(header: Buffer): number {
  const length = header.readUInt32BE(0);
  if (length > FRAME_BYTES_MAX) {
    throw malformed(`a frame of ${length} bytes; at most ${FRAME_BYTES_MAX} are taken`);
  }
  return length;
}

function decode(frame: Buffer): Frame {
  const type = frame.readUInt8(4);
  const name = NAMES.get(type);
  if (name === undefined) throw malformed(`a frame of the unknown type ${type}`);
  try {
    return { name, body: JSON.parse(frame.toString('utf8', HEADER_BYTES)) as unknown };
  } catch (cause) {
    throw malformed(`the body of a frame '${name}' is not JSON`, cause);
  }
}

function malformed(reason: string, cause?: unknown): MillraceError {
  return new MillraceError('ML_WIRE_MALFORMED', `between driver and worker: ${reason}`, {
    cause,
    hint: 'Something else than a worker wrote to its pipe: look for what the program does with file descriptor 3',
  });
}
