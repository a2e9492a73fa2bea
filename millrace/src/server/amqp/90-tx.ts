/**
 * Class 90, tx: messages and settlements between two commits take effect with the second one.
 *
 * As RabbitMQ: not atomic over several queues. Returned messages come before commit-ok; a message that a queue refuses fails the commit
 * with PRECONDITION_FAILED; a rollback requeues nothing.
 *
 * Beyond RabbitMQ: commit-ok comes when messages and settlements are durable; when a message is refused nothing is settled.
 */
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import { type ChannelState, settleAll } from './channel-state.ts';
import { type StagedSettlement, Transaction } from './transaction.ts';

export function selectTransactions(channel: ChannelState): void {
  if (channel.mode === 'confirm')
    throw new AmqpFault('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
  channel.mode = 'tx';
  channel.transaction ??= new Transaction();
  channel.answer({ name: 'tx.select-ok' });
}

export async function commit(channel: ChannelState): Promise<void> {
  const transaction = transactionOf(channel);
  // They come to their queues now: time to live begins here.
  const timestampMs = channel.session.shared.env.clock.nowMs();
  const messages = transaction.messages
    .splice(0)
    .map(({ message, mandatory }) => ({ message: { ...message, timestampMs }, mandatory }));
  const settlements = transaction.settlements.splice(0);
  transaction.clear();
  const published = channel.session.publisher.publishNow(channel, messages);
  if (published.refused > 0) {
    giveBack(channel, settlements);
    throw new AmqpFault('PRECONDITION_FAILED', 'partial tx completion');
  }
  for (const { deliveries, how, options } of settlements) {
    channel.settled(deliveries);
    settleAll(deliveries, how, options);
  }
  const queues = new Set(settlements.flatMap((each) => each.deliveries.map(({ queue }) => queue)));
  await published.durable;
  await Promise.all([...queues].map((queue) => queue.flush()));
  channel.answer({ name: 'tx.commit-ok' });
}

export function rollback(channel: ChannelState): void {
  const transaction = transactionOf(channel);
  const settlements = transaction.settlements.splice(0);
  transaction.clear();
  giveBack(channel, settlements);
  channel.answer({ name: 'tx.rollback-ok' });
}

/** What was settled is with the client as before. */
function giveBack(channel: ChannelState, settlements: readonly StagedSettlement[]): void {
  channel.unacked.restore(
    settlements.flatMap(({ tags }) => tags),
    settlements.flatMap(({ deliveries }) => deliveries),
  );
}

function transactionOf(channel: ChannelState): Transaction {
  const { transaction } = channel;
  if (transaction === undefined)
    throw new AmqpFault('PRECONDITION_FAILED', 'channel is not transactional');
  return transaction;
}
