/**
 * Definitions that are kept in the metadata log: virtual hosts, durable exchanges, bindings between durable things, queues over topics.
 *
 *   vhost/<vhost>              {"version":1,"name"}
 *   exchange/<vhost>/<name>    {"version":1,"vhost","name","type","autoDelete","internal","arguments"}
 *   binding/<hash>             {"version":1,"vhost","source","kind","destination","routingKey","arguments"}
 *   queue/<id>                 the definition of a queue over a topic (queue-definition.ts)
 *
 * What changes is appended when it is called, so the log has the order of the changes.
 *
 * NOTE: persistent format (docs/formats/queue-definitions.md).
 */
import { createHash } from 'node:crypto';
import { MillraceError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { MetadataLog } from '../metadata-log.ts';
import { tableFromJson, tableToJson } from './field-table-json.ts';
import {
  formatQueueDefinition,
  parseQueueDefinition,
  type QueueRecord,
} from './queue-definition.ts';
import type { Binding } from './virtual-host.ts';

const VERSION = 1;
const VHOST_PREFIX = 'vhost/';
const EXCHANGE_PREFIX = 'exchange/';
const BINDING_PREFIX = 'binding/';
const QUEUE_PREFIX = 'queue/';

/** What a record of any kind may have. */
interface StoredRecord {
  readonly version?: unknown;
  readonly vhost?: unknown;
  readonly name?: unknown;
  readonly type?: unknown;
  readonly autoDelete?: unknown;
  readonly internal?: unknown;
  readonly arguments?: unknown;
  readonly source?: unknown;
  readonly kind?: unknown;
  readonly destination?: unknown;
  readonly routingKey?: unknown;
}

export interface ExchangeDefinition {
  readonly vhost: string;
  readonly name: string;
  /** As declared. */
  readonly type: string;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export interface BindingDefinition {
  readonly vhost: string;
  readonly binding: Binding;
}

/** Equal for equal bindings of a virtual host. */
export function bindingIdentity(binding: Binding): string {
  const { source, destination, routingKey } = binding;
  const table = tableToJson(binding.arguments);
  return JSON.stringify([source, destination.kind, destination.name, routingKey, table]);
}

export class Definitions {
  private readonly metadata: MetadataLog;

  constructor(metadata: MetadataLog) {
    this.metadata = metadata;
  }

  vhosts(): readonly string[] {
    return this.records(VHOST_PREFIX).map(({ record }) => String(record.name));
  }

  putVhost(name: string): Promise<void> {
    return this.put(`${VHOST_PREFIX}${keyPart(name)}`, { name });
  }

  deleteVhost(name: string): Promise<void> {
    return this.metadata.delete(`${VHOST_PREFIX}${keyPart(name)}`);
  }

  exchanges(): readonly ExchangeDefinition[] {
    return this.records(EXCHANGE_PREFIX).map(({ key, record }) => ({
      vhost: String(record.vhost),
      name: String(record.name),
      type: String(record.type),
      autoDelete: record.autoDelete === true,
      internal: record.internal === true,
      arguments: tableOf(key, record.arguments),
    }));
  }

  putExchange(definition: ExchangeDefinition): Promise<void> {
    const { vhost, name } = definition;
    return this.put(exchangeKey(vhost, name), {
      ...definition,
      arguments: tableToJson(definition.arguments),
    });
  }

  deleteExchange(vhost: string, name: string): Promise<void> {
    return this.metadata.delete(exchangeKey(vhost, name));
  }

  bindings(): readonly BindingDefinition[] {
    return this.records(BINDING_PREFIX).map(({ key, record }) => ({
      vhost: String(record.vhost),
      binding: {
        source: String(record.source),
        destination: {
          kind: record.kind === 'exchange' ? 'exchange' : 'queue',
          name: String(record.destination),
        },
        routingKey: String(record.routingKey),
        arguments: tableOf(key, record.arguments),
      },
    }));
  }

  putBinding({ vhost, binding }: BindingDefinition): Promise<void> {
    return this.put(bindingKey(vhost, bindingIdentity(binding)), {
      vhost,
      source: binding.source,
      kind: binding.destination.kind,
      destination: binding.destination.name,
      routingKey: binding.routingKey,
      arguments: tableToJson(binding.arguments),
    });
  }

  deleteBinding(vhost: string, identity: string): Promise<void> {
    return this.metadata.delete(bindingKey(vhost, identity));
  }

  queuesOverTopics(): readonly { readonly id: string; readonly definition: QueueRecord }[] {
    return this.metadata.entries(QUEUE_PREFIX).map(([key, text]) => {
      const definition = parseQueueDefinition(text);
      if (definition === undefined) throw unreadable(key);
      return { id: key.slice(QUEUE_PREFIX.length), definition };
    });
  }

  putQueueOverTopic(id: string, definition: QueueRecord): Promise<void> {
    return this.metadata.put(`${QUEUE_PREFIX}${id}`, formatQueueDefinition(definition));
  }

  deleteQueueOverTopic(id: string): Promise<void> {
    return this.metadata.delete(`${QUEUE_PREFIX}${id}`);
  }

  private put(key: string, record: JsonObject): Promise<void> {
    return this.metadata.put(key, JSON.stringify({ version: VERSION, ...record }));
  }

  private records(prefix: string): { readonly key: string; readonly record: StoredRecord }[] {
    return this.metadata.entries(prefix).map(([key, text]) => {
      const record = JSON.parse(text) as StoredRecord;
      if (record.version !== VERSION) throw unreadable(key);
      return { key, record };
    });
  }
}

function exchangeKey(vhost: string, name: string): string {
  return `${EXCHANGE_PREFIX}${keyPart(vhost)}/${keyPart(name)}`;
}

/** A name as a part of a key, without what separates parts. What is no Unicode is replaced. */
function keyPart(name: string): string {
  return encodeURIComponent(Buffer.from(name).toString());
}

function bindingKey(vhost: string, identity: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([vhost, identity]))
    .digest('base64url');
  return `${BINDING_PREFIX}${hash}`;
}

function tableOf(key: string, json: unknown): FieldTable {
  const table = tableFromJson(json);
  if (table === undefined) throw unreadable(key);
  return table;
}

function unreadable(key: string): MillraceError {
  return new MillraceError(
    'ML_DATA_NEWER',
    `the definition ${key} is in a format that this Millrace does not read; it reads ${VERSION}`,
    { fields: { key } },
  );
}
