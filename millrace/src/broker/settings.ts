/**
 * What may be set for a broker: one table of names (Kafka's where Kafka has one), types, defaults and ranges. The command
 * line fills it from a file and the environment; the reference page is generated from it.
 *
 * Owns: the table, parsing, and the broker's defaults for what a topic may configure (`topicDefaults`).
 *
 * Source: Kafka's broker configuration reference (4.x).
 */
import { MillraceError } from '../core/errors.ts';
import { nearestName } from '../core/nearest-name.ts';
import {
  boolean,
  byName,
  choice,
  type ConfigKey,
  defaultsOf,
  int,
  long,
  UNLIMITED,
  type ValuesOf,
} from './config-table.ts';
import { TOPIC_CONFIG_DEFAULTS, TOPIC_CONFIGS, type TopicConfig } from './topic-config.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const INT_MAX = 2_147_483_647;
const MIB = 1024 * 1024;

/** NOTE: public names. Sorted by name. */
export const SETTINGS = {
  autoCreateTopics: boolean('auto.create.topics.enable', {
    default: true,
    doc: 'A topic that a client asks for by name, and allows to be created, is created with `num.partitions` partitions.',
  }),
  connectionsMaxIdleMs: long('connections.max.idle.ms', {
    default: 10 * MINUTE_MS,
    min: 1_000,
    max: INT_MAX,
    doc: 'A connection on which nothing was asked for this long, and nothing is owed, is closed. Milliseconds.',
  }),
  fetchMaxBytes: int('fetch.max.bytes', {
    default: 55 * MIB,
    min: 1_024,
    max: INT_MAX,
    doc: 'The most that one Fetch response carries, whatever the client asks for (one batch always fits).',
  }),
  groupInitialRebalanceDelayMs: int('group.initial.rebalance.delay.ms', {
    default: 100,
    min: 0,
    max: INT_MAX,
    doc: 'How long the first rebalance of an empty group waits for more members. Kafka: 3000, its sample file: 0. Milliseconds.',
  }),
  groupMaxSessionTimeoutMs: int('group.max.session.timeout.ms', {
    default: 30 * MINUTE_MS,
    min: 1,
    max: INT_MAX,
    doc: 'The longest session timeout that a group member may ask for. Milliseconds.',
  }),
  groupMaxSize: int('group.max.size', {
    default: 10_000,
    min: 1,
    max: 100_000,
    doc: 'Members of one group; further ones are refused with GROUP_MAX_SIZE_REACHED.',
  }),
  groupMinSessionTimeoutMs: int('group.min.session.timeout.ms', {
    default: 6_000,
    min: 1,
    max: INT_MAX,
    doc: 'The shortest session timeout that a group member may ask for. Milliseconds.',
  }),
  maxConnections: int('max.connections', {
    default: 4_000,
    min: 1,
    max: 1_000_000,
    doc: 'Open connections; further ones are closed at once.',
  }),
  maxConnectionsPerIp: int('max.connections.per.ip', {
    default: 4_000,
    min: 1,
    max: 1_000_000,
    doc: 'Open connections of one address; further ones are closed at once.',
  }),
  fetchSessionSlots: int('max.incremental.fetch.session.cache.slots', {
    default: 1_000,
    min: 0,
    max: 100_000,
    doc: 'Incremental fetch sessions kept (KIP-227); a consumer that gets none sends full requests. 0 keeps none.',
  }),
  amqpChannelMax: int('millrace.amqp.channel.max', {
    default: 2_047,
    min: 1,
    max: 65_535,
    doc: 'Channels that one AMQP connection may have open.',
  }),
  amqpConsumerTimeoutMs: long('millrace.amqp.consumer.timeout.ms', {
    default: 30 * MINUTE_MS,
    min: 0,
    max: INT_MAX,
    doc: 'How long a message may be with an AMQP consumer before its channel is closed, for queues that do not say it themselves (`x-consumer-timeout`). 0: without limit. Milliseconds.',
  }),
  amqpFrameMaxBytes: int('millrace.amqp.frame.max.bytes', {
    default: 128 * 1024,
    min: 4_096,
    max: 16 * MIB,
    doc: 'The largest frame that is agreed upon with AMQP clients; larger messages take several.',
  }),
  amqpHeartbeatSeconds: int('millrace.amqp.heartbeat.seconds', {
    default: 60,
    min: 0,
    max: 65_535,
    doc: 'The interval that is proposed to AMQP clients; a connection that was silent for two of them is closed. 0 proposes none. Seconds.',
  }),
  amqpMessageMaxBytes: int('millrace.amqp.message.max.bytes', {
    default: 16 * MIB,
    min: 1_024,
    max: 512 * MIB,
    doc: 'The largest message that AMQP clients may publish; a larger one closes its channel with PRECONDITION_FAILED.',
  }),
  amqpProduct: choice('millrace.amqp.product', ['Millrace 4.1.0', 'RabbitMQ 3.13.0'], {
    default: 'Millrace 4.1.0',
    doc: 'The product and the version that AMQP clients are told. Some clients use less of the dialect unless they hear the name of RabbitMQ, or know it only up to version 3: Celery (kombu) is one.',
  }),
  fetchMemoryBytes: long('millrace.fetch.memory.bytes', {
    default: 256 * MIB,
    min: MIB,
    max: UNLIMITED,
    doc: 'Memory for Fetch responses that are on their way, over all connections. When it gets short, responses get smaller.',
  }),
  handshakeTimeoutMs: int('millrace.handshake.timeout.ms', {
    default: 10_000,
    min: 100,
    max: INT_MAX,
    doc: 'A connection that has not sent a complete first request after this long is closed. Milliseconds.',
  }),
  maxPartitions: int('millrace.max.partitions', {
    default: 10_000,
    min: 1,
    max: 1_000_000,
    doc: 'Partitions of all topics together; what would exceed it is refused with POLICY_VIOLATION.',
  }),
  requestMemoryBytes: long('millrace.request.memory.bytes', {
    default: 256 * MIB,
    min: MIB,
    max: UNLIMITED,
    doc: 'Memory for requests that are being received or worked on, over all connections. When it is used up, sockets wait.',
  }),
  numPartitions: int('num.partitions', {
    default: 4,
    min: 1,
    max: 10_000,
    doc: 'Partitions of a topic that is created without saying how many. Kafka: 1.',
  }),
  offsetMetadataMaxBytes: int('offset.metadata.max.bytes', {
    default: 4_096,
    min: 0,
    max: MIB,
    doc: 'The longest text that a client may keep with a committed offset.',
  }),
  offsetsRetentionCheckMs: long('offsets.retention.check.interval.ms', {
    default: 10 * MINUTE_MS,
    min: 1,
    max: INT_MAX,
    doc: 'How often committed offsets are looked through for those that are due to be forgotten. Milliseconds.',
  }),
  offsetsRetentionMinutes: int('offsets.retention.minutes', {
    default: 7 * 24 * 60,
    min: 1,
    max: INT_MAX,
    doc: 'Committed offsets of a group without members are forgotten after this long. Minutes.',
  }),
  producerIdExpirationMs: int('producer.id.expiration.ms', {
    default: DAY_MS,
    min: 1,
    max: INT_MAX,
    doc: 'The state that finds duplicates of an idempotent producer is forgotten when it sent nothing for this long. Milliseconds.',
  }),
  socketRequestMaxBytes: int('socket.request.max.bytes', {
    default: 100 * MIB,
    min: 1_024,
    max: 1024 * MIB,
    doc: 'The largest request; a connection that announces a larger one is closed before anything is allocated.',
  }),
  transactionAbortCheckMs: int('transaction.abort.timed.out.transaction.cleanup.interval.ms', {
    default: 10_000,
    min: 1,
    max: INT_MAX,
    doc: 'How often open transactions are looked through for those that timed out. Milliseconds.',
  }),
  transactionMaxTimeoutMs: int('transaction.max.timeout.ms', {
    default: 15 * MINUTE_MS,
    min: 1,
    max: INT_MAX,
    doc: 'The longest timeout that a transactional producer may ask for. Milliseconds.',
  }),
  transactionExpiryCheckMs: int('transaction.remove.expired.transaction.cleanup.interval.ms', {
    default: 60 * MINUTE_MS,
    min: 1,
    max: INT_MAX,
    doc: 'How often transactional ids are looked through for those that are due to be forgotten. Milliseconds.',
  }),
  transactionalIdExpirationMs: int('transactional.id.expiration.ms', {
    default: 7 * DAY_MS,
    min: 1,
    max: INT_MAX,
    doc: 'A transactional id is forgotten when nothing was asked of it for this long. Milliseconds.',
  }),
} as const satisfies Readonly<Record<string, ConfigKey<unknown>>>;

