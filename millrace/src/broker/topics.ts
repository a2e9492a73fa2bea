/**
 * The topics: by name, by id, with the partition logs of each.
 *
 * Owns: creation, deletion, growth and configuration of topics, and their durable form in the metadata log.
 * Invariants
 * - A topic is visible only after its record in the metadata log is durable; it stops being visible only after its
 *   tombstone is. Logs without a topic (a crash in between) are dropped at the next start.
 * - A topic's id is never used again, so a name that is deleted and created anew is another topic.
 * - Changes of one name happen one after the other.
 *
 *   record  topic/<id> → {"version":1,"name","partitions","internal","createdMs","config":{…overrides}}
 */
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { LogStore, PartitionLog, Refused } from '../log/types.ts';
import { QUEUE_CONFIG, queueTopicFault, withQueueDefaults } from './exchanges/queue-topic.ts';
import type { MetadataLog } from './metadata-log.ts';
import type { BrokerSettings } from './settings.ts';
import {
  logConfig,
  TOPIC_CONFIG_KEYS,
  topicConfig,
  type TopicConfig,
  type TopicOverrides,
} from './topic-config.ts';
import { isInternalTopic, topicNameFault } from './topic-names.ts';

/** A topic as it is now: the object stays the same while the topic lives, its content changes. */
export interface Topic {
  /** UUID, lower case with hyphens. */
  readonly id: string;
  readonly name: string;
  /** Holds the broker's own state. */
  readonly internal: boolean;
  readonly createdMs: number;
  /** What was set on this topic. */
  readonly overrides: TopicOverrides;
  /** The overrides over the broker's defaults. */
  readonly config: TopicConfig;
  /** By partition number. */
  readonly partitions: readonly PartitionLog[];
  /** true once the topic is gone, for those that still hold it. */
  readonly deleted: boolean;
}

type MutableTopic = { -readonly [Property in keyof Topic]: Topic[Property] } & {
  partitions: PartitionLog[];
};

export interface NewTopic {
  readonly name: string;
  /** -1: the broker's `num.partitions`. */
  readonly partitions: number;
  readonly overrides: TopicOverrides;
}

export type Outcome<Value> = { readonly ok: true; readonly value: Value } | Refused;

export interface TopicsOptions {
  readonly env: Env;
  readonly logger: Logger;
  readonly settings: BrokerSettings;
  readonly store: LogStore;
  readonly metadata: MetadataLog;
}

const RECORD_PREFIX = 'topic/';
/** NOTE: persistent format. */
const RECORD_VERSION = 1;

export class Topics {
  private readonly env: Env;
  private readonly logger: Logger;
  private readonly settings: BrokerSettings;
  private readonly store: LogStore;
  private readonly metadata: MetadataLog;
  private readonly byName = new Map<string, MutableTopic>();
  private readonly topicsById = new Map<string, MutableTopic>();
  /** The last change of a name that is under way. */
  private readonly changes = new Map<string, Promise<unknown>>();
  private readonly creationListeners = new Set<(topic: Topic) => void>();
  private readonly creationGuards = new Set<(request: NewTopic) => string | undefined>();
  private readonly growthListeners = new Set<
    (topic: Topic, added: readonly PartitionLog[]) => void
  >();
  private readonly deletionListeners = new Set<(topic: Topic) => void>();
  private partitionTotal = 0;

  /** Opens the logs of all topics that the metadata log knows. */
  constructor(options: TopicsOptions) {
    this.env = options.env;
    this.logger = options.logger;
    this.settings = options.settings;
    this.store = options.store;
    this.metadata = options.metadata;
    for (const [key, value] of this.metadata.entries(RECORD_PREFIX)) {
      const topic = this.topicOfRecord(key.slice(RECORD_PREFIX.length), value);
      this.byName.set(topic.name, topic);
      this.topicsById.set(topic.id, topic);
    }
  }

  get(name: string): Topic | undefined {
    return this.byName.get(name);
  }

  byId(id: string): Topic | undefined {
    return this.topicsById.get(id);
  }

  /** All topics, in the order of their creation since the start. */
  all(): readonly Topic[] {
    return [...this.byName.values()];
  }

  /** undefined when there is no such topic or partition. */
  partition(name: string, index: number): PartitionLog | undefined {
    return this.byName.get(name)?.partitions[index];
  }

