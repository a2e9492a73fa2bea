/**
 * Class 60, basic: ack, nack, reject, release, recover, recover-async.
 *
 * As RabbitMQ 4: a tag that is not with this channel is PRECONDITION_FAILED (406), also when it was settled before; tag 0 with `multiple`
 * means all; `requeue=false` makes a dead letter; recovering without requeueing is not implemented.
 *
 * Deviation: nack with requeue counts towards the delivery limit as reject does, so that a client that gives everything back ends
 * somewhere. Extension: `basic.release` gives a message back that is ready again only after a delay.
 */
import type { Delivery, SettleOptions, Settlement } from '../../broker/queues/queue.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { AMQP_SETTLE_PIECE } from '../../core/queue-limits.ts';
import type { ChannelState } from './channel-state.ts';
import { settleAll } from './settle-turns.ts';

type Settled = Promise<void> | undefined;

export function ack(channel: ChannelState, method: MethodOf<'basic.ack'>): Settled {
  return settle(channel, method, 'accept');
}

export function nack(channel: ChannelState, method: MethodOf<'basic.nack'>): Settled {
  return settle(channel, method, method.requeue ? 'release' : 'reject');
}

export function reject(channel: ChannelState, method: MethodOf<'basic.reject'>): Settled {
  const { deliveryTag, requeue } = method;
  return settle(channel, { deliveryTag, multiple: false }, requeue ? 'release' : 'reject');
}

export function release(channel: ChannelState, method: MethodOf<'basic.release'>): Settled {
  const { deliveryTag, delay } = method;
  return settle(channel, { deliveryTag, multiple: false }, 'release', { delayMs: delay });
}

export function recover(
  channel: ChannelState,
  method: MethodOf<'basic.recover'> | MethodOf<'basic.recover-async'>,
): Settled {
  if (!method.requeue) throw new AmqpFault('NOT_IMPLEMENTED', 'requeue=false');
  const deliveries = channel.unacked.takeAll();
  channel.settled(deliveries);
  const answer = (): void => {
    if (method.name === 'basic.recover') channel.answer({ name: 'basic.recover-ok' });
  };
  const settled = settleMany(channel, deliveries, 'release');
  if (settled === undefined) answer();
  return settled?.then(answer);
}

function settle(
  channel: ChannelState,
  which: { readonly deliveryTag: number; readonly multiple: boolean },
  how: Settlement,
  options?: SettleOptions,
): Settled {
  const { deliveryTag, multiple } = which;
  const { transaction } = channel;
  if (transaction === undefined) {
    const deliveries = channel.takeBack(deliveryTag, multiple);
    channel.settled(deliveries);
    return settleMany(channel, deliveries, how, options);
  }
  const upTo = multiple && deliveryTag === 0 ? Number.POSITIVE_INFINITY : deliveryTag;
  const tags = multiple ? channel.unacked.tagsUpTo(upTo) : [deliveryTag];
  const deliveries = channel.takeBack(deliveryTag, multiple);
  transaction.settle({ tags, deliveries, how, options });
  return undefined;
}

/** At once, unless they are very many. */
function settleMany(
  channel: ChannelState,
  deliveries: readonly Delivery[],
  how: Settlement,
  options?: SettleOptions,
): Settled {
  if (deliveries.length > AMQP_SETTLE_PIECE)
    return channel.session.shared.settling.settle(deliveries, how, options);
  settleAll(deliveries, how, options);
  return undefined;
}
