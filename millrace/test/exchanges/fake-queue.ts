/** A queue in memory, and virtual hosts over it: what routing and declaring can be tested with. */
import { Background } from '../../src/core/background.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import {
  type LiveVirtualHosts,
  openVirtualHosts,
} from '../../src/broker/exchanges/open-virtual-hosts.ts';
import type { OpenedQueue } from '../../src/broker/queues/opened-queue.ts';
import type { PartitionLog } from '../../src/log/types.ts';
import type { QueueDefinition } from '../../src/broker/queues/queue-definition.ts';
import type { QueueDeclaration, QueueOwner } from '../../src/broker/exchanges/virtual-host.ts';
import { openInternalLog } from '../../src/broker/internal-log.ts';
import {
  METADATA_LOG_CONFIG,
  METADATA_LOG_ID,
  type MetadataLog,
  openMetadataLog,
} from '../../src/broker/metadata-log.ts';
import { parseSettings } from '../../src/broker/settings.ts';
import { Topics } from '../../src/broker/topics.ts';
import type { LiveVirtualHost } from '../../src/broker/exchanges/live-virtual-host.ts';
import type { Env } from '../../src/core/env.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import { openLogStore } from '../../src/log/log-store.ts';
import { NO_PROPERTIES, type QueueMessage } from '../../src/broker/queues/message.ts';
import type {
  DeadLetterReason,
  DeadLetters,
  QueueAppended,
  QueueCounts,
  QueueOutcome,
  QueueSettings,
} from '../../src/broker/queues/queue.ts';
import type { QueueStates } from '../../src/broker/queues/state/queue-state.ts';
import type { FieldTable } from '../../src/wire/amqp/field-table.ts';
import { encodeProperties } from '../../src/wire/amqp/properties.ts';

export class FakeQueue implements OpenedQueue {
  readonly id: string;
  readonly vhost: string;
  readonly name: string;
  readonly settings: QueueSettings;
  readonly topic: string | undefined;
  readonly ready: Promise<void> = Promise.resolve();
  readonly messages: QueueMessage[] = [];
  readonly logs: PartitionLog[];
  /** Sizes of what was appended at once. */
  readonly batches: number[] = [];
  consumers = 0;
  /** What `hasRoomFor` answers. */
  hasRoom = true;
  isClosed = false;
  /** What the next calls of `append` answer. */
  answer: (messages: readonly QueueMessage[]) => QueueAppended = () => ({
    refused: [],
    reason: undefined,
    durable: undefined,
  });
  private readonly deadLetters: DeadLetters;

  constructor(opened: QueueDefinition, deadLetters: DeadLetters) {
    this.id = opened.id;
    this.vhost = opened.vhost;
    this.name = opened.name;
    this.settings = opened.settings;
    this.topic = opened.topic;
    this.logs = [...opened.logs];
    this.deadLetters = deadLetters;
  }

  get counts(): QueueCounts {
    return {
      ready: this.messages.length,
      unacknowledged: 0,
      delayed: 0,
      consumers: this.consumers,
      readyBytes: 0,
      logBytes: 0,
      published: 0,
      delivered: 0,
      redelivered: 0,
      acknowledged: 0,
      expired: 0,
      deadLettered: { rejected: 0, expired: 0, maxlen: 0, delivery_limit: 0 },
      dropped: 0,
    };
  }

  append(messages: readonly QueueMessage[]): QueueAppended {
    const appended = this.answer(messages);
    this.batches.push(messages.length);
    this.messages.push(...messages.filter((_, index) => !appended.refused.includes(index)));
    return appended;
  }

  /** Its oldest message becomes a dead letter. */
  bury(reason: DeadLetterReason): ReturnType<DeadLetters> {
    const [message] = this.messages;
    if (message === undefined) throw new Error(`${this.name} is empty`);
    const fate = this.deadLetters(this, message, reason);
    if (fate !== 'refused') this.messages.shift();
    return fate;
  }

