/** What a program holds that has opened a queue: it puts messages into it, and handles them. */
import type { MessageOptions } from '../../connect/queues/message-options.ts';
import type { Duration } from '../../flow/durations.ts';
import type { Failure, RetryOptions } from './retry.ts';

export interface Queue<Value> {
  readonly name: string;
  /**
   * Puts a message into the queue. Resolves when it is on the disk, with what it is called.
   * @throws {MillraceError} ML_QUEUE_FULL: the queue has as much as it may have, or the disk has; ML_SINK_VALUE_INVALID: nothing was sent;
   * ML_CONNECTION_LOST: it may be in the queue, or not (with a dedupe key, on a queue with `dedupe`, it is sent again instead);
   * ML_QUEUE_MISSING, ML_QUEUE_DIFFERS, ML_AMQP_REFUSED, ML_CONNECT_FAILED
   * @example
   * const emails = millrace.queue('emails', { value: json<Email>(), dedupe: '1 hour' });
   * await emails.enqueue({ to: 'ann@example.org', text: 'Welcome' }, { priority: 5, dedupeKey: 'welcome-ann' });
   * await emails.enqueue({ to: 'ann@example.org', text: 'How is it?' }, { delay: '3 days' });
   */
  enqueue(value: Value, options?: MessageOptions): Promise<Enqueued>;
  /** Puts several messages into the queue, in their order, with one wait for the disk. Resolves when all are there. */
  enqueueMany(messages: readonly NewMessage<Value>[]): Promise<readonly Enqueued[]>;
  /**
   * Handles the messages of the queue, as they come. A message is done when what the handler returns has resolved. When it throws, or takes too
   * long, the message goes back, and comes again after a while; at last it becomes a dead letter.
   *
   * At least once: when this process dies, or loses its connection, the messages that it was handling are given to another worker.
   * @throws {MillraceError} ML_CONFIG_INVALID for options that cannot be
   * @example
   * await using worker = emails.work(async ({ to, text }, { signal, attempt }) => {
   *   const answer = await fetch('https://mail.example.org/send', { method: 'POST', body: JSON.stringify({ to, text }), signal });
   *   if (answer.status === 400) throw new DoNotRetry(`nobody is called ${to}`);
   *   if (!answer.ok) throw new Error(`attempt ${attempt} was answered with ${answer.status}`);
   * }, { concurrency: 10, retry: { attempts: 8, delay: '2s', maxDelay: '10 minutes' }, timeout: '30s' });
   * await worker.done;
   */
  work(handler: Handler<Value>, options?: WorkOptions<Value>): QueueWorker;
  /** The messages in it that are ready, with somebody, or delayed. */
  size(): Promise<number>;
  /** What is in it, and what became of messages. @throws {MillraceError} ML_QUEUE_MISSING, ML_AMQP_REFUSED, ML_CONNECT_FAILED */
  stats(): Promise<QueueStats>;
  /** Drops the messages that are ready. They are no dead letters. @returns how many */
  purge(): Promise<number>;
  /** The messages that could not be handled. @throws {MillraceError} ML_USAGE when the queue has no dead letters */
  readonly dead: DeadLetters<Value>;
}

export interface Enqueued {
  readonly id: string;
}

export interface NewMessage<Value> extends MessageOptions {
  readonly value: Value;
}

/** The dead letters of a queue: a queue, too. */
export interface DeadLetters<Value> {
  readonly name: string;
  /** The oldest of them, which stay where they are. @param options.limit 1 to 1,000. Default 100 */
  list(options?: { readonly limit?: number }): Promise<readonly DeadMessage<Value>[]>;
  /**
   * Puts them back into the queues that they come from, the oldest first; they are tried as if they were new.
   * @param options.limit at most so many. Default: all that are there
   */
  redrive(options?: { readonly limit?: number }): Promise<Redriven>;
  size(): Promise<number>;
  /** Drops them. @returns how many */
  purge(): Promise<number>;
}

export interface Redriven {
  readonly moved: number;
  /** They stay: the queue that they come from is full, or nothing says which that is. */
  readonly skipped: number;
}

