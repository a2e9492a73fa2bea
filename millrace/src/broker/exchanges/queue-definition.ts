/**
 * The definition of a queue as text: what the configuration `millrace.queue` of its topic says, and the record of a queue over a topic.
 *
 *   {"version":1,"vhost":"/","name":"orders","autoDelete":false,"arguments":{"x-max-length":1000}}
 *
 * NOTE: persistent format (docs/formats/queue-definitions.md).
 */
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { QueueOutcome, QueueSettings } from '../queues/queue.ts';
import { tableFromJson, tableToJson } from './field-table-json.ts';
import { parseQueueArguments } from './parse-queue-arguments.ts';

export interface QueueRecord {
  readonly vhost: string;
  readonly name: string;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

const VERSION = 1;
/** Of a name, in AMQP. */
const NAME_BYTES_MAX = 255;

export function formatQueueDefinition(definition: QueueRecord): string {
  const { vhost, name, autoDelete } = definition;
  const table = tableToJson(definition.arguments);
  return JSON.stringify({ version: VERSION, vhost, name, autoDelete, arguments: table });
}

/** undefined for what is no definition, or one of another version. Its arguments may make no sense: see `definedSettings`. */
export function parseQueueDefinition(text: string): QueueRecord | undefined {
  const json = parseJson(text);
  if (json === null || typeof json !== 'object') return undefined;
  const { version, vhost, name, autoDelete, arguments: table } = json as Record<string, unknown>;
  if (version !== VERSION || typeof vhost !== 'string' || typeof name !== 'string')
    return undefined;
  if (!isName(vhost) || !isName(name)) return undefined;
  if (autoDelete !== undefined && typeof autoDelete !== 'boolean') return undefined;
  const parsed = tableFromJson(table ?? {});
  if (parsed === undefined) return undefined;
  return { vhost, name, autoDelete: autoDelete ?? false, arguments: parsed };
}

/** What a definition means. @returns PRECONDITION_FAILED when its arguments make no sense */
export function definedSettings(definition: QueueRecord): QueueOutcome<QueueSettings> {
  const { vhost, name } = definition;
  return parseQueueArguments(definition.arguments, `queue '${name}' in vhost '${vhost}'`);
}

/** Whether a topic may have it: a queue over a topic has none of its own. */
export function isTopicDefinition(text: string): boolean {
  const definition = parseQueueDefinition(text);
  if (definition === undefined) return false;
  const settings = definedSettings(definition);
  return settings.ok && settings.value.sourceTopic === undefined;
}

function isName(text: string): boolean {
  return text !== '' && Buffer.byteLength(text) <= NAME_BYTES_MAX;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
