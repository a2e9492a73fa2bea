/**
 * Where queues have their messages: a topic of its own for a durable one, a log that nobody else knows for one that is not, somebody
 * else's topic for a queue over a topic. Makes these, opens a queue on them, and removes them with it.
 */
import type { Env } from '../../core/env.ts';
import { assert } from '../../core/errors.ts';
import type { LogStore } from '../../log/types.ts';
import type { OpenedQueue } from '../queues/opened-queue.ts';
import type { Queue, QueueOutcome, QueueSettings } from '../queues/queue.ts';
import type { QueueDefinition } from '../queues/queue-definition.ts';
import type { QueueStates } from '../queues/state/queue-state.ts';
import type { LogConfig } from '../../log/types.ts';
import { logConfig, TOPIC_CONFIG_DEFAULTS } from '../topic-config.ts';
import type { Topic, Topics } from '../topics.ts';
import type { Definitions } from './definitions.ts';
import {
  definedSettings,
  formatQueueDefinition,
  parseQueueDefinition,
  type QueueRecord,
} from './queue-definition.ts';
import { QUEUE_CONFIG, queueTopicNames, withQueueDefaults } from './queue-topic.ts';
import { called, refusal } from './refusals.ts';

export type OpenQueue = (queue: QueueDefinition) => OpenedQueue;

export interface QueueStorageOptions {
  readonly env: Env;
  readonly store: LogStore;
  readonly topics: Topics;
  readonly states: QueueStates;
  readonly definitions: Definitions;
  /** Of queues that do not say it; undefined: without limit. */
  readonly consumerTimeoutMs: number | undefined;
  readonly openQueue: OpenQueue;
}

/** What is declared, and understood. */
export interface NewQueue {
  readonly definition: QueueRecord;
  readonly settings: QueueSettings;
  readonly durable: boolean;
}

/** Of queues that end with the process: nothing waits for the device, and small segments go as they are settled. */
const TRANSIENT_LOG: LogConfig = {
  ...logConfig(TOPIC_CONFIG_DEFAULTS),
  cleanupDelete: true,
  retentionMs: -1,
  retentionBytes: -1,
  segmentBytes: 32 * 1024 * 1024,
  flush: 'os',
};

export class QueueStorage {
  private readonly options: QueueStorageOptions;
  /** Topics of queues that are being created here, by name: nobody else takes them for queues of their own. */
  private readonly creating = new Set<string>();

  constructor(options: QueueStorageOptions) {
    this.options = options;
  }

  /** Whether a topic of this name that appears now is one that `create` is making. */
  isCreating(topic: string): boolean {
    return this.creating.has(topic);
  }

  /** @returns NOT_FOUND (no such topic to read), PRECONDITION_FAILED (too many partitions), RESOURCE_ERROR (a full disk) */
  create(queue: NewQueue): Promise<QueueOutcome<OpenedQueue>> {
    if (queue.settings.sourceTopic !== undefined) return this.createOverTopic(queue);
    return queue.durable ? this.createTopic(queue) : Promise.resolve(this.createLog(queue));
  }

  /** Opens the queue that a topic is. */
  open(topic: Topic, definition: QueueRecord): QueueOutcome<OpenedQueue> {
    const settings = definedSettings(definition);
    if (!settings.ok) return settings;
    const { vhost, name } = definition;
    const opened = this.openAs(definition, {
      id: topic.id,
      vhost,
      name,
      settings: settings.value,
      topic: topic.name,
      logs: [...topic.partitions],
      durable: true,
    });
    return { ok: true, value: opened };
  }

  /** Opens a queue over a topic that the log knows. @returns NOT_FOUND when the topic is gone */
  openOverTopic(id: string, queue: NewQueue): QueueOutcome<OpenedQueue> {
    const { definition, settings, durable } = queue;
    const { vhost, name } = definition;
    const source = this.sourceOf(queue);
    if (!source.ok) return source;
    const topic = source.value;
    const logs = [...topic.partitions];
    const opened = { id, vhost, name, settings, topic: topic.name, logs, durable };
    return { ok: true, value: this.openAs(definition, opened) };
  }

