import { expect, test } from 'vitest';
import { RecordBatchBuilder } from '../../wire/kafka/records/record-batch-builder.ts';
import {
  LAST_OFFSET_DELTA_AT,
  setBaseOffset,
  setCrc,
} from '../../wire/kafka/records/record-batch.ts';
import { firstGap } from './offset-gaps.ts';

/** A batch of so many records from an offset on; `last`: what compaction has left of one that ended there. */
function batch(from: number, records: number, last = from + records - 1): Buffer {
  const builder = new RecordBatchBuilder();
  for (let index = 0; index < records; index++) builder.append(0, null, Buffer.from('x'), []);
  const bytes = Buffer.from(builder.finish());
  setBaseOffset(bytes, 0, from);
  bytes.writeInt32BE(last - from, LAST_OFFSET_DELTA_AT);
  setCrc(bytes, 0);
  return bytes;
}

test.each<[string, Buffer[], number, number | undefined]>([
  ['nothing', [], 7, undefined],
  ['all of it', [batch(0, 3), batch(3, 1)], 0, undefined],
  ['all of it, from within a batch', [batch(0, 3), batch(3, 1)], 2, undefined],
  ['a log that begins later', [batch(5, 3)], 3, 3],
  ['a batch that is gone', [batch(0, 3), batch(5, 1)], 0, 3],
  ['a record that is gone', [batch(0, 3), batch(3, 2, 5)], 0, 3],
  ['a record that is gone before', [batch(0, 2, 2), batch(3, 1)], 3, undefined],
  ['a batch that is cut off', [batch(0, 3), batch(9, 3).subarray(0, 20)], 0, undefined],
])('%s', (_name, batches, from, gap) => {
  expect(firstGap({ bytes: Buffer.concat(batches) }, from)).toBe(gap);
});
