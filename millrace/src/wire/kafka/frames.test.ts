import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import {
  FrameSplitter,
  correlationIdOf,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  encodeResponsePrefix,
} from './frames.ts';
import { apiMessages, messages } from './registry.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

describe('headers', () => {
  test('a classic request has header v1', () => {
    const header = { apiVersion: 1, correlationId: 5, clientId: 'me' };
    const frame = encodeRequest(messages[3], header, { topics: [] });
    expect(frame).toEqual(hex('00000010  0003 0001 00000005 0002 6d65  00000000'));
    expect(decodeRequestHeader(frame.subarray(4), apiMessages)).toEqual({
      apiKey: 3,
      bodyStart: 12,
      ...header,
    });
  });

  test('a flexible request has header v2: a classic client id, then tagged fields', () => {
    const header = { apiVersion: 9, correlationId: 5, clientId: null };
    const frame = encodeRequest(messages[3], header, { topics: [] });
    expect(frame).toEqual(hex('00000010  0003 0009 00000005 ffff 00  01 01 00 00 00'));
    expect(decodeRequestHeader(frame.subarray(4), apiMessages)).toMatchObject({
      clientId: null,
      bodyStart: 11,
    });
  });

  test('tagged fields of a request header are skipped', () => {
    const frame = hex('0003 0009 00000005 ffff 01 07 02 abcd  01 01 00 00 00');
    expect(decodeRequestHeader(frame, apiMessages).bodyStart).toBe(15);
  });

  test('a flexible response has header v1, a classic one v0', () => {
    const body = { brokers: [], topics: [], clusterId: null };
    expect(
      encodeResponse(messages[12], { apiVersion: 3, correlationId: 9 }, { errorCode: 0 }),
    ).toEqual(hex('0000000a  00000009  00000000 0000'));
    expect(
      encodeResponse(messages[12], { apiVersion: 4, correlationId: 9 }, { errorCode: 0 }),
    ).toEqual(hex('0000000c  00000009 00  00000000 0000 00'));
    const frame = encodeResponse(messages[3], { apiVersion: 9, correlationId: 9 }, body).subarray(
      4,
    );
    expect(correlationIdOf(frame)).toBe(9);
    expect(decodeResponse(messages[3], 9, frame)).toMatchObject(body);
  });

  test('the response of ApiVersions has header v0 in every version', () => {
    const body = { errorCode: 35, apiKeys: [] };
    for (const apiVersion of [0, 1, 2, 3, 4]) {
      const frame = encodeResponse(messages[18], { apiVersion, correlationId: 1 }, body);
      expect(frame.subarray(4, 10)).toEqual(hex('00000001 0023'));
      expect(decodeResponse(messages[18], apiVersion, frame.subarray(4))).toMatchObject(body);
    }
  });

  test('the header of an unknown API or version can be read, so that it can be answered', () => {
    const unknownVersion = hex('0012 0063 00000007 0002 6d65 de ad');
    expect(decodeRequestHeader(unknownVersion, apiMessages)).toMatchObject({
      apiKey: 18,
      apiVersion: 99,
      correlationId: 7,
      clientId: 'me',
    });
    const unknownApi = hex('7fff 0000 00000007 ffff');
    expect(decodeRequestHeader(unknownApi, apiMessages)).toMatchObject({ apiKey: 32767 });
  });

  test.each([
    '',
    '00',
    '0003 0001 000000',
    '0003 0001 00000005 0009 6d65',
    '0003 0009 00000005 ffff',
  ])('a header that is cut is refused: %s', (bytes) => {
    expect(codeOf(() => decodeRequestHeader(hex(bytes), apiMessages))).toBe('ML_WIRE_MALFORMED');
  });

  test('a prefix goes before a body that is written as several buffers', () => {
    for (const apiVersion of [3, 4]) {
      const header = { apiVersion, correlationId: 9 };
      const whole = encodeResponse(messages[12], header, { errorCode: 0 });
      const prefix = encodeResponsePrefix(messages[12], header, apiVersion === 4 ? 7 : 6);
      expect(prefix).toEqual(whole.subarray(0, prefix.length));
    }
  });
});

describe('a stream of frames', () => {
  function framed(frames: readonly Uint8Array[]): Buffer {
    return Buffer.concat(
      frames.flatMap((frame) => {
        const size = Buffer.alloc(4);
        size.writeInt32BE(frame.length);
        return [size, frame];
      }),
    );
  }

  test('gives the same frames however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const stream = framed(frames);
          const splitter = new FrameSplitter(100);
          const found: Buffer[] = [];
          let position = 0;
          for (let step = 0; position < stream.length; step++) {
            const end = position + (cuts[step % cuts.length] ?? 1);
            // A socket's chunk is its own memory.
            splitter.push(Buffer.from(stream.subarray(position, end)), (frame) =>
              found.push(frame),
            );
            position = end;
          }
          expect(found).toEqual(frames.map((frame) => Buffer.from(frame)));
          expect(splitter.bufferedBytes).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a frame within a chunk is a view of it', () => {
    const stream = framed([Buffer.from('abc'), Buffer.from('def')]);
    const found: Buffer[] = [];
    new FrameSplitter(10).push(stream, (frame) => found.push(frame));
    expect(found.map((frame) => frame.buffer === stream.buffer)).toEqual([true, true]);
  });

  test.each([
    ['over the limit', '00000065'],
    ['negative', '80000000'],
    ['HTTP', Buffer.from('GET / HTTP/1.1').toString('hex')],
  ])('a size that is %s is refused before anything is kept', (_, bytes) => {
    for (const step of [1, 4, 100]) {
      const splitter = new FrameSplitter(100);
      const stream = hex(bytes);
      expect(
        codeOf(() => {
          for (let at = 0; at < stream.length; at += step) {
            splitter.push(Buffer.from(stream.subarray(at, at + step)), () =>
              expect.fail('a frame'),
            );
          }
        }),
      ).toBe('ML_WIRE_MALFORMED');
    }
  });

  test('a bad size after a good frame: the good one is delivered first', () => {
    const found: Buffer[] = [];
    const stream = Buffer.concat([framed([Buffer.from('abc')]), hex('7fffffff 00')]);
    const code = codeOf(() => new FrameSplitter(100).push(stream, (frame) => found.push(frame)));
    expect(code).toBe('ML_WIRE_MALFORMED');
    expect(found).toEqual([Buffer.from('abc')]);
  });

  test('memory follows what has arrived, not what was announced', () => {
    const splitter = new FrameSplitter(1 << 30);
    const before = process.memoryUsage().arrayBuffers;
    splitter.push(hex('3fffffff 0102'), () => expect.fail('a frame'));
    for (let index = 0; index < 1000; index++) {
      splitter.push(Buffer.alloc(10), () => expect.fail('a frame'));
    }
    expect(splitter.bufferedBytes).toBe(10_006);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
  });
});
