import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CLI_LINE_BYTES_MAX } from '../core/limits.ts';
import { linesOf } from './lines.ts';

async function collect(chunks: readonly Buffer[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const some of linesOf(stream(chunks)))
    lines.push(...some.map((line) => line.toString('latin1')));
  return lines;
}

async function* stream(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

test('lines are those of the text, however it is cut into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: fc.constantFrom('a', '\n', 'é', '\r') }),
      fc.array(fc.nat(20)),
      async (text, cuts) => {
        const bytes = Buffer.from(text, 'latin1');
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b),
          bytes.length,
        ];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        const expected = text.split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(await collect(chunks)).toEqual(expected);
      },
    ),
  );
});

test('a line above the limit is refused, with its number', async () => {
  const chunks = [Buffer.from('fine\n'), Buffer.alloc(CLI_LINE_BYTES_MAX), Buffer.from('xx')];
  await expect(collect(chunks)).rejects.toThrow('line 2');
});
