/** What tasks append, until it is committed into a MemoryLog at once, or dropped. */
import type { RecordBytes, RecordHeader, TopicPartition } from '../client/log.ts';
import type { TaskOutput } from '../engine/stream/task.ts';
import { RecordBatchBuilder } from '../wire/kafka/records/record-batch-builder.ts';
import type { MemoryLog } from './memory-log.ts';

interface Filling extends TopicPartition {
  builder: RecordBatchBuilder;
}

export class MemoryTransaction implements TaskOutput {
  readonly #log: MemoryLog;
  #filling = new Map<string, Filling>();
  readonly #written = new Map<string, number>();

  constructor(log: MemoryLog) {
    this.#log = log;
  }

  append(
    topic: string,
    partition: number,
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers?: readonly RecordHeader[],
  ): void {
    const name = `${topic}/${partition}`;
    let filling = this.#filling.get(name);
    if (filling === undefined) {
      filling = { topic, partition, builder: new RecordBatchBuilder() };
      this.#filling.set(name, filling);
    }
    filling.builder.append(timestamp, key, value, headers ?? []);
  }

  /** Something is to be committed. */
  get isEmpty(): boolean {
    return this.#filling.size === 0;
  }

  commit(): void {
    for (const [name, { topic, partition, builder }] of this.#filling) {
      const { count } = builder;
      // A transaction ends with a marker in each partition, which takes an offset.
      this.#written.set(name, this.#log.append({ topic, partition }, builder.finish(), count, 1));
    }
    this.#filling = new Map();
  }

  abort(): void {
    this.#filling = new Map();
  }

  /** One past the last record that was committed there; undefined: none was. */
  nextOffset({ topic, partition }: TopicPartition): number | undefined {
    return this.#written.get(`${topic}/${partition}`);
  }
}
