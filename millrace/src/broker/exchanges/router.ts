/**
 * Finds the queues that a message goes to. @hot
 *
 * An exchange leads to what is bound to it with a key that fits, and when there is nothing, to its alternate exchange. Exchanges behind it do
 * the same; each is visited once, so circles end. A queue that is reached several times is one.
 *
 * Routes of a key are remembered while nothing changes, unless headers decide on the way. Whoever changes an exchange, a binding or a
 * queue calls `changed`.
 */
import { ROUTE_CACHE_ROUTES_MAX } from '../../core/queue-limits.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { QueueMessage } from '../queues/message.ts';
import type { Queue, QueueOutcome, QueueRefusal } from '../queues/queue.ts';
import type { Destination, Exchange, HostedQueue } from './binding-ends.ts';
import { allRoutingKeys, headersOf, mayHaveCopies } from './routing-keys.ts';

export type Routed = QueueOutcome<readonly Queue[]>;

/** What is routed: see `VirtualHost.route`. */
export type Routable = Pick<QueueMessage, 'exchange' | 'routingKey' | 'properties'>;

const NOWHERE: Routed = { ok: true, value: [] };

export class Router {
  private readonly vhost: string;
  private readonly exchanges: ReadonlyMap<string, Exchange>;
  private readonly queues: ReadonlyMap<string, HostedQueue>;
  /** By exchange, by routing key. */
  private readonly remembered = new Map<string, Map<string, Routed>>();
  private rememberedRoutes = 0;
  /** The routing under way; what it has visited has its number. */
  private routing = 0;
  private readonly visiting: Exchange[] = [];
  private readonly bound: Destination[] = [];
  private found: Queue[] = [];
  private headersDecide = false;
  private headers: FieldTable | undefined = undefined;

  constructor(options: {
    readonly vhost: string;
    readonly exchanges: ReadonlyMap<string, Exchange>;
    readonly queues: ReadonlyMap<string, HostedQueue>;
  }) {
    this.vhost = options.vhost;
    this.exchanges = options.exchanges;
    this.queues = options.queues;
  }

  /** Forgets the routes that are remembered. */
  changed(): void {
    if (this.rememberedRoutes === 0) return;
    this.remembered.clear();
    this.rememberedRoutes = 0;
  }

  route(message: Routable): Routed {
    if (mayHaveCopies(message.properties)) return this.routeCopies(message);
    const { exchange, routingKey } = message;
    if (exchange === '') return this.routeToQueue(routingKey);
    return this.remembered.get(exchange)?.get(routingKey) ?? this.routeAndRemember(message);
  }

  /** As `route`, from internal exchanges too: dead letters. */
  routeInternally(message: Routable): Routed {
    const exchange = this.exchanges.get(message.exchange);
    if (exchange?.internal !== true) return this.route(message);
    const keys = allRoutingKeys(message.routingKey, headersOf(message.properties));
    return keys.ok ? this.walk(exchange, keys.value, message.properties) : keys;
  }

  /** The default exchange: every queue is bound to it with its name. */
  private routeToQueue(name: string): Routed {
    const hosted = this.queues.get(name);
    if (hosted === undefined) return NOWHERE;
    return hosted.settings.sourceTopic === undefined ? hosted.alone : overTopic(hosted, this.vhost);
  }

  private routeAndRemember(message: Routable): Routed {
    const exchange = this.publishable(message.exchange);
    if ('ok' in exchange) return exchange;
    const routed = this.walk(exchange, [message.routingKey], message.properties);
    if (!this.headersDecide) this.remember(message.exchange, message.routingKey, routed);
    return routed;
  }

  private routeCopies(message: Routable): Routed {
    const keys = allRoutingKeys(message.routingKey, headersOf(message.properties));
    if (!keys.ok) return keys;
    if (message.exchange === '') return this.routeToQueues(keys.value);
    const exchange = this.publishable(message.exchange);
    return 'ok' in exchange ? exchange : this.walk(exchange, keys.value, message.properties);
  }

  private routeToQueues(names: readonly string[]): Routed {
    this.routing++;
    this.found = [];
    for (const name of names) {
      const hosted = this.queues.get(name);
      if (hosted !== undefined) this.visitQueue(hosted);
    }
    return { ok: true, value: this.found };
  }

  private publishable(name: string): Exchange | QueueRefusal {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined)
      return {
        ok: false,
        error: 'NOT_FOUND',
        message: `no exchange '${name}' in vhost '${this.vhost}'`,
      };
    if (exchange.internal)
      return {
        ok: false,
        error: 'ACCESS_REFUSED',
        message: `cannot publish to internal exchange '${name}' in vhost '${this.vhost}'`,
      };
    return exchange;
  }

  private walk(first: Exchange, routingKeys: readonly string[], properties: Buffer): Routed {
    const { visiting } = this;
    this.routing++;
    this.found = [];
    this.headersDecide = false;
    this.headers = undefined;
    first.routing = this.routing;
    visiting.length = 0;
    visiting.push(first);
    for (let next = visiting.pop(); next !== undefined; next = visiting.pop())
      this.visit(next, routingKeys, properties);
    return this.found.length === 0 ? NOWHERE : { ok: true, value: this.found };
  }

  private visit(exchange: Exchange, routingKeys: readonly string[], properties: Buffer): void {
    const { bound } = this;
    bound.length = 0;
    if (exchange.type === 'headers') {
      this.headersDecide = true;
      this.headers ??= headersOf(properties);
      exchange.collectByHeaders(this.headers, bound);
    } else {
      for (const key of routingKeys) exchange.collect(key, bound);
    }
    if (bound.length === 0 && exchange.alternate !== undefined) {
      const alternate = this.exchanges.get(exchange.alternate);
      if (alternate !== undefined) this.visitExchange(alternate);
      return;
    }
    for (let index = 0; index < bound.length; index++) {
      const destination = bound[index] as Destination;
      if (destination.kind === 'queue') this.visitQueue(destination);
      else this.visitExchange(destination);
    }
  }

  private visitExchange(exchange: Exchange): void {
    if (exchange.routing === this.routing) return;
    exchange.routing = this.routing;
    this.visiting.push(exchange);
  }

  private visitQueue(hosted: HostedQueue): void {
    if (hosted.routing === this.routing || hosted.settings.sourceTopic !== undefined) return;
    hosted.routing = this.routing;
    this.found.push(hosted.queue);
  }

  private remember(exchange: string, routingKey: string, routed: Routed): void {
    if (this.rememberedRoutes >= ROUTE_CACHE_ROUTES_MAX) this.changed();
    let ofExchange = this.remembered.get(exchange);
    if (ofExchange === undefined) {
      ofExchange = new Map();
      this.remembered.set(exchange, ofExchange);
    }
    ofExchange.set(routingKey, routed);
    this.rememberedRoutes++;
  }
}

function overTopic(hosted: HostedQueue, vhost: string): QueueRefusal {
  const { sourceTopic } = hosted.settings;
  return {
    ok: false,
    error: 'ACCESS_REFUSED',
    message: `queue '${hosted.name}' in vhost '${vhost}' reads topic '${sourceTopic}': what it is to get is written there`,
  };
}
