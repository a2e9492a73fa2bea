/**
 * The exchanges of a virtual host, and what is bound to what.
 *
 * Changes are made in memory at once, and answered when they are durable: their records are appended in the order of the changes, so a
 * crash leaves what was there at some moment. One that cannot be written is taken back.
 *
 * A binding is durable when both its ends are.
 */
import type { Logger } from '../../core/log.ts';
import type { Background } from '../../core/background.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { QueueOutcome, QueueRefusal } from '../queues/queue.ts';
import { bindingIdentity, type Definitions, type ExchangeDefinition } from './definitions.ts';
import {
  DELAYED_TYPE,
  type Destination,
  Exchange,
  type HostedQueue,
  type LiveBinding,
} from './binding-ends.ts';
import { fieldOf, fieldType } from './field-values.ts';
import { headersBindingFault } from './headers-match.ts';
import {
  called,
  defaultExchange,
  inequivalent,
  inequivalentArguments,
  notFound,
  orDiskFull,
  refusal,
  RESERVED_PREFIX,
  reservedName,
} from './refusals.ts';
import type { Binding, ExchangeDeclaration, ExchangeDescription } from './virtual-host.ts';

type ExchangeType = ExchangeDescription['type'];

const TYPES: readonly string[] = ['direct', 'fanout', 'topic', 'headers'] satisfies ExchangeType[];

/** What a program publishes to that wants to manage the broker: whoever serves connections takes it before it is routed. */
export const SYSTEM_EXCHANGE = 'amq.millrace';

