/**
 * Class 60, basic: publish.
 *
 * As RabbitMQ 4: an exchange that is not there is NOT_FOUND (404), an internal one ACCESS_REFUSED (403), both close the channel; a
 * message that leads nowhere is dropped, or returned with NO_ROUTE (312) when it is mandatory, and confirmed; `immediate` is not
 * implemented (540); a `user-id` that is not the user's, an `expiration` that is no number and a message that is too large are
 * PRECONDITION_FAILED (406). What is published to `amq.millrace` is a request to the broker (management.ts).
 *
 * @hot
 */
import type { QueueMessage } from '../../broker/queues/message.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import { MANAGEMENT_EXCHANGE } from '../../wire/amqp/management.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import {
  expirationMs,
  type PropertyFacts,
  readFacts,
  withProperties,
} from '../../wire/amqp/properties.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';
import { REPLY_QUEUE } from './direct-replies.ts';
import { manage } from './management.ts';
import { demand } from './permissions.ts';

const EXPIRATION_MS_MAX = 4_294_967_295;
/** May publish in the name of others. */
const IMPERSONATOR = 'impersonator';

export function publish(
  channel: ChannelState,
  method: MethodOf<'basic.publish'>,
  content: Content,
): Promise<void> | void {
  if (channel.transaction === undefined && channel.session.publisher.mustWait)
    return publishInTurn(channel, method, content);
  return publishNow(channel, method, content);
}

/** Those that come behind it on its channel wait for it. */
async function publishInTurn(
  channel: ChannelState,
  method: MethodOf<'basic.publish'>,
  { properties, body, isOwned }: Content,
): Promise<void> {
  const content: Content = {
    properties: Buffer.from(properties),
    body: isOwned ? body : Buffer.from(body),
    isOwned: true,
  };
  await channel.session.publisher.nextTurn();
  if (channel.isOpen) await publishNow(channel, method, content);
}

function publishNow(
  channel: ChannelState,
  method: MethodOf<'basic.publish'>,
  content: Content,
): Promise<void> | void {
  const { session } = channel;
  const { exchange, routingKey, mandatory } = method;
  if (method.immediate) throw new AmqpFault('NOT_IMPLEMENTED', 'immediate=true');
  refuseLarge(content.body.length, session.shared.settings.amqpMessageMaxBytes);
  if (exchange !== MANAGEMENT_EXCHANGE) demand(session, 'write', 'exchange', exchange);
  const facts = readFacts(content.properties);
  refuseProperties(channel, facts);
  const message: QueueMessage = {
    key: facts.key === undefined ? null : Buffer.from(facts.key),
    exchange,
    routingKey,
    properties:
      facts.replyTo === REPLY_QUEUE ? repliedTo(channel, content.properties) : content.properties,
    body: content.body,
    timestampMs: session.shared.env.clock.nowMs(),
  };
  if (exchange === MANAGEMENT_EXCHANGE) {
    if (channel.mode === 'confirm') channel.publishTag++;
    session.publisher.confirmNothing(channel);
    return manage(session, owned(message));
  }
  if (channel.transaction === undefined) session.publisher.add(channel, message, mandatory);
  else stage(channel, message, mandatory);
}

/** @throws {AmqpFault} PRECONDITION_FAILED; also asked of a header before its bodies have come */
export function refuseLarge(bytes: number, most: number): void {
  if (bytes > most)
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `message size ${bytes} is larger than configured max size ${most}`,
    );
}

function refuseProperties(channel: ChannelState, facts: PropertyFacts): void {
  const { expiration, userId } = facts;
  const { user } = channel.session;
  if (expiration !== undefined && (expirationMs(expiration) ?? Infinity) > EXPIRATION_MS_MAX)
    throw new AmqpFault('PRECONDITION_FAILED', `invalid expiration '${expiration}': no_integer`);
  if (userId !== undefined && userId !== user.name && !user.tags.includes(IMPERSONATOR))
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `user_id property set to '${userId}' but authenticated user was '${user.name}'`,
    );
}

/** Whoever asks for answers without a queue is given a name that nobody else knows. */
function repliedTo(channel: ChannelState, properties: Buffer): Buffer {
  if (channel.reply === undefined)
    throw new AmqpFault('PRECONDITION_FAILED', 'fast reply consumer does not exist');
  return withProperties(properties, { replyTo: channel.reply.name });
}

/** Holds it back until the commit; where it cannot go at all is said at once. */
function stage(channel: ChannelState, message: QueueMessage, mandatory: boolean): void {
  const { vhost } = channel.session;
  const { exchange } = message;
  if (exchange !== '') {
    const known = vhost.exchange(exchange);
    if (known === undefined)
      throw new AmqpFault('NOT_FOUND', `no exchange '${exchange}' in vhost '${vhost.name}'`);
    if (known.internal)
      throw new AmqpFault(
        'ACCESS_REFUSED',
        `cannot publish to internal exchange '${exchange}' in vhost '${vhost.name}'`,
      );
  }
  channel.transaction?.publish(owned(message), mandatory);
}

function owned(message: QueueMessage): QueueMessage {
  const { properties, body } = message;
  return { ...message, properties: Buffer.from(properties), body: Buffer.from(body) };
}
