/** The dead letters of a queue: looked at, put back, dropped. */
import { deathOf, lookedAt, type MessageFacts } from '../../client/amqp/message-properties.ts';
import { DEAD_LETTERS_LISTED, DEAD_LETTERS_LISTED_MAX } from '../../core/queue-limits.ts';
import type { Serde } from '../../flow/serde.ts';
import { decodeBody } from './message-body.ts';
import type { DeadLetters, DeadMessage, Redriven } from './queue.ts';
import { invalid } from './retry.ts';
import type { QueueSession } from './session.ts';

export interface DeadLettersOptions {
  readonly name: string;
  readonly value: Serde<unknown>;
  readonly session: () => Promise<QueueSession>;
}

export class OpenDeadLetters implements DeadLetters<unknown> {
  readonly name: string;
  readonly #value: Serde<unknown>;
  readonly #session: () => Promise<QueueSession>;

  constructor({ name, value, session }: DeadLettersOptions) {
    this.name = name;
    this.#value = value;
    this.#session = session;
  }

  async list({
    limit = DEAD_LETTERS_LISTED,
  }: {
    readonly limit?: number;
  } = {}): Promise<readonly DeadMessage<unknown>[]> {
    requireLimit(limit, DEAD_LETTERS_LISTED_MAX);
    const session = await this.#session();
    const messages = (await session.ask({ op: 'peek', name: this.name, limit })).map(lookedAt);
    return Promise.all(
      messages.map(async ({ body, ...facts }) =>
        deadMessage(facts, body, await this.#decoded(body)),
      ),
    );
  }

  async redrive(options: { readonly limit?: number } = {}): Promise<Redriven> {
    if (options.limit !== undefined) requireLimit(options.limit, Number.MAX_SAFE_INTEGER);
    // Those that fail again meanwhile, and are back, are not moved once more: that might go on without end.
    const limit = Math.min(options.limit ?? Infinity, await this.size());
    if (limit === 0) return { moved: 0, skipped: 0 };
    let moved = 0;
    for (;;) {
      const session = await this.#session();
      const left = limit - moved;
      const result = await session.ask({
        op: 'redrive',
        from: this.name,
        ...(left < REDRIVE_AT_ONCE ? { limit: left } : {}),
      });
      moved += result.moved;
      const { skipped } = result;
      // What is moved nowhere would not be moved by asking again.
      if (result.remaining === 0 || result.moved === 0 || moved >= limit) return { moved, skipped };
    }
  }

  async size(): Promise<number> {
    const session = await this.#session();
    const info = await session.ask({ op: 'queue', name: this.name });
    return info.ready + info.unacknowledged + info.delayed;
  }

  async purge(): Promise<number> {
    const session = await this.#session();
    return (await session.ask({ op: 'purge', name: this.name })).purged;
  }

  async #decoded(body: Buffer): Promise<unknown> {
    try {
      return await decodeBody(this.name, this.#value, body);
    } catch {
      // That is why it is here, perhaps.
      return undefined;
    }
  }
}

/** What one request moves: a default of the broker's. */
const REDRIVE_AT_ONCE = 10_000;

function deadMessage(facts: MessageFacts, body: Buffer, value: unknown): DeadMessage<unknown> {
  const { id, key, headers } = facts;
  const { reason, queue, timeMs } = deathOf(headers);
  const diedAt = timeMs === undefined ? undefined : new Date(timeMs);
  return { value, body, id, key, reason, queue, diedAt, headers };
}

function requireLimit(limit: number, max: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= max) return;
  throw invalid('limit', limit, `an integer from 1 to ${max}`);
}
