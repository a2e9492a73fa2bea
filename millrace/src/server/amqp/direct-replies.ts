/**
 * Answers without a queue: who consumes from `amq.rabbitmq.reply-to` gets a name that others publish its answers to, through the default
 * exchange. Nothing is kept: an answer to somebody who is gone is gone.
 *
 * Invariant: a name cannot be guessed; it is told to nobody but in the `reply-to` of what its owner has published.
 *
 * Source: RabbitMQ's direct reply-to.
 */
import type { Random } from '../../core/env.ts';
import type { QueueMessage } from '../../broker/queues/message.ts';

export const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
const PREFIX = `${REPLY_QUEUE}.`;
const NAME_BYTES = 18;

export interface ReplyConsumer {
  deliverReply(message: QueueMessage): void;
}

export class DirectReplies {
  private readonly random: Random;
  private readonly consumers = new Map<string, ReplyConsumer>();

  constructor(random: Random) {
    this.random = random;
  }

  /** @returns the name under which it is reached */
  register(consumer: ReplyConsumer): string {
    const name = PREFIX + this.random.bytes(NAME_BYTES).toString('base64url');
    this.consumers.set(name, consumer);
    return name;
  }

  unregister(name: string): void {
    this.consumers.delete(name);
  }

  find(name: string): ReplyConsumer | undefined {
    return this.consumers.get(name);
  }
}

/** Whether it is meant for somebody who consumes answers. */
export function isReplyName(routingKey: string): boolean {
  return routingKey.startsWith(PREFIX);
}
