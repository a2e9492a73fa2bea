/**
 * What a connection publishes at once: routed message by message, and appended to each queue as one batch. @hot
 *
 * Every message is in its queues, or refused by name, when `commit` returns; what is published is confirmed when `durable` resolves: then all
 * its queues that are durable have it.
 */
import type { QueueMessage } from '../queues/message.ts';
import type { AppendOptions, Queue, QueueAppended, QueueOutcome } from '../queues/queue.ts';
import { mayHaveCopies, withoutBlindCopies } from './routing-keys.ts';
import type { VirtualHost } from './virtual-host.ts';

export interface Committed {
  /** Calls of `add`, counted from 0, whose message a queue refused, for it or the disk is full; ascending. Mostly empty. */
  readonly refused: readonly number[];
  /** Why, when `refused` is not empty: `disk-full` when that was the reason anywhere. */
  readonly reason: QueueAppended['reason'];
  /** Resolves when all durable queues have what they did not refuse. undefined: nothing to wait for. */
  readonly durable: Promise<void> | undefined;
}

const NOTHING: readonly number[] = [];
const QUEUES_COUNTED = 64;
/** The answers to `add`, ready made. */
const ROUTED: readonly QueueOutcome<number>[] = Array.from(
  { length: QUEUES_COUNTED },
  (_, value) => ({ ok: true, value }),
);

class Share {
  readonly queue: Queue;
  messages: QueueMessage[] = [];
  /** The calls of `add` that they came with. */
  calls: number[] = [];

  constructor(queue: Queue) {
    this.queue = queue;
  }
}

export class PublishBatch {
  private readonly vhost: VirtualHost;
  private readonly options: AppendOptions;
  /** A new one for each batch: of one that is cleared again and again all messages would grow old (docs/explanation/queues.md). */
  private shares = new Map<Queue, Share>();
  /** Most messages go where the one before went. */
  private last: Share | undefined = undefined;
  private added = 0;

  /** @param options for all that is added */
  constructor(vhost: VirtualHost, options: AppendOptions = {}) {
    this.vhost = vhost;
    this.options = options;
  }

  /** Calls of `add` since the last `commit`. */
  get size(): number {
    return this.added;
  }

  /** Queues that something was added for since the last `commit`. */
  get queues(): number {
    return this.shares.size;
  }

  /**
   * Takes a message; its bytes must stay as they are until `commit`.
   * @returns the number of queues it goes to: 0 when it cannot be routed. A refusal counts as a call too. NOT_FOUND, ACCESS_REFUSED,
   * PRECONDITION_FAILED as `VirtualHost.route`
   */
  add(message: QueueMessage): QueueOutcome<number> {
    const call = this.added++;
    const routed = this.vhost.route(message);
    if (!routed.ok) return routed;
    const queues = routed.value;
    const delivered = mayHaveCopies(message.properties) ? withoutBlind(message) : message;
    for (let index = 0; index < queues.length; index++) {
      const share = this.shareOf(queues[index] as Queue);
      share.messages.push(delivered);
      share.calls.push(call);
    }
    return ROUTED[queues.length] ?? { ok: true, value: queues.length };
  }

  /** Appends what was added, and begins anew. */
  commit(): Committed {
    const { shares } = this;
    let refused: number[] | undefined;
    let reason: QueueAppended['reason'];
    let durable: Promise<void> | undefined;
    let others: Promise<void>[] | undefined;
    for (const share of shares.values()) {
      const appended = share.queue.append(share.messages, this.options);
      for (const position of appended.refused) (refused ??= []).push(share.calls[position] ?? -1);
      if (appended.refused.length > 0 && reason !== 'disk-full') reason = appended.reason;
      if (appended.durable === undefined) continue;
      if (durable === undefined) durable = appended.durable;
      else (others ??= []).push(appended.durable);
    }
    this.shares = new Map();
    this.last = undefined;
    this.added = 0;
    return {
      refused: refused === undefined ? NOTHING : ascending(refused),
      reason,
      durable: durable === undefined || others === undefined ? durable : all(durable, others),
    };
  }

  private shareOf(queue: Queue): Share {
    if (this.last?.queue === queue) return this.last;
    let share = this.shares.get(queue);
    if (share === undefined) {
      share = new Share(queue);
      this.shares.set(queue, share);
    }
    this.last = share;
    return share;
  }
}

function withoutBlind(message: QueueMessage): QueueMessage {
  const properties = withoutBlindCopies(message.properties);
  if (properties === message.properties) return message;
  const { key, exchange, routingKey, body, timestampMs } = message;
  return { key, exchange, routingKey, properties, body, timestampMs };
}

/** Each once: a message may be refused by several queues. */
function ascending(calls: readonly number[]): readonly number[] {
  return [...new Set(calls)].sort((one, other) => one - other);
}

async function all(first: Promise<void>, others: readonly Promise<void>[]): Promise<void> {
  await Promise.all([first, ...others]);
}
