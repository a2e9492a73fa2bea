/**
 * The operators that take one record at a time: map, flatMap, filter, tap, keyBy, with. They keep the order of their input, and put
 * out what they make of a record before what they make of the next: the law of order holds record by record.
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { ValueFunction } from '../../../flow/plan.ts';
import type { Failures, Mark } from './failures.ts';
import { FunctionOperator } from './function-operator.ts';
import type { Operator } from './operator.ts';
import { preview } from './preview.ts';

export interface FunctionOptions {
  readonly name: string;
  readonly fn: ValueFunction;
  readonly next: Operator;
  readonly failures: Failures;
}

export class MapOperator extends FunctionOperator {
  private readonly fn: ValueFunction;
  private readonly keepsKey: boolean;

  constructor({ name, fn, next, failures }: FunctionOptions, keepsKey: boolean) {
    super(name, next, failures);
    this.fn = fn;
    this.keepsKey = keepsKey;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return this.next.push(result, this.keepsKey ? key : undefined);
  }

  protected settle(result: unknown, _value: unknown, key: unknown): boolean {
    return this.next.push(result, this.keepsKey ? key : undefined);
  }
}

/** The rest of a flatMap's result, while what is behind takes no more. */
interface Rest {
  readonly mark: Mark;
  readonly items: readonly unknown[] | Iterator<unknown>;
  index: number;
  readonly value: unknown;
  readonly key: unknown;
}

export class FlatMapOperator extends FunctionOperator {
  private readonly fn: ValueFunction;
  private readonly keepsKey: boolean;
  private rest: Rest | undefined;

  constructor({ name, fn, next, failures }: FunctionOptions, keepsKey: boolean) {
    super(name, next, failures);
    this.fn = fn;
    this.keepsKey = keepsKey;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return this.settle(result, value, key);
  }

  protected settle(result: unknown, value: unknown, key: unknown): boolean {
    if (Array.isArray(result)) return this.emitArray(result, 0, value, key);
    let iterator: Iterator<unknown>;
    try {
      iterator = iteratorOf(result);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    return this.emitAll(iterator, value, key);
  }

  protected override resume(): boolean {
    const { rest } = this;
    if (rest === undefined) return true;
    this.rest = undefined;
    const { items, index, value, key, mark } = rest;
    const { failures } = this;
    const outer = failures.waiting;
    failures.waiting = mark;
    const isDone = Array.isArray(items)
      ? this.emitArray(items, index, value, key)
      : this.emitAll(items as Iterator<unknown>, value, key);
    failures.waiting = outer;
    return isDone;
  }

  private emitArray(
    items: readonly unknown[],
    from: number,
    value: unknown,
    key: unknown,
  ): boolean {
    const { next } = this;
    const outKey = this.keepsKey ? key : undefined;
    for (let index = from; index < items.length; index++) {
      if (next.push(items[index], outKey)) continue;
      this.rest = { items, index: index + 1, value, key, mark: this.failures.mark() };
      return false;
    }
    return true;
  }

  private emitAll(iterator: Iterator<unknown>, value: unknown, key: unknown): boolean {
    const { next } = this;
    const outKey = this.keepsKey ? key : undefined;
    for (;;) {
      let item: IteratorResult<unknown>;
      try {
        item = iterator.next();
      } catch (error) {
        // What it gave before has gone on already.
        this.failures.inFunction(this.name, error, value);
        return true;
      }
      if (item.done === true) return true;
      if (next.push(item.value, outKey)) continue;
      this.rest = { items: iterator, index: 0, value, key, mark: this.failures.mark() };
      return false;
    }
  }
}

export class FilterOperator extends FunctionOperator {
  private readonly fn: ValueFunction;

  constructor({ name, fn, next, failures }: FunctionOptions) {
    super(name, next, failures);
    this.fn = fn;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return result ? this.next.push(value, key) : true;
  }

  protected settle(result: unknown, value: unknown, key: unknown): boolean {
    return result ? this.next.push(value, key) : true;
  }
}

export class TapOperator extends FunctionOperator {
  private readonly fn: ValueFunction;

  constructor({ name, fn, next, failures }: FunctionOptions) {
    super(name, next, failures);
    this.fn = fn;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return this.next.push(value, key);
  }

  protected settle(_result: unknown, value: unknown, key: unknown): boolean {
    return this.next.push(value, key);
  }
}

export class KeyByOperator extends FunctionOperator {
  private readonly fn: ValueFunction;

  constructor({ name, fn, next, failures }: FunctionOptions) {
    super(name, next, failures);
    this.fn = fn;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return this.next.push(value, result);
  }

  protected settle(result: unknown, value: unknown, _key: unknown): boolean {
    return this.next.push(value, result);
  }
}

/** map with side data: `side` is all of a broadcast. */
export class WithOperator extends FunctionOperator {
  private readonly fn: (value: unknown, side: unknown, key: unknown) => unknown;
  private readonly side: unknown;
  private readonly keepsKey: boolean;

  constructor(
    options: Omit<FunctionOptions, 'fn'>,
    fn: (value: unknown, side: unknown, key: unknown) => unknown,
    side: unknown,
    keepsKey: boolean,
  ) {
    super(options.name, options.next, options.failures);
    this.fn = fn;
    this.side = side;
    this.keepsKey = keepsKey;
  }

  push(value: unknown, key: unknown): boolean {
    let result: unknown;
    try {
      result = this.fn(value, this.side, key);
    } catch (error) {
      return this.failed(error, value, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, value, key);
    return this.next.push(result, this.keepsKey ? key : undefined);
  }

  protected settle(result: unknown, _value: unknown, key: unknown): boolean {
    return this.next.push(result, this.keepsKey ? key : undefined);
  }
}

function iteratorOf(result: unknown): Iterator<unknown> {
  const iterable = result as Iterable<unknown> | null | undefined;
  if (typeof iterable?.[Symbol.iterator] !== 'function')
    throw new MillraceError(
      'ML_USER_FUNCTION',
      `the function returned ${preview(result)}, which is not iterable`,
      { hint: 'Return an array, or anything that can be iterated: [] for nothing' },
    );
  return iterable[Symbol.iterator]();
}
