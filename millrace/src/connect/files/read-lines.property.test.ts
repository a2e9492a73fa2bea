import fc from 'fast-check';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../core/byte-writer.ts';
import { decodeText, encodeText } from '../../core/text-escape.ts';
import type { Env } from '../../core/env.ts';
import {
  errorOf,
  memoryEnv,
  planContext,
  readChunks,
  readContext,
  readRecords,
  readValues,
} from '../../../test/files/read-harness.ts';
import { linesSource } from './read-lines.ts';

const piece = fc.oneof(
  fc.constant('\n'),
  fc.constant('\r\n'),
  fc.constant('\r'),
  fc.string({ maxLength: 8 }),
  fc.constant('x'.repeat(700)),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
);
const bytes = fc.oneof(
  fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join(''))),
  fc
    .array(fc.oneof(fc.constant(10), fc.nat(255), fc.integer({ min: 0x80, max: 0xf5 })), {
      maxLength: 300,
    })
    .map((array) => Buffer.from(array)),
);
const sizes = fc.record({
  splitBytes: fc.integer({ min: 1, max: 400 }),
  chunkBytes: fc.integer({ min: 1, max: 900 }),
  readBytesMax: fc.integer({ min: 1, max: 300 }),
});

/** Splits at LF, byte by byte. */
function naiveLines(content: Buffer): Buffer[] {
  const isMarked = content.length >= 3 && content.readUIntBE(0, 3) === 0xefbbbf;
  const lines: Buffer[] = [];
  let line: number[] = [];
  for (const byte of content.subarray(isMarked ? 3 : 0)) {
    if (byte !== 10) {
      line.push(byte);
      continue;
    }
    lines.push(Buffer.from(line));
    line = [];
  }
  if (line.length > 0) lines.push(Buffer.from(line));
  return lines.map((each) => (each.at(-1) === 13 ? each.subarray(0, -1) : each));
}

function bytesOf(text: string): Buffer {
  const writer = new ByteWriter();
  encodeText(text, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

test('gives every line once, in order, with its bytes, however the file is cut and read', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, sizes, fc.nat(5), async (content, sizing, pause) => {
      const env = memoryEnv({ '/data/a.txt': content }, sizing);
      const lines = await readValues(linesSource('a.txt', {}, sizing), {
        env,
        splitBytes: sizing.splitBytes,
        pausesAfter: (record) => pause > 0 && record % pause === 0,
      });
      expect(lines.map(bytesOf)).toEqual(naiveLines(content));
    }),
    { numRuns: 400 },
  );
});

test('compressed files give the same lines, with the same positions, as one split', async () => {
  await fc.assert(
    fc.asyncProperty(
      bytes,
      sizes,
      fc.constantFrom(gzipSync, zstdCompressSync),
      fc.nat(100),
      async (content, sizing, compress, cut) => {
        // Two members, as `cat a.gz b.gz` makes them.
        const members = Buffer.concat([
          compress(content.subarray(0, cut)),
          compress(content.subarray(cut)),
        ]);
        const env = memoryEnv({ '/data/a.txt': content, '/data/a': members }, sizing);
        const plain = await readRecords(linesSource('a.txt', {}, sizing), { env });
        const records = await readRecords(linesSource('a', {}, sizing), {
          env,
          splitBytes: sizing.splitBytes,
        });
        const named = plain.map(({ value, position }) => ({
          value,
          position: position.replace('a.txt', 'a'),
          located: position.replace('a.txt', 'a'),
          split: 0,
        }));
        expect(records).toEqual(named);
      },
    ),
    { numRuns: 60 },
  );
});

test('positions and marks name the line', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, sizes, async (content, sizing) => {
      const env = memoryEnv({ '/data/a.txt': content }, sizing);
      const records = await readRecords(linesSource('a.txt', {}, sizing), {
        env,
        splitBytes: sizing.splitBytes,
      });
      for (const [index, { position, located }] of records.entries())
        expect([position, located]).toEqual([`a.txt:${index + 1}`, `a.txt:${index + 1}`]);
    }),
  );
});

