/**
 * Class 90, tx: messages and settlements between two commits take effect with the second one.
 *
 * As RabbitMQ: not atomic over several queues. Returned messages come before commit-ok; a message that a queue refuses fails the commit
 * with PRECONDITION_FAILED; a rollback requeues nothing.
 *
 * Beyond RabbitMQ: commit-ok comes when messages and settlements are durable; when a message is refused nothing is settled.
 *
 * A large transaction is committed in pieces: others have their turn meanwhile, and what they publish may come between.
 */
import type { Queue } from '../../broker/queues/queue.ts';
import { TX_PIECE_BYTES, TX_PIECE_STEPS } from '../../core/queue-limits.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';
import type { ChannelState } from './channel-state.ts';
import { settleAll } from './settle-turns.ts';
import { type StagedMessage, type StagedSettlement, Transaction } from './transaction.ts';

export function selectTransactions(channel: ChannelState): void {
  if (channel.mode === 'confirm')
    throw new AmqpFault('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
  channel.mode = 'tx';
  channel.transaction ??= new Transaction();
  channel.answer({ name: 'tx.select-ok' });
}

export async function commit(channel: ChannelState): Promise<void> {
  const transaction = transactionOf(channel);
  const messages = transaction.messages.splice(0);
  const settlements = transaction.settlements.splice(0);
  transaction.clear();
  const published = await publishAll(channel, messages);
  if (published.refused > 0) {
    if (!channel.isOpen) {
      // It was closed meanwhile, and nobody is there who could settle them again.
      for (const { deliveries } of settlements) settleAll(deliveries, 'release');
      return;
    }
    giveBack(channel, settlements);
    throw new AmqpFault('PRECONDITION_FAILED', 'partial tx completion');
  }
  const queues = await settleInPieces(channel, settlements);
  await Promise.all(published.durable);
  await Promise.all([...queues].map((queue) => queue.flush()));
  channel.answer({ name: 'tx.commit-ok' });
}

interface PublishedAll {
  readonly refused: number;
  /** One for each piece. */
  readonly durable: readonly Promise<void>[];
}

/** Goes on to the end, also when the channel is closed meanwhile: the client has asked for all of it. */
async function publishAll(
  channel: ChannelState,
  messages: readonly StagedMessage[],
): Promise<PublishedAll> {
  const { publisher, shared } = channel.session;
  // They come to their queues now: time to live begins here.
  const timestampMs = shared.env.clock.nowMs();
  const durable: Promise<void>[] = [];
  let refused = 0;
  for (let first = 0; first < messages.length; ) {
    if (first > 0) await othersTurn(channel);
    const end = pieceEnd(messages, first);
    const piece = messages
      .slice(first, end)
      .map(({ message, mandatory }) => ({ message: { ...message, timestampMs }, mandatory }));
    const published = publisher.publishNow(channel, piece);
    refused += published.refused;
    durable.push(published.durable);
    first = end;
  }
  return { refused, durable };
}

/** One past the last message of the piece that begins with `first`. */
function pieceEnd(messages: readonly StagedMessage[], first: number): number {
  const last = Math.min(messages.length, first + TX_PIECE_STEPS);
  let bytes = 0;
  for (let index = first; index < last; index++) {
    const message = messages[index]?.message;
    bytes += (message?.body.length ?? 0) + (message?.properties.length ?? 0);
    if (bytes > TX_PIECE_BYTES && index > first) return index;
  }
  return last;
}

/** @returns where something was settled */
async function settleInPieces(
  channel: ChannelState,
  settlements: readonly StagedSettlement[],
): Promise<ReadonlySet<Queue>> {
  const queues = new Set<Queue>();
  let steps = 0;
  for (const { deliveries, how, options } of settlements) {
    if (steps >= TX_PIECE_STEPS) {
      await othersTurn(channel);
      steps = 0;
    }
    steps += deliveries.length;
    for (const { queue } of deliveries) queues.add(queue);
    channel.settled(deliveries);
    settleAll(deliveries, how, options);
  }
  return queues;
}

function othersTurn({ session }: ChannelState): Promise<void> {
  return new Promise((resolve) => {
    session.shared.env.timers.immediate(resolve);
  });
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