export interface DeadMessage<Value> {
  /** undefined: the body cannot be decoded; `body` has it. */
  readonly value: Value | undefined;
  readonly body: Buffer;
  readonly id: string | undefined;
  readonly key: string | undefined;
  /** Why it is here. `rejected`: its handler has failed for the last time, or it was refused; or could not be decoded. */
  readonly reason: 'rejected' | 'expired' | 'maxlen' | 'delivery_limit' | undefined;
  /** The queue that it comes from. */
  readonly queue: string | undefined;
  readonly diedAt: Date | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What handles a message. What it returns is awaited, and dropped. */
export type Handler<Value> = (value: Value, context: HandlerContext) => unknown;

export interface HandlerContext {
  /** Aborted when it takes too long, when the worker stops and waits no more, or when the message was lost to another worker. */
  readonly signal: AbortSignal;
  /** 1 at first. Also counts what had nothing to do with a handler, as a worker that died. */
  readonly attempt: number;
  /** What the message is called: the same at every attempt. undefined: whoever has published it has not said. */
  readonly id: string | undefined;
  readonly key: string | undefined;
  readonly priority: number;
  /** undefined: whoever has published it has not said. */
  readonly enqueuedAt: Date | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface WorkOptions<Value = unknown> {
  /** Messages that are handled at the same time, 1 to 1,000. Default 1. */
  readonly concurrency?: number;
  /** Messages that the worker has at most, those that wait for their turn included: from `concurrency` to 10,000. Default `concurrency`. */
  readonly prefetch?: number;
  readonly retry?: RetryOptions;
  /** How long handling a message may take. Then `signal` is aborted, and it counts as a failure. Default 9/10 of what the queue
   * allows (`consumerTimeout`), which is the most, and by default 27 minutes. */
  readonly timeout?: Duration;
  /** Stops the worker, as `stop` does. */
  readonly signal?: AbortSignal;
  /** Told of each failure. Must not throw. Default: it is logged. */
  readonly onFailure?: (failure: WorkFailure<Value>) => void;
}

/** A message that was not handled. */
export interface WorkFailure<Value> extends Failure {
  readonly id: string | undefined;
  /** undefined: it could not be decoded. */
  readonly value: Value | undefined;
  /** What becomes of the message. */
  readonly outcome: 'retry' | 'dead';
  /** Of `retry`: after so long. */
  readonly delayMs: number;
}

export interface QueueWorker extends AsyncDisposable {
  /** Resolves when it gets messages; rejects with what has stopped it before. */
  readonly ready: Promise<void>;
  /** Resolves when it has stopped; rejects with what has stopped it: ML_QUEUE_MISSING when the queue was deleted, ML_AMQP_REFUSED… */
  readonly done: Promise<void>;
  /**
   * Takes no more messages, waits for those that are being handled, and gives back the others. Resolves when that is done; never rejects.
   * Idempotent.
   * @param options.within what takes longer is told by its `signal`, and goes back. Default 30 seconds
   */
  stop(options?: { readonly within?: Duration }): Promise<void>;
  stats(): WorkerStats;
}

/** Since it began. */
export interface WorkerStats {
  readonly handled: number;
  /** Attempts that failed, those that took too long among them. */
  readonly failed: number;
  /** Messages that became dead letters. */
  readonly dead: number;
  /** Messages that were lost to another worker while they were handled. */
  readonly lost: number;
  /** Being handled now. */
  readonly running: number;
  /** Here, and waiting for their turn. */
  readonly waiting: number;
}

export interface QueueStats {
  readonly ready: number;
  /** With a worker, or another consumer. */
  readonly unacknowledged: number;
  readonly delayed: number;
  readonly consumers: number;
  /** Bodies of ready messages. */
  readonly readyBytes: number;
  /** On the disk. */
  readonly logBytes: number;
  /** Since the broker was started: */
  readonly published: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly acknowledged: number;
  readonly expired: number;
  readonly deadLettered: number;
  readonly dropped: number;
}
