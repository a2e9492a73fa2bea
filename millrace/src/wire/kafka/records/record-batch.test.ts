import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RECORD_BATCH_BYTES_MAX } from '../../../core/limits.ts';
import {
  readInt16,
  readInt32,
  readInt64,
  writeInt16,
  writeInt32,
  writeInt64,
} from './big-endian.ts';
import { crc32c } from '../../../core/crc32c.ts';
import * as batch from './record-batch.ts';

interface Fields {
  readonly baseOffset: bigint;
  readonly length: number;
  readonly leaderEpoch: number;
  readonly magic: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: bigint;
  readonly maxTimestamp: bigint;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly records: Uint8Array;
}

const GOOD: Fields = {
  baseOffset: 5_000_000_000n,
  length: -1,
  leaderEpoch: 3,
  magic: 2,
  attributes: 0,
  lastOffsetDelta: 2,
  baseTimestamp: 1_700_000_000_000n,
  maxTimestamp: 1_700_000_000_009n,
  producerId: 77n,
  producerEpoch: 4,
  baseSequence: 12,
  recordCount: 3,
  records: Buffer.from('records'),
};

/** Writes the fields one after the other, in the order and sizes of KIP-98, without knowing our constants. */
function write(changes: Partial<Fields> = {}): Buffer {
  const fields = { ...GOOD, ...changes };
  const body = new DataView(new ArrayBuffer(40));
  body.setInt16(0, fields.attributes);
  body.setInt32(2, fields.lastOffsetDelta);
  body.setBigInt64(6, fields.baseTimestamp);
  body.setBigInt64(14, fields.maxTimestamp);
  body.setBigInt64(22, fields.producerId);
  body.setInt16(30, fields.producerEpoch);
  body.setInt32(32, fields.baseSequence);
  body.setInt32(36, fields.recordCount);
  const summed = Buffer.concat([new Uint8Array(body.buffer), fields.records]);
  const head = new DataView(new ArrayBuffer(21));
  head.setBigInt64(0, fields.baseOffset);
  head.setInt32(8, fields.length < 0 ? summed.length + 9 : fields.length);
  head.setInt32(12, fields.leaderEpoch);
  head.setInt8(16, fields.magic);
  head.setUint32(17, crc32c(summed, 0, summed.length));
  return Buffer.concat([new Uint8Array(head.buffer), summed]);
}

/** With bytes before and behind, so that a position that is not added shows. */
function embedded(bytes: Buffer): { buffer: Buffer; position: number; end: number } {
  const buffer = Buffer.concat([Buffer.alloc(7, 0xa5), bytes, Buffer.alloc(9, 0x5a)]);
  return { buffer, position: 7, end: 7 + bytes.length };
}

test('every field is read from its place', () => {
  const bytes = write();
  const { buffer, position } = embedded(bytes);
  expect(batch.baseOffset(buffer, position)).toBe(5_000_000_000);
  expect(batch.lastOffset(buffer, position)).toBe(5_000_000_002);
  expect(batch.batchLength(buffer, position)).toBe(bytes.length - 12);
  expect(batch.batchBytes(buffer, position)).toBe(bytes.length);
  expect(batch.leaderEpoch(buffer, position)).toBe(3);
  expect(batch.magic(buffer, position)).toBe(2);
  expect(batch.storedCrc(buffer, position)).toBe(bytes.readUInt32BE(17));
  expect(batch.attributes(buffer, position)).toBe(0);
  expect(batch.lastOffsetDelta(buffer, position)).toBe(2);
  expect(batch.baseTimestamp(buffer, position)).toBe(1_700_000_000_000);
  expect(batch.maxTimestamp(buffer, position)).toBe(1_700_000_000_009);
  expect(batch.producerId(buffer, position)).toBe(77);
  expect(batch.producerEpoch(buffer, position)).toBe(4);
  expect(batch.baseSequence(buffer, position)).toBe(12);
  expect(batch.lastSequence(buffer, position)).toBe(14);
  expect(batch.recordCount(buffer, position)).toBe(3);
});

test('absent values are -1', () => {
  const bytes = write({ producerId: -1n, baseTimestamp: -1n, producerEpoch: -1, baseSequence: -1 });
  expect(batch.producerId(bytes, 0)).toBe(-1);
  expect(batch.baseTimestamp(bytes, 0)).toBe(-1);
  expect(batch.producerEpoch(bytes, 0)).toBe(-1);
  expect(batch.baseSequence(bytes, 0)).toBe(-1);
  expect(batch.lastSequence(bytes, 0)).toBe(-1);
});

