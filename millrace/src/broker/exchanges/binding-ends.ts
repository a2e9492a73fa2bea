/**
 * What bindings lead from and to: an exchange, with what is bound to it in the form that its type routes with; a queue, with who has it.
 */
import type { Timer } from '../../core/env.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { OpenedQueue } from '../queues/opened-queue.ts';
import type { Queue, QueueOutcome, QueueSettings } from '../queues/queue.ts';
import { DestinationSet } from './destination-set.ts';
import { HeadersBindings } from './headers-match.ts';
import { TopicTrie } from './topic-trie.ts';
import type { Binding, DeclaredQueue, ExchangeDescription, QueueOwner } from './virtual-host.ts';

/** Where a binding leads. */
export type Destination = Exchange | HostedQueue;

/** A binding with its two ends. */
export interface LiveBinding {
  readonly binding: Binding;
  /** Equal for equal bindings of a virtual host. */
  readonly identity: string;
  readonly source: Exchange;
  readonly destination: Destination;
  /** It is in the log. */
  readonly durable: boolean;
}

/** NOTE: names of the protocol, and of the stored definitions. */
export const DELAYED_TYPE = 'x-delayed-message';

export class Exchange implements ExchangeDescription {
  readonly kind = 'exchange';
  readonly name: string;
  readonly type: ExchangeDescription['type'];
  /** What a second declaration must say: the type, or `x-delayed-message`. */
  readonly declaredType: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
  /** Where a message goes that it leads nowhere. */
  readonly alternate: string | undefined;
  /** From it, by identity. */
  readonly outgoing = new Map<string, LiveBinding>();
  /** To it. */
  readonly incoming = new Set<LiveBinding>();
  /** The routing that came by it last. */
  routing = 0;

  private readonly byKey = new Map<string, DestinationSet<Destination>>();
  private readonly everything = new DestinationSet<Destination>();
  private readonly trie = new TopicTrie<Destination>();
  private readonly byHeaders = new HeadersBindings<Destination>();

  constructor(options: ExchangeDescription & { readonly declaredType: string }) {
    this.name = options.name;
    this.type = options.type;
    this.declaredType = options.declaredType;
    this.durable = options.durable;
    this.autoDelete = options.autoDelete;
    this.internal = options.internal;
    this.arguments = options.arguments;
    const alternate = options.arguments['alternate-exchange'];
    this.alternate = typeof alternate === 'string' ? alternate : undefined;
  }

  add(live: LiveBinding): void {
    const { binding, destination } = live;
    this.outgoing.set(live.identity, live);
    destination.incoming.add(live);
    switch (this.type) {
      case 'direct':
        this.addByKey(binding.routingKey, destination);
        return;
      case 'fanout':
        this.everything.add(destination);
        return;
      case 'topic':
        this.trie.add(binding.routingKey, destination);
        return;
      case 'headers':
        this.byHeaders.add(binding.arguments, destination);
    }
  }

  remove(live: LiveBinding): void {
    const { binding, destination } = live;
    if (!this.outgoing.delete(live.identity)) return;
    destination.incoming.delete(live);
    switch (this.type) {
      case 'direct':
        this.removeByKey(binding.routingKey, destination);
        return;
      case 'fanout':
        this.everything.remove(destination);
        return;
      case 'topic':
        this.trie.remove(binding.routingKey, destination);
        return;
      case 'headers':
        this.byHeaders.remove(binding.arguments, destination);
    }
  }

  /** Appends what is bound so that a message with this key goes there; a destination perhaps more than once. Not of `headers`. */
  collect(routingKey: string, into: Destination[]): void {
    switch (this.type) {
      case 'direct':
        this.byKey.get(routingKey)?.collect(into);
        return;
      case 'fanout':
        this.everything.collect(into);
        return;
      case 'topic':
        this.trie.collect(routingKey, into);
        return;
      case 'headers':
    }
  }

  /** The same of `headers`. */
  collectByHeaders(headers: FieldTable, into: Destination[]): void {
    this.byHeaders.collect(headers, into);
  }

  private addByKey(routingKey: string, destination: Destination): void {
    let bound = this.byKey.get(routingKey);
    if (bound === undefined) {
      bound = new DestinationSet();
      this.byKey.set(routingKey, bound);
    }
    bound.add(destination);
  }

  private removeByKey(routingKey: string, destination: Destination): void {
    const bound = this.byKey.get(routingKey);
    bound?.remove(destination);
    if (bound?.isEmpty === true) this.byKey.delete(routingKey);
  }
}

/** What a queue is hosted with. */
export type NewHostedQueue = Omit<DeclaredQueue, 'settings' | 'queue'> & {
  readonly queue: OpenedQueue;
};

/** A queue of a virtual host. */
export class HostedQueue implements DeclaredQueue {
  readonly kind = 'queue';
  readonly queue: OpenedQueue;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
  readonly owner: QueueOwner | undefined;
  /** To it. */
  readonly incoming = new Set<LiveBinding>();
  /** The answer to a message that goes to this queue alone. */
  readonly alone: QueueOutcome<readonly Queue[]>;
  /** The routing that came by it last. */
  routing = 0;
  /** It had a consumer: one that is deleted automatically goes when it has none any more. */
  wasConsumed = false;
  /** Monotonic time of the last use; of a queue that expires. */
  usedMs = 0;
  expiry: Timer | undefined = undefined;

  constructor(options: NewHostedQueue) {
    this.queue = options.queue;
    this.durable = options.durable;
    this.autoDelete = options.autoDelete;
    this.arguments = options.arguments;
    this.owner = options.owner;
    this.alone = { ok: true, value: [options.queue] };
  }

  get name(): string {
    return this.queue.name;
  }

  get settings(): QueueSettings {
    return this.queue.settings;
  }
}
