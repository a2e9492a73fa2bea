/**
 * An open transaction of a channel: messages and settlements that are held back until it is committed. A rollback forgets the messages and
 * gives the client its deliveries back: it may settle them again.
 *
 * Bounded by TX_STEPS_MAX and TX_BYTES_MAX.
 *
 * Source: AMQP 0-9-1, tx class; RabbitMQ's semantics (not atomic over several queues; a rollback requeues nothing).
 */
import { TX_BYTES_MAX, TX_STEPS_MAX } from '../../core/queue-limits.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';
import type { Delivery, SettleOptions, Settlement } from '../../broker/queues/queue.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';

export interface StagedMessage {
  readonly message: QueueMessage;
  readonly mandatory: boolean;
}

export interface StagedSettlement {
  readonly tags: readonly number[];
  readonly deliveries: readonly Delivery[];
  readonly how: Settlement;
  readonly options: SettleOptions | undefined;
}

export class Transaction {
  readonly messages: StagedMessage[] = [];
  readonly settlements: StagedSettlement[] = [];
  private bytes = 0;
  private steps = 0;

  /** @param message with memory of its own. @throws {AmqpFault} PRECONDITION_FAILED when it would get too large */
  publish(message: QueueMessage, mandatory: boolean): void {
    this.bytes += message.body.length + message.properties.length;
    this.count(1);
    this.messages.push({ message, mandatory });
  }

  /** @throws {AmqpFault} PRECONDITION_FAILED when it gets too large; what was staged then comes back with the end of the channel */
  settle(settlement: StagedSettlement): void {
    this.settlements.push(settlement);
    this.count(settlement.deliveries.length);
  }

  clear(): void {
    this.messages.length = 0;
    this.settlements.length = 0;
    this.bytes = 0;
    this.steps = 0;
  }

  private count(steps: number): void {
    this.steps += steps;
    if (this.steps <= TX_STEPS_MAX && this.bytes <= TX_BYTES_MAX) return;
    throw new AmqpFault(
      'PRECONDITION_FAILED',
      `a transaction holds ${TX_STEPS_MAX} messages and acknowledgements and ${TX_BYTES_MAX} bytes at most`,
    );
  }
}
