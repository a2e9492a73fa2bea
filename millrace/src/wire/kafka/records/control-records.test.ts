import { expect, test } from 'vitest';
import { encodeEndTransactionMarker, readEndTransactionMarker } from './control-records.ts';
import * as batch from './record-batch.ts';
import { encodeBatch } from './record-batch-builder.ts';
import { readRecords } from './record-reader.ts';
import { retainRecords } from './retain-records.ts';

const MARKER = { producerId: 9, producerEpoch: 2, commit: true, coordinatorEpoch: 40 };

test('a marker is one control record in a transactional batch without a sequence number', () => {
  const bytes = encodeEndTransactionMarker(MARKER, { timestampMs: 1234 });
  expect(batch.checkProducedBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_OK);
  expect(batch.attributes(bytes, 0)).toBe(0x30);
  expect(batch.baseSequence(bytes, 0)).toBe(-1);
  expect(batch.producerId(bytes, 0)).toBe(9);
  expect(batch.producerEpoch(bytes, 0)).toBe(2);
  const records = readRecords(bytes);
  expect(records).toHaveLength(1);
  expect(records[0]?.timestamp).toBe(1234);
  expect(records[0]?.key?.toString('hex')).toBe('00000001');
  expect(records[0]?.value?.toString('hex')).toBe('000000000028');
});

test('commit and abort come back as they went in', () => {
  for (const commit of [true, false]) {
    const bytes = encodeEndTransactionMarker({ ...MARKER, commit }, { timestampMs: 0 });
    const buffer = Buffer.concat([Buffer.alloc(5), bytes]);
    expect(readEndTransactionMarker(buffer, 5, buffer.length)).toEqual({ ...MARKER, commit });
  }
});

test('what is not a marker is not taken for one', () => {
  const key = Buffer.from('00000001', 'hex');
  const value = Buffer.from('000000000028', 'hex');
  const read = (record: object, control = true) => {
    const bytes = encodeBatch([{ timestamp: 0, key, value, ...record }], { control });
    return readEndTransactionMarker(bytes, 0, bytes.length);
  };
  expect(read({})).toEqual({
    commit: true,
    coordinatorEpoch: 40,
    producerId: -1,
    producerEpoch: -1,
  });
  expect(read({}, false)).toBeUndefined();
  expect(read({ key: Buffer.from('00000002', 'hex') })).toBeUndefined();
  expect(read({ key: Buffer.from('ffff0001', 'hex') })).toBeUndefined();
  expect(read({ key: Buffer.from('0000', 'hex') })).toBeUndefined();
  expect(read({ key: null })).toBeUndefined();
  expect(read({ value: null })).toBeUndefined();
  expect(read({ value: Buffer.alloc(5) })).toBeUndefined();
});

test('later versions, which add fields at the end, are read', () => {
  const key = Buffer.from('0001000000aa', 'hex');
  const value = Buffer.from('0001000000070000', 'hex');
  const bytes = encodeBatch([{ timestamp: 0, key, value }], { control: true });
  expect(readEndTransactionMarker(bytes, 0, bytes.length)).toMatchObject({
    commit: false,
    coordinatorEpoch: 7,
  });
});

test('a marker that compaction has emptied is none', () => {
  const bytes = encodeEndTransactionMarker(MARKER, { timestampMs: 0 });
  const empty = retainRecords(bytes, 0, () => false);
  expect(readEndTransactionMarker(empty, 0, empty.length)).toBeUndefined();
  expect(batch.isControl(batch.attributes(empty, 0))).toBe(true);
});
