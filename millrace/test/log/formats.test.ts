/** docs/formats/{journal,checkpoint,segment}.md against the bytes of a real store, read here field by field as they say. */
import { expect, test } from 'vitest';
import { readWholeFile } from '../../src/core/files.ts';
import { encodeEndTransactionMarker } from '../../src/wire/kafka/records/control-records.ts';
import { crc32cJs } from '../../src/core/crc32c.ts';
import { append, batchOf, DIRECTORY, journalFile, logId, openOne, SMALL_STORE } from './fixture.ts';

const ROOMY = { ...SMALL_STORE, journalFileBytes: 64 * 1024, journalBytesMax: 256 * 1024 };

function int64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64BE(at));
}

function uuidBytes(topicId: string): Buffer {
  return Buffer.from(topicId.replaceAll('-', ''), 'hex');
}

test('the journal is as its page says', async () => {
  const { machine, store, log } = await openOne({}, ROOMY);
  const batches = [batchOf(['a']), batchOf(['b', 'x'.repeat(900)])];
  for (const batch of batches) append(log, batch);
  await machine.run(log.whenDurable(3));
  await machine.run(log.deleteRecordsBefore(1));
  const { bytes } = journalFile(log.context.env, 1);

  expect(bytes.toString('latin1', 0, 4)).toBe('MLJF');
  expect(bytes.readUInt32BE(4)).toBe(1);
  expect(int64(bytes, 8)).toBe(1);
  const storeId = bytes.subarray(16, 32);
  expect(bytes.readUInt32BE(32)).toBe(crc32cJs(bytes, 0, 32));
  expect(bytes.subarray(36, 512).every((byte) => byte === 0)).toBe(true);

  const group = bytes.subarray(512);
  expect(group.toString('latin1', 0, 4)).toBe('MLJG');
  expect(group.readUInt32BE(4)).toBe(crc32cJs(group, 8, 64));
  expect([8, 16, 24, 32].map((at) => int64(group, at))).toEqual([1, 1, 1, 0]);
  expect(group.readUInt32BE(40)).toBe(2);
  const payloads = batches.map((batch) => batch.length - 21);
  expect(group.readUInt32BE(44)).toBe((payloads[0] ?? 0) + (payloads[1] ?? 0));
  expect(group.readUInt32BE(48)).toBe(crc32cJs(group, 64, 64 + 2 * 56));

  let payloadAt = 64 + 2 * 56;
  batches.forEach((batch, index) => {
    const entry = group.subarray(64 + index * 56);
    expect(entry.subarray(0, 16)).toEqual(uuidBytes(logId(1).topicId));
    expect(entry.readInt32BE(16)).toBe(0);
    expect(int64(entry, 20)).toBe(index);
    expect(entry.readUInt32BE(28)).toBe(batch.length - 21);
    expect(entry.readUInt8(32)).toBe(1);
    expect(entry.subarray(33, 54)).toEqual(batch.subarray(0, 21));
    expect(group.subarray(payloadAt, payloadAt + batch.length - 21)).toEqual(batch.subarray(21));
    payloadAt += batch.length - 21;
  });

  const second = bytes.subarray(512 + Math.ceil(payloadAt / 512) * 512);
  expect(second.toString('latin1', 0, 4)).toBe('MLJG');
  expect([8, 24, 32].map((at) => int64(second, at))).toEqual([2, 3, 1]);
  expect(second.readUInt8(64 + 32)).toBe(2);
  expect(int64(second, 64 + 20)).toBe(1);

  await machine.run(store.checkpoint());
  const checkpoint = readWholeFile(log.context.env.fs, `${DIRECTORY}/checkpoint.a`);
  expect(checkpoint.subarray(40, 56)).toEqual(storeId);
});