test('chunks of bytes are whole lines, and all of them', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, sizes, async (content, sizing) => {
      const env = memoryEnv({ '/data/a.txt': content }, sizing);
      const chunks = await readChunks(linesSource('a.txt', {}, sizing), {
        env,
        splitBytes: sizing.splitBytes,
      });
      const isMarked = content.length >= 3 && content.readUIntBE(0, 3) === 0xefbbbf;
      expect(Buffer.concat(chunks.map((chunk) => chunk.bytes))).toEqual(
        content.subarray(isMarked ? 3 : 0),
      );
      for (const chunk of chunks.slice(0, -1)) expect(chunk.bytes.at(-1)).toBe(10);
      for (const chunk of chunks) expect(chunk.bytes.length).toBeGreaterThan(0);
    }),
  );
});

test('lines that are too long are told apart from all others, wherever chunks and splits end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(40), fc.constantFrom('\n', '\r\n')), { maxLength: 40 }),
      sizes,
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom('x', 'é'),
      async (shape, sizing, lineBytesMax, letter) => {
        const lines = shape.map(([length]) => letter.repeat(length));
        const content = Buffer.from(
          shape.map(([, end], index) => `${lines[index] ?? ''}${end}`).join(''),
        );
        const env = memoryEnv({ '/data/a.txt': content }, sizing);
        const skipped: { error: Error; raw: string }[] = [];
        const read = await readValues(linesSource('a.txt', { lineBytesMax }, sizing), {
          env,
          splitBytes: sizing.splitBytes,
          skipped,
        });
        const fits = (line: string): boolean => Buffer.byteLength(line) <= lineBytesMax;
        expect(read).toEqual(lines.filter(fits));
        const wrong = [...lines.entries()].filter(([, line]) => !fits(line));
        expect(skipped.map(({ error }) => error.message)).toEqual(
          wrong.map(
            ([index]) => `a.txt:${index + 1}: the line is longer than ${lineBytesMax} bytes`,
          ),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('text that is escaped turns back into its bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
      const buffer = Buffer.from(array);
      const text = decodeText(buffer, 0, buffer.length);
      expect(bytesOf(text)).toEqual(buffer);
      if (new TextDecoder().decode(array).isWellFormed() && !text.includes('\ufffd'))
        expect(text.isWellFormed()).toBe(Buffer.from(text).equals(buffer));
    }),
    { numRuns: 1000 },
  );
});

test('a line of just the longest length fits, wherever it is read in two', async () => {
  for (const end of ['\n', '\r\n', '', '\r'])
    for (let readBytesMax = 1; readBytesMax < 10; readBytesMax++)
      for (let chunkBytes = 1; chunkBytes < 12; chunkBytes++) {
        const env = memoryEnv({ '/data/a.txt': Buffer.from(`abcde${end}`) }, { readBytesMax });
        const source = linesSource('a.txt', { lineBytesMax: 5 }, { chunkBytes });
        expect(await readValues(source, { env })).toEqual(['abcde']);
      }
});

test('a line that is too long is told before it is read whole', async () => {
  let bytesRead = 0;
  const sizeBytes = 2 ** 40;
  const file = {
    size: () => sizeBytes,
    close: () => {},
    read: (buffer: Buffer, start: number, end: number) => {
      buffer.fill(0x78, start, end);
      bytesRead += end - start;
      return end - start;
    },
  };
  const { fs } = memoryEnv({ '/data/a.txt': Buffer.alloc(0) });
  const stat = (path: string): unknown => {
    const found = fs.stat(path);
    return found === undefined ? undefined : { ...found, sizeBytes };
  };
  const env = { fs: { ...fs, stat, open: () => file } } as unknown as Env;
  const source = linesSource('a.txt', { lineBytesMax: 1_000_000 });
  const { splits } = await source.plan(planContext({ env, splitBytes: 2 ** 41 }));
  const [split] = splits;
  if (split === undefined) throw new Error('no split');
  const reader = source.open(split, readContext({ env }));
  const error = await errorOf((async () => reader.read(() => true))());
  expect(error.code).toBe('ML_LINE_TOO_LONG');
  expect(error.fields).toEqual({ file: 'a.txt', position: 'a.txt:1', lineBytesMax: 1_000_000 });
  expect(bytesRead).toBeLessThan(3_000_000);
});