test('every safe integer survives its 64-bit form', () => {
  const edges = [0, -1, 2 ** 32, -(2 ** 32), 2 ** 32 - 1, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 31];
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...edges)), (value) => {
      const buffer = Buffer.alloc(10);
      writeInt64(buffer, 1, value);
      expect(buffer.readBigInt64BE(1)).toBe(BigInt(value));
      expect(readInt64(buffer, 1)).toBe(value);
    }),
  );
});

test('16 and 32 bit integers are those of Buffer, and stay inside', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const buffer = Buffer.alloc(6, 0xee);
      const short = (value << 16) >> 16;
      writeInt16(buffer, 1, short);
      expect([buffer.readInt16BE(1), readInt16(buffer, 1)]).toEqual([short, short]);
      writeInt32(buffer, 2, value);
      expect([buffer.readInt32BE(2), readInt32(buffer, 2)]).toEqual([value, value]);
      writeInt32(buffer, 2, value >>> 0);
      expect(buffer.readInt32BE(2)).toBe(value);
      expect(buffer[0]).toBe(0xee);
    }),
  );
  const buffer = Buffer.alloc(4);
  for (const position of [-1, 1, 4, Number.NaN]) {
    expect(() => readInt32(buffer, position)).toThrow(RangeError);
    expect(() => writeInt32(buffer, position, 7)).toThrow(RangeError);
    expect(() => readInt16(buffer, position * 3)).toThrow(RangeError);
    expect(() => writeInt16(buffer, position * 3, 7)).toThrow(RangeError);
    expect(() => readInt64(buffer, position)).toThrow(RangeError);
    expect(() => writeInt64(buffer, position, 7)).toThrow(RangeError);
  }
});

test('sequence numbers wrap from 2^31-1 to 0', () => {
  expect(batch.addSequence(2 ** 31 - 1, 1)).toBe(0);
  expect(batch.addSequence(2 ** 31 - 2, 1)).toBe(2 ** 31 - 1);
  expect(batch.lastSequence(write({ baseSequence: 2 ** 31 - 1 }), 0)).toBe(1);
});

test('attributes are told apart', () => {
  const helpers = {
    0x08: batch.isAppendTime,
    0x10: batch.isTransactional,
    0x20: batch.isControl,
    0x40: batch.hasDeleteHorizon,
  };
  for (const [flag, helper] of Object.entries(helpers)) {
    expect(helper(Number(flag))).toBe(true);
    expect(helper(0x7f & ~Number(flag))).toBe(false);
  }
  expect(batch.compressionOf(0x7c)).toBe(4);
});

test('the delete horizon is the base timestamp when its flag is set', () => {
  expect(batch.deleteHorizon(write(), 0)).toBe(-1);
  expect(batch.deleteHorizon(write({ attributes: 0x40 }), 0)).toBe(1_700_000_000_000);
});

