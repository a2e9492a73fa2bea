/**
 * Puts messages into one queue. So many may be under way at a time; more wait for their turn, in order.
 *
 * What was sent when a connection was lost may be in the queue, or not. It is sent again only where the queue would not keep it twice.
 */
import type { QueueSpec } from '../../connect/queues/queue-options.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  ENQUEUE_ATTEMPTS,
  ENQUEUE_UNCONFIRMED_BYTES_MAX,
  ENQUEUE_UNCONFIRMED_MAX,
  ENQUEUE_WAIT_MS,
} from '../../core/queue-limits.ts';
import { canPass, type QueueLink } from './queue-link.ts';
import type { Published, QueueSession } from './session.ts';

export interface OutgoingMessage {
  readonly id: string;
  readonly properties: Buffer;
  readonly body: Buffer;
  /** The queue keeps it once, however often it comes. */
  readonly isOnce: boolean;
}

export class Enqueuer {
  readonly #link: QueueLink;
  readonly #spec: QueueSpec;
  readonly #isDeduping: boolean;
  #messages = 0;
  #bytes = 0;
  #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  /** Those before it had their turn: taking the first one off a long list each time takes long. */
  #waitingAt = 0;

  constructor(link: QueueLink, spec: QueueSpec) {
    this.#link = link;
    this.#spec = spec;
    this.#isDeduping = spec.arguments['x-dedupe-window'] !== undefined;
  }

  /** Resolves when it is durable. @throws {MillraceError} as `Queue.enqueue` says */
  async enqueue(message: OutgoingMessage): Promise<void> {
    const bytes = message.properties.length + message.body.length;
    if (this.#isFull)
      await new Promise<void>((go) => {
        this.#waiting.push({ bytes, go });
      });
    else this.#take(bytes);
    try {
      await this.#send(message);
    } finally {
      this.#give(bytes);
    }
  }

  get #isFull(): boolean {
    return (
      this.#messages >= ENQUEUE_UNCONFIRMED_MAX || this.#bytes >= ENQUEUE_UNCONFIRMED_BYTES_MAX
    );
  }

  #take(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
  }

  #give(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
    for (let next; !this.#isFull && (next = this.#waiting[this.#waitingAt]) !== undefined; ) {
      this.#waitingAt++;
      this.#take(next.bytes);
      next.go();
    }
    if (this.#waitingAt * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#waitingAt);
    this.#waitingAt = 0;
  }

  async #send(message: OutgoingMessage): Promise<void> {
    const { name } = this.#spec;
    // Once more where the queue was deleted since it was declared; and some times where it was lost, and that can do no harm.
    for (let missing = 0, lost = 0; ; ) {
      const session = await this.#link.ready(this.#spec, { waitMs: ENQUEUE_WAIT_MS });
      const published = await this.#publish(session, message);
      if (published === 'durable') return;
      if (published === 'full') throw full(name);
      if (published === 'unsent') {
        if (++lost >= ENQUEUE_ATTEMPTS) throw lostAgain(name);
        await this.#link.pause(lost);
        continue;
      }
      this.#link.forget(session, this.#spec);
      if (++missing > 1)
        throw new MillraceError('ML_QUEUE_MISSING', `queue ${name} is deleted again and again`, {
          fields: { queue: name },
        });
    }
  }

  async #publish(session: QueueSession, message: OutgoingMessage): Promise<Published> {
    const { id, properties, body, isOnce } = message;
    const queue = this.#spec.name;
    try {
      return await session.publish({ queue, properties, body });
    } catch (error) {
      // A broker that is stopped says so; the connection is lost all the same.
      if (!canPass(error) || session.isOpen) throw error;
      if (isOnce && this.#isDeduping) return 'unsent';
      throw new MillraceError(
        'ML_CONNECTION_LOST',
        `the connection was lost before message ${id} was confirmed: queue ${queue} may have it, or not`,
        {
          cause: error,
          fields: { queue, id },
          hint: 'Enqueue it again, with the same dedupe key on a queue with `dedupe`, which keeps it once',
        },
      );
    }
  }
}

function lostAgain(queue: string): MillraceError {
  return new MillraceError(
    'ML_CONNECTION_LOST',
    `the connection was lost ${ENQUEUE_ATTEMPTS} times in a row before a message for queue ${queue} was confirmed`,
    { fields: { queue } },
  );
}

function full(queue: string): MillraceError {
  return new MillraceError(
    'ML_QUEUE_FULL',
    `queue ${queue} has refused a message: it has as many as it may have, or the disk is full`,
    { fields: { queue } },
  );
}
