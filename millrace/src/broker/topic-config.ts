/**
 * What may be configured on a topic: Kafka's names, types and meaning, one line of table each, and what each means to the
 * topic's logs.
 *
 * Owns: the table, validation, and the mapping to `LogConfig`. A topic keeps only what was set on it (its overrides, as
 * text); everything else follows the broker's defaults, which are settings (`synonym`) themselves.
 *
 * Source: Kafka's topic configuration reference (4.x); KIP-937 (timestamp bounds); KIP-780.
 */
import type { LogConfig, Refused } from '../log/types.ts';
import {
  boolean,
  byName,
  choice,
  type ConfigKey,
  defaultsOf,
  double,
  int,
  list,
  long,
  text,
  UNLIMITED,
  type ValuesOf,
} from './config-table.ts';
import { isTopicDefinition } from './exchanges/queue-definition.ts';
import { QUEUE_CONFIG } from './exchanges/queue-topic.ts';

const DAY_MS = 86_400_000;
const INT_MAX = 2_147_483_647;

/** NOTE: the names are Kafka's; those that start with `millrace.` are ours. Sorted by name. */
export const TOPIC_CONFIGS = {
  cleanupPolicy: list('cleanup.policy', ['delete', 'compact'], {
    default: ['delete'],
    atLeast: 1,
    synonym: 'log.cleanup.policy',
    doc: '`delete` removes closed segments by age and size; `compact` keeps the latest record of every key; both together do both.',
  }),
  compressionGzipLevel: int('compression.gzip.level', {
    default: -1,
    min: -1,
    max: 9,
    doc: 'The broker compresses with the default level of its library.',
    synonym: 'compression.gzip.level',
    effective: false,
  }),
  compressionLz4Level: int('compression.lz4.level', {
    default: 9,
    min: 1,
    max: 17,
    doc: 'The broker compresses with the default level of its library.',
    synonym: 'compression.lz4.level',
    effective: false,
  }),
  compressionType: choice(
    'compression.type',
    ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'],
    {
      default: 'producer',
      synonym: 'compression.type',
      doc: '`producer` stores batches as they come; any other value makes the broker store every batch so, which costs it decompression and compression of what comes otherwise.',
    },
  ),
  compressionZstdLevel: int('compression.zstd.level', {
    default: 3,
    min: -131_072,
    max: 22,
    doc: 'The broker compresses with the default level of its library.',
    synonym: 'compression.zstd.level',
    effective: false,
  }),
  deleteRetentionMs: long('delete.retention.ms', {
    default: DAY_MS,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.cleaner.delete.retention.ms',
    doc: 'How long compaction keeps tombstones and transaction markers, in milliseconds.',
  }),
  fileDeleteDelayMs: long('file.delete.delay.ms', {
    default: 60_000,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.segment.delete.delay.ms',
    effective: false,
    doc: 'Files are removed at once: readers that have them open keep them.',
  }),
  flushMessages: long('flush.messages', {
    default: UNLIMITED,
    min: 1,
    max: UNLIMITED,
    synonym: 'log.flush.interval.messages',
    effective: false,
    doc: 'Every acknowledged record is synced already, unless `millrace.flush` says otherwise.',
  }),
  flushMs: long('flush.ms', {
    default: 1_000,
    min: 1,
    max: UNLIMITED,
    synonym: 'log.flush.interval.ms',
    doc: 'With `millrace.flush=interval`: the longest time that an acknowledged record stays unsynced, in milliseconds. Kafka has no limit by default.',
  }),
  followerThrottled: list('follower.replication.throttled.replicas', [], {
    default: [],
    atLeast: 0,
    effective: false,
    doc: 'There is no replication on one node.',
  }),
  indexIntervalBytes: int('index.interval.bytes', {
    default: 4_096,
    min: 1,
    max: INT_MAX,
    synonym: 'log.index.interval.bytes',
    doc: 'Bytes of log between two entries of an index.',
  }),
  leaderThrottled: list('leader.replication.throttled.replicas', [], {
    default: [],
    atLeast: 0,
    effective: false,
    doc: 'There is no replication on one node.',
  }),
  maxCompactionLagMs: long('max.compaction.lag.ms', {
    default: UNLIMITED,
    min: 1,
    max: UNLIMITED,
    synonym: 'log.cleaner.max.compaction.lag.ms',
    doc: 'A record older than this makes its log due for compaction, however little of it is dirty. Milliseconds.',
  }),
  maxMessageBytes: int('max.message.bytes', {
    default: 1_048_588,
    min: 0,
    max: INT_MAX,
    synonym: 'message.max.bytes',
    doc: 'The largest record batch accepted, in bytes as stored; larger ones are refused with MESSAGE_TOO_LARGE, as is whatever does not fit into one file of the journal (32 MiB).',
  }),
  timestampAfterMaxMs: long('message.timestamp.after.max.ms', {
    default: 3_600_000,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.message.timestamp.after.max.ms',
    doc: 'A batch whose newest record is further in the future than this is refused with INVALID_TIMESTAMP. Milliseconds; no effect with LogAppendTime.',
  }),
  timestampBeforeMaxMs: long('message.timestamp.before.max.ms', {
    default: UNLIMITED,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.message.timestamp.before.max.ms',
    doc: 'A record older than this is refused with INVALID_TIMESTAMP. Milliseconds; no effect with LogAppendTime. When it is set, produced batches are decoded to look at every record.',
  }),
  timestampType: choice('message.timestamp.type', ['CreateTime', 'LogAppendTime'], {
    default: 'CreateTime',
    synonym: 'log.message.timestamp.type',
    doc: '`CreateTime` keeps the timestamps of the producer; `LogAppendTime` stamps each batch with the clock of the broker.',
  }),
  millraceFlush: choice('millrace.flush', ['commit', 'interval', 'os'], {
    default: 'commit',
    synonym: 'millrace.flush',
    doc: 'When a produced record is acknowledged: `commit` after it is on the device (fdatasync, in groups); `interval` when it is written, with a sync every `flush.ms`; `os` when it is written, synced whenever the operating system does. With the last two a power cut can lose acknowledged records.',
  }),
  millraceQueue: text(QUEUE_CONFIG, {
    allowed: 'the definition of a queue (formats/queue-definitions.md), or nothing',
    isAllowed: isTopicDefinition,
    doc: 'The topic is the queue that this defines: AMQP clients consume from it, and whoever writes to the topic puts a message into the queue. It can be given at the creation of a topic with one partition, and not altered.',
  }),
  minCleanableDirtyRatio: double('min.cleanable.dirty.ratio', {
    default: 0.5,
    min: 0,
    max: 1,
    synonym: 'log.cleaner.min.cleanable.ratio',
    doc: 'Share of a log that must have been written since its last compaction before it is compacted again.',
  }),
  minCompactionLagMs: long('min.compaction.lag.ms', {
    default: 0,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.cleaner.min.compaction.lag.ms',
    doc: 'Records younger than this are not compacted. Milliseconds.',
  }),
  minInsyncReplicas: int('min.insync.replicas', {
    default: 1,
    min: 1,
    max: INT_MAX,
    synonym: 'min.insync.replicas',
    effective: false,
    doc: 'There is one replica, this node, and it is in sync.',
  }),
  preallocate: boolean('preallocate', {
    default: false,
    synonym: 'log.preallocate',
    effective: false,
    doc: 'Segments grow as they are written; the journal is what is preallocated.',
  }),
  remoteStorageEnable: boolean('remote.storage.enable', {
    default: false,
    only: false,
    effective: false,
    doc: 'There is no tiered storage.',
  }),
  retentionBytes: long('retention.bytes', {
    default: -1,
    min: -1,
    max: UNLIMITED,
    synonym: 'log.retention.bytes',
    doc: 'The oldest closed segments of a partition are deleted while the rest still holds this many bytes; -1 is no limit.',
  }),
  retentionMs: long('retention.ms', {
    default: 7 * DAY_MS,
    min: -1,
    max: UNLIMITED,
    synonym: 'log.retention.ms',
    doc: 'Closed segments whose newest record is older than this are deleted; -1 keeps them. Milliseconds.',
  }),
  segmentBytes: int('segment.bytes', {
    default: 128 * 1024 * 1024,
    min: 1_024,
    max: INT_MAX,
    synonym: 'log.segment.bytes',
    doc: 'A segment is closed before it would grow above this. Kafka: 1 GiB.',
  }),
  segmentIndexBytes: int('segment.index.bytes', {
    default: 10_485_760,
    min: 4,
    max: INT_MAX,
    synonym: 'log.index.size.max.bytes',
    effective: false,
    doc: 'Indexes are as large as they need to be.',
  }),
  segmentJitterMs: long('segment.jitter.ms', {
    default: 0,
    min: 0,
    max: UNLIMITED,
    synonym: 'log.roll.jitter.ms',
    effective: false,
    doc: 'Closing a segment costs nothing that would have to be spread over time.',
  }),
  segmentMs: long('segment.ms', {
    default: 7 * DAY_MS,
    min: 1,
    max: UNLIMITED,
    synonym: 'log.roll.ms',
    doc: 'A segment is closed when its first record is older than this. Milliseconds.',
  }),
  uncleanLeaderElection: boolean('unclean.leader.election.enable', {
    default: false,
    synonym: 'unclean.leader.election.enable',
    effective: false,
    doc: 'There are no elections on one node.',
  }),
} as const satisfies Readonly<Record<string, ConfigKey<unknown>>>;