describe('checkBatch', () => {
  function check(changes: Partial<Fields>): string {
    const { buffer, position, end } = embedded(write(changes));
    return batch.batchCheckText(batch.checkBatch(buffer, position, end));
  }

  test('accepts a good batch among other bytes', () => {
    expect(check({})).toBe('ok');
    expect(check({ attributes: 0x7c })).toBe('ok');
  });

  test('says incomplete for every shorter piece of a good batch', () => {
    const { buffer, position, end } = embedded(write());
    for (let cut = position; cut < end; cut++)
      expect(batch.checkBatch(buffer, position, cut), `${cut}`).toBe(batch.BATCH_INCOMPLETE);
  });

  test('refuses lengths that cannot be, before waiting for the bytes', () => {
    const codes = [0, 48, -5, RECORD_BATCH_BYTES_MAX - 11, 2 ** 31 - 1].map((length) => {
      const bytes = write();
      bytes.writeInt32BE(length, 8);
      return batch.checkBatch(bytes, 0, bytes.length);
    });
    expect(codes).toEqual(Array(5).fill(batch.BATCH_BAD_LENGTH));
    const bytes = write();
    bytes.writeInt32BE(RECORD_BATCH_BYTES_MAX - 12, 8);
    expect(batch.checkBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_INCOMPLETE);
  });

  test('names old formats, and unknown ones', () => {
    expect(check({ magic: 0 })).toMatch(/format 0 or 1/);
    expect(check({ magic: 1 })).toMatch(/format 0 or 1/);
    expect(check({ magic: 3 })).toMatch(/unknown format/);
    expect(check({ magic: -1 })).toMatch(/unknown format/);
  });

  test('an old message is named even when it is shorter than a header of ours', () => {
    const message = Buffer.alloc(26);
    message.writeInt32BE(14, 8);
    message.writeInt8(1, 16);
    expect(batch.checkBatch(message, 0, message.length)).toBe(batch.BATCH_LEGACY_MAGIC);
  });

  test('sees every flipped bit under the CRC, and in the CRC', () => {
    const bytes = write();
    for (let bit = 17 * 8; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(batch.checkBatch(damaged, 0, damaged.length), `${bit}`).toBe(batch.BATCH_BAD_CRC);
    }
  });

  test('refuses codecs that do not exist', () => {
    for (const codec of [5, 6, 7]) expect(check({ attributes: codec })).toMatch(/codec/);
  });

  test('refuses counts that do not go with the offsets', () => {
    expect(check({ recordCount: 4 })).toMatch(/count/);
    expect(check({ recordCount: -1 })).toMatch(/count/);
    expect(check({ lastOffsetDelta: -1, recordCount: 0 })).toMatch(/count/);
    expect(check({ recordCount: 2 })).toBe('ok');
    expect(check({ recordCount: 0 })).toBe('ok');
  });

  test('refuses numbers that we could not keep apart', () => {
    for (const field of ['baseOffset', 'baseTimestamp', 'maxTimestamp', 'producerId'] as const) {
      expect(check({ [field]: 2n ** 53n })).toMatch(/2\^53/);
      expect(check({ [field]: -(2n ** 63n) })).toMatch(/2\^53/);
    }
    expect(check({ baseOffset: 2n ** 53n - 1n })).toMatch(/2\^53/);
    expect(check({ baseOffset: 2n ** 53n - 3n })).toBe('ok');
  });

  test('a produced batch also has a record for every offset', () => {
    const produced = (changes: Partial<Fields>) => {
      const bytes = write(changes);
      return batch.checkProducedBatch(bytes, 0, bytes.length);
    };
    expect(produced({})).toBe(batch.BATCH_OK);
    expect(produced({ recordCount: 2 })).toBe(batch.BATCH_BAD_COUNTS);
    expect(produced({ recordCount: 0, lastOffsetDelta: 0 })).toBe(batch.BATCH_BAD_COUNTS);
    expect(produced({ magic: 1 })).toBe(batch.BATCH_LEGACY_MAGIC);
  });
});

test('base offset and leader epoch are patched without touching the CRC', () => {
  const { buffer, position, end } = embedded(write());
  const before = Buffer.from(buffer);
  batch.setBaseOffset(buffer, position, 2 ** 40 + 5);
  batch.setLeaderEpoch(buffer, position, 0x7eadbeef);
  expect(batch.baseOffset(buffer, position)).toBe(2 ** 40 + 5);
  expect(batch.leaderEpoch(buffer, position)).toBe(0x7eadbeef);
  expect(batch.checkBatch(buffer, position, end)).toBe(batch.BATCH_OK);
  expect(buffer.subarray(position + 16).equals(before.subarray(position + 16))).toBe(true);
  expect(buffer.readInt32BE(position + 8)).toBe(before.readInt32BE(position + 8));
  expect(buffer.subarray(0, position).equals(before.subarray(0, position))).toBe(true);
});

test('append time is a flag, a maximum and a new CRC', () => {
  const { buffer, position, end } = embedded(write({ attributes: 0x14 }));
  batch.setAppendTime(buffer, position, 1_800_000_000_123);
  expect(batch.attributes(buffer, position)).toBe(0x1c);
  expect(batch.maxTimestamp(buffer, position)).toBe(1_800_000_000_123);
  expect(batch.baseTimestamp(buffer, position)).toBe(1_700_000_000_000);
  expect(batch.checkBatch(buffer, position, end)).toBe(batch.BATCH_OK);
  expect(buffer.subarray(end).equals(Buffer.alloc(9, 0x5a))).toBe(true);
});

test('batches are walked one by one, and a torn last one is not', () => {
  const batches = [
    write(),
    write({ records: Buffer.alloc(0) }),
    write({ records: Buffer.alloc(300) }),
  ];
  const buffer = Buffer.concat(batches);
  const ends: number[] = [];
  for (let at = 0, next = 0; (next = batch.batchEnd(buffer, at, buffer.length)) !== -1; at = next)
    ends.push(next);
  expect(ends).toEqual([68, 129, 490]);
  expect(batch.batchEnd(buffer, 129, buffer.length - 1)).toBe(-1);
  expect(batch.batchEnd(buffer, 129, 135)).toBe(-1);
  expect(batch.batchEnd(buffer, buffer.length, buffer.length)).toBe(-1);
  // Lengths that would make a walk stand still, or stop inside a header.
  for (const length of [-12, 0, 48]) {
    buffer.writeInt32BE(length, 8);
    expect(batch.batchEnd(buffer, 0, buffer.length)).toBe(-1);
  }
});
