/**
 * What the server says of itself. Clients look at the capabilities, some at the version too: it names the RabbitMQ whose dialect is
 * spoken. Few look at the product; for their sake it can be set.
 */
import type { BrokerSettings } from '../../broker/settings.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import { MESSAGE_BYTES_MAX } from '../../wire/amqp/server-facts.ts';

/** Everything that a client may rely on; `millrace.release` is `basic.release`. */
const CAPABILITIES: FieldTable = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  'basic.nack': true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  consumer_priorities: true,
  authentication_failure_close: true,
  per_consumer_qos: true,
  direct_reply_to: true,
  'millrace.release': true,
};

const PROPERTIES: FieldTable = {
  capabilities: CAPABILITIES,
  platform: `Node.js ${process.versions.node}`,
  copyright: 'The Millrace authors',
  information: 'AMQP 0-9-1 in the dialect of RabbitMQ, on a log',
};

/** Says, too, how large messages may be: a body of more closes its channel, and who knows that need not try. */
export function serverProperties({ amqpMessageMaxBytes, amqpProduct }: BrokerSettings): FieldTable {
  const [product = '', version = ''] = amqpProduct.split(' ');
  return { ...PROPERTIES, product, version, [MESSAGE_BYTES_MAX]: amqpMessageMaxBytes };
}
