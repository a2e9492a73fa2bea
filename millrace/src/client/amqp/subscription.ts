/** A consumer of a queue. */
import type { MillraceError } from '../../core/errors.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { Content } from '../../wire/amqp/frames.ts';
import type { MethodOf } from '../../wire/amqp/methods.ts';
import { AmqpDelivery, type Settler } from './delivery.ts';

export interface ConsumeOptions {
  readonly queue: string;
  /** Messages that are with it at most, until it has said what became of them. Default 0: no bound. */
  readonly prefetch?: number;
  /** What is delivered is done: nothing bounds how much comes at once. Default false. */
  readonly noAck?: boolean;
  /** Nobody else consumes. */
  readonly exclusive?: boolean;
  /** Higher ones get messages first. Default 0. */
  readonly priority?: number;
  readonly arguments?: FieldTable;
  /** Default: one that is new on the channel. */
  readonly consumerTag?: string;
}

export interface SubscriptionSetup {
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly onDelivery: (delivery: AmqpDelivery) => void;
  readonly cancel: () => Promise<void>;
}

export class AmqpSubscription {
  readonly consumerTag: string;
  /** Resolves when nothing more comes: with why, or undefined when it was cancelled, or its channel closed, from here. */
  readonly ended: Promise<MillraceError | undefined>;
  readonly #setup: SubscriptionSetup;
  #tellEnded: (error: MillraceError | undefined) => void = () => {};

  /** @internal `AmqpChannel.consume` makes one. */
  constructor(setup: SubscriptionSetup) {
    this.#setup = setup;
    this.consumerTag = setup.consumerTag;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
  }

  /** Asks for no more. Resolves when nothing more comes; what has come can be settled still. Idempotent. */
  async cancel(): Promise<void> {
    await this.#setup.cancel();
  }

  /** @internal */
  deliver(method: MethodOf<'basic.deliver'>, content: Content, settler: Settler): void {
    const { noAck, onDelivery } = this.#setup;
    onDelivery(new AmqpDelivery(method, content, settler, noAck));
  }

  /** @internal */
  end(error: MillraceError | undefined): void {
    this.#tellEnded(error);
  }
}
