/**
 * Class 40, exchange: declare, delete, bind, unbind.
 *
 * As RabbitMQ 4: an exchange is declared again with what it has, or PRECONDITION_FAILED (406); an unknown type is PRECONDITION_FAILED,
 * too; names that begin with `amq.` are ACCESS_REFUSED unless they are there; deleting one that is not there succeeds; the default
 * exchange is not to be touched. Declaring with `alternate-exchange` takes reading this exchange and writing the other.
 */
import type { MethodOf } from '../../wire/amqp/methods.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';
import { accepted } from './faults.ts';
import { oneLine } from './names.ts';
import { demand, type ResourceKind } from './permissions.ts';

export async function declareExchange(
  channel: ChannelState,
  method: MethodOf<'exchange.declare'>,
): Promise<void> {
  const { session } = channel;
  const { type, passive, durable, autoDelete, internal } = method;
  const name = oneLine(method.exchange);
  refuseDefault(name);
  if (!passive) {
    demand(session, 'configure', 'exchange', name);
    const alternate = method.arguments['alternate-exchange'];
    if (typeof alternate === 'string') {
      demand(session, 'read', 'exchange', name);
      demand(session, 'write', 'exchange', alternate);
    }
  }
  accepted(
    await session.vhost.declareExchange({
      name,
      type,
      passive,
      durable,
      autoDelete,
      internal,
      arguments: method.arguments,
    }),
  );
  if (!method.noWait) channel.answer({ name: 'exchange.declare-ok' });
}

export async function deleteExchange(
  channel: ChannelState,
  method: MethodOf<'exchange.delete'>,
): Promise<void> {
  const { session } = channel;
  const name = oneLine(method.exchange);
  refuseDefault(name);
  if (name.startsWith('amq.'))
    throw new AmqpFault(
      'ACCESS_REFUSED',
      `deletion of system exchange '${name}' in vhost '${session.vhost.name}' not allowed`,
    );
  demand(session, 'configure', 'exchange', name);
  const outcome = await session.vhost.deleteExchange(name, { ifUnused: method.ifUnused });
  accepted(outcome);
  if (!method.noWait) channel.answer({ name: 'exchange.delete-ok' });
}

export async function bindExchange(
  channel: ChannelState,
  method: MethodOf<'exchange.bind'>,
): Promise<void> {
  await changeBinding(channel, 'bind', { ...method, kind: 'exchange' });
  if (!method.noWait) channel.answer({ name: 'exchange.bind-ok' });
}

export async function unbindExchange(
  channel: ChannelState,
  method: MethodOf<'exchange.unbind'>,
): Promise<void> {
  await changeBinding(channel, 'unbind', { ...method, kind: 'exchange' });
  if (!method.noWait) channel.answer({ name: 'exchange.unbind-ok' });
}

/** Of queues, too. */
export async function changeBinding(
  channel: ChannelState,
  change: 'bind' | 'unbind',
  binding: {
    readonly source: string;
    readonly kind: Exclude<ResourceKind, 'topic'>;
    readonly destination: string;
    readonly routingKey: string;
    readonly arguments: FieldTable;
  },
): Promise<void> {
  const { session } = channel;
  const { kind, routingKey } = binding;
  const source = oneLine(binding.source);
  const destination = oneLine(binding.destination);
  demand(session, 'write', kind, destination);
  refuseDefault(source);
  if (kind === 'exchange') refuseDefault(destination);
  demand(session, 'read', 'exchange', source);
  accepted(
    await session.vhost[change](
      {
        source,
        destination: { kind, name: destination },
        routingKey,
        arguments: binding.arguments,
      },
      session.owner,
    ),
  );
}

function refuseDefault(name: string): void {
  if (name === '')
    throw new AmqpFault('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}
