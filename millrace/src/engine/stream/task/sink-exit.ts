/**
 * Records on their way into a topic. Keys choose the partition as the default partitioner of Kafka's clients does; records without one go
 * to the partition of the task, as far as the topic has that.
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { partitionOf } from '../../../core/murmur2.ts';
import type { Envelope, TopicPort } from '../../../flow/topic-port.ts';
import type { Receiver } from '../operators/operator.ts';
import type { TaskOutput } from '../task.ts';
import type { TaskFailures } from './task-failures.ts';
import { timestampOf } from './timestamps.ts';

export interface SinkExitOptions {
  /** Of the node that writes. */
  readonly name: string;
  readonly port: TopicPort;
  readonly partitions: number;
  /** Of the task. */
  readonly partition: number;
  readonly output: TaskOutput;
  readonly failures: TaskFailures;
}

export class SinkExit implements Receiver {
  /** Records written. */
  records = 0;
  private readonly options: SinkExitOptions;
  private readonly topic: string;
  private readonly keySerde: TopicPort['key'];
  private readonly valueSerde: TopicPort['value'];
  private readonly output: TaskOutput;
  private readonly keyBytes = new KeyBytes();

  constructor(options: SinkExitOptions) {
    this.options = options;
    const { port, output } = options;
    this.topic = port.name;
    this.keySerde = port.key;
    this.valueSerde = port.value;
    this.output = output;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const timestamp = timestampOf(time);
    if (timestamp < 0) {
      this.refuse(new MillraceError('ML_TIMESTAMP_INVALID', `its time is ${time}`), key, value);
      return;
    }
    const { envelope } = this.options.port;
    if (envelope !== undefined) {
      this.writeWrapped(envelope, key, value, timestamp);
      return;
    }
    this.write(key, value, timestamp, undefined);
  }

  private writeWrapped(
    envelope: NonNullable<TopicPort['envelope']>,
    key: unknown,
    value: unknown,
    timestamp: number,
  ): void {
    let wrapped: Envelope;
    try {
      wrapped = envelope(value, key);
    } catch (error) {
      this.refuse(error, undefined, value);
      return;
    }
    this.write(wrapped.key, value, timestamp, wrapped.headers);
  }

  private write(
    key: unknown,
    value: unknown,
    timestamp: number,
    headers: Envelope['headers'] | undefined,
  ): void {
    let keyData: Uint8Array | string | null = null;
    let partition: number;
    try {
      if (key === undefined || key === null) partition = this.ownPartition();
      else {
        keyData = this.keySerde.encode(key);
        partition = this.keyBytes.partitionOf(keyData, this.options.partitions);
      }
    } catch (error) {
      this.refuse(error, key, key);
      return;
    }
    try {
      const data = value === undefined || value === null ? null : this.valueSerde.encode(value);
      this.output.append(this.topic, partition, timestamp, keyData, data, headers);
      this.records++;
    } catch (error) {
      if (error instanceof MillraceError && !OF_RECORDS.has(error.code)) throw error;
      this.refuse(error, key, value);
    }
  }

  private ownPartition(): number {
    return this.options.partition % this.options.partitions;
  }

  private refuse(error: unknown, key: unknown, record: unknown): void {
    const { name, failures } = this.options;
    const what = record === key && key !== undefined ? 'key' : 'record';
    const known = error instanceof MillraceError;
    const reason = error instanceof Error ? error.message : String(error);
    failures.take(
      known
        ? error
        : new MillraceError(
            'ML_SINK_VALUE_INVALID',
            `the ${what} cannot be written to topic ${this.topic}: ${reason}`,
            { cause: error, fields: { topic: this.topic } },
          ),
      { operator: name, record, code: 'ML_SINK_VALUE_INVALID' },
    );
  }
}

/** Errors of a record; all others say something about the log. */
const OF_RECORDS: ReadonlySet<string> = new Set([
  'ML_RECORDS_TOO_LARGE',
  'ML_SINK_VALUE_INVALID',
  'ML_VALUE_INVALID',
  'ML_KEY_INVALID',
  'ML_TIMESTAMP_INVALID',
]);

/** The partition of a key that may be text. */
export class KeyBytes {
  private readonly writer = new ByteWriter(256);

  partitionOf(key: Uint8Array | string, partitions: number): number {
    if (partitions === 1) return 0;
    if (typeof key !== 'string') return partitionOf(key, partitions);
    const { writer } = this;
    writer.clear();
    writer.reserve(key.length * 3);
    return partitionOf(writer.buffer, partitions, 0, writer.buffer.utf8Write(key, 0));
  }
}
