/**
 * Records on their way to another stage, and the time of this task behind them.
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import type { TopicPort } from '../../../flow/topic-port.ts';
import type { Receiver } from '../operators/operator.ts';
import type { TaskOutput } from '../task.ts';
import type { Counting, WriterTime } from '../time/time-tracker.ts';
import type { Exchange } from '../topology.ts';
import { encodeMarker, MARKER_HEADERS, RepartitionEncoder } from './repartition-record.ts';
import { KeyBytes } from './sink-exit.ts';
import type { TaskFailures } from './task-failures.ts';
import { timestampOf } from './timestamps.ts';

export interface ExchangeExitOptions {
  readonly exchange: Exchange;
  /** Of the node whose records it carries. */
  readonly name: string;
  /** Of the task. */
  readonly partition: number;
  readonly output: TaskOutput;
  readonly failures: TaskFailures;
  /** Wall clock. */
  readonly nowMs: () => number;
  /** T of what it carries. */
  readonly time: () => number;
  /** What that T will be when more comes without more input; Infinity: nothing will. */
  readonly until: () => number;
}

export class ExchangeExit implements Receiver {
  records = 0;
  private readonly options: ExchangeExitOptions;
  private readonly topic: string;
  private readonly partitions: number;
  private readonly output: TaskOutput;
  private readonly encoder = new RepartitionEncoder();
  private readonly keyBytes = new KeyBytes();
  /** What the last marker said; undefined: none was written. */
  private told: Readonly<WriterTime> | undefined;
  private committed: Readonly<WriterTime> | undefined;

  constructor(options: ExchangeExitOptions) {
    this.options = options;
    const { exchange, output } = options;
    this.topic = exchange.topic;
    this.partitions = exchange.partitions;
    this.output = output;
  }

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    const timestamp = timestampOf(time);
    try {
      if (timestamp < 0) throw new MillraceError('ML_TIMESTAMP_INVALID', `its time is ${time}`);
      const { encoder } = this;
      encoder.encode(key, value, old);
      const { writer, keyEnd } = encoder;
      const partition = this.partitionOf(key);
      const { buffer } = writer;
      this.output.append(
        this.topic,
        partition,
        timestamp,
        buffer.subarray(0, keyEnd),
        buffer.subarray(keyEnd, writer.length),
      );
      this.records++;
    } catch (error) {
      this.refuse(error, value);
    }
  }

  /** Whether the next stage does not know this yet. A clock that goes on there by itself is no news. */
  isNews(counting: Counting): boolean {
    const { told } = this;
    if (told === undefined || told.counting !== counting) return true;
    if (counting === 'counts') return this.options.time() > told.time;
    return counting === 'clock' && this.options.until() !== told.until;
  }

  /** Tells the next stage the time of this one. */
  mark(counting: Counting): void {
    const { options } = this;
    const until = counting === 'clock' ? options.until() : Number.POSITIVE_INFINITY;
    const told = { time: options.time(), counting, until };
    this.told = told;
    const value = encodeMarker({ ...told, writer: options.partition });
    const now = options.nowMs();
    for (let partition = 0; partition < this.partitions; partition++)
      this.output.append(this.topic, partition, now, null, value, MARKER_HEADERS);
  }

  commit(): void {
    this.committed = this.told;
  }

  /** Goes on where another one was at its last commit. */
  restore(other: ExchangeExit | undefined): void {
    this.told = this.committed = other?.committed;
  }

  /** The key is in the encoder. */
  private partitionOf(key: unknown): number {
    const { partitions } = this;
    const { partitioner } = this.options.exchange;
    if (partitions === 1) return 0;
    if (partitioner === 'key-codec')
      return partitionOfKey(this.encoder.writer.buffer, 0, this.encoder.keyEnd, partitions);
    if (partitioner === 'spread') return this.options.partition % partitions;
    // As a producer of that topic does: and what has no key is not looked for.
    if (key === undefined || key === null) return this.options.partition % partitions;
    return this.keyBytes.partitionOf(bytesOf(partitioner.serde, key), partitions);
  }

  private refuse(error: unknown, value: unknown): void {
    if (error instanceof MillraceError && !OF_RECORDS.has(error.code)) throw error;
    this.options.failures.take(error, {
      operator: this.options.name,
      record: value,
      code: 'ML_USER_FUNCTION',
    });
  }
}

function bytesOf(serde: TopicPort['key'], key: unknown): Uint8Array | string {
  try {
    return serde.encode(key);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError(
      'ML_KEY_INVALID',
      `the key cannot be written as those that it has to meet are (${serde.name}): ${reason}`,
      { cause },
    );
  }
}

/** Errors of a record; all others say something about the log. */
const OF_RECORDS: ReadonlySet<string> = new Set([
  'ML_RECORDS_TOO_LARGE',
  'ML_KEY_INVALID',
  'ML_VALUE_INVALID',
  'ML_TIMESTAMP_INVALID',
]);
