/**
 * Builds a broker from a directory: log store, metadata, topics, coordinators, queues, in this order; closes them in reverse.
 *
 * Invariant: when it resolves everything that was ever acknowledged is in memory or readable; when it rejects nothing
 * stays open.
 */
import { Background } from '../core/background.ts';
import type { Env } from '../core/env.ts';
import { assert, MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { openLogStore } from '../log/log-store.ts';
import type { LogStoreOptions } from '../log/log-store-options.ts';
import type { LogStore } from '../log/types.ts';
import { openAccess } from './access/open-access.ts';
import type { Broker } from './broker.ts';
import { openVirtualHosts, type OpenVirtualHostsOptions } from './exchanges/open-virtual-hosts.ts';
import type { VirtualHosts } from './exchanges/virtual-host.ts';
import { Fetches } from './fetch.ts';
import { FetchSessions } from './fetch-sessions.ts';
import { openGroupCoordinator, type GroupCoordinator } from './groups/group-coordinator.ts';
import { openInternalLog, type InternalLog } from './internal-log.ts';
import {
  METADATA_LOG_CONFIG,
  METADATA_LOG_ID,
  type MetadataLog,
  openMetadataLog,
} from './metadata-log.ts';
import { openQueue } from './queues/open-queue.ts';
import { QueueMemory } from './queues/queue-memory.ts';
import { QueueTurns } from './queues/queue-turns.ts';
import type { QueueStates } from './queues/state/queue-state.ts';
import { openQueueStates } from './queues/state/queue-states.ts';
import type { BrokerSettings } from './settings.ts';
import { OFFSETS_TOPIC, QUEUE_STATE_TOPIC, TRANSACTIONS_TOPIC } from './topic-names.ts';
import { Topics } from './topics.ts';
import {
  openTransactionCoordinator,
  type TransactionCoordinator,
} from './transactions/transaction-coordinator.ts';

export interface OpenBrokerOptions {
  /** Absolute path; created when absent. */
  readonly dataDir: string;
  readonly settings: BrokerSettings;
  readonly logger: Logger;
  /** The device failed and nothing can be acknowledged any more: the process has to end. Called at most once. */
  readonly onFatal: (error: unknown) => void;
  /** Sizes of the log store, for tests on small machines. */
  readonly store?: Omit<LogStoreOptions, 'directory' | 'logger' | 'onFatal'>;
}

const NODE_ID = 1;
const CLUSTER_KEY = 'cluster';
/** NOTE: persistent format. */
const CLUSTER_VERSION = 1;
const INTERNAL_SEGMENT_BYTES = '33554432';

/**
 * Opens the broker on a directory, or creates it there.
 * @throws {MillraceError} ML_DIR_LOCKED, ML_PERMISSION, ML_DISK_FULL, ML_STATE_DAMAGED, ML_DATA_NEWER, ML_IO
 */
export async function openBroker(env: Env, options: OpenBrokerOptions): Promise<Broker> {
  const { dataDir, logger, onFatal } = options;
  const store = await openLogStore(env, {
    directory: dataDir,
    logger,
    onFatal,
    producerExpirationMs: options.settings.producerIdExpirationMs,
    ...options.store,
  });
  try {
    return await openOn(env, store, options);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openOn(env: Env, store: LogStore, options: OpenBrokerOptions): Promise<Broker> {
  const { settings, logger } = options;
  const metadataLog = store.openLog(METADATA_LOG_ID, METADATA_LOG_CONFIG, { reserved: true });
  const metadata = await openMetadataLog(
    openInternalLog({ log: metadataLog, env, logger, onDamage: 'refuse' }),
  );
  const topics = new Topics({ env, logger, settings, store, metadata });
  await store.finishRecovery();
  const clusterId = await loadClusterId(env, metadata);
  const groups = await openGroupCoordinator({
    env,
    logger,
    settings,
    log: await openStateLog(env, topics, { name: OFFSETS_TOPIC, logger }),
    topics: { idOf: (name) => topics.get(name)?.id },
  });
  const background = new Background((error, name) => {
    logger.error('work in the background failed', { error, task: name });
  });
  const transactions = await openTransactionCoordinator({
    env,
    logger,
    settings,
    log: await openStateLog(env, topics, { name: TRANSACTIONS_TOPIC, logger }),
    topics,
    groups,
    metadata,
    background,
  });
  const fetches = new Fetches({ env, topics, memoryBytes: settings.fetchMemoryBytes });
  topics.onDeleted((topic) => {
    background.run('forget the offsets of a deleted topic', groups.onTopicsDeleted([topic]));
  });
  const access = await openAccess({ env, metadata });
  const queues = await openQueues({
    env,
    store,
    logger,
    background,
    metadata,
    topics,
    consumerTimeoutMs: settings.amqpConsumerTimeoutMs || undefined,
    onVhostDeleted: (name) => access.vhostDeleted(name),
  });
  const parts = { fetches, groups, transactions, background, store, ...queues };
  let closing: Promise<void> | undefined;
  return {
    env,
    logger,
    settings,
    store,
    clusterId,
    nodeId: NODE_ID,
    dataDir: options.dataDir,
    topics,
    fetches,
    fetchSessions: new FetchSessions({ env, slots: settings.fetchSessionSlots }),
    groups,
    transactions,
    ...queues,
    access,
    close: () => (closing ??= closeAll(parts)),
  };
}

async function openQueues(
  options: Omit<OpenVirtualHostsOptions, 'states' | 'openQueue'>,
): Promise<Pick<Broker, 'virtualHosts' | 'queueStates'>> {
  const { env, store, logger, background, topics } = options;
  const log = await openStateLog(env, topics, { name: QUEUE_STATE_TOPIC, logger });
  const states = await openQueueStates({ env, logger, log });
  const memory = new QueueMemory();
  const turns = new QueueTurns(env);
  const shared = { env, logger, background, states, memory, turns, wasClean: store.cleanStart };
  const virtualHosts = await openVirtualHosts({
    ...options,
    states,
    openQueue: (queue, deadLetters) => openQueue({ ...shared, deadLetters }, queue),
  });
  return { virtualHosts, queueStates: states };
}

async function closeAll(parts: {
  readonly fetches: Fetches;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  readonly background: Background;
  readonly store: LogStore;
  readonly virtualHosts: VirtualHosts;
  readonly queueStates: QueueStates;
}): Promise<void> {
  parts.fetches.close();
  await parts.virtualHosts.close();
  await parts.queueStates.close();
  await parts.transactions.close();
  await parts.groups.close();
  await parts.background.settled();
  await parts.store.close();
}

/** The id of this data directory, made at its first start. */
async function loadClusterId(env: Env, metadata: MetadataLog): Promise<string> {
  const stored = metadata.get(CLUSTER_KEY);
  if (stored !== undefined) {
    const record = JSON.parse(stored) as { readonly version: number; readonly id: string };
    if (record.version !== CLUSTER_VERSION)
      throw new MillraceError(
        'ML_DATA_NEWER',
        `the data directory has format ${record.version}; this Millrace reads ${CLUSTER_VERSION}`,
      );
    return record.id;
  }
  const id = Buffer.from(env.random.uuid().replaceAll('-', ''), 'hex').toString('base64url');
  await metadata.put(CLUSTER_KEY, JSON.stringify({ version: CLUSTER_VERSION, id }));
  return id;
}

/** The one partition of a topic that holds a coordinator's state; the topic is made at the first start. */
async function openStateLog(
  env: Env,
  topics: Topics,
  options: { readonly name: string; readonly logger: Logger },
): Promise<InternalLog> {
  const { name, logger } = options;
  let topic = topics.get(name);
  if (topic === undefined) {
    const overrides = {
      'cleanup.policy': 'compact',
      'segment.bytes': INTERNAL_SEGMENT_BYTES,
    };
    const created = await topics.create({ name, partitions: 1, overrides });
    if (!created.ok) throw new MillraceError('ML_DISK_FULL', created.message);
    topic = created.value;
  }
  const [log] = topic.partitions;
  assert(log !== undefined, `${name} has a partition`);
  return openInternalLog({ log, env, logger, onDamage: 'skip' });
}
