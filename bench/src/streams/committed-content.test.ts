import { crc32c } from '@node-rs/crc32';
import { expect, test } from 'vitest';
import { forEachValue } from '../clients/record-batch.ts';
import { CommittedRows } from './committed-content.ts';
import { StreamBatch } from './stream-batch.ts';

const TRANSACTIONAL = 0b1_0000;
const CONTROL = 0b10_0000;

function batch(
  offset: number,
  records: readonly (readonly [key: string | null, value: string])[],
  of: { readonly producer?: number; readonly attributes?: number } = {},
): Buffer {
  const made = new StreamBatch(1 << 16);
  for (const [key, value] of records) made.add(key, value, 1_700_000_000_000 + offset);
  const bytes = made.finish(crc32c);
  bytes.writeBigInt64BE(BigInt(offset), 0);
  bytes.writeInt16BE(of.attributes ?? 0, 21);
  bytes.writeBigInt64BE(BigInt(of.producer ?? -1), 43);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

/** Version 0, type 0 or 1. */
function marker(offset: number, producer: number, isCommit: boolean): Buffer {
  const key = `\0\0\0${isCommit ? '\x01' : '\0'}`;
  return batch(offset, [[key, '']], { producer, attributes: TRANSACTIONAL | CONTROL });
}

test('a batch that was filled holds its records, whatever their times are', () => {
  const made = new StreamBatch(1 << 16);
  made.add('key', 'value', 5_000_000_000);
  made.add(null, 'x'.repeat(300), 7);
  const seen: string[] = [];
  forEachValue(
    made.finish(crc32c),
    0,
    (value, key) => void seen.push(`${key.toString()}=${value.toString()}`),
  );
  expect(seen).toEqual(['key=value', `=${'x'.repeat(300)}`]);
  expect(made.count).toBe(0);
});

test('records of a transaction are seen when it has committed, those of another never', () => {
  const seen: string[] = [];
  const rows = new CommittedRows((value) => void seen.push(value.toString()));
  const at = { attributes: TRANSACTIONAL };
  rows.take(
    Buffer.concat([
      batch(0, [[null, 'plain']]),
      batch(1, [[null, 'a']], { ...at, producer: 1 }),
      batch(2, [[null, 'b']], { ...at, producer: 2 }),
      marker(3, 2, false),
    ]),
  );
  expect(seen).toEqual(['plain']);
  rows.take(batch(2, [[null, 'again']], { ...at, producer: 2 }));
  rows.take(Buffer.concat([batch(4, [[null, 'c']], { ...at, producer: 1 }), marker(5, 1, true)]));
  expect(seen).toEqual(['plain', 'a', 'c']);
  expect(rows.offset).toBe(6);
});
