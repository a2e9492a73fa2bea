import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memory } from '../../../../test/exchange/exchange-harness.ts';
import {
  errorOf,
  memoryEnv,
  planContext,
  readContext,
} from '../../../../test/files/read-harness.ts';
import { linesSource } from '../../../connect/files/read-lines.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { decodeText } from '../../../core/text-escape.ts';
import { createExchangeWriter } from '../exchange/exchange-writer.ts';
import { createMergeReader } from '../exchange/merge-reader.ts';
import { LineSortInput, LineSortOutput } from './line-sort.ts';

interface Sizes {
  readonly splitBytes?: number;
  readonly chunkBytes?: number;
  readonly lineBytesMax?: number;
}

/** The lines of a file in the order of an exchange, as they are written. */
async function sorted(
  content: Buffer,
  { splitBytes = 1000, chunkBytes = 1000, lineBytesMax = 100_000 }: Sizes,
  skipped?: { error: Error; raw: string }[],
): Promise<{ readonly lines: string[]; readonly records: number; readonly bytes: number }> {
  const env = memoryEnv({ '/data/a.txt': content });
  const options = { env, splitBytes, ...(skipped && { skipped }) };
  const source = linesSource('a.txt', { lineBytesMax }, { chunkBytes });
  const { splits } = await source.plan(planContext(options));
  const storage = memory();
  const writer = createExchangeWriter({
    exchange: 0,
    partitions: 1,
    isSorted: true,
    sampleRecords: 16,
    memoryBytes: 64 * 1024,
    storage,
  });
  const input = new LineSortInput({ source, splits, context: readContext(options), writer });
  while (!(await input.read()));
  const { records, bytes } = input;
  await input.close();
  const { runs } = writer.finish();
  const segments = runs.flatMap((run) => run.segments);
  const read = { exchange: 0, partition: 0, runs: segments, range: undefined };
  const lines: string[] = [];
  const reader = createMergeReader({ read, storage, memoryBytes: 1 << 20 });
  const output = new LineSortOutput('sort', reader, (buffer, start, end) => {
    lines.push(buffer.toString('latin1', start, end));
    return lines.length % 7 !== 0;
  });
  while (!output.read());
  output.close();
  return { lines, records, bytes };
}

function keyOf(line: string): Buffer {
  const bytes = Buffer.from(line, 'latin1');
  const writer = new ByteWriter();
  encodeKey(decodeText(bytes, 0, bytes.length), writer);
  return writer.buffer.subarray(0, writer.length);
}

test('lines come out in the order of their keys, byte for byte', async () => {
  const line = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\0', 'é', '\xed\xa0\x80'), maxLength: 6 }),
    fc
      .string({ unit: 'grapheme', maxLength: 20 })
      .map((text) => Buffer.from(text).toString('latin1')),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        line.map((text) => text.replace(/[\r\n]/g, '')),
        { maxLength: 80 },
      ),
      fc.constantFrom('\n', '\r\n'),
      fc.record({
        splitBytes: fc.integer({ min: 1, max: 400 }),
        chunkBytes: fc.integer({ min: 1, max: 400 }),
      }),
      async (lines, end, sizes) => {
        const content = Buffer.from(lines.map((each) => each + end).join(''), 'latin1');
        const result = await sorted(content, sizes);
        expect(result.lines).toEqual(lines.toSorted((a, b) => Buffer.compare(keyOf(a), keyOf(b))));
        expect(result.records).toBe(lines.length);
        expect(result.bytes).toBe(content.length);
      },
    ),
    { numRuns: 200 },
  );
});

test('a last line without its end, and one that is long, are lines like others', async () => {
  const long = 'x'.repeat(50_000);
  const { lines } = await sorted(Buffer.from(`b\n${long}\n\na`), {});
  expect(lines).toEqual(['', 'a', 'b', long]);
});

test('a line longer than the limit is an error, or is left out', async () => {
  const content = Buffer.from('b\ntoolong\na\n');
  const sizes = { lineBytesMax: 3 };
  const error = await errorOf(sorted(content, sizes));
  expect([error.code, error.message]).toEqual([
    'ML_LINE_TOO_LONG',
    'a.txt:2: the line is longer than 3 bytes',
  ]);
  const skipped: { error: Error; raw: string }[] = [];
  const { lines, records } = await sorted(content, sizes, skipped);
  expect([lines, records]).toEqual([['a', 'b'], 2]);
  expect(skipped.map(({ raw }) => raw)).toEqual(['toolong\n']);
});
