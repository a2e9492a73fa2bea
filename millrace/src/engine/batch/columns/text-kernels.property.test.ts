import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connectKeyKernels } from './kernels.ts';
import { LaneMemory, NULL_END, NULL_START } from './lane-memory.ts';
import { TextPlaces } from './text-places.ts';
import { GivenText } from './vectors.ts';

test('the first occurrence of a part is found, and nothing behind the text', () => {
  const letters = fc.constantFrom('a', 'a', 'b', 'c');
  const text = fc.oneof(
    fc.constant(null),
    fc.string({ unit: letters, maxLength: 8 }),
    fc.string({ unit: letters, maxLength: 70 }),
  );
  fc.assert(
    fc.property(
      fc.array(text, { maxLength: 12 }),
      fc.string({ unit: letters, minLength: 1, maxLength: 20 }),
      (texts, part) => {
        const memory = new LaneMemory();
        const ranges = memory.reserve(12 * 8);
        const places = new TextPlaces(memory, connectKeyKernels(memory), Buffer.from(part));
        const window = memory.region();
        memory.resize(window, 1024);
        // What stands behind a text, and between two of them, would go on with an occurrence.
        memory.buffer.fill(part, window.start);
        let at = window.start;
        for (const [row, each] of texts.entries()) {
          const index = (ranges >> 2) + row * 2;
          memory.i32[index] = each === null ? NULL_START : at;
          memory.i32[index + 1] = each === null ? NULL_END : at + each.length;
          at += each === null ? 0 : memory.buffer.write(each, at) + 1;
        }
        places.find(new GivenText(ranges), texts.length);
        for (const [row, each] of texts.entries()) {
          const place = memory.i32[(places.places >> 2) + row] ?? -1;
          const start = memory.i32[(ranges >> 2) + row * 2] ?? 0;
          const found = each?.indexOf(part) ?? -1;
          expect(place).toBe(found < 0 ? 0 : start + found);
        }
      },
    ),
    { numRuns: 500 },
  );
});
