/**
 * What is published to `amq.millrace`: requests about queues, users and virtual hosts, as JSON, and their answers (the types are in
 * `wire/amqp/management.ts`). What is no request, or is refused, gets an answer too, never a closed channel.
 *
 * Whoever is connected may ask about its own virtual host, and move and purge within its permissions: moving reads the queue that is moved
 * from, and writes where it goes. All else needs the tag `administrator`.
 */
import type { VirtualHost } from '../../broker/exchanges/virtual-host.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';
import {
  MANAGEMENT_ROUTING_KEY,
  type ManagementFailure,
  type ManagementOp,
  type ManagementReply,
  type ManagementRequest,
  type ManagementResults,
} from '../../wire/amqp/management.ts';
import { decodeProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { isReplyName } from './direct-replies.ts';
import { accepted, refused } from './faults.ts';
import { bindingInfo, exchangeInfo, queueInfo } from './management-infos.ts';
import { readRequest } from './management-request.ts';
import { moveMessages, redriveMessages } from './move-messages.ts';
import { peekMessages } from './peek-messages.ts';
import { DEFAULT_EXCHANGE, demand } from './permissions.ts';
import type { AmqpSession, AmqpShared } from './session.ts';

const ADMINISTRATOR = 'administrator';

/**
 * What follows on the channel waits for the answer: so no more requests are under way than a connection has channels.
 * @param message with memory of its own
 */
export async function manage(session: AmqpSession, message: QueueMessage): Promise<void> {
  const { replyTo, correlationId } = decodeProperties(message.properties);
  // Others have their turn, however many requests came at once.
  await new Promise<void>((resolve) => {
    session.shared.env.timers.immediate(resolve);
  });
  const reply = await replyOf(session, message);
  if (replyTo === undefined || replyTo === '') return;
  // An answer may not go where its user may not publish.
  if (!isReplyName(replyTo) && !session.grant.may('write', DEFAULT_EXCHANGE)) return;
  session.publisher.publishForBroker({
    key: null,
    exchange: '',
    routingKey: replyTo,
    properties: encodeProperties({
      contentType: 'application/json',
      ...(correlationId === undefined ? {} : { correlationId }),
    }),
    body: Buffer.from(JSON.stringify(reply)),
    timestampMs: session.shared.env.clock.nowMs(),
  });
}

async function replyOf(session: AmqpSession, message: QueueMessage): Promise<ManagementReply> {
  if (message.routingKey !== MANAGEMENT_ROUTING_KEY)
    return failure('BAD_REQUEST', `requests have the routing key '${MANAGEMENT_ROUTING_KEY}'`);
  const request = readRequest(message.body);
  if ('error' in request) return request;
  try {
    return { ok: true, value: await perform(session, request) };
  } catch (error) {
    if (error instanceof AmqpFault) return failure(error.reply, error.text);
    session.shared.logger.error('a request to the broker failed', { op: request.op, error });
    return failure('INTERNAL_ERROR', 'the broker has failed');
  }
}

function failure(error: string, message: string): ManagementFailure {
  return { ok: false, error, message };
}

type Performer<Op extends ManagementOp> = (
  session: AmqpSession,
  request: Extract<ManagementRequest, { readonly op: Op }>,
) => ManagementResults[Op] | Promise<ManagementResults[Op]>;

const PERFORMERS: { readonly [Op in ManagementOp]: Performer<Op> } = {
  queues: (session, { vhost }) => hostOf(session, vhost).queues().map(queueInfo),
  queue: (session, { vhost, name }) =>
    queueInfo(accepted(hostOf(session, vhost).queue(name, session.owner))),
  exchanges: (session, { vhost }) => {
    const host = hostOf(session, vhost);
    return host.exchanges().map((exchange) => exchangeInfo(exchange, host.name));
  },
  bindings: (session, { vhost }) => {
    const host = hostOf(session, vhost);
    return host.bindings().map((binding) => bindingInfo(binding, host.name));
  },
  connections: ({ shared, user: { name, tags } }) => {
    const all = shared.connections();
    return tags.includes(ADMINISTRATOR) ? all : all.filter(({ user }) => user === name);
  },
  move: (session, request) => moveMessages(session, hostOf(session, request.vhost), request),
  redrive: (session, request) => redriveMessages(session, hostOf(session, request.vhost), request),
  peek: (session, request) => peekMessages(session, hostOf(session, request.vhost), request),
  purge: async (session, { vhost, name }) => {
    const { queue } = accepted(hostOf(session, vhost).queue(name, session.owner));
    demand(session, 'read', 'queue', name);
    await queue.ready;
    return { purged: await queue.purge() };
  },
  users: (session) =>
    administration(session)
      .access.users()
      .map(({ name, tags }) => ({ name, tags })),
  'set-user': async (session, { name, password, tags }) =>
    nothing(
      await administration(session).access.setUser(name, {
        ...(password === undefined ? {} : { password }),
        ...(tags === undefined ? {} : { tags }),
      }),
    ),
  'delete-user': async (session, { name }) => {
    const { access, disconnect } = administration(session);
    nothing(await access.deleteUser(name));
    disconnect({ user: name }, `user '${name}' was deleted`);
    return null;
  },
  permissions: (session) => administration(session).access.permissions(),
  'set-permissions': async (session, { user, vhost, permissions }) => {
    const { access } = administration(session);
    const host = hostOf(session, vhost);
    return nothing(await access.setPermissions(user, host.name, permissions ?? undefined));
  },
  vhosts: (session) =>
    administration(session)
      .vhosts.all()
      .map((vhost) => ({ name: vhost.name, queues: vhost.queues().length })),
  'create-vhost': async (session, { name }) => {
    await administration(session).vhosts.create(name);
    return null;
  },
  'delete-vhost': async (session, { name }) => {
    const { vhosts, disconnect } = administration(session);
    nothing(await vhosts.delete(name));
    disconnect({ vhost: name }, `vhost '${name}' was deleted`);
    return null;
  },
};

async function perform(
  session: AmqpSession,
  request: ManagementRequest,
): Promise<ManagementResults[ManagementOp]> {
  const performer = PERFORMERS[request.op] as (
    session: AmqpSession,
    request: ManagementRequest,
  ) => ManagementResults[ManagementOp] | Promise<ManagementResults[ManagementOp]>;
  return performer(session, request);
}

function nothing(refusal: Parameters<typeof refused>[0] | undefined): null {
  if (refusal !== undefined) throw refused(refusal);
  return null;
}

/** @throws {AmqpFault} NOT_FOUND, ACCESS_REFUSED for another one than that of the connection */
function hostOf(session: AmqpSession, name: string | undefined): VirtualHost {
  if (name === undefined || name === session.vhost.name) return session.vhost;
  const vhost = administration(session).vhosts.get(name);
  if (vhost === undefined) throw new AmqpFault('NOT_FOUND', `no vhost '${name}'`);
  return vhost;
}

/** @throws {AmqpFault} ACCESS_REFUSED for whom it is not for */
function administration({
  user,
  shared,
}: AmqpSession): Pick<AmqpShared, 'access' | 'vhosts' | 'disconnect'> {
  if (user.tags.includes(ADMINISTRATOR)) return shared;
  throw new AmqpFault(
    'ACCESS_REFUSED',
    `user '${user.name}' does not have the tag '${ADMINISTRATOR}'`,
  );
}
