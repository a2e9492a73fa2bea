/** A connection to a broker of queues, by AMQP. */
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import type { AmqpClient } from '../../client/amqp/client.ts';
import type { AmqpDelivery } from '../../client/amqp/delivery.ts';
import type { Ask, ManagementRequest } from '../../client/amqp/management-types.ts';
import { messageFacts } from '../../client/amqp/message-properties.ts';
import type { QueueArguments } from '../../client/amqp/queue-topic.ts';
import { ofDeclaration, ofQueue } from '../../client/amqp/queue-errors.ts';
import { MillraceError } from '../../core/errors.ts';
import type {
  ConsumeHandlers,
  Consuming,
  Delivered,
  Published,
  QueueSession,
  SentMessage,
} from './session.ts';

export class AmqpSession implements QueueSession {
  readonly ended: Promise<Error | undefined>;
  readonly ask: Ask;
  readonly #client: AmqpClient;
  /** Messages are sent on it. */
  #publishing: Promise<AmqpChannel> | undefined;
  /** A refusal closes the channel: declarations come one after the other. */
  #declared: Promise<void> = Promise.resolve();
  #declaring: AmqpChannel | undefined;

  constructor(client: AmqpClient) {
    this.#client = client;
    this.ended = client.closed;
    this.ask = async (request) => {
      try {
        return await client.request(request);
      } catch (error) {
        throw ofQueue(error, queueOf(request));
      }
    };
  }

  get isOpen(): boolean {
    return this.#client.isOpen;
  }

  declare(name: string, declared: QueueArguments | undefined): Promise<void> {
    const declaring = this.#declared.then(() => this.#declare(name, declared));
    this.#declared = declaring.catch(() => {});
    return declaring;
  }

  async publish({ queue, properties, body }: SentMessage): Promise<Published> {
    const channel = await this.#openPublisher();
    if (channel?.isOpen !== true) return 'unsent';
    const { blockedReason, messageBytesMax } = this.#client;
    // Its refusal would close the channel, on which others are under way.
    if (body.length > messageBytesMax)
      throw new MillraceError(
        'ML_SINK_VALUE_INVALID',
        `a message for queue ${queue} has ${body.length} bytes, and the broker takes ${messageBytesMax} at most`,
        { fields: { queue }, hint: 'Put what is large elsewhere, and enqueue where that is' },
      );
    // It reads nothing until there is room again: better to say so than to wait for that.
    if (blockedReason !== undefined)
      throw new MillraceError(
        'ML_QUEUE_FULL',
        `the broker takes no message for queue ${queue} at this time: ${blockedReason}`,
        { fields: { queue } },
      );
    const outcome = await channel.publish({ routingKey: queue, properties, body, mandatory: true });
    if (outcome === 'confirmed') return 'durable';
    return outcome === 'returned' ? 'missing' : 'full';
  }

  async consume(queue: string, prefetch: number, handlers: ConsumeHandlers): Promise<Consuming> {
    const channel = await this.#client.channel({ confirms: false });
    const consuming = consumingOn(channel);
    try {
      const subscription = await channel.consume({ queue, prefetch }, (delivery) => {
        handlers.delivered(delivered(delivery), consuming.consuming);
      });
      consuming.cancel = () => subscription.cancel();
      let deleted: unknown;
      void subscription.ended.then((why) => {
        // Of its own: the queue is gone, and the channel is not.
        if (why === undefined || !channel.isOpen) return;
        deleted = ofQueue(why, queue);
        void channel.close();
      });
      void channel.closed.then((why) => handlers.ended(deleted ?? ofQueue(why, queue)));
      return consuming.consuming;
    } catch (error) {
      throw ofQueue(error, queue);
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #declare(name: string, declared: QueueArguments | undefined): Promise<void> {
    if (this.#declaring?.isOpen !== true)
      this.#declaring = await this.#client.channel({ confirms: false });
    try {
      await this.#declaring.declareQueue({
        queue: name,
        durable: true,
        ...(declared === undefined ? { passive: true } : { arguments: declared }),
      });
    } catch (error) {
      throw ofDeclaration(error, name);
    }
  }

  /** undefined: the connection was lost before there was one. */
  async #openPublisher(): Promise<AmqpChannel | undefined> {
    try {
      return await this.#publisher();
    } catch (error) {
      if (this.isOpen) throw error;
      return undefined;
    }
  }

  /** The channel that messages are sent on; a new one when the last was closed. */
  async #publisher(): Promise<AmqpChannel> {
    const opening = (this.#publishing ??= this.#client.channel());
    try {
      const channel = await opening;
      if (channel.isOpen || !this.isOpen) return channel;
    } catch (error) {
      if (this.#publishing === opening) this.#publishing = undefined;
      throw error;
    }
    if (this.#publishing === opening) this.#publishing = undefined;
    return this.#publisher();
  }
}

function consumingOn(channel: AmqpChannel): {
  readonly consuming: Consuming;
  cancel: () => Promise<void>;
} {
  const parts = {
    cancel: () => Promise.resolve(),
    consuming: {
      ack: (tag: number) => channel.ack(tag),
      release: (tag: number, delayMs: number) => channel.release(tag, delayMs),
      reject: (tag: number) => channel.reject(tag, false),
      cancel: () => parts.cancel(),
      close: () => channel.close(),
    },
  };
  return parts;
}

function delivered({ deliveryTag, properties, body }: AmqpDelivery): Delivered {
  return { ...messageFacts(properties), tag: deliveryTag, body };
}

/** The queue that a question is about; undefined: it is about something else. */
function queueOf(request: ManagementRequest): string | undefined {
  const { op } = request;
  if (op === 'queue' || op === 'purge' || op === 'peek') return request.name;
  return op === 'move' || op === 'redrive' ? request.from : undefined;
}
