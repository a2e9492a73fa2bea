/**
 * A connection to a broker of queues, from the side of who uses it. What is said of a channel that is closed goes nowhere: a delivery can be
 * settled on the channel that it came by, and on no other.
 */
import type { MessageFacts } from '../../client/amqp/message-properties.ts';
import type { Ask } from '../../client/amqp/management-types.ts';
import type { QueueArguments } from '../../client/amqp/queue-topic.ts';

export interface QueueSession {
  /** Resolves when it is over: with why, or undefined when it was closed from here. */
  readonly ended: Promise<Error | undefined>;
  readonly isOpen: boolean;
  /**
   * Declares a durable queue; `undefined` only looks whether it is there.
   * @throws {MillraceError} ML_QUEUE_MISSING, ML_QUEUE_DIFFERS, ML_AMQP_REFUSED
   */
  declare(name: string, declared: QueueArguments | undefined): Promise<void>;
  /** Sends a message to a queue. Resolves when it is durable. */
  publish(message: SentMessage): Promise<Published>;
  /** Takes messages of a queue. @throws {MillraceError} ML_QUEUE_MISSING, ML_AMQP_REFUSED */
  consume(queue: string, prefetch: number, handlers: ConsumeHandlers): Promise<Consuming>;
  /** What AMQP has no method for. */
  readonly ask: Ask;
  close(): Promise<void>;
}

export interface SentMessage {
  readonly queue: string;
  readonly properties: Buffer;
  readonly body: Uint8Array;
}

/** `full`: it was refused. `missing`: there is no such queue. `unsent`: the connection was lost before. */
export type Published = 'durable' | 'full' | 'missing' | 'unsent';

export interface ConsumeHandlers {
  delivered(delivery: Delivered, from: Consuming): void;
  /** Exactly once, last: nothing can be settled any more. undefined: closed from here. ML_QUEUE_MISSING: the queue was deleted. */
  ended(why: unknown): void;
}

export interface Delivered extends MessageFacts {
  readonly tag: number;
  readonly body: Buffer;
}

export interface Consuming {
  ack(tag: number): void;
  /** Back to the queue, to come again after a while. */
  release(tag: number, delayMs: number): void;
  /** To the dead letters. */
  reject(tag: number): void;
  /** Asks for no more. Resolves when nothing more comes. */
  cancel(): Promise<void>;
  /** What was not settled goes back. Resolves when the broker knows all that was said. */
  close(): Promise<void>;
}
