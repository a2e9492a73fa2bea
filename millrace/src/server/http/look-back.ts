/**
 * Looks through a topic backwards from its end, in steps that are read forwards, each partition by turns: what is latest is seen first,
 * however large the topic is, and a bound of records and bytes ends it.
 *
 * What transactions have written is not seen: it may be undone, and an open one would hide what is behind it.
 */
import type { Log, LogReader, LogRecords, TopicPartition } from '../../client/log.ts';
import { ONCE_STEP_BYTES } from '../../core/direct-limits.ts';
import { MillraceError } from '../../core/errors.ts';
import { CONSUME_WAIT_MS } from '../../core/limits.ts';
import {
  attributes,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
} from '../../wire/kafka/records/record-batch.ts';
import { RecordReader } from '../../wire/kafka/records/record-reader.ts';

export interface LookBackOptions {
  readonly log: Log;
  readonly topic: string;
  readonly partitions: number;
  /** What is before these offsets is not looked at. */
  readonly floors: ReadonlyMap<number, number>;
  /** @returns false: what is before it in its partition is not wanted any more */
  readonly visit: (record: RecordReader, place: TopicPartition) => boolean;
  /** Beyond these nothing more is looked at. */
  readonly recordsMax: number;
  readonly bytesMax: number;
  /** Of the first step in each partition. */
  readonly stepRecords: number;
}

/** What is left to be looked at of a partition: from `begin` to `end`, which is not part of it. */
interface Left extends TopicPartition {
  begin: number;
  end: number;
  stepRecords: number;
  isWanted: boolean;
}

const READ_BYTES = 1024 * 1024;

/** @returns by partition, where it ended: what is on the disk, and comes before that, was seen, or is older than was wanted */
export async function lookBack(options: LookBackOptions): Promise<ReadonlyMap<number, number>> {
  const { log, topic, partitions, floors, stepRecords } = options;
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  const [begins, ends] = await Promise.all([
    log.offsets(places, 'beginning'),
    log.offsets(places, 'end'),
  ]);
  let left = places.map((place, index): Left => {
    const begin = Math.max(begins[index] ?? 0, floors.get(place.partition) ?? 0);
    return { ...place, begin, end: ends[index] ?? 0, stepRecords, isWanted: true };
  });
  let { recordsMax, bytesMax } = options;
  const isLeft = ({ begin, end, isWanted }: Left): boolean => isWanted && begin < end;
  const reader = log.reader({
    uncommitted: true,
    bytesMax: READ_BYTES,
    partitionBytesMax: READ_BYTES,
  });
  try {
    while ((left = left.filter(isLeft)).length > 0)
      for (const each of left) {
        if (recordsMax <= 0 || bytesMax <= 0) return endsOf(places, ends);
        const { end } = each;
        bytesMax -= await step(reader, log, each, options.visit);
        recordsMax -= end - each.end;
      }
  } finally {
    reader.close();
  }
  return endsOf(places, ends);
}

function endsOf(
  places: readonly TopicPartition[],
  ends: readonly (number | undefined)[],
): ReadonlyMap<number, number> {
  return new Map(places.map(({ partition }, index) => [partition, ends[index] ?? 0]));
}

/** One step backwards. @returns the bytes of it */
async function step(
  reader: LogReader,
  log: Log,
  left: Left,
  visit: LookBackOptions['visit'],
): Promise<number> {
  const from = Math.max(left.begin, left.end - left.stepRecords);
  try {
    const bytes = await readRange(reader, left, from, visit);
    left.end = from;
    if (bytes < ONCE_STEP_BYTES / 2) left.stepRecords *= 2;
    else if (bytes > ONCE_STEP_BYTES) left.stepRecords = Math.ceil(left.stepRecords / 2);
    return bytes;
  } catch (error) {
    if (!(error instanceof MillraceError && error.code === 'ML_OFFSET_OUT_OF_RANGE')) throw error;
    // Deleted meanwhile.
    const [begin] = await log.offsets([left], 'beginning');
    if ((begin ?? 0) <= left.begin) throw error;
    left.begin = begin ?? 0;
    return 0;
  }
}

async function readRange(
  reader: LogReader,
  left: Left,
  from: number,
  visit: LookBackOptions['visit'],
): Promise<number> {
  const { topic, partition, end } = left;
  let bytes = 0;
  reader.assign([{ topic, partition, offset: from }]);
  try {
    for (;;)
      for (const records of await reader.poll(CONSUME_WAIT_MS)) {
        bytes += records.bytes.length;
        visitRecords(records, left, visit);
        if (records.next >= end || records.next === records.end) return bytes;
      }
  } finally {
    reader.unassign([left]);
  }
}

function visitRecords(
  { bytes, from }: LogRecords,
  left: Left,
  visit: LookBackOptions['visit'],
): void {
  const record = new RecordReader();
  for (let at = 0, end; (end = batchEnd(bytes, at, bytes.length)) !== -1; at = end) {
    const flags = attributes(bytes, at);
    if (isControl(flags) || isTransactional(flags) || lastOffset(bytes, at) < from) continue;
    record.open(bytes, at, end);
    while (record.next())
      if (record.offset >= from && record.offset < left.end && !visit(record, left))
        left.isWanted = false;
  }
}
