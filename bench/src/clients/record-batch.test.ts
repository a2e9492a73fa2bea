import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  emptyContent,
  encodeBatch,
  forEachValue,
  readBatches,
  skipBatches,
} from './record-batch.ts';
import { WireReader, WireWriter } from './wire-codec.ts';

const values = fc.array(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { minLength: 1, maxLength: 20 },
);

/** Gives a batch its place in the log, as a broker does. */
function placed(batch: Buffer, baseOffset: number): Buffer {
  const copy = Buffer.from(batch);
  copy.writeBigInt64BE(BigInt(baseOffset), 0);
  return copy;
}

test('what was encoded is read again, record by record', () => {
  fc.assert(
    fc.property(values, (sent) => {
      const got: Buffer[] = [];
      const next = forEachValue(encodeBatch(sent, 1), 0, (value) => got.push(value));
      expect(got).toEqual(sent);
      expect(next).toBe(sent.length);
    }),
  );
});

test('only records from the offset on count, and a cut batch at the end is left for the next fetch', () => {
  const batch = encodeBatch([Buffer.from('a'), Buffer.from('b')], 1);
  const log = Buffer.concat([placed(batch, 10), placed(batch, 12)]);
  const content = emptyContent();
  expect(readBatches(log.subarray(0, log.length - 1), 11, content)).toBe(12);
  expect(content).toMatchObject({ recordCount: 1, valueBytes: 1 });
  expect(skipBatches(log.subarray(0, log.length - 1), 11)).toBe(12);
  expect(skipBatches(log, 11)).toBe(14);
});

test('a flipped bit is seen', () => {
  const batch = encodeBatch([Buffer.from('some value')], 1);
  batch[batch.length - 3] = (batch[batch.length - 3] ?? 0) ^ 1;
  expect(() => readBatches(batch, 0, emptyContent())).toThrow('wrong CRC');
});

test('the checksum does not depend on the order, and does depend on the bytes', () => {
  const checksum = (...texts: readonly string[]): number => {
    const content = emptyContent();
    readBatches(
      encodeBatch(
        texts.map((text) => Buffer.from(text)),
        1,
      ),
      0,
      content,
    );
    return content.checksum;
  };
  expect(checksum('one', 'two')).toBe(checksum('two', 'one'));
  expect(checksum('one', 'two')).not.toBe(checksum('one', 'twp'));
});

test('integers survive the protocol', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.integer(), (long, int) => {
      const reader = new WireReader(new WireWriter().int64(long).varint(int).int32(int).finish());
      expect([reader.int64(), reader.varint(), reader.int32()]).toEqual([long, int, int]);
    }),
  );
});
