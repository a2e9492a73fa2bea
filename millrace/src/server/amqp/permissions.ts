/**
 * Who may do what, as RabbitMQ's table of operations has it: declaring and deleting need `configure`; publishing, and being bound to,
 * `write`; consuming, and being bound from, `read`. Looking whether something exists needs nothing. A queue over a topic takes reading the
 * topic; when that is of a queue, the queue.
 */
import type { Permissions } from '../../broker/access/access.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { AmqpSession } from './session.ts';

export type ResourceKind = 'queue' | 'exchange' | 'topic';

/** What permissions call the exchange that has no name. */
export const DEFAULT_EXCHANGE = 'amq.default';

/** @throws {AmqpFault} ACCESS_REFUSED */
export function demand(
  session: Pick<AmqpSession, 'grant' | 'vhost' | 'user'>,
  operation: keyof Permissions,
  kind: ResourceKind,
  name: string,
): void {
  const known = kind === 'exchange' && name === '' ? DEFAULT_EXCHANGE : name;
  if (session.grant.may(operation, known)) return;
  throw new AmqpFault(
    'ACCESS_REFUSED',
    `${operation} access to ${kind} '${known}' in vhost '${session.vhost.name}' refused for user '${session.user.name}'`,
  );
}
