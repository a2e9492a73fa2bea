import { expect, test } from 'vitest';
import { ByteWriter } from './byte-writer.ts';
import { encodeKey } from './key-codec.ts';
import { partitionOfKey } from './key-partition.ts';
import { partitionOf } from './murmur2.ts';

test('a string is in the partition where a client of Kafka puts it', () => {
  for (const text of [
    '',
    'a',
    '21',
    'foobar',
    'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8',
    'é\0',
  ]) {
    const writer = new ByteWriter();
    writer.byte(7);
    encodeKey(text, writer);
    expect(partitionOfKey(writer.buffer, 1, writer.length, 12)).toBe(
      partitionOf(Buffer.from(text), 12),
    );
  }
});
