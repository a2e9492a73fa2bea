/**
 * Look-ups and other calls that wait: so many at a time, results in the order of the records. A try has failed when the function throws, when its
 * promise is rejected, or when it takes longer than `timeoutMs`; then its signal fires, and what it may still answer is not heard. The next
 * try begins after a pause that doubles each time. What fails each time goes to `context.failed`, in the order of the records.
 *
 * Calls happen again after a crash: results are exactly once, what a call does to the world outside is not.
 */
import { MillraceError } from '../../../core/errors.ts';
import type { Timer } from '../../../core/env.ts';
import { TIMER_DELAY_MS_MAX } from '../../../core/limits.ts';
import { ASYNC_RETRY_PAUSE_MS, ASYNC_RETRY_PAUSE_MS_MAX } from '../../../core/stream-limits.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { AsyncMapNode } from '../../../flow/stream-nodes.ts';
import { FunctionOperator } from '../operators/function-operator.ts';
import type { Operator, OperatorContext } from '../operators/operator.ts';

/** @throws what the flow does about failures, from `receive` and `resume`: ML_ASYNC_TIMEOUT, or what the function threw */
export function createAsyncMap(context: OperatorContext<AsyncMapNode>): Operator {
  return new AsyncMap(context);
}

class AsyncMap extends FunctionOperator {
  private readonly node: AsyncMapNode;
  private readonly calls = new Set<AbortController>();
  private readonly timers = new Set<Timer>();
  private isClosed = false;

  constructor(context: OperatorContext<AsyncMapNode>) {
    super(context, context.node.concurrency);
    this.node = context.node;
  }

  start(value: unknown, key: unknown): unknown {
    const controller = new AbortController();
    let result: unknown;
    try {
      result = this.node.fn(value, key, controller.signal);
    } catch (error) {
      if (this.node.attempts <= 1) throw error;
      return this.retried(Promise.reject(error), value, key);
    }
    if (!isThenable(result)) return result;
    return this.retried(this.limited(result, controller), value, key);
  }

  deliver(result: unknown, _value: unknown, key: unknown, time: number): void {
    this.output.receive(this.node.keepsKey ? key : undefined, result, time, undefined);
  }

  override close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    super.close();
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
    const reason = new MillraceError('ML_ABORTED', `operator "${this.node.name}" has ended`);
    for (const controller of this.calls) controller.abort(reason);
    this.calls.clear();
  }

  /** The first try is under way; the others follow when it fails. */
  private async retried(first: Promise<unknown>, value: unknown, key: unknown): Promise<unknown> {
    let call = first;
    for (let attempt = 1; ; attempt++) {
      try {
        return await call;
      } catch (error) {
        if (attempt >= this.node.attempts || this.isClosed) throw error;
      }
      await this.pause(attempt);
      call = this.attempt(value, key);
    }
  }

  private async attempt(value: unknown, key: unknown): Promise<unknown> {
    const controller = new AbortController();
    const result = this.node.fn(value, key, controller.signal);
    return isThenable(result) ? this.limited(result, controller) : result;
  }

  /** The result, or ML_ASYNC_TIMEOUT if that is earlier. */
  private limited(result: PromiseLike<unknown>, controller: AbortController): Promise<unknown> {
    const { name, timeoutMs } = this.node;
    return new Promise((resolve, reject) => {
      this.calls.add(controller);
      const expire = (): void => {
        const error = new MillraceError(
          'ML_ASYNC_TIMEOUT',
          `operator "${name}": a call has not ended within ${timeoutMs} ms`,
          { fields: { operator: name, timeoutMs } },
        );
        this.calls.delete(controller);
        controller.abort(error);
        reject(error);
      };
      const timer = timeoutMs <= TIMER_DELAY_MS_MAX ? this.after(timeoutMs, expire) : undefined;
      const end = (): void => {
        this.calls.delete(controller);
        if (timer !== undefined) this.cancel(timer);
      };
      void Promise.resolve(result).then(
        (value) => {
          end();
          resolve(value);
        },
        (error: unknown) => {
          end();
          reject(error);
        },
      );
    });
  }

  /** Does not end once the operator is closed: nobody waits for it then. */
  private pause(attempt: number): Promise<void> {
    const ms = Math.min(ASYNC_RETRY_PAUSE_MS * 2 ** (attempt - 1), ASYNC_RETRY_PAUSE_MS_MAX);
    return new Promise((resolve) => {
      if (!this.isClosed) this.after(ms, resolve);
    });
  }

  private after(delayMs: number, callback: () => void): Timer {
    const timer = this.context.timers.after(delayMs, () => {
      this.timers.delete(timer);
      callback();
    });
    this.timers.add(timer);
    return timer;
  }

  private cancel(timer: Timer): void {
    timer.cancel();
    this.timers.delete(timer);
  }
}
