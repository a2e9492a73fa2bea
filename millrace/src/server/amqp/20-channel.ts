/**
 * Class 20, channel: flow. Opening and closing is with `channel.ts`.
 *
 * As RabbitMQ: `active=true` is answered and changes nothing; `active=false` is not implemented (consumers are held back by their
 * prefetch).
 */
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';

export function flow(channel: ChannelState, method: MethodOf<'channel.flow'>): void {
  if (!method.active) throw new AmqpFault('NOT_IMPLEMENTED', 'active=false');
  channel.answer({ name: 'channel.flow-ok', active: true });
}
