/** What is behind the windows of a keyed stream. */
import type { Draft, NodeContent, Operator } from './draft.ts';
import { OperatorBuilder, type UserAggregation, type UserFunction } from './operator-builder.ts';
import type { WindowEmit } from './stream-options.ts';
import { windowAggregate, windowCount, windowReduce } from './timed-operators.ts';
import type { WindowSpec } from './windows.ts';

/** Result: the class of what comes out. */
export class WindowedBuilder<Result> extends OperatorBuilder {
  readonly kind = 'windowed';
  readonly #window: WindowSpec;
  readonly #resultOf: (draft: Draft) => Result;

  constructor(draft: Draft, window: WindowSpec, resultOf: (draft: Draft) => Result) {
    super(draft);
    this.#window = window;
    this.#resultOf = resultOf;
  }

  count(name: string, options: WindowEmit = {}): Result {
    const operator = this.operator('count', name);
    return this.#table(operator, windowCount(operator, this.#window, options));
  }

  reduce(name: string, fn: UserFunction, options: WindowEmit = {}): Result {
    const operator = this.operator('reduce', name);
    return this.#table(operator, windowReduce(operator, this.#window, fn, options));
  }

  aggregate(name: string, aggregation: UserAggregation, options: WindowEmit = {}): Result {
    const operator = this.operator('aggregate', name);
    return this.#table(operator, windowAggregate(operator, this.#window, aggregation, options));
  }

  #table(operator: Operator, content: NodeContent): Result {
    return this.#resultOf(this.addNamed(operator, content));
  }
}