export type TopicConfig = ValuesOf<typeof TOPIC_CONFIGS>;

/** What was set on a topic, as text, by name. */
export type TopicOverrides = Readonly<Record<string, string>>;

export const TOPIC_CONFIG_KEYS = byName(TOPIC_CONFIGS);

export const TOPIC_CONFIG_DEFAULTS: TopicConfig = defaultsOf(TOPIC_CONFIGS);

/**
 * The configuration of a topic: `defaults` with `overrides` over them, or why the overrides are refused
 * (INVALID_CONFIG, naming the key and what it allows).
 */
export function topicConfig(
  defaults: TopicConfig,
  overrides: TopicOverrides,
): { readonly ok: true; readonly config: TopicConfig } | Refused {
  const config: Record<string, unknown> = { ...defaults };
  for (const [name, text] of Object.entries(overrides)) {
    const known = TOPIC_CONFIG_KEYS.get(name);
    if (known === undefined) return refused(`unknown topic configuration ${name.slice(0, 100)}`);
    const value = known.key.parse(text);
    if (value === undefined)
      return refused(
        `invalid value '${text.slice(0, 100)}' for ${name}: allowed is ${known.key.allowed}`,
      );
    config[known.property] = value;
  }
  return { ok: true, config: config as TopicConfig };
}

/** The values of a topic's configuration that its logs work with. */
export function logConfig(config: TopicConfig): LogConfig {
  return {
    segmentBytes: config.segmentBytes,
    segmentMs: config.segmentMs,
    indexIntervalBytes: config.indexIntervalBytes,
    retentionMs: config.retentionMs,
    retentionBytes: config.retentionBytes,
    cleanupDelete: config.cleanupPolicy.includes('delete'),
    cleanupCompact: config.cleanupPolicy.includes('compact'),
    deleteRetentionMs: config.deleteRetentionMs,
    minCleanableDirtyRatio: config.minCleanableDirtyRatio,
    minCompactionLagMs: config.minCompactionLagMs,
    maxCompactionLagMs: config.maxCompactionLagMs,
    flush: config.millraceFlush,
    flushMs: config.flushMs,
    appendTime: config.timestampType === 'LogAppendTime',
  };
}

function refused(message: string): Refused {
  return { ok: false, error: 'INVALID_CONFIG', message };
}