  /** Partitions of all topics. */
  get partitionCount(): number {
    return this.partitionTotal;
  }

  /** Calls back after a topic is there; returns the way to stop. */
  onCreated(listener: (topic: Topic) => void): () => void {
    this.creationListeners.add(listener);
    return () => this.creationListeners.delete(listener);
  }

  /** Asks before a topic is made: why it cannot be (INVALID_CONFIG), or undefined. Returns the way to stop. */
  onCreating(guard: (request: NewTopic) => string | undefined): () => void {
    this.creationGuards.add(guard);
    return () => this.creationGuards.delete(guard);
  }

  /** Calls back after a topic has got further partitions; returns the way to stop. */
  onGrown(listener: (topic: Topic, added: readonly PartitionLog[]) => void): () => void {
    this.growthListeners.add(listener);
    return () => this.growthListeners.delete(listener);
  }

  /** Calls back after a topic is gone; returns the way to stop. */
  onDeleted(listener: (topic: Topic) => void): () => void {
    this.deletionListeners.add(listener);
    return () => this.deletionListeners.delete(listener);
  }

  /** What `create` would answer, without doing it: the partition count and the configuration. */
  checkCreate(
    request: NewTopic,
  ): Outcome<{ readonly partitions: number; readonly config: TopicConfig }> {
    const fault = topicNameFault(request.name);
    if (fault !== undefined) return refused('INVALID_TOPIC_EXCEPTION', fault);
    if (this.byName.has(request.name))
      return refused('TOPIC_ALREADY_EXISTS', `topic ${request.name} exists already`);
    const partitions = request.partitions === -1 ? this.settings.numPartitions : request.partitions;
    if (!(partitions >= 1))
      return refused('INVALID_PARTITIONS', `a topic has at least 1 partition, not ${partitions}`);
    const room = this.checkRoom(partitions);
    if (room !== undefined) return room;
    const parsed = topicConfig(this.settings.topicDefaults, withQueueDefaults(request.overrides));
    if (!parsed.ok) return parsed;
    const objection = queueTopicFault(partitions, request.overrides) ?? this.objectionTo(request);
    return objection === undefined
      ? { ok: true, value: { partitions, config: parsed.config } }
      : refused('INVALID_CONFIG', objection);
  }

  /** Creates a topic; it is durable and visible when the promise resolves. */
  create(request: NewTopic): Promise<Outcome<Topic>> {
    return this.exclusively(request.name, () => this.createNow(request));
  }

  /** The topic of that name, created with the broker's defaults when there is none and names of its kind may be. */
  async getOrCreate(name: string): Promise<Outcome<Topic>> {
    const created = await this.create({
      name,
      partitions: isInternalTopic(name) ? 1 : -1,
      overrides: {},
    });
    const topic = this.byName.get(name);
    return topic === undefined ? created : { ok: true, value: topic };
  }

  /** Removes a topic, its records and its files; a later topic of its name stays. Durable when the promise resolves. */
  delete(topic: Topic): Promise<Outcome<void>> {
    return this.exclusively(topic.name, () => this.deleteNow(topic.name, topic.id));
  }

  /** What `addPartitions` would answer, without doing it. */
  checkAddPartitions(name: string, total: number): Outcome<Topic> {
    const topic = this.byName.get(name);
    if (topic === undefined) return unknownTopic(name);
    const count = topic.partitions.length;
    if (topic.internal || topic.config.millraceQueue !== '')
      return refused('INVALID_PARTITIONS', `the partitions of ${name} are fixed`);
    if (total === count)
      return refused('INVALID_PARTITIONS', `topic ${name} has ${count} partitions already`);
    if (total < count)
      return refused(
        'INVALID_PARTITIONS',
        `topic ${name} has ${count} partitions, which is more than the ${total} asked for`,
      );
    return this.checkRoom(total - count) ?? { ok: true, value: topic };
  }

  /** Lets a topic have `total` partitions, more than it has. Durable when the promise resolves. */
  addPartitions(name: string, total: number): Promise<Outcome<void>> {
    return this.exclusively(name, async () => {
      const checked = this.checkAddPartitions(name, total);
      const topic = this.byName.get(name);
      if (!checked.ok) return checked;
      if (topic === undefined) return unknownTopic(name);
      const from = topic.partitions.length;
      const opened = await this.openLogs(topic, from, total);
      if (!opened.ok) return opened;
      await this.persist(topic, { partitions: total, added: opened.value });
      topic.partitions.push(...opened.value);
      for (const listener of this.growthListeners) listener(topic, opened.value);
      return { ok: true, value: undefined };
    });
  }

