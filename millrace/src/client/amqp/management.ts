/** Questions to a Millrace about its queues: messages to an exchange of its own, answered without a queue. */
import type { Env, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { AMQP_REQUEST_MS } from '../../core/queue-limits.ts';
import {
  MANAGEMENT_EXCHANGE,
  MANAGEMENT_ROUTING_KEY,
  type ManagementReply,
  type ManagementRequest,
} from '../../wire/amqp/management.ts';
import type { AmqpChannel } from './channel.ts';
import type { AmqpDelivery } from './delivery.ts';
import { amqpReply, connectionLost } from './refusal.ts';

/** Answers to what is published with this `reply-to` come to whoever consumes from it on the same channel. */
const REPLY_QUEUE = 'amq.rabbitmq.reply-to';

interface Asked {
  readonly op: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: Timer;
}

export class Management {
  readonly #env: Env;
  readonly #name: string;
  readonly #openChannel: () => Promise<AmqpChannel>;
  readonly #asked = new Map<string, Asked>();
  #channel: Promise<AmqpChannel> | undefined;
  #nextId = 1;

  constructor(env: Env, name: string, openChannel: () => Promise<AmqpChannel>) {
    this.#env = env;
    this.#name = name;
    this.#openChannel = openChannel;
  }

  /** @returns what `ManagementResults` has for the request */
  async request(
    request: ManagementRequest,
    options: { readonly timeoutMs?: number },
  ): Promise<unknown> {
    const { timeoutMs = AMQP_REQUEST_MS } = options;
    const channel = await this.#replying();
    const correlationId = String(this.#nextId++);
    const { op } = request;
    const answer = new Promise((resolve, reject) => {
      const timer = this.#env.timers.after(timeoutMs, () => {
        this.#take(correlationId)?.reject(
          connectionLost(this.#name, `did not bring an answer to '${op}' for ${timeoutMs} ms`),
        );
      });
      this.#asked.set(correlationId, { op, resolve, reject, timer });
    });
    try {
      channel.send({
        exchange: MANAGEMENT_EXCHANGE,
        routingKey: MANAGEMENT_ROUTING_KEY,
        properties: { contentType: 'application/json', correlationId, replyTo: REPLY_QUEUE },
        body: Buffer.from(JSON.stringify(request)),
      });
    } catch (error) {
      this.#take(correlationId)?.reject(error as Error);
    }
    return answer;
  }

  /** The channel for questions; a new one when the last was closed. */
  #replying(): Promise<AmqpChannel> {
    const opening = (this.#channel ??= this.#open());
    return opening.catch((error: unknown) => {
      if (this.#channel === opening) this.#channel = undefined;
      throw error;
    });
  }

  async #open(): Promise<AmqpChannel> {
    const channel = await this.#openChannel();
    await channel.consume({ queue: REPLY_QUEUE, noAck: true }, (delivery) => {
      this.#answered(delivery);
    });
    void channel.closed.then((error) => {
      this.#channel = undefined;
      const failure = error ?? connectionLost(this.#name, 'was closed');
      const isForeign = amqpReply(failure) === 'NOT_FOUND';
      for (const id of this.#asked.keys()) {
        this.#take(id)?.reject(isForeign ? this.#foreign(failure) : failure);
      }
    });
    return channel;
  }

  #foreign(cause: MillraceError): MillraceError {
    return new MillraceError(
      'ML_AMQP_REFUSED',
      `the broker at ${this.#name} is no Millrace: it has no exchange ${MANAGEMENT_EXCHANGE}`,
      {
        cause,
        fields: cause.fields,
        hint: 'Connect to a Millrace, or use the tools of that broker',
      },
    );
  }

  #answered(delivery: AmqpDelivery): void {
    const asked = this.#take(delivery.properties.correlationId ?? '');
    if (asked === undefined) return;
    try {
      const reply = JSON.parse(delivery.body.toString()) as ManagementReply;
      if (reply.ok) asked.resolve(reply.value);
      else {
        asked.reject(
          new MillraceError('ML_AMQP_REFUSED', `'${asked.op}' was refused: ${reply.message}`, {
            fields: { reply: reply.error, replyText: reply.message },
          }),
        );
      }
    } catch (error) {
      asked.reject(connectionLost(this.#name, 'brought an answer that is none', error));
    }
  }

  #take(correlationId: string): Asked | undefined {
    const asked = this.#asked.get(correlationId);
    this.#asked.delete(correlationId);
    asked?.timer.cancel();
    return asked;
  }
}