export type BrokerSettings = ValuesOf<typeof SETTINGS> & {
  /** Defaults of what a topic does not configure itself: settings named by the `synonym` of its keys. */
  readonly topicDefaults: TopicConfig;
  /** The settings that were given, as text by name; what is absent has its default. */
  readonly given: ReadonlyMap<string, string>;
};

export const SETTING_KEYS = byName(SETTINGS);

const TOPIC_DEFAULT_KEYS: ReadonlyMap<
  string,
  { readonly property: keyof TopicConfig; readonly key: ConfigKey<unknown> }
> = new Map(
  [...byName(TOPIC_CONFIGS).values()].flatMap((entry) =>
    entry.key.synonym === undefined ? [] : [[entry.key.synonym, entry]],
  ),
);

/** The settings of a broker for which nothing was set. */
export function defaultSettings(): BrokerSettings {
  return parseSettings({});
}

/** Whether there is a setting of that name. */
export function isSetting(name: string): boolean {
  return SETTING_KEYS.has(name) || TOPIC_DEFAULT_KEYS.has(name);
}

/**
 * Settings from texts, numbers, booleans or lists of texts, by name.
 * @param values from a file or the environment. Absent: the default.
 * @throws {MillraceError} ML_CONFIG_INVALID, naming the key and what it allows
 * @example parseSettings({ 'num.partitions': 12, 'log.retention.ms': '86400000' }).numPartitions // => 12
 */
