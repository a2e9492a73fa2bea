/**
 * The connection that all queues of a Millrace share: made when it is needed, and again when it was lost. Knows which queues are declared on
 * it.
 */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { QUEUE_RECONNECT_MS_MAX, QUEUE_RECONNECT_MS_MIN } from '../../core/queue-limits.ts';
import type { QueueSpec } from '../../connect/queues/queue-options.ts';
import type { QueueSession } from './session.ts';

export interface LinkOptions {
  readonly env: Env;
  /** One try. */
  readonly connect: () => Promise<QueueSession>;
}

export interface Patience {
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** What cannot be reached for so long is given up. */
  readonly waitMs: number;
}

export class QueueLink {
  readonly #env: Env;
  readonly #connect: () => Promise<QueueSession>;
  #session: QueueSession | undefined;
  #opening: Promise<QueueSession> | undefined;
  /** By session, and by what is declared. */
  readonly #declared = new WeakMap<QueueSession, Map<string, Promise<void>>>();
  #isClosed = false;

  constructor({ env, connect }: LinkOptions) {
    this.#env = env;
    this.#connect = connect;
  }

  /**
   * A connection that is open. Waits, and tries again, where nobody answers.
   * @throws {MillraceError} ML_CONNECT_FAILED, ML_CONNECTION_LOST after `waitMs`; ML_ABORTED; what cannot pass at once
   */
  async session({ signal, waitMs }: Patience): Promise<QueueSession> {
    const { clock } = this.#env;
    const end = clock.monotonicMs() + waitMs;
    for (let attempt = 0; ; attempt++) {
      if (this.#session?.isOpen === true) return this.#session;
      try {
        return await this.#open();
      } catch (error) {
        if (!canPass(error) || clock.monotonicMs() >= end) throw error;
        await this.pause(attempt, signal);
      }
    }
  }

  /** The same, on which the queue is declared. One that is lost meanwhile is made again. */
  async ready(spec: QueueSpec, { signal, waitMs }: Patience): Promise<QueueSession> {
    const { clock } = this.#env;
    const end = clock.monotonicMs() + waitMs;
    for (let attempt = 0; ; attempt++) {
      const session = await this.session({ signal, waitMs: end - clock.monotonicMs() });
      try {
        await this.#declare(session, spec);
        return session;
      } catch (error) {
        const isLost = canPass(error) && !session.isOpen;
        if (!isLost || clock.monotonicMs() >= end) throw error;
        await this.pause(attempt, signal);
      }
    }
  }

  async #declare(session: QueueSession, spec: QueueSpec): Promise<void> {
    let known = this.#declared.get(session);
    if (known === undefined) this.#declared.set(session, (known = new Map()));
    const key = keyOf(spec);
    let declaring = known.get(key);
    if (declaring === undefined) {
      declaring = declare(session, spec);
      known.set(key, declaring);
      // Who waits for it is told; the next one tries anew.
      declaring.catch(() => known.delete(key));
    }
    await declaring;
  }

  /** The queue was found to be gone. */
  forget(session: QueueSession, spec: QueueSpec): void {
    this.#declared.get(session)?.delete(keyOf(spec));
  }

  /** Waits before a further try: longer from one to the next. @throws {MillraceError} ML_ABORTED */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const longest = Math.min(QUEUE_RECONNECT_MS_MAX, QUEUE_RECONNECT_MS_MIN * 2 ** attempt);
    const { random, timers } = this.#env;
    // Those who have lost the same broker do not all come at once.
    await timers.sleep(Math.round(longest * (0.5 + random.next() / 2)), signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // What is being opened is closed as soon as it is open.
    await Promise.all([this.#session?.close(), this.#opening?.catch(() => {})]);
  }

  #open(): Promise<QueueSession> {
    if (this.#isClosed) return Promise.reject(linkClosed());
    this.#opening ??= this.#openNow().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openNow(): Promise<QueueSession> {
    const session = await this.#connect();
    if (this.#isClosed) {
      await session.close();
      throw linkClosed();
    }
    this.#session = session;
    return session;
  }
}

function linkClosed(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the connection to queues is closed');
}

/** What is declared once. */
function keyOf(spec: QueueSpec): string {
  return JSON.stringify([spec.name, spec.isStrict ? spec.arguments : null]);
}

/** Another try may help. */
export function canPass(error: unknown): boolean {
  return error instanceof MillraceError && error.retriable;
}

/** A queue of which the program says nothing is taken as it is, and made only where there is none. */
async function declare(session: QueueSession, spec: QueueSpec): Promise<void> {
  const { name, deadLetters } = spec;
  if (!spec.isStrict && (await isThere(session, name))) return;
  if (deadLetters !== undefined && !(await isThere(session, deadLetters.name)))
    await session.declare(deadLetters.name, deadLetters.arguments);
  await session.declare(name, spec.arguments);
}

async function isThere(session: QueueSession, name: string): Promise<boolean> {
  try {
    await session.declare(name, undefined);
    return true;
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_QUEUE_MISSING') return false;
    throw error;
  }
}
