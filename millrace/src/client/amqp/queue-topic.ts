/** The topic of a queue: what it is called, and how it is made by whoever speaks Kafka's protocol. */
import { tableToJson } from '../../broker/exchanges/field-table-json.ts';

/** Arguments of a declaration, as far as programs say them. */
export type QueueArguments = Readonly<Record<string, string | number | boolean>>;

export interface QueueTopic {
  readonly name: string;
  readonly partitions: 1;
  readonly configs: Readonly<Record<string, string>>;
}

/** Of a queue of the virtual host `/`: making the topic declares the queue. */
export function queueTopic(name: string, declared: QueueArguments): QueueTopic {
  const definition = {
    version: 1,
    vhost: '/',
    name,
    autoDelete: false,
    arguments: tableToJson(declared),
  };
  return {
    name: `queue.${name}`,
    partitions: 1,
    configs: { 'millrace.queue': JSON.stringify(definition) },
  };
}