test('the checkpoint is as its page says', async () => {
  const { machine, store, log } = await openOne({ segmentBytes: 100_000 }, ROOMY);
  append(
    log,
    batchOf(['a', 'b'], { producerId: 7, producerEpoch: 2, baseSequence: 5, transactional: true }),
  );
  await machine.run(log.whenDurable(2));
  await machine.run(store.close());
  const { fs } = log.context.env;
  const a = readWholeFile(fs, `${DIRECTORY}/checkpoint.a`);
  expect(readWholeFile(fs, `${DIRECTORY}/checkpoint.b`)).toEqual(a);
  expect(a.toString('latin1', 0, 4)).toBe('MLCP');
  const contentBytes = int64(a, 24);
  expect(a.readUInt32BE(4)).toBe(crc32cJs(a, 8, contentBytes));
  expect(a.readUInt32BE(8)).toBe(1);
  expect(a.readUInt32BE(12)).toBe(1);
  expect(int64(a, 16)).toBeGreaterThan(1);
  expect(a.readInt32BE(32)).toBe(0);
  expect(a.readUInt32BE(36)).toBe(1);
  // One group of one entry was written, into the first file.
  expect(int64(a, 56)).toBe(1);
  expect(int64(a, 64)).toBe(1024);
  expect(int64(a, 72)).toBe(2);
  expect(int64(a, 80)).toBe(2);

  const record = a.subarray(112, contentBytes);
  expect(record.readUInt32BE(0)).toBe(record.length);
  expect(record.subarray(4, 20)).toEqual(uuidBytes(logId(1).topicId));
  expect(record.readInt32BE(20)).toBe(0);
  expect(record.readUInt32BE(24)).toBe(0);
  expect(record.readUInt32BE(28)).toBe(1);
  expect([32, 40, 48, 56, 64].map((at) => int64(record, at))).toEqual([0, 2, 0, log.sizeBytes, -1]);
  expect(record.readUInt32BE(72)).toBe(1);
  expect(record.readInt32BE(112)).toBe(0);
  expect(int64(record, 116)).toBe(0);
  const producer = record.subarray(124);
  expect(int64(producer, 0)).toBe(7);
  expect(producer.readInt16BE(8)).toBe(2);
  expect(producer.readInt32BE(10)).toBe(-1);
  expect(int64(producer, 14)).toBe(1_000_001);
  expect(int64(producer, 22)).toBe(0);
  expect(producer.readUInt8(30)).toBe(1);
  expect(producer.readInt32BE(31)).toBe(6);
  expect(int64(producer, 35)).toBe(1);
  expect(producer.readInt32BE(43)).toBe(1);
  expect(int64(producer, 47)).toBe(1_000_001);
  expect(producer.length).toBe(31 + 24);
});

test('the index files are as the page of segments says', async () => {
  const { machine, store, log } = await openOne(
    { segmentBytes: 100_000, indexIntervalBytes: 150 },
    ROOMY,
  );
  const positions: number[] = [];
  for (let number = 0; number < 6; number++) {
    positions.push(log.sizeBytes);
    // The largest time is that of the batch with offset 2.
    const timestampMs = number === 2 ? 9000 : 1000 + number;
    const options = { producerId: 3, producerEpoch: 0, baseSequence: number, transactional: true };
    append(log, batchOf([`${number}`], { ...options, timestampMs }));
  }
  positions.push(log.sizeBytes);
  const marker = { producerId: 3, producerEpoch: 0, commit: false, coordinatorEpoch: 0 };
  append(log, encodeEndTransactionMarker(marker, { timestampMs: 1000 }), 'control');
  await machine.run(log.whenDurable(7));
  await machine.run(store.close());
  const { fs } = log.context.env;
  const path = `${DIRECTORY}/topics/${logId(1).topicId}/0/${'0'.repeat(20)}`;
  const index = readWholeFile(fs, `${path}.index`);
  const entries: number[] = [];
  for (let at = 0; at < index.length; at += 8) {
    const offset = index.readUInt32BE(at);
    expect(index.readUInt32BE(at + 4)).toBe(positions[offset]);
    entries.push(offset);
  }
  // Batches have about 70 bytes: every third begins more than 150 behind the last entry.
  expect(entries).toEqual([3, 6]);
  const times = readWholeFile(fs, `${path}.timeindex`);
  expect(times).toHaveLength(12);
  expect(int64(times, 0)).toBe(9000);
  expect(times.readUInt32BE(8)).toBe(2);
  const aborted = readWholeFile(fs, `${path}.txnindex`);
  expect(aborted).toHaveLength(34);
  expect(aborted.readInt16BE(0)).toBe(0);
  expect([2, 10, 18, 26].map((at) => int64(aborted, at))).toEqual([3, 0, 6, 7]);
});
