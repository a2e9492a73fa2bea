/** Frames survive any cut of the stream, and no bytes at all make the decoder do anything but answer or throw its one error. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { FRAME_BYTES_MAX } from '../../../core/limits.ts';
import { encodeFrame, FRAME, FrameDecoder, type Frame, type FrameName } from './frames.ts';

const NAMES = Object.keys(FRAME) as FrameName[];
const frame: fc.Arbitrary<Frame> = fc.record({
  name: fc.constantFrom(...NAMES),
  body: fc.jsonValue(),
});

/** Cuts `bytes` at the given places, which may repeat: empty pieces are pieces, too. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

/** What JSON makes of a value: -0 becomes 0, for one. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 40 }),
      (frames, places) => {
        const bytes = Buffer.concat(frames.map(({ name, body }) => encodeFrame(name, body)));
        const decoder = new FrameDecoder();
        const got = cut(bytes, places).flatMap((piece) => decoder.push(piece));
        decoder.end();
        expect(got).toEqual(frames.map(({ name, body }) => ({ name, body: plain(body) })));
      },
    ),
  );
});

test('what was given to the decoder may be used again', () => {
  const decoder = new FrameDecoder();
  const bytes = encodeFrame('log', { line: 'hello' });
  const first = Buffer.from(bytes.subarray(0, 12));
  expect(decoder.push(first)).toEqual([]);
  first.fill(0);
  expect(decoder.push(bytes.subarray(12))).toEqual([{ name: 'log', body: { line: 'hello' } }]);
});

test('any bytes are frames or ML_WIRE_MALFORMED, and take no memory before they have come', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.nat(), { maxLength: 5 }),
      (bytes, places) => {
        const decoder = new FrameDecoder();
        const before = process.memoryUsage().arrayBuffers;
        try {
          for (const piece of cut(Buffer.from(bytes), places)) decoder.push(piece);
          decoder.end();
        } catch (error) {
          expect(error).toBeInstanceOf(MillraceError);
          expect((error as MillraceError).code).toBe('ML_WIRE_MALFORMED');
        }
        expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('one wrong byte in good frames is found or is in a body', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      fc.nat(255),
      (frames, place, byte) => {
        const bytes = Buffer.concat(frames.map(({ name, body }) => encodeFrame(name, body)));
        bytes[place % bytes.length] = byte;
        const decoder = new FrameDecoder();
        try {
          expect(decoder.push(bytes).length).toBeLessThanOrEqual(bytes.length / 5);
          decoder.end();
        } catch (error) {
          expect((error as MillraceError).code).toBe('ML_WIRE_MALFORMED');
        }
      },
    ),
  );
});

test('a length beyond the limit is refused with its header', () => {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(FRAME_BYTES_MAX + 1, 0);
  header.writeUInt8(FRAME.log, 4);
  const decoder = new FrameDecoder();
  expect(decoder.push(header.subarray(0, 4))).toEqual([]);
  expect(() => decoder.push(header.subarray(4))).toThrow(/at most 67108864/);
});

test('an empty body is refused at once: no JSON is empty', () => {
  expect(() => new FrameDecoder().push(Buffer.from([0, 0, 0, 0, FRAME.cancel]))).toThrow(
    /not JSON/,
  );
});

test('a body beyond the limit is not sent', () => {
  const line = 'x'.repeat(FRAME_BYTES_MAX);
  expect(() => encodeFrame('log', { line })).toThrow(MillraceError);
});

test('a stream that ends inside a frame is told', () => {
  const decoder = new FrameDecoder();
  decoder.push(encodeFrame('cancel', {}).subarray(0, 6));
  expect(() => {
    decoder.end();
  }).toThrow(/ends after 6 bytes/);
});

test('the types of frames do not change', () => {
  expect(FRAME).toEqual({
    init: 1,
    plan: 2,
    task: 3,
    cancel: 4,
    ready: 16,
    progress: 17,
    done: 18,
    error: 19,
    log: 20,
  });
});
