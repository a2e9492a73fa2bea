/** Feeds the global tables of a worker: all of their topics before anything is processed, and from then on what comes. */
import type { Log, LogReader, LogRecords, TopicPartition } from '../../../client/log.ts';
import { STREAM_IDLE_MS } from '../../../core/stream-limits.ts';
import { partitionKey } from './task-run.ts';
import type { GlobalState } from './worker-types.ts';

export class GlobalFeed {
  readonly #log: Log;
  readonly #reader: LogReader;
  readonly #globals: GlobalState;
  readonly #partitions = new Set<string>();

  constructor(log: Log, reader: LogReader, globals: GlobalState) {
    this.#log = log;
    this.#reader = reader;
    this.#globals = globals;
  }

  /** Reads the topics as far as they go. Called before the reader has anything else. */
  async bootstrap(): Promise<void> {
    const partitions = await this.#find();
    if (partitions.length === 0) return;
    const [beginnings, ends] = await Promise.all([
      this.#log.offsets(partitions, 'beginning'),
      this.#log.offsets(partitions, 'stable'),
    ]);
    const behind = new Map<string, number>();
    for (const [index, at] of partitions.entries()) {
      const key = partitionKey(at.topic, at.partition);
      const offset = beginnings[index] ?? 0;
      this.#partitions.add(key);
      if (offset < (ends[index] ?? 0)) behind.set(key, ends[index] ?? 0);
      this.#reader.assign([{ ...at, offset }]);
    }
    while (behind.size > 0) {
      for (const records of await this.#reader.poll(STREAM_IDLE_MS)) {
        this.take(records);
        const key = partitionKey(records.topic, records.partition);
        if (records.next >= (behind.get(key) ?? 0)) behind.delete(key);
      }
    }
  }

  /** @returns whether they belong to a global table */
  take(records: LogRecords): boolean {
    if (!this.#partitions.has(partitionKey(records.topic, records.partition))) return false;
    if (records.next > records.from) this.#globals.add(records);
    return true;
  }

  async #find(): Promise<TopicPartition[]> {
    const { topics } = this.#globals;
    if (topics.length === 0) return [];
    const found = await this.#log.topics(topics);
    return [...found.values()].flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
    );
  }
}
