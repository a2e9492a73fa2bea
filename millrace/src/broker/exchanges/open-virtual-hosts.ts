/**
 * The virtual hosts of a broker, as the log has them: each with its exchanges, queues and bindings.
 *
 * A topic that is configured as a queue (`millrace.queue`) is one, whoever created it; deleting the topic deletes the queue. A queue over
 * a topic goes with that topic.
 */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { LogStore, PartitionLog } from '../../log/types.ts';
import type { MetadataLog } from '../metadata-log.ts';
import type { DeadLetterReason, DeadLetters, Queue, QueueRefusal } from '../queues/queue.ts';
import type { OpenedQueue } from '../queues/opened-queue.ts';
import type { QueueMessage } from '../queues/message.ts';
import type { QueueDefinition } from '../queues/queue-definition.ts';
import type { QueueStates } from '../queues/state/queue-state.ts';
import type { Topic, Topics } from '../topics.ts';
import type { HostedQueue } from './binding-ends.ts';
import { sendDeadLetter, type DeadLetterFate } from './dead-letters.ts';
import { Definitions } from './definitions.ts';
import { LiveVirtualHost } from './live-virtual-host.ts';
import { definedSettings, parseQueueDefinition } from './queue-definition.ts';
import { QueueStorage } from './queue-storage.ts';
import { QUEUE_CONFIG } from './queue-topic.ts';
import { called, refusal } from './refusals.ts';
import type { VirtualHost, VirtualHosts } from './virtual-host.ts';

export interface OpenVirtualHostsOptions {
  readonly env: Env;
  readonly logger: Logger;
  readonly background: Background;
  readonly store: LogStore;
  readonly metadata: MetadataLog;
  readonly topics: Topics;
  readonly states: QueueStates;
  /** How long a message may be with a consumer, of queues that do not say it; undefined: without limit. Milliseconds. */
  readonly consumerTimeoutMs: number | undefined;
  /** Called when a virtual host is gone, before that is told. */
  readonly onVhostDeleted: (name: string) => Promise<void>;
  readonly openQueue: (queue: QueueDefinition, deadLetters: DeadLetters) => OpenedQueue;
}

/** Always there. */
export const DEFAULT_VHOST = '/';

/** Opens all that the log has; states of queues that are gone are removed. */
export async function openVirtualHosts(
  options: OpenVirtualHostsOptions,
): Promise<LiveVirtualHosts> {
  const hosts = new LiveVirtualHosts(options);
  await hosts.restore();
  return hosts;
}

export class LiveVirtualHosts implements VirtualHosts {
  private readonly options: OpenVirtualHostsOptions;
  private readonly definitions: Definitions;
  private readonly storage: QueueStorage;
  private readonly byName = new Map<string, LiveVirtualHost>();
  private readonly stops: (() => void)[] = [];
  /** Queues are open before all is there that they send dead letters to. */
  private isRestored = false;

  constructor(options: OpenVirtualHostsOptions) {
    this.options = options;
    const { env, store, topics, states } = options;
    const deadLetters: DeadLetters = (queue, message, reason) => this.bury(queue, message, reason);
    const openQueue = (queue: QueueDefinition) => options.openQueue(queue, deadLetters);
    this.definitions = new Definitions(options.metadata);
    const { definitions } = this;
    const { consumerTimeoutMs } = options;
    const shared = { env, store, topics, states, definitions };
    this.storage = new QueueStorage({ ...shared, consumerTimeoutMs, openQueue });
  }

  get(name: string): LiveVirtualHost | undefined {
    return this.byName.get(name);
  }

  all(): readonly VirtualHost[] {
    return [...this.byName.values()];
  }

  async create(name: string): Promise<VirtualHost> {
    const present = this.byName.get(name);
    if (present !== undefined) return present;
    await this.definitions.putVhost(name);
    return this.byName.get(name) ?? this.add(name);
  }

  async delete(name: string): Promise<QueueRefusal | undefined> {
    if (name === DEFAULT_VHOST)
      return refusal('PRECONDITION_FAILED', `the vhost '${DEFAULT_VHOST}' stays`);
    const host = this.byName.get(name);
    if (host === undefined) return refusal('NOT_FOUND', `no vhost '${name}'`);
    this.byName.delete(name);
    await host.queueTable.clear();
    await host.exchangeTable.clear();
    await this.definitions.deleteVhost(name);
    await this.options.onVhostDeleted(name);
    return undefined;
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    await Promise.all([...this.byName.values()].map(({ queueTable }) => queueTable.close()));
  }