  hasRoomFor(): boolean {
    return this.hasRoom;
  }
  consume(): undefined {}
  cancel(): void {}
  resume(): void {}
  settle(): void {}
  flush(): Promise<void> {
    return Promise.resolve();
  }
  get(): Promise<QueueOutcome<undefined>> {
    return Promise.resolve({ ok: true, value: undefined });
  }
  purge(): Promise<number> {
    return Promise.resolve(this.messages.splice(0).length);
  }
  addLogs(logs: readonly PartitionLog[]): Promise<void> {
    this.logs.push(...logs);
    return Promise.resolve();
  }
  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

export const ANYBODY: QueueOwner = { label: 'anybody' };

/** Metadata that is in memory. */
export function memoryMetadata(values = new Map<string, string>()): MetadataLog {
  return {
    get: (key) => values.get(key),
    entries: (prefix) => [...values].filter(([key]) => key.startsWith(prefix)),
    put: (key, value) => {
      values.set(key, value);
      return Promise.resolve();
    },
    delete: (key) => {
      values.delete(key);
      return Promise.resolve();
    },
  };
}

/** States that are asked for by nobody, and of which those that were removed are known. */
export function forgottenStates(ids: readonly string[] = []): QueueStates & { removed: string[] } {
  const removed: string[] = [];
  return {
    removed,
    open: () => Promise.reject(new Error('a fake queue has no state')),
    flush: () => Promise.resolve(),
    remove: (id) => {
      removed.push(id);
      return Promise.resolve();
    },
    ids: () => ids,
    close: () => Promise.resolve(),
  };
}

/** Virtual hosts over a log store, with topics and metadata, and queues in memory. */
export interface FakeHosts {
  readonly env: Env;
  readonly hosts: LiveVirtualHosts;
  readonly vhost: LiveVirtualHost;
  readonly topics: Topics;
  readonly metadata: MetadataLog;
  readonly logger: CollectingLogger;
  readonly background: Background;
  readonly states: ReturnType<typeof forgottenStates>;
  /** The fake behind a queue of `/`. */
  readonly queue: (name: string) => FakeQueue;
  close(): Promise<void>;
}

export async function openFakeHosts(
  env: Env,
  stateIds: readonly string[] = [],
): Promise<FakeHosts> {
  const logger = new CollectingLogger();
  const store = await openLogStore(env, {
    directory: '/data/hosts',
    logger,
    onFatal: (error) => {
      if (!(error instanceof SimPowerCut)) throw error;
    },
    journalFileBytes: 1024 * 1024,
    journalBytesMax: 16 * 1024 * 1024,
    reserveBytes: 65_536,
  });
  const metadataLog = store.openLog(METADATA_LOG_ID, METADATA_LOG_CONFIG, { reserved: true });
  const metadata = await openMetadataLog(
    openInternalLog({ log: metadataLog, env, logger, onDamage: 'refuse' }),
  );
  const topics = new Topics({ env, logger, settings: parseSettings({}), store, metadata });
  await store.finishRecovery();
  const background = new Background((error) => {
    if (!(error instanceof SimPowerCut)) throw error;
  });
  const states = forgottenStates(stateIds);
  const openQueue = (opened: QueueDefinition, deadLetters: DeadLetters) =>
    new FakeQueue(opened, deadLetters);
  const shared = { env, logger, background, store, metadata, topics, states };
  const hosts = await openVirtualHosts({
    ...shared,
    openQueue,
    consumerTimeoutMs: 60_000,
    onVhostDeleted: () => Promise.resolve(),
  });
  const vhost = hosts.get('/');
  if (vhost === undefined) throw new Error('there is always /');
  return {
    ...shared,
    hosts,
    vhost,
    queue: (name) => {
      const found = vhost.queueTable.byName.get(name)?.queue;
      if (!(found instanceof FakeQueue)) throw new Error(`there is no queue ${name}`);
      return found;
    },
    close: async () => {
      await hosts.close();
      await background.settled();
      await store.close();
    },
  };
}

/** Runs `program` with virtual hosts on a fresh machine. */
export async function withFakeHosts(
  program: (fake: FakeHosts) => Promise<void>,
  stateIds: readonly string[] = [],
): Promise<void> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  await machine.run(
    (async () => {
      const fake = await openFakeHosts(env, stateIds);
      await program(fake);
      await fake.close();
    })(),
  );
}

export function declared(name: string, change: Partial<QueueDeclaration> = {}): QueueDeclaration {
  return {
    name,
    passive: false,
    durable: false,
    exclusive: false,
    autoDelete: false,
    arguments: {},
    ...change,
  };
}

export function message(exchange: string, routingKey: string, headers?: FieldTable): QueueMessage {
  return {
    key: null,
    exchange,
    routingKey,
    properties: headers === undefined ? NO_PROPERTIES : encodeProperties({ headers }),
    body: Buffer.from(routingKey),
    timestampMs: 0,
  };
}

/** The value, or an error that a test shows. */
export function valueOf<Value>(outcome: QueueOutcome<Value>): Value {
  if (!outcome.ok) throw new Error(`${outcome.error}: ${outcome.message}`);
  return outcome.value;
}
