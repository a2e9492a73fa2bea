/**
 * Functions of the program that may return promises: several run at a time, results come out in the order of the records. Records wait in a
 * list; a call begins as soon as fewer than `concurrency` run, and its result waits until it is at the head.
 *
 *   head ─▶ done · running · done · running · waiting · waiting ◀─ tail
 *           ╰ comes out in `resume`                   ╰ started next
 *
 * Results that waited come out in `resume`, in a turn of the task and not in that of the promise: there what throws stops the task.
 *
 * @hot When nothing waits and the result is no promise, a record costs the two calls and allocates nothing.
 */
import { isThenable } from '../../../core/thenable.ts';
import type { OperatorContext } from '../operators/operator.ts';

/** What is done with a record: implemented by the operator. */
export interface OrderedWork {
  /** Calls the function. May return a promise; may throw. */
  start(value: unknown, key: unknown, old: unknown): unknown;
  /** Takes the result, in the order of the records. */
  deliver(result: unknown, value: unknown, key: unknown, time: number, old: unknown): void;
  /** The function threw, or its promise was rejected; in the order of the records. */
  failed(error: unknown, value: unknown, key: unknown): void;
}

export interface OrderedQueueOptions {
  readonly work: OrderedWork;
  readonly context: Pick<
    OperatorContext,
    'time' | 'wake' | 'origin' | 'setOrigin' | 'timeComes' | 'timeHasCome'
  >;
  /** Calls at a time, from 1. */
  readonly concurrency: number;
}

interface Entry {
  readonly value: unknown;
  readonly key: unknown;
  readonly time: number;
  readonly old: unknown;
  /** T when it came. */
  readonly watermark: number;
  readonly origin: unknown;
  state: 'waiting' | 'running' | 'done' | 'failed';
  /** Or the error. */
  result: unknown;
  next: Entry | undefined;
}

/** One for each operator and task. */
export class OrderedQueue {
  /** Records that are not out. */
  pending = 0;
  /** For `Operator.timeBehind`. */
  timeBehind = Number.POSITIVE_INFINITY;
  private readonly work: OrderedWork;
  private readonly context: OrderedQueueOptions['context'];
  private readonly concurrency: number;
  private head: Entry | undefined;
  private tail: Entry | undefined;
  /** The first one that was not started. */
  private toStart: Entry | undefined;
  private running = 0;

  constructor(options: OrderedQueueOptions) {
    this.work = options.work;
    this.context = options.context;
    this.concurrency = options.concurrency;
  }

  get isFull(): boolean {
    return this.pending >= this.concurrency;
  }

  /** Takes a record. Its result comes out before this returns if nothing waits and it is no promise. */
  push(value: unknown, key: unknown, time: number, old: unknown): void {
    if (this.pending > 0) {
      this.enqueue(value, key, time, old);
      this.startMore();
      return;
    }
    let result: unknown;
    try {
      result = this.work.start(value, key, old);
    } catch (error) {
      this.work.failed(error, value, key);
      return;
    }
    if (isThenable(result)) this.run(this.enqueue(value, key, time, old), result);
    else this.work.deliver(result, value, key, time, old);
  }

  /** Puts out what is done, up to the first record that is not. Each meets the T that it would have met if nothing had waited. */
  resume(): void {
    const { context } = this;
    let entry = this.head;
    while (entry !== undefined && (entry.state === 'done' || entry.state === 'failed')) {
      this.head = entry.next;
      if (entry.next === undefined) this.tail = undefined;
      this.pending--;
      this.timeBehind = entry.watermark;
      context.timeComes?.();
      context.setOrigin(entry.origin);
      if (entry.state === 'done')
        this.work.deliver(entry.result, entry.value, entry.key, entry.time, entry.old);
      else this.work.failed(entry.result, entry.value, entry.key);
      context.timeHasCome?.();
      entry = this.head;
    }
    if (entry === undefined) this.timeBehind = Number.POSITIVE_INFINITY;
  }

  /** Nothing comes out, starts or wakes any more. Idempotent. */
  close(): void {
    this.head = undefined;
    this.tail = undefined;
    this.toStart = undefined;
    this.pending = 0;
    this.timeBehind = Number.POSITIVE_INFINITY;
  }

  private enqueue(value: unknown, key: unknown, time: number, old: unknown): Entry {
    const entry: Entry = {
      value,
      key,
      time,
      old,
      watermark: this.context.time(),
      origin: this.context.origin(),
      state: 'waiting',
      result: undefined,
      next: undefined,
    };
    if (this.tail === undefined) {
      this.head = entry;
      this.timeBehind = Number.NEGATIVE_INFINITY;
    } else this.tail.next = entry;
    this.tail = entry;
    this.toStart ??= entry;
    this.pending++;
    return entry;
  }

  private startMore(): void {
    while (this.toStart !== undefined && this.running < this.concurrency) {
      const entry = this.toStart;
      try {
        const result = this.work.start(entry.value, entry.key, entry.old);
        if (isThenable(result)) this.run(entry, result);
        else this.end(entry, 'done', result);
      } catch (error) {
        this.end(entry, 'failed', error);
      }
    }
  }

  private run(entry: Entry, promise: PromiseLike<unknown>): void {
    entry.state = 'running';
    this.toStart = entry.next;
    this.running++;
    // A foreign promise may call back at once, or throw: not so one of the language's own.
    void Promise.resolve(promise).then(
      (result) => this.settled(entry, 'done', result),
      (error: unknown) => this.settled(entry, 'failed', error),
    );
  }

  private settled(entry: Entry, state: 'done' | 'failed', result: unknown): void {
    this.running--;
    entry.state = state;
    entry.result = result;
    this.startMore();
    if (entry === this.head) this.context.wake();
  }

  /** It was done at once, behind others that are not. */
  private end(entry: Entry, state: 'done' | 'failed', result: unknown): void {
    entry.state = state;
    entry.result = result;
    this.toStart = entry.next;
  }
}
