/**
 * What checksums, batches, records and codecs cost: `node millrace/src/wire/kafka/records/records.bench.ts`. Run by Node
 * itself, because a test runner's module wrapping makes small functions several times slower. Prints the best of many
 * rounds, with a hash of the results so that a speed-up cannot change unseen what is computed. A test runs it
 * tiny, so that it does not rot.
 */
import { COMPRESSIONS, type Compression, compress, decompress } from './compression.ts';
import { crc32c, crc32cJs } from '../../../core/crc32c.ts';
import * as batch from './record-batch.ts';
import { encodeBatch, RecordBatchBuilder } from './record-batch-builder.ts';
import { RecordReader } from './record-reader.ts';
import { retainRecords } from './retain-records.ts';

export interface BenchSize {
  readonly rounds: number;
  readonly records: number;
}

export interface BenchResult {
  readonly name: string;
  readonly figure: number;
  readonly unit: 'GB/s' | 'ns';
  /** Depends on all that was computed. */
  readonly hash: number;
}

const T0 = 1_700_000_000_000;

/** All measurements. `work` of each returns its hash; the best round counts, as the others were disturbed. */
export function benchRecords(size: BenchSize): BenchResult[] {
  const results: BenchResult[] = [];
  const add = (name: string, unit: 'GB/s' | 'ns', amount: number, work: () => number): void => {
    let ns = Number.POSITIVE_INFINITY;
    let hash = 0;
    for (let round = 0; round < size.rounds; round++) {
      const start = process.hrtime.bigint();
      hash = work();
      ns = Math.min(ns, Number(process.hrtime.bigint() - start));
    }
    results.push({ name, figure: unit === 'ns' ? ns / amount : amount / ns, unit, hash });
  };
  benchChecksums(add);
  benchBatches(size, add);
  benchCodecs(add);
  return results;
}

type Add = (name: string, unit: 'GB/s' | 'ns', amount: number, work: () => number) => void;

function benchChecksums(add: Add): void {
  for (const bytes of [64, 300, 1024, 16_384, 1_048_576]) {
    const buffer = Buffer.alloc(bytes, 'some text for the checksum, ');
    const times = Math.ceil(200_000 / bytes);
    for (const [name, sum] of [
      ['crc32c', crc32c],
      ['crc32c in JavaScript', crc32cJs],
    ] as const)
      add(`${name}, ${bytes} bytes`, 'GB/s', bytes * times, () => {
        let hash = 0;
        for (let i = 0; i < times; i++) hash = sum(buffer, 0, bytes, hash);
        return hash;
      });
  }
}

function values(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) =>
    Buffer.from(JSON.stringify({ id: i, name: `customer-${i % 97}`, total: i * 3.25 }).padEnd(100)),
  );
}

function benchBatches({ records }: BenchSize, add: Add): void {
  const one = encodeBatch([{ timestamp: T0, key: 'key', value: Buffer.alloc(900, 'text ') }]);
  const buffer = Buffer.concat(Array.from({ length: records }, () => one));
  add('walk, five fields, a batch of 1 KB', 'ns', records, () => {
    let hash = 0;
    for (let at = 0, next = 0; (next = batch.batchEnd(buffer, at, buffer.length)) !== -1; at = next)
      hash +=
        batch.lastOffset(buffer, at) +
        batch.maxTimestamp(buffer, at) +
        batch.producerId(buffer, at) +
        batch.attributes(buffer, at);
    return hash;
  });
  add('checkBatch, a batch of 1 KB', 'ns', records, () => {
    let hash = 0;
    for (let at = 0; at < buffer.length; at += one.length)
      hash += batch.checkBatch(buffer, at, buffer.length) + 1;
    return hash;
  });
  add('setBaseOffset and setLeaderEpoch, a batch', 'ns', records, () => {
    for (let at = 0; at < buffer.length; at += one.length) {
      batch.setBaseOffset(buffer, at, at);
      batch.setLeaderEpoch(buffer, at, 3);
    }
    return batch.baseOffset(buffer, buffer.length - one.length);
  });
  const bodies = values(records);
  const build = (): Buffer => {
    const builder = new RecordBatchBuilder({}, records * 120 + 100);
    for (const [i, body] of bodies.entries()) builder.append(T0 + i, null, body);
    return builder.finish();
  };
  add('build, a record of 100 bytes', 'ns', records, () => build().length);
  add('build and finish a batch of one record', 'ns', records, () => {
    let hash = 0;
    for (let i = 0; i < records; i++)
      hash += encodeBatch([{ timestamp: T0, key: 'key', value: 'value' }]).length;
    return hash;
  });
  const bytes = build();
  const reader = new RecordReader();
  add('read, a record of 100 bytes', 'ns', records, () => {
    let hash = 0;
    reader.open(bytes, 0, bytes.length);
    while (reader.next()) hash += reader.valueEnd - reader.valueStart + reader.timestamp;
    return hash;
  });
  add('read with a view of the value, a record', 'ns', records, () => {
    let hash = 0;
    reader.open(bytes, 0, bytes.length);
    while (reader.next()) hash += reader.value()?.length ?? 0;
    return hash;
  });
  add('retain every other record, a record', 'ns', records, () => {
    return retainRecords(bytes, 0, (record) => record.offset % 2 === 0).length;
  });
}

function benchCodecs(add: Add): void {
  const text = Buffer.concat(values(1000));
  for (const codec of COMPRESSIONS.filter((name): name is Compression => name !== 'none'))
    for (const bytes of [1000, 16_384, 100_000]) {
      const input = text.subarray(0, bytes);
      const compressed = compress(codec, input);
      const name = `${codec}, ${bytes} to ${compressed.length} bytes`;
      add(`compress ${name}`, 'GB/s', bytes, () => compress(codec, input).length);
      add(`decompress ${name}`, 'GB/s', bytes, () => decompress(codec, compressed, bytes).length);
    }
}

if (import.meta.main)
  for (const { name, figure, unit, hash } of benchRecords({ rounds: 300, records: 1000 }))
    process.stdout.write(
      `${name.padEnd(44)} ${figure.toFixed(2).padStart(9)} ${unit}  hash ${hash}\n`,
    );
