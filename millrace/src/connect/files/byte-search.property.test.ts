import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countByte, isOddCount } from './byte-search.ts';

test('counts a byte in any piece of a buffer, at any alignment', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200, max: 4 }),
      fc.nat(20),
      fc.nat(200),
      fc.nat(200),
      fc.nat(4),
      (array, shift, a, b, byte) => {
        const memory = Buffer.alloc(array.length + shift, byte);
        memory.set(array, shift);
        const buffer = memory.subarray(shift);
        const start = Math.min(a, b, buffer.length);
        const end = Math.min(Math.max(a, b), buffer.length);
        const count = buffer.subarray(start, end).filter((each) => each === byte).length;
        expect(countByte(buffer, start, end, byte)).toBe(count);
        expect(isOddCount(buffer, start, end, byte)).toBe(count % 2 === 1);
      },
    ),
    { numRuns: 2000 },
  );
});