  /**
   * Replaces what is set on a topic by what `change` makes of it. Durable, and in force, when the promise resolves.
   * @param change a pure function of the present overrides
   */
  alterConfig(
    name: string,
    change: (overrides: TopicOverrides) => Outcome<TopicOverrides>,
    options: { readonly validateOnly: boolean },
  ): Promise<Outcome<void>> {
    return this.exclusively(name, async () => {
      const topic = this.byName.get(name);
      if (topic === undefined) return unknownTopic(name);
      const changed = change(topic.overrides);
      if (!changed.ok) return changed;
      const parsed = topicConfig(this.settings.topicDefaults, changed.value);
      if (!parsed.ok) return parsed;
      const objection = alterationFault(topic, changed.value, parsed.config);
      if (objection !== undefined) return refused('INVALID_CONFIG', objection);
      if (options.validateOnly) return { ok: true, value: undefined };
      await this.persist(
        { ...topic, overrides: changed.value },
        { partitions: topic.partitions.length },
      );
      topic.overrides = changed.value;
      topic.config = parsed.config;
      const forLogs = logConfig(parsed.config);
      for (const log of topic.partitions) log.updateConfig(forLogs);
      return { ok: true, value: undefined };
    });
  }

  private async createNow(request: NewTopic): Promise<Outcome<Topic>> {
    const checked = this.checkCreate(request);
    if (!checked.ok) return checked;
    const { partitions, config } = checked.value;
    const id = this.env.random.uuid();
    // Logs first: when the metadata record is durable the topic is complete, and logs without a record are dropped.
    const internal = isInternalTopic(request.name);
    const opened = await this.openLogs({ id, internal, config }, 0, partitions);
    if (!opened.ok) return opened;
    const topic: MutableTopic = {
      id,
      name: request.name,
      internal,
      createdMs: this.env.clock.nowMs(),
      overrides: withQueueDefaults(request.overrides),
      config,
      partitions: opened.value,
      deleted: false,
    };
    await this.persist(topic, { partitions, added: opened.value });
    this.byName.set(topic.name, topic);
    this.topicsById.set(id, topic);
    this.logger.info('topic created', { topic: topic.name, topicId: id, partitions });
    for (const listener of this.creationListeners) listener(topic);
    return { ok: true, value: topic };
  }

  private async deleteNow(name: string, id: string): Promise<Outcome<void>> {
    const topic = this.byName.get(name);
    if (topic === undefined || topic.id !== id) return unknownTopic(name);
    if (topic.internal)
      return refused('INVALID_TOPIC_EXCEPTION', `${name} holds the broker's state`);
    await this.metadata.delete(`${RECORD_PREFIX}${topic.id}`);
    topic.deleted = true;
    this.byName.delete(name);
    this.topicsById.delete(topic.id);
    for (const listener of this.deletionListeners) listener(topic);
    await this.removeLogs(topic.partitions);
    this.logger.info('topic deleted', { topic: name, topicId: topic.id });
    return { ok: true, value: undefined };
  }

  /** Opens partitions [from, to) of a topic, all or none. */
  private async openLogs(
    topic: Pick<Topic, 'id' | 'internal' | 'config'>,
    from: number,
    to: number,
  ): Promise<Outcome<PartitionLog[]>> {
    const logs: PartitionLog[] = [];
    try {
      for (let partition = from; partition < to; partition++) {
        logs.push(this.openLog(topic, partition));
        this.partitionTotal++;
      }
      return { ok: true, value: logs };
    } catch (error) {
      await this.removeLogs(logs);
      if (error instanceof MillraceError && error.retriable)
        return refused('KAFKA_STORAGE_ERROR', error.message);
      throw error;
    }
  }

  /** Logs of internal topics may use the reserve of a full disk: offset commits go on. */
  private openLog(
    topic: Pick<Topic, 'id' | 'internal' | 'config'>,
    partition: number,
  ): PartitionLog {
    const id = { topicId: topic.id, partition };
    return this.store.openLog(id, logConfig(topic.config), { reserved: topic.internal });
  }

