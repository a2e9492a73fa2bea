/**
 * An operator that calls a function of the program for each record. What it returns is used at once, unless it is a promise: then the
 * record, and all that come behind it, wait in a queue that keeps their order.
 *
 * @hot
 */
import { ASYNC_RECORDS_MAX } from '../../../core/limits.ts';
import { OrderedQueue, type OrderedWork } from '../async/ordered-queue.ts';
import type { OperatorContext, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';

export abstract class FunctionOperator extends QuietOperator implements Receiver, OrderedWork {
  readonly inputs: readonly Receiver[] = [this];
  protected readonly context: OperatorContext;
  protected readonly output: Receiver;
  private readonly queue: OrderedQueue;

  /** @param concurrency calls that are under way at a time */
  constructor(context: OperatorContext, concurrency = ASYNC_RECORDS_MAX) {
    super();
    this.context = context;
    this.output = context.output;
    this.queue = new OrderedQueue({ work: this, context, concurrency });
  }

  override get pending(): number {
    return this.queue.pending;
  }

  override get isFull(): boolean {
    return this.queue.isFull;
  }

  get timeBehind(): number {
    return this.queue.timeBehind;
  }

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    this.queue.push(value, key, time, old);
  }

  resume(): void {
    this.queue.resume();
  }

  override close(): void {
    this.queue.close();
  }

  abstract start(value: unknown, key: unknown, old: unknown): unknown;

  abstract deliver(result: unknown, value: unknown, key: unknown, time: number, old: unknown): void;

  failed(error: unknown, value: unknown, key: unknown): void {
    this.context.failed(error, value, key);
  }
}
