import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LaneMemory } from './lane-memory.ts';
import { assembleModule } from './wasm-assembler.ts';
import { compileModule, connectModule } from './wasm-host.ts';
import { type WordKind, wordsFunction } from './words-kernel.ts';

const ROWS = 64;

/** The words of text[from, to), found by calling the kernel until it is through. */
function wordsOf(of: WordKind, text: string, from: number, to: number): string[] {
  const memory = new LaneMemory();
  const next = memory.reserve(8);
  const ranges = memory.reserve(ROWS * 8);
  const window = memory.region();
  memory.resize(window, text.length);
  const module = compileModule(assembleModule([wordsFunction(of, ranges, next)]));
  const { words: kernel } = connectModule(module, memory.memory);
  if (kernel === undefined) throw new Error('no kernel');
  memory.buffer.fill('words behind the end', window.start);
  memory.buffer.write(text, window.start, 'latin1');
  const found: string[] = [];
  const end = window.start + to;
  for (let at = window.start + from; at < end; at = memory.i32[next >> 2] ?? end) {
    const count = kernel(at, end, ROWS, 0);
    expect(count).toBeLessThanOrEqual(ROWS);
    for (let row = 0; row < count; row++) {
      const index = (ranges >> 2) + row * 2;
      found.push(memory.buffer.latin1Slice(memory.i32[index], memory.i32[index + 1]));
    }
  }
  return found;
}

const sparse = fc
  .array(
    fc.oneof(
      fc.constantFrom('a', 'Z', '@', '[', '`', '{', 'é', 'á', ' ', '\t', '\r\n', '\v', '\f', '\b'),
      fc.constantFrom('\0', '\x0e', '\x1f', '\xa0', '\x85', '!'),
      fc.nat(300).map((length) => 'w'.repeat(length)),
      fc.nat(90).map((length) => ' '.repeat(length)),
    ),
    { maxLength: 150 },
  )
  .map((parts) => parts.join(''));

/** More words than there is room for, so that the kernel stops in the middle of one. */
const dense = fc.string({ unit: fc.constantFrom('a', 'bcd', ' '), maxLength: 900, size: 'max' });
const text = fc.oneof(sparse, dense);

test.each([
  ['letters', /[A-Za-z]+/g],
  ['blanks', /[^ \t\n\v\f\r]+/g],
] as const)('the words of kind %s are those of a regular expression', (of, pattern) => {
  fc.assert(
    fc.property(text, fc.nat(200), fc.nat(200), (content, skipped, cut) => {
      const from = Math.min(skipped, content.length);
      const to = Math.max(from, content.length - cut);
      expect(wordsOf(of, content, from, to)).toEqual(content.slice(from, to).match(pattern) ?? []);
    }),
    { numRuns: 300 },
  );
});
