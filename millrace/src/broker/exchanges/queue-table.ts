/**
 * The queues of a virtual host: declared, found, deleted; by whom they are held, and when they go by themselves.
 *
 * Changes of one name happen one after the other; a queue is found when it is there durably, and is found no more as soon as it is to go.
 */
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import { TIMER_DELAY_MS_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { OpenedQueue } from '../queues/opened-queue.ts';
import type { Queue, QueueOutcome, QueueRefusal } from '../queues/queue.ts';
import { HostedQueue, type LiveBinding, type NewHostedQueue } from './binding-ends.ts';
import { parseQueueArguments, QUEUE_ARGUMENT_NAMES } from './parse-queue-arguments.ts';
import type { QueueRecord } from './queue-definition.ts';
import type { QueueStorage } from './queue-storage.ts';
import {
  called,
  inequivalent,
  inequivalentArguments,
  lockedQueue,
  notFound,
  orDiskFull,
  refusal,
  RESERVED_PREFIX,
  reservedName,
} from './refusals.ts';
import type { DeclaredQueue, QueueDeclaration, QueueOwner } from './virtual-host.ts';

export interface QueueTableOptions {
  readonly vhost: string;
  readonly env: Env;
  readonly logger: Logger;
  readonly background: Background;
  readonly storage: QueueStorage;
  /** Removes what leads to a queue that goes; in memory at once. */
  readonly unbind: (bindings: Iterable<LiveBinding>) => Promise<void>;
}

const NAME_RANDOM_BYTES = 16;

export class QueueTable {
  readonly byName = new Map<string, HostedQueue>();
  private readonly options: QueueTableOptions;
  private readonly vhost: string;
  private readonly byQueue = new Map<Queue, HostedQueue>();
  private readonly byId = new Map<string, HostedQueue>();
  /** Queues over somebody else's topic. */
  private readonly overTopics = new Set<HostedQueue>();
  private readonly owned = new Map<QueueOwner, Set<HostedQueue>>();
  /** The last change of a name that is under way. */
  private readonly changes = new Map<string, Promise<unknown>>();
  /** Connections that are gone: what was on its way for them goes as soon as it is there. */
  private readonly gone = new WeakSet<QueueOwner>();
  private closed = false;

  constructor(options: QueueTableOptions) {
    this.options = options;
    this.vhost = options.vhost;
  }

  /** Whether a queue has this name, or is about to. */
  isTaken(name: string): boolean {
    return this.byName.has(name) || this.changes.has(name);
  }

  find(name: string, owner: QueueOwner): QueueOutcome<HostedQueue> {
    const hosted = this.byName.get(name);
    if (hosted === undefined) return notFound('queue', name, this.vhost);
    return hosted.owner === undefined || hosted.owner === owner
      ? { ok: true, value: hosted }
      : lockedQueue(name, this.vhost);
  }

  of(queue: Queue): HostedQueue | undefined {
    return this.byQueue.get(queue);
  }

  /** The queue that a topic is, and those that are over it. */
  ofTopic(topic: { readonly id: string; readonly name: string }): HostedQueue[] {
    const own = this.byId.get(topic.id);
    const over = [...this.overTopics].filter(({ settings }) => settings.sourceTopic === topic.name);
    return own === undefined ? over : [own, ...over];
  }

  async declare(
    declaration: QueueDeclaration,
    owner: QueueOwner,
  ): Promise<QueueOutcome<DeclaredQueue>> {
    const asked = declaration.name;
    if (declaration.passive) return this.use(this.find(asked, owner));
    if (asked.startsWith(RESERVED_PREFIX)) return reservedName('queue', asked);
    const name = asked === '' ? this.newName() : asked;
    // A queue that is exclusive goes with its connection: nothing of it needs to last longer.
    const durable = declaration.durable && !declaration.exclusive;
    const wanted = { ...declaration, name, durable };
    const present = this.byName.get(name);
    if (present !== undefined) return this.use(this.redeclare(present, wanted, owner));
    return this.exclusively(name, async () => {
      const since = this.byName.get(name);
      if (since !== undefined) return this.use(this.redeclare(since, wanted, owner));
      return this.create(wanted, owner);
    });
  }

  /** Takes in a queue whose topic is there already. @returns PRECONDITION_FAILED when one of that name is there */
  adopt(definition: QueueRecord, open: () => QueueOutcome<OpenedQueue>): QueueOutcome<HostedQueue> {
    const { name, autoDelete } = definition;
    if (this.byName.has(name))
      return refusal('PRECONDITION_FAILED', `${called('queue', name, this.vhost)} exists already`);
    const opened = open();
    if (!opened.ok) return opened;
    const described = { durable: true, autoDelete, arguments: definition.arguments };
    return { ok: true, value: this.add({ queue: opened.value, ...described, owner: undefined }) };
  }

  async delete(
    name: string,
    owner: QueueOwner,
    conditions: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<QueueOutcome<number>> {
    if (!this.byName.has(name)) return { ok: true, value: 0 };
    const found = this.find(name, owner);
    if (!found.ok) return found;
    const { counts } = found.value.queue;
    const thing = called('queue', name, this.vhost);
    if (conditions.ifUnused && counts.consumers > 0)
      return refusal('PRECONDITION_FAILED', `${thing} in use`);
    if (conditions.ifEmpty && counts.ready > 0)
      return refusal('PRECONDITION_FAILED', `${thing} not empty`);
    const messages = counts.ready;
    const removed = await orDiskFull(() => this.remove(found.value));
    return removed.ok ? { ok: true, value: messages } : removed;
  }

  /** Removes a queue with what is its own on the disk. It is found no more when this returns. */
  remove(hosted: HostedQueue): Promise<void> {
    if (this.byName.get(hosted.name) !== hosted) return Promise.resolve();
    this.byName.delete(hosted.name);
    this.byQueue.delete(hosted.queue);
    this.byId.delete(hosted.queue.id);
    this.overTopics.delete(hosted);
    hosted.expiry?.cancel();
    if (hosted.owner !== undefined) this.disown(hosted, hosted.owner);
    const unbound = this.options.unbind(hosted.incoming);
    return this.exclusively(hosted.name, async () => {
      await hosted.queue.close();
      await Promise.all([unbound, this.options.storage.remove(hosted.queue)]);
      this.options.logger.info('queue deleted', { vhost: this.vhost, queue: hosted.name });
    });
  }

  async ownerGone(owner: QueueOwner): Promise<void> {
    this.gone.add(owner);
    const owned = this.owned.get(owner);
    if (owned === undefined) return;
    await Promise.all([...owned].map((hosted) => this.remove(hosted)));
  }

  consumersChanged(queue: Queue): void {
    const hosted = this.byQueue.get(queue);
    if (hosted === undefined || this.closed) return;
    this.touch(hosted);
    if (queue.counts.consumers > 0) hosted.wasConsumed = true;
    else if (hosted.autoDelete && hosted.wasConsumed)
      this.inBackground('delete a queue that nobody consumes any more', this.remove(hosted));
  }

  used(queue: Queue): void {
    const hosted = this.byQueue.get(queue);
    if (hosted !== undefined) this.touch(hosted);
  }

  /** Stops; nothing changes on the disk. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { expiry } of this.byName.values()) expiry?.cancel();
    await Promise.allSettled(this.changes.values());
    await Promise.all([...this.byName.values()].map(({ queue }) => queue.close()));
  }

  /** Removes all queues, for a virtual host that goes. */
  async clear(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.changes.values());
    await Promise.all([...this.byName.values()].map((hosted) => this.remove(hosted)));
  }

  private redeclare(
    present: HostedQueue,
    wanted: QueueDeclaration,
    owner: QueueOwner,
  ): QueueOutcome<HostedQueue> {
    const { name } = present;
    const isOwners = present.owner === owner;
    if (present.owner === undefined ? wanted.exclusive : !isOwners || !wanted.exclusive)
      return lockedQueue(name, this.vhost);
    return (
      sameQueue(present, wanted, called('queue', name, this.vhost)) ?? {
        ok: true,
        value: present,
      }
    );
  }

  private async create(
    wanted: QueueDeclaration,
    owner: QueueOwner,
  ): Promise<QueueOutcome<DeclaredQueue>> {
    if (this.closed) return refusal('NOT_FOUND', `vhost '${this.vhost}' is gone`);
    const { name, durable, autoDelete, exclusive } = wanted;
    const thing = called('queue', name, this.vhost);
    const settings = parseQueueArguments(wanted.arguments, thing);
    if (!settings.ok) return settings;
    const fault = settings.value.type === 'classic' ? undefined : invalidProperty(wanted, thing);
    if (fault !== undefined) return fault;
    const definition = { vhost: this.vhost, name, autoDelete, arguments: wanted.arguments };
    const { storage } = this.options;
    const made = await orDiskFull(() =>
      storage.create({ definition, settings: settings.value, durable }),
    );
    if (!made.ok) return made;
    if (!made.value.ok) return made.value;
    const queue = made.value.value;
    const since = this.byName.get(name);
    if (since !== undefined) {
      // A Kafka client has created a topic that is this queue meanwhile.
      await queue.close();
      if (since.queue.id !== queue.id) await storage.remove(queue);
      return this.use(this.redeclare(since, wanted, owner));
    }
    const hosted = this.add({
      queue,
      durable,
      autoDelete,
      arguments: wanted.arguments,
      owner: exclusive ? owner : undefined,
    });
    if (this.gone.has(owner) && exclusive)
      this.inBackground('delete a queue whose connection is gone', this.remove(hosted));
    this.options.logger.info('queue declared', { vhost: this.vhost, queue: name, durable });
    return { ok: true, value: hosted };
  }

  private add(declared: NewHostedQueue): HostedQueue {
    const hosted = new HostedQueue(declared);
    this.byName.set(hosted.name, hosted);
    this.byQueue.set(hosted.queue, hosted);
    this.byId.set(hosted.queue.id, hosted);
    if (hosted.settings.sourceTopic !== undefined) this.overTopics.add(hosted);
    if (hosted.owner !== undefined) this.own(hosted, hosted.owner);
    this.touch(hosted);
    if (hosted.settings.expiresMs !== undefined) this.expireIn(hosted, hosted.settings.expiresMs);
    return hosted;
  }

  private own(hosted: HostedQueue, owner: QueueOwner): void {
    const owned = this.owned.get(owner) ?? new Set();
    this.owned.set(owner, owned.add(hosted));
  }

  private disown(hosted: HostedQueue, owner: QueueOwner): void {
    const owned = this.owned.get(owner);
    owned?.delete(hosted);
    if (owned?.size === 0) this.owned.delete(owner);
  }

  private use(found: QueueOutcome<HostedQueue>): QueueOutcome<DeclaredQueue> {
    if (found.ok) this.touch(found.value);
    return found;
  }

  private touch(hosted: HostedQueue): void {
    if (hosted.settings.expiresMs !== undefined)
      hosted.usedMs = this.options.env.clock.monotonicMs();
  }

  /** One timer per queue, which looks when it fires how long ago the last use was. */
  private expireIn(hosted: HostedQueue, delayMs: number): void {
    const { env } = this.options;
    const wait = Math.min(Math.max(Math.ceil(delayMs), 1), TIMER_DELAY_MS_MAX);
    hosted.expiry = env.timers.after(wait, () => {
      const { expiresMs } = hosted.settings;
      if (expiresMs === undefined || this.closed) return;
      if (hosted.queue.counts.consumers > 0) hosted.usedMs = env.clock.monotonicMs();
      const leftMs = hosted.usedMs + expiresMs - env.clock.monotonicMs();
      if (leftMs > 0) this.expireIn(hosted, leftMs);
      else this.inBackground('delete a queue that nobody uses any more', this.remove(hosted));
    });
  }

  private newName(): string {
    const bytes = this.options.env.random.bytes(NAME_RANDOM_BYTES);
    return `${RESERVED_PREFIX}gen-${bytes.toString('base64url')}`;
  }

  private inBackground(name: string, work: Promise<unknown>): void {
    this.options.background.run(name, work);
  }

  /** Runs `work` after every earlier change of `name` has settled. */
  private async exclusively<Value>(name: string, work: () => Promise<Value>): Promise<Value> {
    const previous = this.changes.get(name);
    const change = previous === undefined ? work() : previous.then(work, work);
    this.changes.set(name, change);
    try {
      return await change;
    } finally {
      if (this.changes.get(name) === change) this.changes.delete(name);
    }
  }
}

function sameQueue(
  present: HostedQueue,
  wanted: QueueDeclaration,
  thing: string,
): QueueRefusal | undefined {
  const { durable, autoDelete } = wanted;
  return (
    inequivalent(thing, 'durable', { current: present.durable, received: durable }) ??
    inequivalent(thing, 'auto_delete', { current: present.autoDelete, received: autoDelete }) ??
    inequivalentArguments(thing, QUEUE_ARGUMENT_NAMES, {
      current: present.arguments,
      received: wanted.arguments,
    })
  );
}

/** Quorum queues and streams are for everybody, and last. */
function invalidProperty(wanted: QueueDeclaration, thing: string): QueueRefusal | undefined {
  const property =
    (wanted.autoDelete && 'auto-delete') ||
    (wanted.exclusive && 'exclusive-owner') ||
    (!wanted.durable && 'non-durable');
  return property === false
    ? undefined
    : refusal('PRECONDITION_FAILED', `invalid property '${property}' for ${thing}`);
}
