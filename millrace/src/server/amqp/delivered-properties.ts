/**
 * Properties as a consumer gets them: what was published, byte by byte, and the headers that only its delivery tells.
 *
 *   x-delivery-count   how often it came back, when it did
 *   x-stream-offset    of a stream: where it lies
 */
import type { Delivery } from '../../broker/queues/queue.ts';
import { withHeaders } from '../../wire/amqp/properties.ts';

/** @hot */
export function deliveredProperties(delivery: Delivery): Buffer {
  const { message, deliveryCount, queue, offset } = delivery;
  const { properties } = message;
  if (queue.settings.type === 'stream')
    return withHeaders(properties, { 'x-stream-offset': BigInt(offset) });
  if (deliveryCount === 0) return properties;
  return withHeaders(properties, { 'x-delivery-count': BigInt(deliveryCount) });
}
