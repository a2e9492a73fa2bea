/** How what the rooms behind refuse becomes a fault of the channel, or of the connection, as AMQP's code for it says. */
import type { QueueOutcome, QueueRefusal } from '../../broker/queues/queue.ts';
import { AmqpFault } from '../../wire/amqp/reply-codes.ts';

export function refused({ error, message }: QueueRefusal): AmqpFault {
  return new AmqpFault(error, message);
}

/** @throws {AmqpFault} for a refusal */
export function accepted<Value>(outcome: QueueOutcome<Value>): Value {
  if (!outcome.ok) throw refused(outcome);
  return outcome.value;
}
