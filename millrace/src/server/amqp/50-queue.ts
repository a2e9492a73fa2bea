/**
 * Class 50, queue: declare, bind, unbind, purge, delete.
 *
 * As RabbitMQ 4: a queue is declared again with what it has, or PRECONDITION_FAILED (406); another connection's exclusive queue is
 * RESOURCE_LOCKED (405); names that begin with `amq.` are ACCESS_REFUSED (403); looking (`passive`) takes no permission; an empty name
 * means the queue that the channel declared last; deleting a queue that is not there succeeds with 0 messages. Declaring with a dead
 * letter exchange takes reading the queue and writing the exchange; over a topic, reading that.
 *
 * Deviations: queues that are neither durable nor exclusive may be declared. `messageCount` counts what is ready and not yet delivered,
 * of a stream too.
 */
import type { MethodOf } from '../../wire/amqp/methods.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { changeBinding } from './40-exchange.ts';
import type { ChannelState } from './channel-state.ts';
import { REPLY_QUEUE } from './direct-replies.ts';
import { accepted, refused } from './faults.ts';
import { oneLine } from './names.ts';
import { demand } from './permissions.ts';

/** What a name that the broker chooses looks like to permissions, before it is chosen. */
const CHOSEN_NAME = 'amq.gen-AAAAAAAAAAAAAAAAAAAAAA';

export async function declareQueue(
  channel: ChannelState,
  method: MethodOf<'queue.declare'>,
): Promise<void> {
  const { vhost, owner } = channel.session;
  const { passive, durable, exclusive, autoDelete } = method;
  const name = oneLine(method.queue);
  if (name.startsWith(REPLY_QUEUE)) {
    declareReply(channel, name, method.noWait);
    return;
  }
  if (passive && name === '')
    throw new AmqpFault('NOT_FOUND', `no queue '' in vhost '${vhost.name}'`);
  if (!passive) mayDeclare(channel, name, method.arguments);
  const declared = accepted(
    await vhost.declareQueue(
      { name, passive, durable, exclusive, autoDelete, arguments: method.arguments },
      owner,
    ),
  );
  const { queue } = declared;
  vhost.used(queue);
  channel.lastQueue = queue.name;
  if (method.noWait) return;
  const { ready, consumers } = queue.counts;
  channel.answer({
    name: 'queue.declare-ok',
    queue: queue.name,
    messageCount: ready,
    consumerCount: consumers,
  });
}

function mayDeclare(channel: ChannelState, name: string, table: FieldTable): void {
  const { session } = channel;
  const known = name === '' ? CHOSEN_NAME : name;
  demand(session, 'configure', 'queue', known);
  const topic = table['x-source-topic'];
  if (typeof topic === 'string') mayReadTopic(channel, topic);
  const exchange = table['x-dead-letter-exchange'];
  if (typeof exchange !== 'string') return;
  demand(session, 'read', 'queue', known);
  demand(session, 'write', 'exchange', exchange);
}

function mayReadTopic({ session }: ChannelState, topic: string): void {
  const found = session.vhost.queues().find(({ queue }) => queue.topic === topic);
  if (found === undefined) demand(session, 'read', 'topic', topic);
  else demand(session, 'read', 'queue', found.queue.name);
}

/** Somebody's place for answers exists as long as it is consumed from; nobody can make one. */
function declareReply(channel: ChannelState, queue: string, noWait: boolean): void {
  const { session } = channel;
  if (queue !== REPLY_QUEUE && session.shared.replies.find(queue) === undefined)
    throw new AmqpFault('NOT_FOUND', `no queue '${queue}' in vhost '${session.vhost.name}'`);
  if (!noWait)
    channel.answer({ name: 'queue.declare-ok', queue, messageCount: 0, consumerCount: 1 });
}

export async function bindQueue(
  channel: ChannelState,
  method: MethodOf<'queue.bind'>,
): Promise<void> {
  await changeBinding(channel, 'bind', bindingOf(channel, method));
  if (!method.noWait) channel.answer({ name: 'queue.bind-ok' });
}

export async function unbindQueue(
  channel: ChannelState,
  method: MethodOf<'queue.unbind'>,
): Promise<void> {
  await changeBinding(channel, 'unbind', bindingOf(channel, method));
  channel.answer({ name: 'queue.unbind-ok' });
}

/** Without a name and a routing key the name of the queue declared last is both. */
function bindingOf(
  channel: ChannelState,
  method: MethodOf<'queue.bind'> | MethodOf<'queue.unbind'>,
): Parameters<typeof changeBinding>[2] {
  const destination = channel.queueName(method.queue);
  const isShort = method.queue === '' && method.routingKey === '';
  return {
    source: method.exchange,
    kind: 'queue',
    destination,
    routingKey: isShort ? destination : method.routingKey,
    arguments: method.arguments,
  };
}

export async function purgeQueue(
  channel: ChannelState,
  method: MethodOf<'queue.purge'>,
): Promise<void> {
  const { session } = channel;
  const name = channel.queueName(method.queue);
  demand(session, 'read', 'queue', name);
  const { queue } = accepted(session.vhost.queue(name, session.owner));
  if (queue.settings.type === 'stream')
    throw new AmqpFault(
      'NOT_IMPLEMENTED',
      `queue.purge not supported by stream queues queue '${name}' in vhost '${session.vhost.name}'`,
    );
  await queue.ready;
  const messageCount = await queue.purge();
  if (!method.noWait) channel.answer({ name: 'queue.purge-ok', messageCount });
}

export async function deleteQueue(
  channel: ChannelState,
  method: MethodOf<'queue.delete'>,
): Promise<void> {
  const { session } = channel;
  const { ifUnused, ifEmpty } = method;
  const name = oneLine(channel.queueName(method.queue));
  demand(session, 'configure', 'queue', name);
  await channel.answerBeforeCancels(async () => {
    const outcome = await session.vhost.deleteQueue(name, session.owner, { ifUnused, ifEmpty });
    if (!outcome.ok && outcome.error !== 'NOT_FOUND') throw refused(outcome);
    const messageCount = outcome.ok ? outcome.value : 0;
    if (!method.noWait) channel.answer({ name: 'queue.delete-ok', messageCount });
  });
}
