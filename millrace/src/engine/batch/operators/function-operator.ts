/**
 * An operator that calls a function of the user for each record. What the function returns is used at once, unless it is a promise:
 * then the record waits in a queue, with all that come after it, and the input is stopped when ASYNC_RECORDS_MAX wait.
 *
 * @hot Without promises a record costs a call of the function and one of the next operator.
 */
import { ASYNC_RECORDS_MAX } from '../../../core/limits.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { Failures, Mark } from './failures.ts';
import type { Operator } from './operator.ts';

export abstract class FunctionOperator implements Operator {
  protected readonly name: string;
  protected readonly next: Operator;
  protected readonly failures: Failures;
  /** Something is in the queue: what comes now has to go behind it. */
  protected isWaiting = false;
  private readonly queue: Waiting[] = [];

  constructor(name: string, next: Operator, failures: Failures) {
    this.name = name;
    this.next = next;
    this.failures = failures;
  }

  abstract push(value: unknown, key: unknown): boolean;

  /** What is done with what the function has returned for a record. As `push`. */
  protected abstract settle(result: unknown, value: unknown, key: unknown): boolean;

  /** Goes on with a record that `settle` could not finish; false: there is still more of it. */
  protected resume(): boolean {
    return true;
  }

  async drain(): Promise<void> {
    const { failures, next, queue } = this;
    const outer = failures.waiting;
    await next.drain();
    while (!this.resume()) await next.drain();
    for (let index = 0; index < queue.length; index++) {
      const waiting = queue[index] as Waiting;
      let { result } = waiting;
      if (waiting.isPromise) {
        try {
          result = await result;
        } catch (error) {
          waiting.isFailed = true;
          result = error;
        }
      }
      failures.waiting = waiting.mark;
      if (waiting.isFailed) {
        failures.inFunction(this.name, result, waiting.value);
      } else if (!this.settle(result, waiting.value, waiting.key)) {
        await next.drain();
        while (!this.resume()) await next.drain();
      }
    }
    queue.length = 0;
    this.isWaiting = false;
    failures.waiting = outer;
    await next.drain();
  }

  /** Puts a record into the queue, with what its function has returned. */
  protected wait(result: unknown, value: unknown, key: unknown): boolean {
    const isPromise = isThenable(result);
    if (isPromise) Promise.resolve(result).catch(ignore);
    return this.enqueue({
      result,
      value,
      key,
      mark: this.failures.mark(),
      isPromise,
      isFailed: false,
    });
  }

  /** The function has thrown. */
  protected failed(error: unknown, value: unknown, key: unknown): boolean {
    if (this.isWaiting)
      return this.enqueue({
        result: error,
        value,
        key,
        mark: this.failures.mark(),
        isPromise: false,
        isFailed: true,
      });
    this.failures.inFunction(this.name, error, value);
    return true;
  }

  private enqueue(waiting: Waiting): boolean {
    this.queue.push(waiting);
    this.isWaiting = true;
    return this.queue.length < ASYNC_RECORDS_MAX;
  }
}

interface Waiting {
  readonly result: unknown;
  readonly value: unknown;
  readonly key: unknown;
  readonly mark: Mark;
  readonly isPromise: boolean;
  /** `result` is what was thrown. */
  isFailed: boolean;
}

/** A rejection is looked at when its record's turn comes; until then it must not end the process. */
function ignore(): void {}