  /** Removes logs that were counted. */
  private async removeLogs(logs: readonly PartitionLog[]): Promise<void> {
    this.partitionTotal -= logs.length;
    await Promise.all(logs.map((log) => this.store.deleteLog(log.id)));
  }

  /** Writes the topic's record; when that fails, `added` logs go again. */
  private async persist(
    topic: Topic,
    change: { readonly partitions: number; readonly added?: readonly PartitionLog[] },
  ): Promise<void> {
    const { name, internal, createdMs } = topic;
    const record = {
      version: RECORD_VERSION,
      name,
      partitions: change.partitions,
      internal,
      createdMs,
      config: topic.overrides,
    };
    try {
      await this.metadata.put(`${RECORD_PREFIX}${topic.id}`, JSON.stringify(record));
    } catch (error) {
      if (change.added !== undefined) await this.removeLogs(change.added);
      throw error;
    }
  }

  private topicOfRecord(id: string, value: string): MutableTopic {
    const record = JSON.parse(value) as {
      readonly version: number;
      readonly name: string;
      readonly partitions: number;
      readonly internal: boolean;
      readonly createdMs: number;
      readonly config: TopicOverrides;
    };
    if (record.version !== RECORD_VERSION)
      throw new MillraceError(
        'ML_DATA_NEWER',
        `topic ${id} is recorded in format ${record.version}; this Millrace reads ${RECORD_VERSION}`,
        { fields: { topicId: id, version: record.version } },
      );
    const { overrides, config } = this.readableConfig(record.name, record.config);
    const partitions: PartitionLog[] = [];
    for (let partition = 0; partition < record.partitions; partition++)
      partitions.push(this.openLog({ id, internal: record.internal, config }, partition));
    this.partitionTotal += partitions.length;
    const { name, internal, createdMs } = record;
    return { id, name, internal, createdMs, overrides, config, partitions, deleted: false };
  }

  /** Stored overrides, without those that this version no longer allows: they are named in the log, not fatal. */
  private readableConfig(
    topic: string,
    stored: TopicOverrides,
  ): { readonly overrides: TopicOverrides; readonly config: TopicConfig } {
    const overrides: Record<string, string> = {};
    for (const [name, text] of Object.entries(stored)) {
      if (TOPIC_CONFIG_KEYS.get(name)?.key.parse(text) === undefined)
        this.logger.warn('a stored topic configuration is ignored', { topic, name, value: text });
      else overrides[name] = text;
    }
    const parsed = topicConfig(this.settings.topicDefaults, overrides);
    return { overrides, config: parsed.ok ? parsed.config : this.settings.topicDefaults };
  }

  private objectionTo(request: NewTopic): string | undefined {
    for (const guard of this.creationGuards) {
      const objection = guard(request);
      if (objection !== undefined) return objection;
    }
    return undefined;
  }

  private checkRoom(additional: number): Refused | undefined {
    const total = this.partitionTotal + additional;
    return total <= this.settings.maxPartitions
      ? undefined
      : refused(
          'POLICY_VIOLATION',
          `there would be ${total} partitions; millrace.max.partitions allows ${this.settings.maxPartitions}`,
        );
  }

  /** Runs `work` after every earlier change of `name` has settled. */
  private async exclusively<Value>(
    name: string,
    work: () => Promise<Outcome<Value>>,
  ): Promise<Outcome<Value>> {
    const previous = this.changes.get(name);
    const change = previous === undefined ? work() : previous.then(work, work);
    this.changes.set(name, change);
    try {
      return await change;
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'ML_DISK_FULL')
        return refused('KAFKA_STORAGE_ERROR', error.message);
      throw error;
    } finally {
      if (this.changes.get(name) === change) this.changes.delete(name);
    }
  }
}

/** Why the configuration of a topic cannot become another one; undefined when it can. */
function alterationFault(
  topic: Topic,
  overrides: TopicOverrides,
  config: TopicConfig,
): string | undefined {
  if (topic.internal && config.cleanupPolicy.includes('delete'))
    return `${topic.name} holds the broker's state: it can only be compacted`;
  if (config.millraceQueue !== topic.config.millraceQueue)
    return `${QUEUE_CONFIG} can be given when a topic is created, and not altered`;
  return queueTopicFault(topic.partitions.length, overrides);
}

function refused(error: Refused['error'], message: string): Refused {
  return { ok: false, error, message };
}

function unknownTopic(name: string): Refused {
  return refused('UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${name}`);
}
