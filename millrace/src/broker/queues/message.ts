/**
 * A message of a queue, and how it lies on the log: one record. Whoever appends such a record to the topic of a queue has put a message
 * into the queue, a Kafka client too; what it says nothing of has a default.
 *
 *   key        `key`: what orders messages where a queue is ordered by key; null for none
 *   value      the body
 *   timestamp  when it came to this queue
 *   headers    amqp.exchange, amqp.routing-key (UTF-8); amqp.properties (flags and list, as a content header frame has them)
 *
 * NOTE: persistent format (docs/formats/queue-message.md).
 */
export interface QueueMessage {
  readonly key: Buffer | null;
  /** Where it was published; '' is the default exchange. */
  readonly exchange: string;
  readonly routingKey: string;
  /** Property flags and property list, in the form of the wire: what was published, byte by byte. */
  readonly properties: Buffer;
  readonly body: Buffer;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
}

export const EXCHANGE_HEADER = 'amqp.exchange';
export const ROUTING_KEY_HEADER = 'amqp.routing-key';
export const PROPERTIES_HEADER = 'amqp.properties';
/** Properties that say nothing: no flag is set. */
export const NO_PROPERTIES: Buffer = Buffer.alloc(2);