  async restore(): Promise<void> {
    for (const name of [DEFAULT_VHOST, ...this.definitions.vhosts()]) this.add(name);
    const { topics } = this.options;
    for (const topic of topics.all()) this.openQueueOf(topic);
    await this.openQueuesOverTopics();
    this.restoreExchanges();
    this.isRestored = true;
    await this.removeStates();
    this.stops.push(
      topics.onCreated((topic) => {
        if (!this.storage.isCreating(topic.name)) this.openQueueOf(topic);
      }),
      topics.onGrown((topic, added) => this.topicGrown(topic, added)),
      topics.onDeleted((topic) => this.topicDeleted(topic)),
      topics.onCreating((request) =>
        this.storage.isCreating(request.name)
          ? undefined
          : this.creationFault(request.overrides[QUEUE_CONFIG]),
      ),
    );
  }

  private add(name: string): LiveVirtualHost {
    const { env, logger, background } = this.options;
    const { definitions, storage } = this;
    const host = new LiveVirtualHost({ name, env, logger, background, definitions, storage });
    this.byName.set(name, host);
    return host;
  }

  private bury(queue: Queue, message: QueueMessage, reason: DeadLetterReason): DeadLetterFate {
    if (!this.isRestored) return 'refused';
    const host = this.byName.get(queue.vhost);
    if (host === undefined) return 'nowhere';
    const route = host.routeInternally.bind(host);
    return sendDeadLetter({ env: this.options.env, route }, queue, message, reason);
  }

  /** Why somebody else's topic cannot be the queue that it says; undefined when it can. */
  private creationFault(text: string | undefined): string | undefined {
    const definition = text === undefined ? undefined : parseQueueDefinition(text);
    if (definition === undefined) return undefined;
    const { vhost, name } = definition;
    const host = this.byName.get(vhost);
    if (host === undefined) return `there is no virtual host '${vhost}'`;
    return host.queueTable.isTaken(name)
      ? `${called('queue', name, vhost)} exists already`
      : undefined;
  }

  private openQueueOf(topic: Topic): void {
    const text = topic.config.millraceQueue;
    if (text === '') return;
    const definition = parseQueueDefinition(text);
    const host = definition === undefined ? undefined : this.byName.get(definition.vhost);
    if (definition === undefined || host === undefined) {
      this.warn(topic, `there is no virtual host '${definition?.vhost}'`);
      return;
    }
    const adopted = host.queueTable.adopt(definition, () => this.storage.open(topic, definition));
    if (!adopted.ok) this.warn(topic, adopted.message);
  }

  private async openQueuesOverTopics(): Promise<void> {
    for (const { id, definition } of this.definitions.queuesOverTopics()) {
      const host = this.byName.get(definition.vhost);
      const adopted =
        host === undefined
          ? refusal('NOT_FOUND', `there is no virtual host '${definition.vhost}'`)
          : host.queueTable.adopt(definition, () => {
              const settings = definedSettings(definition);
              return settings.ok
                ? this.storage.openOverTopic(id, {
                    definition,
                    settings: settings.value,
                    durable: true,
                  })
                : settings;
            });
      if (adopted.ok) continue;
      const { vhost, name } = definition;
      const reason = adopted.message;
      this.options.logger.warn('a queue over a topic is dropped', { vhost, queue: name, reason });
      await this.definitions.deleteQueueOverTopic(id);
    }
  }

  private restoreExchanges(): void {
    const exchanges = this.definitions.exchanges();
    const bindings = this.definitions.bindings();
    for (const [name, host] of this.byName)
      host.exchangeTable.restore(
        exchanges.filter(({ vhost }) => vhost === name),
        bindings.filter(({ vhost }) => vhost === name).map(({ binding }) => binding),
      );
  }

  private async removeStates(): Promise<void> {
    const { states } = this.options;
    const ids = new Set(this.hosted().map(({ queue }) => queue.id));
    for (const id of states.ids()) if (!ids.has(id)) await states.remove(id);
  }

  private topicGrown(topic: Topic, added: readonly PartitionLog[]): void {
    for (const hosted of this.hosted())
      if (hosted.settings.sourceTopic === topic.name)
        this.options.background.run('read further partitions', hosted.queue.addLogs(added));
  }

  private topicDeleted(topic: Topic): void {
    for (const { queueTable } of this.byName.values())
      for (const hosted of queueTable.ofTopic(topic))
        this.options.background.run(
          'delete a queue whose topic is gone',
          queueTable.remove(hosted),
        );
  }

  private hosted(): HostedQueue[] {
    return [...this.byName.values()].flatMap(({ queueTable }) => [...queueTable.byName.values()]);
  }

  private warn(topic: Topic, reason: string): void {
    this.options.logger.warn('a topic cannot be the queue that it is configured as', {
      topic: topic.name,
      reason,
    });
  }
}
