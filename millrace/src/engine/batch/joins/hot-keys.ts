/**
 * Skew: keys with so many rows that one task would work on them while all others are done. Found in the samples of exchanges; a
 * sort-merge join gives the rows of such a key, on one side, to several tasks, each with all rows of the other side.
 *
 *     keys before │ hot key, slice 1 │ hot key, slice 2 │ … │ keys after
 *
 * Put together in this order the outputs are the output of the partition as a whole, byte for byte. What is split depends on the
 * data alone: neither on workers nor on how the input was cut.
 */
import { Buffer } from 'node:buffer';
import { decodeKey } from '../../../core/key-codec.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import {
  JOIN_HOT_KEY_BYTES,
  JOIN_HOT_KEY_SLICES_MAX,
  JOIN_HOT_KEYS_MAX,
  SAMPLE_KEY_BYTES_MAX,
  SAMPLE_RECORDS,
} from '../../../core/limits.ts';
import type { JoinNode, JoinType } from '../../../flow/plan.ts';
import { preview } from '../operators/preview.ts';
import { mergeSamples } from '../exchange/sampling.ts';
import type { ExchangeOutput, KeyRange } from '../stage.ts';

/** One exchange, all tasks that wrote to it taken together. */
export interface ExchangeStats {
  readonly partitions: number;
  readonly records: number;
  readonly bytes: number;
  /** Records by partition. */
  readonly partitionRecords: readonly number[];
  /** Sampled keys (base64) and how many of the samples have them, most frequent first. */
  readonly keys: readonly { readonly key: string; readonly samples: number }[];
  readonly samples: number;
}

export interface HotKey {
  /** Encoded, base64. */
  readonly key: string;
  readonly partition: number;
  /** Estimated from the sample. */
  readonly records: number;
  readonly bytes: number;
}

/** The part of a partition that one task joins; undefined: all keys. */
export interface JoinTaskRange {
  readonly left: KeyRange | undefined;
  readonly right: KeyRange | undefined;
}

export function exchangeStats(
  outputs: readonly ExchangeOutput[],
  partitions: number,
): ExchangeStats {
  const partitionRecords = Array.from({ length: partitions }, () => 0);
  let records = 0;
  let bytes = 0;
  for (const output of outputs) {
    records += output.records;
    bytes += output.bytes;
    for (const run of output.runs)
      for (const [partition, segment] of run.segments.entries())
        partitionRecords[partition] = (partitionRecords[partition] ?? 0) + segment.records;
  }
  const sample = mergeSamples(
    outputs.map((output) => output.sample),
    SAMPLE_RECORDS,
  );
  const counts = new Map<string, number>();
  for (const { key } of sample) counts.set(key, (counts.get(key) ?? 0) + 1);
  const keys = [...counts]
    .map(([key, samples]) => ({ key, samples }))
    .toSorted((a, b) => b.samples - a.samples || (a.key < b.key ? -1 : 1));
  return { partitions, records, bytes, partitionRecords, keys, samples: sample.length };
}

/**
 * The most frequent key of a hash exchange, for people, and its share of the records: by the blocks that it fills in runs, or by the
 * sample, whichever says more. Undefined when there is nothing to say.
 */
export function hottestKey(
  outputs: readonly ExchangeOutput[],
  partitions: number,
): { readonly key: string; readonly share: number } | undefined {
  const stats = exchangeStats(outputs, partitions);
  const shares = new Map<string, number>();
  for (const { key, records } of outputs.flatMap(({ heavy }) => heavy ?? []))
    shares.set(key, (shares.get(key) ?? 0) + records / stats.records);
  for (const { key, samples } of stats.keys)
    shares.set(key, Math.max(shares.get(key) ?? 0, samples / stats.samples));
  let hottest: { readonly key: string; readonly share: number } | undefined;
  for (const [key, share] of shares) if (share > (hottest?.share ?? 0)) hottest = { key, share };
  if (hottest === undefined) return undefined;
  const bytes = Buffer.from(hottest.key, 'base64');
  // Of a long key there is only the beginning.
  if (bytes.length >= SAMPLE_KEY_BYTES_MAX) return undefined;
  return { key: preview(decodeKey(bytes, 0, bytes.length)), share: hottest.share };
}

