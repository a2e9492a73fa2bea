import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { compressionsAlgorithms } from '@platformatic/kafka';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  RECORDS_DECOMPRESSED_BYTES_FREE,
  RECORDS_DECOMPRESSED_BYTES_MAX,
  RECORDS_DECOMPRESSION_RATIO_MAX,
} from '../../../core/limits.ts';
import {
  COMPRESSIONS,
  compress,
  compressionId,
  compressionName,
  decompress,
  decompressedBytesMax,
} from './compression.ts';
import { xxhash32 } from './xxhash32.ts';

const CODECS = COMPRESSIONS.filter((name) => name !== 'none');
const MIB = 1024 * 1024;
const BAD = expect.objectContaining({ code: 'ML_RECORDS_MALFORMED' });
const TOO_LARGE = expect.objectContaining({ code: 'ML_RECORDS_TOO_LARGE' });

const require = createRequire(import.meta.url);
const snappy = require('snappy') as { compressSync(input: Buffer): Buffer };
const lz4 = require('lz4-napi') as { decompressFrameSync(input: Buffer): Buffer };

/** Text, noise and long runs: what compresses well, not at all, and absurdly. */
const contents = fc
  .array(
    fc.oneof(
      fc.string({ maxLength: 200 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 3000, size: 'max' }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(fc.nat(255), fc.nat(90_000)).map(([byte, size]) => Buffer.alloc(size, byte)),
      fc
        .tuple(fc.string({ minLength: 1, maxLength: 30 }), fc.nat(2000))
        .map(([text, times]) => Buffer.from(text.repeat(times))),
    ),
    { maxLength: 5 },
  )
  .map((parts) => Buffer.concat(parts));

test('codecs have the numbers of Kafka', () => {
  expect(COMPRESSIONS.map(compressionId)).toEqual([0, 1, 2, 3, 4]);
  expect([0, 1, 2, 3, 4].map(compressionName)).toEqual(['none', 'gzip', 'snappy', 'lz4', 'zstd']);
  for (const id of [5, 6, 7, -1]) expect(() => compressionName(id)).toThrow(BAD);
});

describe.each(CODECS)('%s', (codec) => {
  test('gives back what went in, and is not larger than its input by much', () => {
    fc.assert(
      fc.property(contents, (input) => {
        const compressed = compress(codec, input);
        expect(compressed.length).toBeLessThan(input.length * 1.02 + 64);
        const output = decompress(codec, compressed, Math.max(input.length, 1));
        expect(output.equals(input)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('agrees both ways with @platformatic/kafka', () => {
    fc.assert(
      fc.property(
        contents.filter((input) => input.length > 0),
        (input) => {
          const foreign = compressionsAlgorithms[codec];
          const theirs = Buffer.from(foreign.compressSync(input));
          expect(decompress(codec, theirs, 10 * MIB).equals(input)).toBe(true);
          expect(Buffer.from(foreign.decompressSync(compress(codec, input))).equals(input)).toBe(
            true,
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test('stops at its bound exactly', () => {
    for (const size of [2, 100, 65_536, 300_001]) {
      const input = Buffer.alloc(size, 'some text that repeats ');
      const compressed = compress(codec, input);
      expect(decompress(codec, compressed, size).equals(input)).toBe(true);
      expect(() => decompress(codec, compressed, size - 1)).toThrow(TOO_LARGE);
    }
  });

  test('a bomb costs no more memory than its bound allows', () => {
    const bomb = compress(codec, Buffer.alloc(64 * MIB));
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decompress(codec, bomb, MIB)).toThrow(TOO_LARGE);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * MIB);
  });

  test('every cut of its output is refused', () => {
    const compressed = compress(
      codec,
      Buffer.from('a few words, a few words and a few more words'),
    );
    for (let cut = 0; cut < compressed.length; cut++) {
      // A framed Snappy stream may end after its header: that is an empty one.
      if (codec === 'snappy' && cut === 16) continue;
      expect(() => decompress(codec, compressed.subarray(0, cut), MIB)).toThrow(BAD);
    }
  });

  test('bytes behind its output are refused', () => {
    const compressed = compress(codec, Buffer.from('some text'));
    for (const behind of ['x', 'more than one byte of it'])
      expect(() =>
        decompress(codec, Buffer.concat([compressed, Buffer.from(behind)]), MIB),
      ).toThrow(BAD);
  });
});

test('streams one after the other are one, for the formats that say so', () => {
  const a = Buffer.from('first '.repeat(20_000));
  const b = Buffer.from('second '.repeat(20_000));
  const whole = Buffer.concat([a, b, a]);
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const parts = Buffer.concat([a, b, a].map((part) => compress(codec, part)));
    expect(decompress(codec, parts, whole.length).equals(whole)).toBe(true);
    expect(() => decompress(codec, parts, whole.length - 1)).toThrow(TOO_LARGE);
    expect(() => decompress(codec, parts, a.length)).toThrow(TOO_LARGE);
  }
});

test('small output may have any ratio, large output may not', () => {
  expect(decompressedBytesMax(10)).toBe(RECORDS_DECOMPRESSED_BYTES_FREE);
  const large = RECORDS_DECOMPRESSED_BYTES_FREE / RECORDS_DECOMPRESSION_RATIO_MAX + 1;
  expect(decompressedBytesMax(large)).toBe(large * RECORDS_DECOMPRESSION_RATIO_MAX);
  expect(decompressedBytesMax(2 ** 30)).toBe(RECORDS_DECOMPRESSED_BYTES_MAX);
  expect(decompressedBytesMax(2 ** 30, 1000)).toBe(1000);
});

describe('snappy', () => {
  test('reads bare blocks, as librdkafka and others write them', () => {
    fc.assert(
      fc.property(contents, (input) => {
        const bare = snappy.compressSync(input);
        expect(decompress('snappy', bare, 10 * MIB).equals(input)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('writes the framing that the Java client reads', () => {
    const framed = compress('snappy', Buffer.alloc(40_000, 'text '));
    expect(framed.subarray(0, 16).toString('hex')).toBe('82534e41505059000000000100000001');
    const first = framed.readInt32BE(16);
    // Length of the first block once decompressed: 32 KiB as uvarint.
    expect(framed.subarray(20, 23).toString('hex')).toBe('808002');
    expect(framed.readInt32BE(20 + first) + 24 + first).toBe(framed.length);
  });

  test('a declared length that its bytes cannot become is refused before memory is taken', () => {
    const liar = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    const unbounded = Buffer.concat([
      Buffer.from([0x80, 0x80, 0x80, 0x40]),
      Buffer.alloc(20 * MIB),
    ]);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decompress('snappy', liar, 2 ** 32)).toThrow(/declares more than its bytes/);
    expect(() => decompress('snappy', unbounded, 64 * MIB)).toThrow(TOO_LARGE);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MIB);
  });

  test('an unknown framing version and impossible chunk lengths are refused', () => {
    const framed = compress('snappy', Buffer.from('text'));
    const newer = Buffer.from(framed);
    newer.writeInt32BE(2, 12);
    expect(() => decompress('snappy', newer, MIB)).toThrow(BAD);
    for (const length of [-1, -(2 ** 31), 2 ** 31 - 1, 1000]) {
      const wrong = Buffer.from(framed);
      wrong.writeInt32BE(length, 16);
      expect(() => decompress('snappy', wrong, MIB)).toThrow(BAD);
    }
  });
});

describe('lz4', () => {
  const FRAMES = JSON.parse(
    readFileSync(new URL('fixtures/lz4-frames.json', import.meta.url), 'utf8'),
  ) as Record<string, string>;
  const frame = (name: string): Buffer => Buffer.from(FRAMES[name] ?? '', 'base64');
  /** What the frames of the fixture hold: made by the reference command line tool 1.9.4 with one option each. */
  const content = Buffer.from(
    Array.from({ length: 12_000 }, (_, i) =>
      i % 200 === 0 ? `mark ${String(i).padStart(6, '0')} ` : '0123456789abcdef',
    ).join(''),
  );

  test.each(Object.keys(FRAMES).filter((name) => name !== 'legacy'))(
    'reads what the reference tool writes: %s',
    (name) => {
      expect(decompress('lz4', frame(name), content.length).equals(content)).toBe(true);
      expect(() => decompress('lz4', frame(name), content.length - 1)).toThrow(TOO_LARGE);
    },
  );

  test('refuses the legacy format of the reference tool', () => {
    expect(() => decompress('lz4', frame('legacy'), MIB)).toThrow(BAD);
  });

  test.each(['linked-all', 'block-checksums'])('sees flipped bits under checksums: %s', (name) => {
    const bytes = frame(name);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => decompress('lz4', damaged, MIB)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^ML_RECORDS_/) }),
      );
    }
  });

  test('passes over skippable frames', () => {
    const skippable = Buffer.concat([Buffer.from('572a4d1803000000', 'hex'), Buffer.from('abc')]);
    const bytes = Buffer.concat([skippable, frame('linked'), skippable]);
    expect(decompress('lz4', bytes, MIB).equals(content)).toBe(true);
    expect(() => decompress('lz4', bytes.subarray(0, -1), MIB)).toThrow(BAD);
  });

  test('writes independent blocks without sizes, which is all that the Java client reads', () => {
    for (const input of [content, Buffer.from('short'), Buffer.alloc(3 * MIB)]) {
      const written = compress('lz4', input);
      expect(written.readUInt32LE(0)).toBe(0x184d2204);
      expect(written.readUInt8(4)).toBe(0x60);
      expect(lz4.decompressFrameSync(written).equals(input)).toBe(true);
    }
  });

  test('a declared content size beyond the bound, or beyond reason, is refused before memory is taken', () => {
    const declare = (bytes: bigint): Buffer => {
      const damaged = frame('content-size');
      damaged.writeBigUInt64LE(bytes, 6);
      damaged.writeUInt8((xxhash32(damaged, 4, 14) >>> 8) & 255, 14);
      return damaged;
    };
    expect(decompress('lz4', declare(191_760n), MIB).equals(content)).toBe(true);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decompress('lz4', declare(2n ** 40n), MIB)).toThrow(TOO_LARGE);
    expect(() => decompress('lz4', declare(2n ** 30n), 2 ** 31)).toThrow(BAD);
    expect(() => decompress('lz4', declare(191_759n), MIB)).toThrow(BAD);
    expect(() => decompress('lz4', declare(191_761n), MIB)).toThrow(BAD);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MIB);
  });

  /** A frame of the given header bytes and blocks, with the header checksum that it needs. */
  function build(header: readonly number[], blocks: readonly Buffer[], stored = 0): Buffer {
    const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, ...header, 0]);
    head.writeUInt8((xxhash32(head, 4, head.length - 1) >>> 8) & 255, head.length - 1);
    const sized = blocks.flatMap((block) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE((block.length | stored) >>> 0);
      return [size, block];
    });
    return Buffer.concat([head, ...sized, Buffer.alloc(4)]);
  }

  /** A block that becomes `run` zero bytes, then `tail` more. */
  function zeros(run: number, tail: number): Buffer {
    const extra = run - 1 - 19;
    return Buffer.concat([
      Buffer.from([0x1f, 0x00, 0x01, 0x00]),
      Buffer.alloc(Math.floor(extra / 255), 255),
      Buffer.from([extra % 255, tail << 4]),
      Buffer.alloc(tail),
    ]);
  }

  test('blocks may not become larger than their frame declares', () => {
    const KIB_64 = 0x40;
    const MIB_4 = 0x70;
    const decode = (descriptor: number, block: Buffer, bytesMax = MIB) =>
      decompress('lz4', build([0x60, descriptor], [block]), bytesMax);
    expect(decode(MIB_4, zeros(300_000, 5))).toEqual(Buffer.alloc(300_005));
    expect(() => decode(KIB_64, zeros(300_000, 5))).toThrow(BAD);
    // Found before the output grows to what the caller would allow.
    expect(() => decode(KIB_64, zeros(300_000, 5), 100_000)).toThrow(BAD);
    expect(decode(KIB_64, zeros(65_531, 5))).toEqual(Buffer.alloc(65_536));
    expect(() => decode(KIB_64, zeros(65_532, 5))).toThrow(BAD);
    expect(() => decode(0x30, zeros(100, 5))).toThrow(BAD);
    const stored = (size: number) =>
      decompress('lz4', build([0x60, KIB_64], [Buffer.alloc(size)], 0x8000_0000), MIB);
    expect(stored(65_536)).toEqual(Buffer.alloc(65_536));
    expect(() => stored(65_537)).toThrow(BAD);
  });

  test('matches stay inside their block, or inside their frame when its blocks are linked', () => {
    const text = Buffer.from([0x50, ...Buffer.from('hello')]);
    // No literal, a match of four bytes five back, then five literals.
    const back = Buffer.from([0x00, 0x05, 0x00, 0x50, ...Buffer.from('world')]);
    const linked = build([0x40, 0x40], [text, back]);
    expect(decompress('lz4', linked, MIB).toString()).toBe('hellohellworld');
    expect(() => decompress('lz4', build([0x60, 0x40], [text, back]), MIB)).toThrow(BAD);
    const apart = Buffer.concat([build([0x40, 0x40], [text]), build([0x40, 0x40], [back])]);
    expect(() => decompress('lz4', apart, MIB)).toThrow(BAD);
    const nowhere = Buffer.from([0x50, ...Buffer.from('hello'), 0x00, 0x00, 0x50, 1, 2, 3, 4, 5]);
    expect(() => decompress('lz4', build([0x60, 0x40], [nowhere]), MIB)).toThrow(BAD);
  });

  test('headers of other versions, with reserved bits or with a dictionary are refused', () => {
    const text = Buffer.from([0x50, ...Buffer.from('hello')]);
    expect(decompress('lz4', build([0x60, 0x40], [text]), MIB).toString()).toBe('hello');
    for (const header of [
      [0x20, 0x40],
      [0xa0, 0x40],
      [0x62, 0x40],
      [0x60, 0xc0],
      [0x60, 0x41],
      [0x61, 0x40],
      [0x61, 0x40, 1, 0, 0, 0],
    ])
      expect(() => decompress('lz4', build(header, [text]), MIB)).toThrow(BAD);
  });
});

test('xxhash32 gives the numbers of its reference', () => {
  const hash = (text: string, seed = 0): number => {
    const bytes = Buffer.from(`..${text}.`);
    return xxhash32(bytes, 2, bytes.length - 1, seed);
  };
  expect(hash('')).toBe(0x02cc5d05);
  expect(hash('a')).toBe(0x550d7456);
  expect(hash('abc')).toBe(0x32d153ff);
  expect(hash('Nobody inspects the spammish repetition')).toBe(0xe2293b2f);
  expect(hash('', 0x9e3779b1)).toBe(0x36b78ae7);
  expect(() => xxhash32(Buffer.alloc(4), 0, 5)).toThrow(RangeError);
});

test('zstd frames may ask for a window of 128 MiB and no more', () => {
  // A frame header without content size: window descriptor (exponent, mantissa), then one raw empty last block.
  const frame = (windowLog: number): Buffer =>
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (windowLog - 10) << 3, 0x01, 0x00, 0x00]);
  expect(decompress('zstd', frame(27), MIB)).toHaveLength(0);
  expect(() => decompress('zstd', frame(28), MIB)).toThrow(BAD);
});

test('what other levels and checksums write is read', () => {
  const input = Buffer.from('levels and checksums '.repeat(5000));
  for (const level of [1, 9])
    expect(decompress('gzip', gzipSync(input, { level }), MIB)).toEqual(input);
  for (const level of [1, 22])
    expect(
      decompress('zstd', zstdCompressSync(input, { params: { 100: level, 201: 1 } }), MIB),
    ).toEqual(input);
});
