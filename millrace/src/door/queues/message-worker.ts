/**
 * A worker of a queue: takes messages, runs their handler on some at a time, and says what became of them.
 *
 *   delivered ─▶ waiting ─▶ running ─┬─ resolved ─▶ ack
 *                                    ├─ thrown, too late ─▶ release after a while │ reject: a dead letter
 *                                    └─ connection lost ─▶ forgotten: it comes again, to whomever
 *
 * Invariant: a message is settled once, on the channel that it came by, and never after that was closed.
 */
import type { QueueSpec } from '../../connect/queues/queue-options.ts';
import { deferred } from '../../core/deferred.ts';
import type { Env, Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { decodeBody } from './message-body.ts';
import { canPass, type QueueLink } from './queue-link.ts';
import type { Handler, HandlerContext, WorkerStats, WorkFailure } from './queue.ts';
import type { NextDelay } from './retry.ts';
import type { ConsumeHandlers, Consuming, Delivered, QueueSession } from './session.ts';

export interface WorkerOptions {
  readonly env: Env;
  readonly logger: Logger;
  readonly link: QueueLink;
  readonly spec: QueueSpec;
  readonly handler: Handler<unknown>;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly nextDelay: NextDelay;
  readonly timeoutMs: number;
  readonly onFailure: ((failure: WorkFailure<unknown>) => void) | undefined;
}

interface Job {
  readonly delivered: Delivered;
  readonly from: Consuming;
  readonly abort: AbortController;
  value: unknown;
  timer: Timer | undefined;
  /** What becomes of the message was said, or cannot be said any more. */
  isSettled: boolean;
}

export class MessageWorker {
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
  readonly #options: WorkerOptions;
  readonly #waiting: Job[] = [];
  readonly #running = new Set<Job>();
  /** Calls of the handler that have not come back, also for messages that are settled. */
  readonly #calls = new Set<Promise<void>>();
  readonly #counts = { handled: 0, failed: 0, dead: 0, lost: 0 };
  readonly #stopping = new AbortController();
  readonly #stopped: Promise<'stopped'>;
  readonly #isReady = deferred<void>();
  /** What a worker that stops waits for its handlers. */
  #stopMs = 0;
  /** Tries in a row by which no message came. */
  #attempt = 0;
  /** Tries in a row that found the queue gone. */
  #missing = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { signal } = this.#stopping;
    this.#stopped = new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve('stopped'), { once: true });
    });
    this.ready = this.#isReady.promise;
    this.done = this.#run();
    // Perhaps nobody waits for either.
    this.ready.catch(() => {});
    this.done.catch((error: unknown) => {
      options.logger.error('a worker has stopped', { queue: options.spec.name, error });
    });
  }

  /** Never rejects. */
  async stop(withinMs: number): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      this.#stopMs = withinMs;
      this.#stopping.abort();
    }
    await this.done.catch(() => {});
  }

  stats(): WorkerStats {
    return { ...this.#counts, running: this.#running.size, waiting: this.#waiting.length };
  }

  async #run(): Promise<void> {
    const { link, spec } = this.#options;
    const { signal } = this.#stopping;
    try {
      while (!signal.aborted) {
        try {
          const session = await link.ready(spec, { signal, waitMs: Infinity });
          await this.#workOn(session);
        } catch (error) {
          if (!canPass(error)) throw error;
        }
        if (!signal.aborted) await link.pause(this.#attempt++, signal);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#isReady.reject(error);
        throw error;
      }
    }
    this.#isReady.reject(new MillraceError('ML_ABORTED', 'the worker was stopped'));
  }

  /** Until the channel has ended, or the worker is told to stop. */
  async #workOn(session: QueueSession): Promise<void> {
    const { spec, logger, link } = this.#options;
    const { promise: ended, resolve: end } = deferred<unknown>();
    const consuming = await this.#consume(session, {
      delivered: (delivered, from) => this.#take(delivered, from),
      ended: (why) => {
        this.#lose();
        end(why);
      },
    });
    if (consuming === undefined) return;
    this.#isReady.resolve();
    const why = await Promise.race([ended, this.#stopped]);
    if (why === 'stopped') {
      await this.#finish(consuming, ended);
      return;
    }
    // It was deleted: waiting would not bring it back.
    if (isMissing(why)) {
      link.forget(session, spec);
      throw why;
    }
    logger.warn('a worker has lost its queue, and goes on', { queue: spec.name, error: why });
  }

  /** undefined: it was deleted since it was declared on this connection, and is to be declared anew. */
  async #consume(session: QueueSession, handlers: ConsumeHandlers): Promise<Consuming | undefined> {
    const { link, spec, prefetch } = this.#options;
    try {
      const consuming = await session.consume(spec.name, prefetch, handlers);
      this.#missing = 0;
      return consuming;
    } catch (error) {
      if (!isMissing(error)) throw error;
      link.forget(session, spec);
      if (++this.#missing > 1) throw error;
      return undefined;
    }
  }

  #take(delivered: Delivered, from: Consuming): void {
    this.#attempt = 0;
    const abort = new AbortController();
    this.#waiting.push({
      delivered,
      from,
      abort,
      value: undefined,
      timer: undefined,
      isSettled: false,
    });
    this.#goOn();
  }

  #goOn(): void {
    while (this.#running.size < this.#options.concurrency && !this.#stopping.signal.aborted) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      this.#start(job);
    }
  }

  #start(job: Job): void {
    const { env, timeoutMs, spec } = this.#options;
    this.#running.add(job);
    job.timer = env.timers.after(timeoutMs, () => {
      const error = new MillraceError(
        'ML_WORK_TIMEOUT',
        `a message of queue ${spec.name} was not handled within ${timeoutMs} ms`,
        { fields: { queue: spec.name, timeoutMs } },
      );
      // Told before another message has its place. What it throws then comes later, and counts no more.
      job.abort.abort(error);
      if (!job.isSettled) this.#failed(job, error);
    });
    const call: Promise<void> = this.#handle(job).finally(() => this.#calls.delete(call));
    this.#calls.add(call);
  }

  async #handle(job: Job): Promise<void> {
    const { spec, handler } = this.#options;
    try {
      const decoded = decodeBody(spec.name, spec.value, job.delivered.body);
      job.value = decoded instanceof Promise ? await decoded : decoded;
    } catch (error) {
      // It would be no other at the next attempt.
      if (!job.isSettled) this.#giveUp(job, error);
      return;
    }
    if (job.isSettled) return;
    try {
      await handler(job.value, contextOf(job));
    } catch (error) {
      if (!job.isSettled) this.#failed(job, error);
      return;
    }
    if (job.isSettled) return;
    this.#counts.handled++;
    this.#settle(job, () => job.from.ack(job.delivered.tag));
  }

  #failed(job: Job, error: unknown): void {
    const attempt = attemptOf(job);
    let delayMs: number | undefined;
    try {
      delayMs = this.#options.nextDelay({ error, attempt });
    } catch (fault) {
      this.#giveUp(job, fault);
      return;
    }
    if (delayMs === undefined) {
      this.#giveUp(job, error);
      return;
    }
    this.#counts.failed++;
    const ms = delayMs;
    this.#settle(job, () => job.from.release(job.delivered.tag, ms));
    this.#tell(job, error, { outcome: 'retry', delayMs });
  }

  #giveUp(job: Job, error: unknown): void {
    this.#counts.failed++;
    this.#counts.dead++;
    this.#settle(job, () => job.from.reject(job.delivered.tag));
    this.#tell(job, error, { outcome: 'dead', delayMs: 0 });
  }

  #tell(
    job: Job,
    error: unknown,
    what: { readonly outcome: 'retry' | 'dead'; readonly delayMs: number },
  ): void {
    const { onFailure, logger, spec } = this.#options;
    const { id } = job.delivered;
    const attempt = attemptOf(job);
    if (onFailure === undefined) {
      logger.warn('a message was not handled', { queue: spec.name, id, attempt, ...what, error });
      return;
    }
    const hasThrown = (fault: unknown): void =>
      logger.error('onFailure has thrown', { queue: spec.name, id, error: fault });
    try {
      const told: unknown = onFailure({ error, attempt, id, value: job.value, ...what });
      // Its type lets an async function pass, too.
      if (told instanceof Promise) told.catch(hasThrown);
    } catch (fault) {
      hasThrown(fault);
    }
  }

  #settle(job: Job, say: () => void): void {
    job.isSettled = true;
    job.timer?.cancel();
    this.#running.delete(job);
    say();
    this.#goOn();
  }

  /** What is here is somebody else's now. */
  #lose(): void {
    this.#waiting.length = 0;
    const jobs = [...this.#running];
    this.#running.clear();
    for (const job of jobs) {
      this.#counts.lost++;
      this.#abandon(job, 'the connection was lost: the message is given to another worker');
    }
  }

  #abandon(job: Job, why: string): void {
    job.isSettled = true;
    job.timer?.cancel();
    job.abort.abort(new MillraceError('ML_ABORTED', why));
  }

  /** Lets what runs come to its end, within a bound; all else goes back. */
  async #finish(consuming: Consuming, ended: Promise<unknown>): Promise<void> {
    const { env } = this.#options;
    await Promise.race([consuming.cancel().catch(() => {}), ended]);
    for (const job of this.#waiting.splice(0)) consuming.release(job.delivered.tag, 0);
    const { promise: late, resolve } = deferred<void>();
    const timer = env.timers.after(this.#stopMs, resolve);
    await Promise.race([Promise.all(this.#calls), late]);
    timer.cancel();
    for (const job of this.#running) {
      consuming.release(job.delivered.tag, 0);
      this.#abandon(job, 'the worker has stopped: the message is given to another one');
    }
    this.#running.clear();
    await consuming.close().catch(() => {});
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ML_QUEUE_MISSING';
}

function attemptOf({ delivered }: Job): number {
  return delivered.deliveryCount + 1;
}

function contextOf(job: Job): HandlerContext {
  const { id, key, priority, enqueuedAtMs, headers } = job.delivered;
  return {
    signal: job.abort.signal,
    attempt: attemptOf(job),
    id,
    key,
    priority,
    enqueuedAt: enqueuedAtMs === undefined ? undefined : new Date(enqueuedAtMs),
    headers,
  };
}
