/** A batch as two smaller ones, for topics that do not take it whole. Source: KIP-126. */
import type { Compression } from '../../wire/kafka/records/compression.ts';
import { RecordBatchBuilder } from '../../wire/kafka/records/record-batch-builder.ts';
import {
  addSequence,
  baseSequence,
  NO_SEQUENCE,
  producerEpoch,
  producerId,
} from '../../wire/kafka/records/record-batch.ts';
import { RecordReader } from '../../wire/kafka/records/record-reader.ts';

export interface BatchPart {
  readonly bytes: Buffer;
  readonly count: number;
}

/**
 * @param batch one that a producer is about to send: its offsets begin with 0
 * @param firstCount records of the first part: fewer than there are
 */
export function splitBatch(
  batch: Buffer,
  firstCount: number,
  options: { readonly compression: Compression; readonly transactional: boolean },
): readonly [BatchPart, BatchPart] {
  const reader = new RecordReader();
  reader.open(batch, 0, batch.length);
  const sequence = baseSequence(batch, 0);
  const build = (skipped: number, countMax: number): BatchPart => {
    const builder = new RecordBatchBuilder({
      ...options,
      producerId: producerId(batch, 0),
      producerEpoch: producerEpoch(batch, 0),
      baseSequence: sequence === NO_SEQUENCE ? sequence : addSequence(sequence, skipped),
    });
    while (builder.count < countMax && reader.next()) {
      const { data, timestamp } = reader;
      builder.append(
        timestamp,
        reader.keyStart < 0 ? null : data.subarray(reader.keyStart, reader.keyEnd),
        reader.valueStart < 0 ? null : data.subarray(reader.valueStart, reader.valueEnd),
        reader.headers().map(({ key, value }) => ({ key, value })),
      );
    }
    const { count } = builder;
    return { bytes: builder.finish(), count };
  };
  const first = build(0, firstCount);
  return [first, build(firstCount, Infinity)];
}
