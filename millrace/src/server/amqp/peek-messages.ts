/** Shows the next messages of a queue: they are taken for a moment, and go back to their places as if nothing had been. */
import { MOVE_BATCH_MESSAGES, PEEK_BYTES_MAX, PEEK_MESSAGES } from '../../core/queue-limits.ts';
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import type { Delivery } from '../../broker/queues/queue.ts';
import type { PeekedMessage, PeekRequest } from '../../wire/amqp/management.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { accepted } from './faults.ts';
import { takeSome } from './move-messages.ts';
import { demand } from './permissions.ts';
import type { AmqpSession } from './session.ts';

/** @throws {AmqpFault} NOT_FOUND, RESOURCE_LOCKED, ACCESS_REFUSED, PRECONDITION_FAILED */
export async function peekMessages(
  session: AmqpSession,
  vhost: VirtualHost,
  request: PeekRequest,
): Promise<PeekedMessage[]> {
  const { name, limit = PEEK_MESSAGES } = request;
  demand(session, 'read', 'queue', name);
  const { queue } = accepted(vhost.queue(name, session.owner));
  if (queue.settings.type === 'stream')
    throw new AmqpFault('PRECONDITION_FAILED', `queue '${name}' is a stream: consume from it`);
  await queue.ready;
  const taken: Delivery[] = [];
  let bytes = 0;
  try {
    while (taken.length < limit && bytes < PEEK_BYTES_MAX) {
      // A few at a time: one may be as large as an answer.
      const most = Math.min(limit - taken.length, taken.length + 1, MOVE_BATCH_MESSAGES);
      const some = await takeSome(queue, most);
      if (some.length === 0) break;
      taken.push(...some);
      for (const { message } of some) bytes += message.body.length + message.properties.length;
    }
  } finally {
    queue.settle(taken, 'release', { counts: false });
  }
  return shown(taken);
}

/** As many as an answer holds. */
function shown(taken: readonly Delivery[]): PeekedMessage[] {
  const messages: PeekedMessage[] = [];
  let bytes = 0;
  for (const { message, redelivered, deliveryCount } of taken) {
    const { exchange, routingKey, properties, body } = message;
    bytes += body.length + properties.length;
    if (bytes > PEEK_BYTES_MAX && messages.length > 0) break;
    messages.push({
      exchange,
      routingKey,
      properties: properties.toString('base64'),
      body: body.toString('base64'),
      redelivered,
      deliveryCount,
    });
  }
  return messages;
}
