import { expect, test } from 'vitest';
import { EXCHANGE_SHARE_BYTES_MIN } from '../../../core/limits.ts';
import { divideMemory, type TaskParts } from './memory.ts';

const MIB = 1024 * 1024;

function total(parts: TaskParts): number {
  const { broadcast, reader, root, exit } = divideMemory(64 * MIB, parts);
  return broadcast * parts.broadcasts + reader * parts.readers + root + exit * parts.exits;
}

test('all parts of a task together have its memory', () => {
  for (const broadcasts of [0, 1, 3])
    for (const root of ['nothing', 'join', 'iteration'] as const)
      for (const readers of root === 'join' ? [2] : root === 'iteration' ? [0] : [0, 1])
        for (const exits of [0, 1, 5]) {
          if (broadcasts + readers + exits === 0 && root === 'nothing') continue;
          const used = total({ broadcasts, readers, root, exits });
          expect(used).toBeLessThanOrEqual(64 * MIB);
          const isAllUsed = readers + exits > 0 || root !== 'nothing';
          expect(used).toBeGreaterThan(isAllUsed ? 63.9 * MIB : 31.9 * MIB);
        }
});

test('a task that only reads splits and writes one exchange has it all there', () => {
  expect(divideMemory(64 * MIB, { broadcasts: 0, readers: 0, root: 'nothing', exits: 1 })).toEqual({
    broadcast: 0,
    reader: 0,
    root: 0,
    exit: 64 * MIB,
  });
});

test('no part has less than it can work with', () => {
  const { reader, root, exit } = divideMemory(1, {
    broadcasts: 0,
    readers: 2,
    root: 'join',
    exits: 9,
  });
  expect([reader, root, exit]).toEqual([1, 1, 1].map(() => EXCHANGE_SHARE_BYTES_MIN));
});
