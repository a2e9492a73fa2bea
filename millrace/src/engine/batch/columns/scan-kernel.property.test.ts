import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LaneMemory } from './lane-memory.ts';
import { QUOTED, scanFunction, type ScanShape } from './scan-kernel.ts';
import { assembleModule } from './wasm-assembler.ts';
import { compileModule, connectModule } from './wasm-host.ts';

const ROWS = 8;
const SPACE = 0x20;
const QUOTE = 0x22;

interface Found {
  readonly rows: string[];
  readonly fields: string[][];
  readonly flags: number[];
  readonly consumed: number;
}

/** Runs the kernel over text that ends in LF, a few rows at a time. */
function scan(
  text: string,
  positions: readonly number[],
  shape: Pick<ScanShape, 'isRepeatable' | 'quote'>,
): Found {
  const memory = new LaneMemory();
  const next = memory.reserve(8);
  const rows = memory.reserve(ROWS * 8);
  const flags = shape.quote < 0 ? 0 : memory.reserve(ROWS * 4);
  const fields = positions.map((position) => ({ position, ranges: memory.reserve(ROWS * 8) }));
  const window = memory.region();
  memory.resize(window, text.length + 64);
  const whole: ScanShape = { separator: SPACE, rows, flags, next, fields, ...shape };
  const { scan: kernel } = connectModule(
    compileModule(assembleModule([scanFunction(whole)])),
    memory.memory,
  );
  if (kernel === undefined) throw new Error('no kernel');
  // Bytes of other data behind the end must not matter.
  memory.buffer.fill('a "\n', window.start);
  memory.buffer.write(text, window.start, 'latin1');
  const end = window.start + text.length;
  const found: Found = { rows: [], fields: [], flags: [], consumed: 0 };
  let at = window.start;
  const textAt = (address: number, row: number): string => {
    const index = (address >> 2) + row * 2;
    return memory.buffer.latin1Slice(memory.i32[index], memory.i32[index + 1]);
  };
  while (at < end) {
    const count = kernel(at, end, ROWS);
    for (let row = 0; row < count; row++) {
      found.rows.push(textAt(rows, row));
      found.fields.push(fields.map(({ ranges }) => textAt(ranges, row)));
      if (flags !== 0) found.flags.push(memory.i32[(flags >> 2) + row] ?? 0);
    }
    const before = at;
    at = memory.i32[next >> 2] ?? 0;
    if (at === before) break;
  }
  return { ...found, consumed: at - window.start };
}

const positions = fc
  .uniqueArray(fc.nat(12), { maxLength: 4 })
  .map((list) => list.sort((a, b) => a - b));
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(' ', ' ', '\n', '\r\n', '\r', 'a', 'bc', 'é') },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 200 }).map((length) => 'x'.repeat(length)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 70 }).map((length) => ' '.repeat(length)) },
);
const text = fc.array(piece, { maxLength: 120 }).map((pieces) => `${pieces.join('')}\n`);

function linesOf(content: string): string[] {
  return content
    .slice(0, -1)
    .split('\n')
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
}

test('rows and fields are those of String.split', () => {
  fc.assert(
    fc.property(text, positions, (content, wanted) => {
      const found = scan(content, wanted, { isRepeatable: false, quote: -1 });
      const lines = linesOf(content);
      expect(found.rows).toEqual(lines);
      expect(found.fields).toEqual(
        lines.map((line) => wanted.map((position) => line.split(' ')[position] ?? '')),
      );
      expect(found.consumed).toBe(content.length);
    }),
    { numRuns: 300 },
  );
});

test('repeated separators count as one, and separate nothing at the ends of a line', () => {
  fc.assert(
    fc.property(text, positions, (content, wanted) => {
      const found = scan(content, wanted, { isRepeatable: true, quote: -1 });
      const lines = linesOf(content);
      const fields = lines.map((line) => line.split(' ').filter((field) => field !== ''));
      expect(found.rows).toEqual(lines);
      expect(found.fields).toEqual(
        fields.map((list) => wanted.map((position) => list[position] ?? '')),
      );
    }),
    { numRuns: 300 },
  );
});

test('between quotes separators and line ends are text; empty rows are left out', () => {
  const quoted = fc
    .array(fc.oneof(piece, fc.constant('"'), fc.constant('"a b\nc"')), { maxLength: 80 })
    .map((pieces) => `${pieces.join('')}\n`);
  fc.assert(
    fc.property(quoted, positions, (content, wanted) => {
      const found = scan(content, wanted, { isRepeatable: false, quote: QUOTE });
      const { rows, consumed } = quotedRows(content);
      expect(found.rows).toEqual(rows.map((fields) => fields.join(' ')));
      expect(found.fields).toEqual(
        rows.map((fields) => wanted.map((position) => fields[position] ?? '')),
      );
      expect(found.flags).toEqual(
        rows.map((fields) => (fields.length - 1) | (fields.join(' ').includes('"') ? QUOTED : 0)),
      );
      expect(found.consumed).toBe(consumed);
    }),
    { numRuns: 300 },
  );
});

/** Byte by byte; rows as their raw fields. */
function quotedRows(content: string): { rows: string[][]; consumed: number } {
  const rows: string[][] = [];
  let fields = [''];
  let isInside = false;
  let consumed = 0;
  for (const [index, byte] of content.split('').entries()) {
    if (byte === '"') isInside = !isInside;
    if (byte === '\n' && !isInside) {
      fields.push((fields.pop() ?? '').replace(/\r$/, ''));
      if (fields.length > 1 || fields[0] !== '') rows.push(fields);
      fields = [''];
      consumed = index + 1;
    } else if (byte === ' ' && !isInside) fields.push('');
    else fields.push((fields.pop() ?? '') + byte);
  }
  return { rows, consumed };
}
