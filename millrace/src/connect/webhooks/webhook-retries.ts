/**
 * What a delivery must not forget: the records that wait for another attempt, with when it is due; and that the endpoint wants nothing any
 * more. A compacted topic, read when a process takes over partitions.
 *
 *   key `<partition>-<offset>` of the record │ its value, its headers, and a header `webhook.state`: JSON { attempts, dueMs, error, key }
 *   key `endpoint`, in partition 0           │ JSON { url }: that one has answered 410
 *
 * A record without a value: not any more.
 */
import type { GroupedProducer } from '../../client/grouped-producer.ts';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import type { Log, RecordHeader, TopicPartition } from '../../client/log.ts';
import { CONSUME_WAIT_MS } from '../../core/limits.ts';

/** A record that is to be delivered. */
export interface WebhookRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly headers: readonly RecordHeader[];
}

export interface Retry extends WebhookRecord {
  /** That were made. */
  readonly attempts: number;
  readonly dueMs: number;
  readonly error: string;
}

export interface LoadedRetries {
  readonly retries: readonly Retry[];
  /** Of an endpoint that wants nothing any more. */
  readonly disabledUrl: string | undefined;
}

interface StateJson {
  readonly attempts: number;
  readonly dueMs: number;
  readonly error: string;
  readonly key: string | null;
}

/** What is said of a record goes with it, however large it is. */
export const ROOM: Readonly<Record<string, string>> = { 'max.message.bytes': '16777216' };
const STATE = 'webhook.state';
const ENDPOINT = 'endpoint';
const NO_HEADERS: readonly RecordHeader[] = [];

export class WebhookRetries {
  readonly #log: Log;
  readonly #producer: GroupedProducer;
  readonly #topic: string;
  #partitions = 1;

  constructor(log: Log, producer: GroupedProducer, topic: string) {
    this.#log = log;
    this.#producer = producer;
    this.#topic = topic;
  }

  /** @param partitions of the topic that is delivered */
  async open(partitions: number): Promise<void> {
    this.#partitions = await this.#producer.partitionsOf({
      name: this.#topic,
      partitions,
      configs: { 'cleanup.policy': 'compact', ...ROOM },
    });
  }

  /** Of these partitions of the topic that is delivered. */
  async load(owned: readonly number[]): Promise<LoadedRetries> {
    const numbers = new Set([0, ...owned.map((partition) => partition % this.#partitions)]);
    const places = [...numbers].map((partition) => ({ topic: this.#topic, partition }));
    const retries = new Map<string, Retry>();
    let disabledUrl: string | undefined;
    await this.#readAll(places, (key, value, headers, timestamp) => {
      if (key === ENDPOINT)
        disabledUrl =
          value === null ? undefined : (JSON.parse(value.toString()) as { url: string }).url;
      else if (value === null) retries.delete(key);
      else {
        const retry = retryOf(key, value, headers, timestamp);
        if (owned.includes(retry.partition)) retries.set(key, retry);
      }
    });
    return { retries: [...retries.values()], disabledUrl };
  }

  save({ partition, offset, timestamp, key, value, headers, ...state }: Retry): Promise<unknown> {
    const { attempts, dueMs, error } = state;
    const json: StateJson = { attempts, dueMs, error, key: key?.toString('base64') ?? null };
    return this.#producer.append(this.#topic, [
      {
        partition: partition % this.#partitions,
        timestamp,
        key: `${partition}-${offset}`,
        value,
        headers: [...headers, { key: STATE, value: JSON.stringify(json) }],
      },
    ]);
  }

  remove({ partition, offset }: WebhookRecord): Promise<unknown> {
    return this.#write(partition % this.#partitions, `${partition}-${offset}`, null);
  }

  disable(url: string): Promise<unknown> {
    return this.#write(0, ENDPOINT, JSON.stringify({ url }));
  }

  enable(): Promise<unknown> {
    return this.#write(0, ENDPOINT, null);
  }

  #write(partition: number, key: string, value: string | null): Promise<unknown> {
    const timestamp = this.#log.env.clock.nowMs();
    return this.#producer.append(this.#topic, [
      { partition, timestamp, key, value, headers: NO_HEADERS },
    ]);
  }

  async #readAll(
    places: readonly TopicPartition[],
    take: (
      key: string,
      value: Buffer | null,
      headers: readonly RecordHeader[],
      timestamp: number,
    ) => void,
  ): Promise<void> {
    const [begins, ends] = await Promise.all([
      this.#log.offsets(places, 'beginning'),
      this.#log.offsets(places, 'stable'),
    ]);
    const left = new Map<number, number>();
    const positions = places.map((place, index) => {
      const [offset, end] = [begins[index] ?? 0, ends[index] ?? 0];
      if (offset < end) left.set(place.partition, end);
      return { ...place, offset };
    });
    const reader = this.#log.reader({ uncommitted: false });
    try {
      reader.assign(positions.filter(({ partition }) => left.has(partition)));
      while (left.size > 0)
        for (const records of await reader.poll(CONSUME_WAIT_MS)) {
          for (const batch of visibleBatches(records))
            while (batch.next()) {
              const { data, keyStart, keyEnd, valueStart, valueEnd } = batch;
              const value =
                valueStart < 0 ? null : Buffer.from(data.subarray(valueStart, valueEnd));
              take(
                data.toString('utf8', keyStart, keyEnd),
                value,
                copied(batch.headers()),
                batch.timestamp,
              );
            }
          if (records.next >= (left.get(records.partition) ?? 0)) left.delete(records.partition);
        }
    } finally {
      reader.close();
    }
  }
}

function retryOf(
  key: string,
  value: Buffer,
  headers: readonly RecordHeader[],
  timestamp: number,
): Retry {
  const [partition = 0, offset = 0] = key.split('-').map(Number);
  const state = JSON.parse(String(headers.at(-1)?.value)) as StateJson;
  return {
    partition,
    offset,
    timestamp,
    key: state.key === null ? null : Buffer.from(state.key, 'base64'),
    value,
    headers: headers.slice(0, -1),
    attempts: state.attempts,
    dueMs: state.dueMs,
    error: state.error,
  };
}

/** The memory of a batch is used again. */
export function copied(
  headers: readonly { readonly key: string; readonly value: Buffer | null }[],
): RecordHeader[] {
  return headers.map(({ key, value }) => ({
    key,
    value: value === null ? null : Buffer.from(value),
  }));
}
