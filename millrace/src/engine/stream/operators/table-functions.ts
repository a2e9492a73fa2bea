/**
 * The operators of tables that take one row at a time: mapValues, filter, tap. They act on the new row and on the one before, so that who
 * is behind them can take back what he was told; and can be asked for a row, which they make of the row of the table before them.
 *
 * A row whose function fails is not there: it is told once, when it comes, and what was made of the row before is deleted.
 */
import { MillraceError } from '../../../core/errors.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { ValueFunction } from '../../../flow/plan.ts';
import { FunctionOperator } from './function-operator.ts';
import type { OperatorContext, ReadableTable } from './operator.ts';

abstract class TableFunction extends FunctionOperator {
  readonly table: ReadableTable | undefined;
  protected readonly fn: ValueFunction;

  constructor(context: OperatorContext, fn: ValueFunction) {
    super(context);
    this.fn = fn;
    this.table = this.tableOver(context.tables[0]);
  }

  start(value: unknown, key: unknown, old: unknown): unknown {
    const now = this.resultOf(value, key);
    const before = this.resultOf(old, key);
    return isThenable(now) || isThenable(before) ? Promise.all([now, before]) : [now, before];
  }

  deliver(result: unknown, value: unknown, key: unknown, time: number, old: unknown): void {
    const [now, before] = result as readonly [unknown, unknown];
    if (now instanceof Failed) this.context.failed(now.error, value, key);
    const newRow = this.rowOf(now, value);
    const oldRow = this.rowOf(before, old);
    if (newRow === undefined && oldRow === undefined) return;
    this.output.receive(key, newRow, time, oldRow);
  }

  /** What the row is, given what the function returned for it. */
  protected abstract row(result: unknown, value: unknown): unknown;

  private rowOf(result: unknown, value: unknown): unknown {
    if (value === undefined || result instanceof Failed) return undefined;
    return this.row(result, value);
  }

  private resultOf(value: unknown, key: unknown): unknown {
    return value === undefined ? undefined : called(this.fn, value, key);
  }

  private tableOver(input: ReadableTable | undefined): ReadableTable | undefined {
    if (input === undefined) return undefined;
    const rowOf = (value: unknown, key: unknown): unknown => {
      const result = this.resultOf(value, key);
      if (isThenable(result)) throw promised(this.context.node.name);
      return this.rowOf(result, value);
    };
    return {
      get: (key) => rowOf(input.get(key), key),
      ...(input.asOf !== undefined && {
        asOf: (key: unknown, time: number) => rowOf(input.asOf?.(key, time), key),
      }),
      ...(input.timeOf !== undefined && { timeOf: (key: unknown) => input.timeOf?.(key) }),
    };
  }
}

export class MapTable extends TableFunction {
  protected row(result: unknown): unknown {
    return result;
  }
}

export class FilterTable extends TableFunction {
  protected row(result: unknown, value: unknown): unknown {
    return result ? value : undefined;
  }
}

/** The function sees rows that come, not those that go. One on which it fails is in the table all the same. */
export class TapTable extends FunctionOperator {
  readonly table: ReadableTable | undefined;
  private readonly fn: ValueFunction;

  constructor(context: OperatorContext, fn: ValueFunction) {
    super(context);
    this.fn = fn;
    this.table = context.tables[0];
  }

  start(value: unknown, key: unknown): unknown {
    return value === undefined ? undefined : called(this.fn, value, key);
  }

  deliver(result: unknown, value: unknown, key: unknown, time: number, old: unknown): void {
    if (result instanceof Failed) this.context.failed(result.error, value, key);
    this.output.receive(key, value, time, old);
  }
}

class Failed {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** What the function returns, or a promise of it; neither throws, nor rejects. */
function called(fn: ValueFunction, value: unknown, key: unknown): unknown {
  try {
    const result = fn(value, key);
    if (!isThenable(result)) return result;
    return Promise.resolve(result).catch((error: unknown) => new Failed(error));
  } catch (error) {
    return new Failed(error);
  }
}

function promised(operator: string): MillraceError {
  return new MillraceError(
    'ML_USER_FUNCTION',
    `${operator}: its function returns promises, so that its table cannot be asked for a row, as a join does`,
    {
      fields: { operator },
      hint: 'Return a value; what has to wait belongs before the table: stream.mapAsync(…).toTable(…)',
    },
  );
}
