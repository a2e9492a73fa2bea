/** Class 85, confirm: from `confirm.select` on every message is confirmed, by tags that count from 1. Not together with transactions. */
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';

export function selectConfirms(channel: ChannelState, method: MethodOf<'confirm.select'>): void {
  if (channel.mode === 'tx')
    throw new AmqpFault('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
  channel.mode = 'confirm';
  if (!method.noWait) channel.answer({ name: 'confirm.select-ok' });
}