export function parseSettings(values: Readonly<Record<string, unknown>>): BrokerSettings {
  const settings: Record<string, unknown> = { ...defaultsOf(SETTINGS) };
  const topicDefaults: Record<string, unknown> = { ...TOPIC_CONFIG_DEFAULTS };
  const given = new Map<string, string>();
  for (const [name, raw] of Object.entries(values)) {
    const own = SETTING_KEYS.get(name);
    const ofTopics = TOPIC_DEFAULT_KEYS.get(name);
    const key = own?.key ?? ofTopics?.key;
    if (key === undefined) throw unknownSetting(name);
    const text = textOf(raw);
    const value = text === undefined ? undefined : key.parse(text);
    if (text === undefined || value === undefined) throw invalidSetting(name, raw, key.allowed);
    given.set(name, text);
    if (own !== undefined) settings[own.property] = value;
    if (ofTopics !== undefined) topicDefaults[ofTopics.property] = value;
  }
  const parsed = { ...settings, topicDefaults, given } as unknown as BrokerSettings;
  if (parsed.groupMinSessionTimeoutMs > parsed.groupMaxSessionTimeoutMs)
    throw new MillraceError(
      'ML_CONFIG_INVALID',
      'group.min.session.timeout.ms is larger than group.max.session.timeout.ms',
      { fields: { key: 'group.min.session.timeout.ms' } },
    );
  return parsed;
}

function textOf(raw: unknown): string | undefined {
  if (typeof raw === 'string') return raw.trim();
  if (typeof raw === 'number' || typeof raw === 'boolean') return String(raw);
  const isList = Array.isArray(raw) && raw.every((item) => typeof item === 'string');
  return isList ? raw.join(',') : undefined;
}

function unknownSetting(name: string): MillraceError {
  const names = [...SETTING_KEYS.keys(), ...TOPIC_DEFAULT_KEYS.keys()];
  const near = nearestName(name, names);
  return new MillraceError('ML_CONFIG_INVALID', `there is no setting '${name.slice(0, 100)}'`, {
    fields: { key: name.slice(0, 100) },
    hint:
      near === undefined
        ? 'docs/reference/settings.md lists the settings'
        : `Did you mean '${near}'? docs/reference/settings.md lists the settings`,
  });
}

function invalidSetting(name: string, raw: unknown, allowed: string): MillraceError {
  const shown = typeof raw === 'string' ? `'${raw.slice(0, 100)}'` : JSON.stringify(raw);
  return new MillraceError(
    'ML_CONFIG_INVALID',
    `${name} cannot be ${shown}: allowed is ${allowed}`,
    {
      fields: { key: name, allowed },
    },
  );
}
