/**
 * The operators of streams that take one record at a time: map, flatMap, filter, tap, keyBy. They keep the order of their input, and put
 * out what they make of a record, with its time, before what they make of the next.
 *
 * Behind a table they see its rows as they come and go: a deletion has no row, and is left out. Who wants to see it says `toStream`.
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import type { ValueFunction } from '../../../flow/plan.ts';
import { FunctionOperator } from './function-operator.ts';
import type { OperatorContext } from './operator.ts';

abstract class StreamFunction extends FunctionOperator {
  protected readonly fn: ValueFunction;
  private readonly isBehindTable: boolean;

  constructor(context: OperatorContext, fn: ValueFunction) {
    super(context);
    this.fn = fn;
    this.isBehindTable = context.tables[0] !== undefined;
  }

  override receive(key: unknown, value: unknown, time: number, old: unknown): void {
    if (value === undefined && this.isBehindTable) return;
    super.receive(key, value, time, old);
  }

  start(value: unknown, key: unknown): unknown {
    return this.fn(value, key);
  }
}

export class MapStream extends StreamFunction {
  private readonly keepsKey: boolean;

  constructor(context: OperatorContext, fn: ValueFunction, keepsKey: boolean) {
    super(context, fn);
    this.keepsKey = keepsKey;
  }

  deliver(result: unknown, _value: unknown, key: unknown, time: number): void {
    this.output.receive(this.keepsKey ? key : undefined, result, time, undefined);
  }
}

export class FilterStream extends StreamFunction {
  deliver(result: unknown, value: unknown, key: unknown, time: number): void {
    if (result) this.output.receive(key, value, time, undefined);
  }
}

export class TapStream extends StreamFunction {
  deliver(_result: unknown, value: unknown, key: unknown, time: number): void {
    this.output.receive(key, value, time, undefined);
  }
}

export class KeyByStream extends StreamFunction {
  deliver(result: unknown, value: unknown, _key: unknown, time: number): void {
    this.output.receive(result, value, time, undefined);
  }
}

export class FlatMapStream extends StreamFunction {
  private readonly keepsKey: boolean;

  constructor(context: OperatorContext, fn: ValueFunction, keepsKey: boolean) {
    super(context, fn);
    this.keepsKey = keepsKey;
  }

  deliver(result: unknown, value: unknown, key: unknown, time: number): void {
    const { output } = this;
    const outKey = this.keepsKey ? key : undefined;
    const items = Array.isArray(result) ? (result as unknown[]) : this.itemsOf(result, value, key);
    // By index: the array is the program's, but an iterator per record is not free.
    for (let index = 0; index < items.length; index++)
      output.receive(outKey, items[index], time, undefined);
  }

  /** All of them before the first goes out: a generator that throws has put out nothing. */
  private itemsOf(result: unknown, value: unknown, key: unknown): readonly unknown[] {
    try {
      const iterable = result as Iterable<unknown> | null | undefined;
      if (typeof iterable?.[Symbol.iterator] !== 'function') throw notIterable();
      return Array.from(iterable);
    } catch (error) {
      this.context.failed(error, value, key);
      return [];
    }
  }
}

function notIterable(): MillraceError {
  return new MillraceError('ML_USER_FUNCTION', 'the function returned what is not iterable', {
    hint: 'Return an array, or anything that can be iterated: [] for nothing',
  });
}
