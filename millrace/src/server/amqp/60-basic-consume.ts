/**
 * Class 60, basic: qos, consume, cancel, get.
 *
 * As RabbitMQ 4: `prefetch_count` holds for each consumer that comes after it, with `global` for all consumers of the channel together and
 * from now on; a consumer tag in use is NOT_ALLOWED (530); exclusive use is ACCESS_REFUSED (403); cancelling an unknown tag succeeds; `x-priority` is a consumer's priority; streams need
 * a prefetch and acknowledgements, and have no `get`; `amq.rabbitmq.reply-to` is consumed once per channel, and without acknowledgements.
 * `no_local` means nothing.
 */
import { CHANNEL_CONSUMERS_MAX } from '../../core/queue-limits.ts';
import type { Queue, StreamOffset } from '../../broker/queues/queue.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';
import { settleAll } from './settle-turns.ts';
import { ChannelConsumer } from './consumer.ts';
import { deliveredProperties } from './delivered-properties.ts';
import { REPLY_QUEUE } from './direct-replies.ts';
import { accepted, refused } from './faults.ts';
import { demand } from './permissions.ts';
import { parseStreamOffset } from './stream-offset.ts';

const TAG_BYTES = 16;

export function qos(channel: ChannelState, method: MethodOf<'basic.qos'>): void {
  if (method.prefetchSize !== 0)
    throw new AmqpFault('NOT_IMPLEMENTED', `prefetch_size!=0 (${method.prefetchSize})`);
  if (method.global) {
    channel.channelPrefetch = method.prefetchCount;
    channel.resumeConsumers();
  } else channel.prefetch = method.prefetchCount;
  channel.answer({ name: 'basic.qos-ok' });
}

export function consume(channel: ChannelState, method: MethodOf<'basic.consume'>): void {
  const { session } = channel;
  const name = channel.queueName(method.queue);
  const tag = newTag(channel, method.consumerTag);
  if (name === REPLY_QUEUE) {
    consumeReplies(channel, method, tag);
    return;
  }
  demand(session, 'read', 'queue', name);
  const { queue } = accepted(session.vhost.queue(name, session.owner));
  if (queue.settings.type === 'stream') refuseStreamUse(channel, queue, method.noAck);
  const consumer = new ChannelConsumer(channel, {
    tag,
    queue,
    noAck: method.noAck,
    exclusive: method.exclusive,
    priority: priorityOf(method.arguments),
    prefetch: channel.prefetch,
    streamOffset: streamOffsetOf(channel, method.arguments),
  });
  const refusal = queue.consume(consumer);
  if (refusal !== undefined) throw refused(refusal);
  channel.consumers.set(tag, consumer);
  session.vhost.consumersChanged(queue);
  if (!method.noWait) channel.answer({ name: 'basic.consume-ok', consumerTag: tag });
  consumer.start();
}

function newTag(channel: ChannelState, wanted: string): string {
  const { consumers, reply, session } = channel;
  if (wanted !== '' && (consumers.has(wanted) || reply?.tag === wanted))
    throw new AmqpFault('NOT_ALLOWED', `attempt to reuse consumer tag '${wanted}'`);
  if (consumers.size >= CHANNEL_CONSUMERS_MAX)
    throw new AmqpFault(
      'NOT_ALLOWED',
      `reached maximum (${CHANNEL_CONSUMERS_MAX}) of consumers per channel`,
    );
  const { random } = session.shared.env;
  return wanted === '' ? `amq.ctag-${random.bytes(TAG_BYTES).toString('base64url')}` : wanted;
}

function refuseStreamUse(channel: ChannelState, { name }: Queue, noAck: boolean): void {
  const stream = `queue '${name}' in vhost '${channel.session.vhost.name}'`;
  if (channel.prefetch === 0)
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `consumer prefetch count is not set for stream ${stream}`,
    );
  if (noAck)
    throw new AmqpFault(
      'NOT_IMPLEMENTED',
      `automatic acknowledgement not supported by stream queues ${stream}`,
    );
}

function priorityOf(table: FieldTable): number {
  const value = table['x-priority'];
  if (value === undefined) return 0;
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new AmqpFault('PRECONDITION_FAILED', 'invalid x-priority: it is no integer');
}

function streamOffsetOf(channel: ChannelState, table: FieldTable): StreamOffset | undefined {
  const value = table['x-stream-offset'];
  if (value === undefined) return undefined;
  const offset = parseStreamOffset(value, channel.session.shared.env.clock.nowMs());
  if (offset !== undefined) return offset;
  throw new AmqpFault(
    'PRECONDITION_FAILED',
    "invalid x-stream-offset: allowed are 'first', 'last', 'next', an offset, a timestamp and an interval as '1h'",
  );
}

function consumeReplies(
  channel: ChannelState,
  method: MethodOf<'basic.consume'>,
  tag: string,
): void {
  const { session } = channel;
  if (!method.noAck)
    throw new AmqpFault('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
  if (channel.reply !== undefined)
    throw new AmqpFault('PRECONDITION_FAILED', 'reply consumer already set');
  const name = session.shared.replies.register({
    deliverReply: (message) => {
      const { output } = session;
      // Dropped rather than collected without end.
      if (!channel.isOpen || output.isOverfull) return;
      output.deliver(channel.number, {
        consumerTag: tag,
        deliveryTag: channel.nextTag(),
        redelivered: false,
        message,
        properties: message.properties,
      });
    },
  });
  channel.reply = { tag, name };
  if (!method.noWait) channel.answer({ name: 'basic.consume-ok', consumerTag: tag });
}

export function cancel(channel: ChannelState, method: MethodOf<'basic.cancel'>): void {
  const { consumerTag } = method;
  const { consumers, reply, session } = channel;
  const consumer = consumers.get(consumerTag);
  if (consumer !== undefined) {
    consumers.delete(consumerTag);
    consumer.queue.cancel(consumer);
    session.vhost.consumersChanged(consumer.queue);
  } else if (reply?.tag === consumerTag) {
    session.shared.replies.unregister(reply.name);
    channel.reply = undefined;
  }
  if (!method.noWait) channel.answer({ name: 'basic.cancel-ok', consumerTag });
}

export async function get(channel: ChannelState, method: MethodOf<'basic.get'>): Promise<void> {
  const { session } = channel;
  const { noAck } = method;
  const name = channel.queueName(method.queue);
  demand(session, 'read', 'queue', name);
  const { queue } = accepted(session.vhost.queue(name, session.owner));
  session.vhost.used(queue);
  const delivery = accepted(await queue.get({ noAck }));
  if (delivery === undefined) {
    channel.answer({ name: 'basic.get-empty' });
    return;
  }
  if (!channel.isOpen) {
    if (!noAck) settleAll([delivery], 'release', { counts: false });
    return;
  }
  const { exchange, routingKey, body } = delivery.message;
  session.output.content(
    channel.number,
    {
      name: 'basic.get-ok',
      deliveryTag: channel.takeOne(delivery, noAck),
      redelivered: delivery.redelivered,
      exchange,
      routingKey,
      messageCount: queue.counts.ready,
    },
    { properties: deliveredProperties(delivery), body },
  );
}