/** Keys that have at least `bytesMin` bytes of rows, as far as the sample tells. */
export function hotKeys(stats: ExchangeStats, bytesMin: number = JOIN_HOT_KEY_BYTES): HotKey[] {
  const found: HotKey[] = [];
  for (const { key, samples } of stats.keys) {
    const share = samples / stats.samples;
    if (share * stats.bytes < bytesMin) break;
    // A key that was seen once says nothing about how frequent it is.
    if (samples < HOT_KEY_SAMPLES_MIN) break;
    const bytes = Buffer.from(key, 'base64');
    // Samples keep the beginning of a long key: which key it is cannot be told.
    if (bytes.length >= SAMPLE_KEY_BYTES_MAX) continue;
    found.push({
      key,
      partition: partitionOfKey(bytes, 0, bytes.length, stats.partitions),
      records: Math.round(share * stats.records),
      bytes: Math.round(share * stats.bytes),
    });
  }
  return found;
}

const HOT_KEY_SAMPLES_MIN = 8;

/**
 * The tasks of one partition of a sort-merge join, in order: one, unless a key of it is hot and `node.splitsHotKeys`.
 * The left side may be split where a right row without a match is not part of the result. The right side may be split where
 * nothing depends on all right rows of a key being together, and the left side has one row for each key (or the order of pairs,
 * which is by left row, would change).
 */
export function splitJoinTasks(options: {
  readonly node: Pick<JoinNode, 'type' | 'splitsHotKeys'>;
  readonly partition: number;
  readonly left: ExchangeStats;
  readonly right: ExchangeStats;
  /** No two left rows have the same key: `hasUniqueKeys`. */
  readonly isLeftUnique: boolean;
  /** Bytes from which a key is hot; default JOIN_HOT_KEY_BYTES. */
  readonly hotKeyBytes?: number | undefined;
}): JoinTaskRange[] {
  const { node, partition, left, right, isLeftUnique, hotKeyBytes = JOIN_HOT_KEY_BYTES } = options;
  if (!node.splitsHotKeys) return [WHOLE];
  const splits = [
    ...(splitsLeft(node.type) ? splitsOf(left, 'left', partition, hotKeyBytes) : []),
    ...(isLeftUnique && splitsRight(node.type)
      ? splitsOf(right, 'right', partition, hotKeyBytes)
      : []),
  ];
  const chosen = new Map<string, HotSplit>();
  for (const split of splits.toSorted((a, b) => b.slices - a.slices)) {
    if (chosen.size === JOIN_HOT_KEYS_MAX) break;
    if (!chosen.has(split.key)) chosen.set(split.key, split);
  }
  if (chosen.size === 0) return [WHOLE];
  return ranges([...chosen.values()].toSorted((a, b) => Buffer.compare(a.bytes, b.bytes)));
}

const WHOLE: JoinTaskRange = { left: undefined, right: undefined };

interface HotSplit {
  readonly key: string;
  readonly bytes: Buffer;
  readonly side: 'left' | 'right';
  readonly slices: number;
}

function splitsLeft(type: JoinType): boolean {
  return type === 'inner' || type === 'left' || type === 'semi' || type === 'anti';
}

function splitsRight(type: JoinType): boolean {
  return type === 'inner' || type === 'right';
}

function splitsOf(
  stats: ExchangeStats,
  side: 'left' | 'right',
  partition: number,
  hotKeyBytes: number,
): HotSplit[] {
  return hotKeys(stats, hotKeyBytes)
    .filter((hot) => hot.partition === partition)
    .map((hot) => ({
      key: hot.key,
      bytes: Buffer.from(hot.key, 'base64'),
      side,
      slices: Math.min(Math.max(Math.ceil(hot.bytes / hotKeyBytes), 2), JOIN_HOT_KEY_SLICES_MAX),
    }));
}

/** The whole partition, cut at the hot keys, which are in order. */
function ranges(splits: readonly HotSplit[]): JoinTaskRange[] {
  const tasks: JoinTaskRange[] = [];
  let from: string | undefined;
  for (const split of splits) {
    // The key that follows directly: the same bytes and a zero.
    const to = Buffer.concat([split.bytes, Buffer.of(0)]).toString('base64');
    const before: KeyRange = { from, to: split.key, slice: undefined };
    if (from !== split.key) tasks.push({ left: before, right: before });
    for (let index = 0; index < split.slices; index++) {
      const whole: KeyRange = { from: split.key, to, slice: undefined };
      const sliced: KeyRange = { ...whole, slice: { index, count: split.slices } };
      tasks.push({
        left: split.side === 'left' ? sliced : whole,
        right: split.side === 'right' ? sliced : whole,
      });
    }
    from = to;
  }
  const after: KeyRange = { from, to: undefined, slice: undefined };
  return [...tasks, { left: after, right: after }];
}
