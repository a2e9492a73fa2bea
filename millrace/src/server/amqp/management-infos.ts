/** Queues, exchanges and bindings as management tells of them: plain JSON. */
import type {
  Binding,
  DeclaredQueue,
  ExchangeDescription,
} from '../../broker/exchanges/virtual-host.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import {
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
} from '../../wire/amqp/field-table.ts';
import type { BindingInfo, ExchangeInfo, QueueInfo } from '../../wire/amqp/management.ts';

export function queueInfo(declared: DeclaredQueue): QueueInfo {
  const { queue, durable, autoDelete, settings, owner } = declared;
  return {
    name: queue.name,
    vhost: queue.vhost,
    type: settings.type,
    durable,
    autoDelete,
    exclusive: owner !== undefined,
    arguments: jsonTable(declared.arguments),
    topic: queue.topic ?? null,
    ...queue.counts,
  };
}

export function exchangeInfo(exchange: ExchangeDescription, vhost: string): ExchangeInfo {
  const { name, type, durable, autoDelete, internal } = exchange;
  const table = jsonTable(exchange.arguments);
  return { name, vhost, type, durable, autoDelete, internal, arguments: table };
}

export function bindingInfo(binding: Binding, vhost: string): BindingInfo {
  const { source, destination, routingKey } = binding;
  return {
    vhost,
    source,
    destinationKind: destination.kind,
    destination: destination.name,
    routingKey,
    arguments: jsonTable(binding.arguments),
  };
}

function jsonTable(table: FieldTable): JsonObject {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, json(value)]));
}

function json(value: FieldValue): Json {
  if (value === null || typeof value !== 'object')
    return typeof value === 'bigint' ? value.toString() : value;
  if (value instanceof FieldTimestamp) return new Date(value.seconds * 1_000).toISOString();
  if (value instanceof FieldDecimal) return value.value / 10 ** value.scale;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return isArray(value) ? value.map(json) : jsonTable(value);
}

function isArray(value: FieldTable | readonly FieldValue[]): value is readonly FieldValue[] {
  return Array.isArray(value);
}
