/** A virtual host: its exchanges, its queues, and the way from the ones to the others. See `VirtualHost`. */
import type { Queue, QueueOutcome } from '../queues/queue.ts';
import type { Background } from '../../core/background.ts';
import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { Definitions } from './definitions.ts';
import { ExchangeTable } from './exchange-table.ts';
import type { QueueStorage } from './queue-storage.ts';
import { QueueTable } from './queue-table.ts';
import { type Routable, type Routed, Router } from './router.ts';
import type {
  Binding,
  DeclaredQueue,
  ExchangeDeclaration,
  ExchangeDescription,
  QueueDeclaration,
  QueueOwner,
  VirtualHost,
} from './virtual-host.ts';

export interface LiveVirtualHostOptions {
  readonly name: string;
  readonly env: Env;
  readonly logger: Logger;
  readonly background: Background;
  readonly definitions: Definitions;
  readonly storage: QueueStorage;
}

export class LiveVirtualHost implements VirtualHost {
  readonly name: string;
  readonly queueTable: QueueTable;
  readonly exchangeTable: ExchangeTable;
  private readonly router: Router;

  constructor(options: LiveVirtualHostOptions) {
    const { name: vhost, env, logger, background, definitions, storage } = options;
    this.name = vhost;
    this.queueTable = new QueueTable({
      vhost,
      env,
      logger,
      background,
      storage,
      unbind: (bindings) => this.exchangeTable.unbindAll(bindings),
    });
    this.exchangeTable = new ExchangeTable({
      vhost,
      definitions,
      logger,
      background,
      queue: (name) => this.queueTable.byName.get(name),
      changed: () => this.router.changed(),
    });
    this.router = new Router({
      vhost,
      exchanges: this.exchangeTable.byName,
      queues: this.queueTable.byName,
    });
  }

  declareQueue(
    declaration: QueueDeclaration,
    owner: QueueOwner,
  ): Promise<QueueOutcome<DeclaredQueue>> {
    return this.queueTable.declare(declaration, owner);
  }

  queue(name: string, owner: QueueOwner): QueueOutcome<DeclaredQueue> {
    return this.queueTable.find(name, owner);
  }

  deleteQueue(
    name: string,
    owner: QueueOwner,
    conditions: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<QueueOutcome<number>> {
    return this.queueTable.delete(name, owner, conditions);
  }

  queues(): readonly DeclaredQueue[] {
    return [...this.queueTable.byName.values()];
  }

  declareExchange(declaration: ExchangeDeclaration): Promise<QueueOutcome<ExchangeDescription>> {
    return this.exchangeTable.declare(declaration);
  }

  deleteExchange(
    name: string,
    conditions: { readonly ifUnused: boolean },
  ): Promise<QueueOutcome<void>> {
    return this.exchangeTable.delete(name, conditions);
  }

  exchange(name: string): ExchangeDescription | undefined {
    return this.exchangeTable.byName.get(name);
  }

  exchanges(): readonly ExchangeDescription[] {
    return [...this.exchangeTable.byName.values()];
  }

  async bind(binding: Binding, owner: QueueOwner): Promise<QueueOutcome<void>> {
    return this.lockedDestination(binding, owner) ?? this.exchangeTable.bind(binding);
  }

  async unbind(binding: Binding, owner: QueueOwner): Promise<QueueOutcome<void>> {
    return this.lockedDestination(binding, owner) ?? this.exchangeTable.unbind(binding);
  }

  bindings(): readonly Binding[] {
    return this.exchangeTable.bindings();
  }

  route(message: Routable): Routed {
    return this.router.route(message);
  }

  /** As `route`, from internal exchanges too. */
  routeInternally(message: Routable): Routed {
    return this.router.routeInternally(message);
  }

  consumersChanged(queue: Queue): void {
    this.queueTable.consumersChanged(queue);
  }

  used(queue: Queue): void {
    this.queueTable.used(queue);
  }

  ownerGone(owner: QueueOwner): Promise<void> {
    return this.queueTable.ownerGone(owner);
  }

  /** Why this owner may not bind to a queue: it is another's. */
  private lockedDestination(
    { destination }: Binding,
    owner: QueueOwner,
  ): QueueOutcome<never> | undefined {
    if (destination.kind === 'exchange') return undefined;
    const found = this.queueTable.find(destination.name, owner);
    return found.ok || found.error === 'NOT_FOUND' ? undefined : found;
  }
}