  /** Removes what the queue, which is closed, has on the disk. Durable when it resolves. */
  async remove(queue: Queue): Promise<void> {
    const { store, topics, states, definitions } = this.options;
    if (queue.settings.sourceTopic !== undefined) {
      await definitions.deleteQueueOverTopic(queue.id);
    } else if (queue.topic === undefined) {
      await store.deleteLog({ topicId: queue.id, partition: 0 });
    } else {
      const topic = topics.byId(queue.id);
      if (topic !== undefined) await topics.delete(topic);
    }
    await states.remove(queue.id);
  }

  private openAs(definition: QueueRecord, queue: QueueDefinition): OpenedQueue {
    const { openQueue, consumerTimeoutMs } = this.options;
    return Object.hasOwn(definition.arguments, 'x-consumer-timeout')
      ? openQueue(queue)
      : openQueue({ ...queue, settings: { ...queue.settings, consumerTimeoutMs } });
  }

  private async createOverTopic(queue: NewQueue): Promise<QueueOutcome<OpenedQueue>> {
    const id = this.options.env.random.uuid();
    const source = this.sourceOf(queue);
    if (!source.ok) return source;
    if (queue.durable) await this.options.definitions.putQueueOverTopic(id, queue.definition);
    return this.openOverTopic(id, queue);
  }

  private sourceOf({ definition, settings }: NewQueue): QueueOutcome<Topic> {
    const { vhost, name } = definition;
    const topic = this.options.topics.get(settings.sourceTopic ?? '');
    if (topic === undefined)
      return refusal(
        'NOT_FOUND',
        `no topic '${settings.sourceTopic}' for ${called('queue', name, vhost)}`,
      );
    if (topic.internal)
      return refusal('ACCESS_REFUSED', `topic '${topic.name}' holds the state of the broker`);
    const other = parseQueueDefinition(topic.config.millraceQueue)?.vhost ?? vhost;
    return other === vhost
      ? { ok: true, value: topic }
      : refusal('ACCESS_REFUSED', `topic '${topic.name}' is of a queue of another vhost`);
  }

  /** Nobody opens such a log after a restart, and so it is dropped then. */
  private createLog(queue: NewQueue): QueueOutcome<OpenedQueue> {
    const { env, store } = this.options;
    const { definition, settings } = queue;
    const id = env.random.uuid();
    const log = store.openLog({ topicId: id, partition: 0 }, TRANSIENT_LOG, { transient: true });
    const { vhost, name } = definition;
    const logs = [log];
    const opened = { id, vhost, name, settings, topic: undefined, logs, durable: false };
    return { ok: true, value: this.openAs(definition, opened) };
  }

  private async createTopic(queue: NewQueue): Promise<QueueOutcome<OpenedQueue>> {
    const { vhost, name } = queue.definition;
    const text = formatQueueDefinition(queue.definition);
    const overrides = withQueueDefaults({ [QUEUE_CONFIG]: text });
    for (const topic of queueTopicNames(vhost, name)) {
      const created = await this.createTopicNamed(topic, overrides);
      if (created.ok) return this.open(created.value, queue.definition);
      // A Kafka client has declared the same queue at the same time.
      const present = this.options.topics.get(topic);
      if (present?.config.millraceQueue === text) return this.open(present, queue.definition);
      if (created.error !== 'TOPIC_ALREADY_EXISTS')
        return refusal(
          created.error === 'KAFKA_STORAGE_ERROR' ? 'RESOURCE_ERROR' : 'PRECONDITION_FAILED',
          `${called('queue', name, vhost)} cannot have its topic '${topic}': ${created.message}`,
        );
    }
    return refusal(
      'PRECONDITION_FAILED',
      `${called('queue', name, vhost)} cannot have its topic: one of that name is something else`,
    );
  }

  private async createTopicNamed(
    name: string,
    overrides: Readonly<Record<string, string>>,
  ): ReturnType<Topics['create']> {
    assert(!this.creating.has(name), 'queues of different names have different topics');
    this.creating.add(name);
    try {
      return await this.options.topics.create({ name, partitions: 1, overrides });
    } finally {
      this.creating.delete(name);
    }
  }
}