/** Those that are there from the start, and stay. */
const PREDECLARED: readonly (readonly [name: string, type: ExchangeType])[] = [
  ['', 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
  [SYSTEM_EXCHANGE, 'direct'],
];

const DONE: QueueOutcome<void> = { ok: true, value: undefined };

export interface ExchangeTableOptions {
  readonly vhost: string;
  readonly definitions: Definitions;
  readonly logger: Logger;
  readonly background: Background;
  /** The queue of a name that can be bound. */
  readonly queue: (name: string) => HostedQueue | undefined;
  /** Routes are not what they were. */
  readonly changed: () => void;
}

export class ExchangeTable {
  readonly byName = new Map<string, Exchange>();
  private readonly options: ExchangeTableOptions;
  private readonly vhost: string;
  /** The last record that was given to the log: records become durable in their order. */
  private written: Promise<unknown> = Promise.resolve();

  constructor(options: ExchangeTableOptions) {
    this.options = options;
    this.vhost = options.vhost;
    for (const [name, type] of PREDECLARED)
      this.byName.set(
        name,
        new Exchange({
          name,
          type,
          declaredType: type,
          durable: true,
          autoDelete: false,
          internal: false,
          arguments: {},
        }),
      );
  }

  /** Takes over what the log has; what leads to or from something that is gone is dropped. */
  restore(exchanges: readonly ExchangeDefinition[], bindings: readonly Binding[]): void {
    for (const definition of exchanges) {
      const type = routingType(definition.type, definition.arguments);
      if (type === undefined) {
        this.warn('an exchange of an unknown type is dropped', definition.name);
        this.forget(this.options.definitions.deleteExchange(this.vhost, definition.name));
        continue;
      }
      const { name, autoDelete, internal } = definition;
      const declaredType = definition.type;
      const described = { name, type, declaredType, autoDelete, internal };
      const table = definition.arguments;
      this.byName.set(name, new Exchange({ ...described, durable: true, arguments: table }));
    }
    for (const binding of bindings) this.restoreBinding(binding);
    this.options.changed();
  }

  async declare(declaration: ExchangeDeclaration): Promise<QueueOutcome<ExchangeDescription>> {
    const { name, passive } = declaration;
    if (name === '') return defaultExchange();
    const present = this.byName.get(name);
    if (passive)
      return present === undefined
        ? notFound('exchange', name, this.vhost)
        : { ok: true, value: present };
    const thing = called('exchange', name, this.vhost);
    const type = this.declaredType(declaration, thing);
    if (!type.ok) return type;
    if (present !== undefined)
      return sameExchange(present, declaration, thing) ?? this.asWritten(present);
    if (name.startsWith(RESERVED_PREFIX)) return reservedName('exchange', name);
    return this.create(declaration, type.value);
  }

  async delete(
    name: string,
    conditions: { readonly ifUnused: boolean },
  ): Promise<QueueOutcome<void>> {
    if (name === '') return defaultExchange();
    const thing = called('exchange', name, this.vhost);
    if (name.startsWith(RESERVED_PREFIX))
      return refusal('ACCESS_REFUSED', `deletion of system ${thing} not allowed`);
    const exchange = this.byName.get(name);
    if (exchange === undefined) return DONE;
    if (conditions.ifUnused && exchange.outgoing.size > 0)
      return refusal('PRECONDITION_FAILED', `${thing} in use`);
    return orDiskFull(() => this.remove(exchange));
  }

  async bind(binding: Binding): Promise<QueueOutcome<void>> {
    const ends = this.ends(binding);
    if (!ends.ok) return ends;
    const { source, destination } = ends.value;
    if (source.name === SYSTEM_EXCHANGE || destination.name === SYSTEM_EXCHANGE)
      return refusal('ACCESS_REFUSED', `nothing can be bound to ${SYSTEM_EXCHANGE}`);
    const fault = bindingFault(source, destination, binding);
    if (fault !== undefined) return fault;
    const identity = bindingIdentity(binding);
    if (source.outgoing.has(identity)) return this.asWritten(undefined);
    const durable = source.durable && destination.durable;
    const live: LiveBinding = { binding, identity, source, destination, durable };
    source.add(live);
    this.options.changed();
    if (!durable) return DONE;
    const { definitions } = this.options;
    const written = await this.write(() => definitions.putBinding({ vhost: this.vhost, binding }));
    if (!written.ok) this.detach(live);
    return written;
  }

  async unbind(binding: Binding): Promise<QueueOutcome<void>> {
    const { source, destination } = binding;
    if (source === '' || (destination.kind === 'exchange' && destination.name === ''))
      return defaultExchange();
    const live = this.byName.get(source)?.outgoing.get(bindingIdentity(binding));
    if (live === undefined) return DONE;
    return orDiskFull(() => this.unbindAll([live]));
  }

  bindings(): Binding[] {
    return [...this.byName.values()].flatMap(({ outgoing }) =>
      [...outgoing.values()].map(({ binding }) => binding),
    );
  }

  /** Removes bindings, and exchanges that go with their last one. In memory at once, durable when it resolves. */
  async unbindAll(bindings: Iterable<LiveBinding>): Promise<void> {
    const { definitions } = this.options;
    const writes: Promise<void>[] = [];
    for (const live of bindings) {
      this.detach(live);
      if (live.durable) writes.push(definitions.deleteBinding(this.vhost, live.identity));
      const { source } = live;
      if (source.autoDelete && source.outgoing.size === 0) writes.push(this.remove(source));
    }
    await Promise.all(writes);
  }

  /** Everything, for a virtual host that goes. */
  async clear(): Promise<void> {
    const { definitions } = this.options;
    const writes: Promise<void>[] = [];
    for (const exchange of this.byName.values()) {
      for (const { durable, identity } of exchange.outgoing.values())
        if (durable) writes.push(definitions.deleteBinding(this.vhost, identity));
      if (isKept(exchange)) writes.push(definitions.deleteExchange(this.vhost, exchange.name));
    }
    this.byName.clear();
    this.options.changed();
    await Promise.all(writes);
  }

  private async create(
    declaration: ExchangeDeclaration,
    type: ExchangeType,
  ): Promise<QueueOutcome<ExchangeDescription>> {
    const { name, durable, autoDelete, internal } = declaration;
    const declaredType = declaration.type;
    const table = declaration.arguments;
    const exchange = new Exchange({ ...declaration, type, declaredType });
    this.byName.set(name, exchange);
    this.options.changed();
    if (!durable) return { ok: true, value: exchange };
    const described = { vhost: this.vhost, name, type: declaredType, autoDelete, internal };
    const written = await this.write(() =>
      this.options.definitions.putExchange({ ...described, arguments: table }),
    );
    if (written.ok) return { ok: true, value: exchange };
    await this.unbindAll([...exchange.outgoing.values(), ...exchange.incoming]);
    this.byName.delete(name);
    return written;
  }

  /** The type that routes. @returns PRECONDITION_FAILED for one that is not known, or arguments that make no sense */
  private declaredType(
    declaration: ExchangeDeclaration,
    thing: string,
  ): QueueOutcome<ExchangeType> {
    const { arguments: table } = declaration;
    const type = routingType(declaration.type, table);
    if (type === undefined)
      return refusal(
        'PRECONDITION_FAILED',
        declaration.type === DELAYED_TYPE
          ? "Invalid argument, 'x-delayed-type' must be an existing exchange type"
          : `unknown exchange type '${declaration.type}'`,
      );
    const alternate = fieldOf(table, 'alternate-exchange');
    return alternate === undefined || typeof alternate === 'string'
      ? { ok: true, value: type }
      : refusal(
          'PRECONDITION_FAILED',
          `invalid type '${fieldType(alternate)}' for arg 'alternate-exchange' in ${thing}`,
        );
  }

  private async remove(exchange: Exchange): Promise<void> {
    if (this.byName.get(exchange.name) !== exchange) return;
    this.byName.delete(exchange.name);
    this.options.changed();
    const { definitions } = this.options;
    const writes = [this.unbindAll([...exchange.outgoing.values(), ...exchange.incoming])];
    if (isKept(exchange)) writes.push(definitions.deleteExchange(this.vhost, exchange.name));
    await Promise.all(writes);
  }

  private write(work: () => Promise<void>): Promise<QueueOutcome<void>> {
    const written = orDiskFull(work);
    this.written = written;
    return written;
  }

  /** The answer when what was asked for is there already, as soon as it is durable. */
  private async asWritten<Value>(value: Value): Promise<QueueOutcome<Value>> {
    await this.written;
    return { ok: true, value };
  }

  private detach(live: LiveBinding): void {
    live.source.remove(live);
    this.options.changed();
  }

  private ends(
    binding: Binding,
  ): QueueOutcome<{ readonly source: Exchange; readonly destination: Destination }> {
    const { source: from, destination: to } = binding;
    if (from === '' || (to.kind === 'exchange' && to.name === '')) return defaultExchange();
    const source = this.byName.get(from);
    if (source === undefined) return notFound('exchange', from, this.vhost);
    const destination =
      to.kind === 'queue' ? this.options.queue(to.name) : this.byName.get(to.name);
    return destination === undefined
      ? notFound(to.kind, to.name, this.vhost)
      : { ok: true, value: { source, destination } };
  }

  private restoreBinding(binding: Binding): void {
    const identity = bindingIdentity(binding);
    const ends = this.ends(binding);
    if (!ends.ok || !ends.value.source.durable || !ends.value.destination.durable) {
      this.warn('a binding to something that is gone is dropped', binding.source, {
        destination: binding.destination.name,
        routingKey: binding.routingKey,
      });
      this.forget(this.options.definitions.deleteBinding(this.vhost, identity));
      return;
    }
    ends.value.source.add({ binding, identity, ...ends.value, durable: true });
  }

  private warn(message: string, exchange: string, fields: Record<string, unknown> = {}): void {
    this.options.logger.warn(message, { vhost: this.vhost, exchange, ...fields });
  }

  private forget(work: Promise<void>): void {
    this.options.background.run('forget a definition', work);
  }
}

function routingType(declared: string, table: FieldTable): ExchangeType | undefined {
  const type = declared === DELAYED_TYPE ? fieldOf(table, 'x-delayed-type') : declared;
  return typeof type === 'string' && TYPES.includes(type) ? (type as ExchangeType) : undefined;
}

/** It has a record. */
function isKept(exchange: Exchange): boolean {
  return exchange.durable && exchange.name !== '' && !exchange.name.startsWith(RESERVED_PREFIX);
}

function sameExchange(
  present: Exchange,
  declaration: ExchangeDeclaration,
  thing: string,
): QueueRefusal | undefined {
  const field = (name: string, current: boolean | string, received: boolean | string) =>
    inequivalent(thing, name, { current, received });
  return (
    field('type', present.declaredType, declaration.type) ??
    field('durable', present.durable, declaration.durable) ??
    field('auto_delete', present.autoDelete, declaration.autoDelete) ??
    field('internal', present.internal, declaration.internal) ??
    inequivalentArguments(thing, ['alternate-exchange', 'x-delayed-type'], {
      current: present.arguments,
      received: declaration.arguments,
    })
  );
}

function bindingFault(
  source: Exchange,
  destination: Destination,
  binding: Binding,
): QueueRefusal | undefined {
  if (destination.kind === 'queue' && destination.settings.sourceTopic !== undefined)
    return refusal(
      'PRECONDITION_FAILED',
      `queue '${destination.name}' reads topic '${destination.settings.sourceTopic}': nothing can be bound to it`,
    );
  const fault = source.type === 'headers' ? headersBindingFault(binding.arguments) : undefined;
  return fault === undefined ? undefined : refusal('PRECONDITION_FAILED', fault);
}
