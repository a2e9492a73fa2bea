/**
 * What the broker must not forget about itself: the cluster's id, the topics, the producer ids handed out. A small map of
 * texts, kept in memory and in one compacted log that is replayed at start.
 *
 * Owns: that log, under the id that Kafka reserves for cluster metadata; clients cannot see it.
 * Invariant: `get` and `entries` show only what is durable; `put` and `delete` of one key take effect in call order.
 *
 *   key    `<kind>/<name>`, UTF-8           topic/6ba7b810-9dad-41d1-80b4-00c04fd430c8, cluster, producer-ids
 *   value  JSON with a `version`; null (a tombstone) forgets the key
 */
import { TOPIC_CONFIG_DEFAULTS, logConfig } from './topic-config.ts';
import type { LogConfig, LogId } from '../log/types.ts';
import type { InternalLog } from './internal-log.ts';

/** NOTE: persistent, do not change. Kafka's id of `__cluster_metadata` (KIP-516, KIP-595). */
export const METADATA_LOG_ID: LogId = {
  topicId: '00000000-0000-0000-0000-000000000001',
  partition: 0,
};

export const METADATA_LOG_CONFIG: LogConfig = {
  ...logConfig(TOPIC_CONFIG_DEFAULTS),
  cleanupDelete: false,
  cleanupCompact: true,
  segmentBytes: 4 * 1024 * 1024,
};

export interface MetadataLog {
  /** The durable value of a key; undefined when there is none. */
  get(key: string): string | undefined;
  /** The durable entries whose key starts with `prefix`, in no particular order. */
  entries(prefix: string): readonly (readonly [key: string, value: string])[];
  /** Durable, and visible to `get`, when it resolves.
   * @throws {MillraceError} ML_DISK_FULL (retriable), ML_LOG_FAILED */
  put(key: string, value: string): Promise<void>;
  /** Forgets a key. Durable when it resolves. */
  delete(key: string): Promise<void>;
}

/** Reads the log into memory. */
export async function openMetadataLog(log: InternalLog): Promise<MetadataLog> {
  const values = new Map<string, string>();
  await log.replay((batch) => {
    if (batch.kind === 'marker') return;
    for (const { key, value } of batch.records) {
      if (value === null) values.delete(key.toString());
      else values.set(key.toString(), value.toString());
    }
  });
  return {
    get: (key) => values.get(key),
    entries: (prefix) => [...values].filter(([key]) => key.startsWith(prefix)),
    put: async (key, value) => {
      await log.append([{ key: Buffer.from(key), value: Buffer.from(value) }]);
      values.set(key, value);
    },
    delete: async (key) => {
      await log.append([{ key: Buffer.from(key), value: null }]);
      values.delete(key);
    },
  };
}
