/**
 * One accumulator per key, or one for the whole stream: its result after each record, as the change of a table. The time of a result is
 * the latest of the records in it.
 *
 *   (key, 0) → [accumulator, time]
 *
 * What `add` gets is a copy: results that were told to others never change under them.
 *
 * @hot A count costs a look into the store and a put.
 */
import type { AggregateNode, ColumnAggregateNode } from '../../../flow/plan.ts';
import { rowAggregation } from '../../batch/operators/row-functions.ts';
import type { Store } from '../state/store.ts';
import { copyData } from './copy-data.ts';
import type { OperatorContext, ReadableTable, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';

/** What is kept of a key. */
export type Accumulated = readonly [accumulator: unknown, time: number];

interface Aggregation {
  readonly init: () => unknown;
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
  /** Of the group. */
  readonly keyOf: (value: unknown, key: unknown) => unknown;
}

export function createAggregate(context: OperatorContext<AggregateNode>): Aggregate {
  const { init, add, finish, isKeyed } = context.node;
  const keyOf = isKeyed ? ownKey : noKey;
  return new Aggregate(context, { init, add, finish, keyOf });
}

/** Groups by columns find their key themselves. */
export function createColumnAggregate(context: OperatorContext<ColumnAggregateNode>): Aggregate {
  const { init, add, finish, key } = rowAggregation(context.node);
  return new Aggregate(context, { init, add, finish, keyOf: key });
}

function ownKey(_value: unknown, key: unknown): unknown {
  return key;
}

function noKey(): undefined {
  return undefined;
}

export class Aggregate extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<AggregateNode | ColumnAggregateNode>;
  private readonly aggregation: Aggregation;
  private readonly isTable: boolean;
  private readonly store: Store<Accumulated>;

  constructor(
    context: OperatorContext<AggregateNode | ColumnAggregateNode>,
    aggregation: Aggregation,
  ) {
    super();
    this.context = context;
    this.aggregation = aggregation;
    this.isTable = context.node.isTable === true;
    this.store = context.store<Accumulated>({ name: context.node.name });
    this.table = {
      get: (key) => this.resultOf(this.store.get(key, 0), key),
      timeOf: (key) => this.store.get(key, 0)?.[1],
    };
  }

  receive(recordKey: unknown, value: unknown, time: number): void {
    const { init, add, finish, keyOf } = this.aggregation;
    let key: unknown;
    let held: Accumulated | undefined;
    try {
      key = keyOf(value, recordKey);
      held = this.store.get(key, 0);
    } catch (error) {
      recordFailed(this.context, error, value, recordKey);
      return;
    }
    let accumulator: unknown;
    let result: unknown;
    let before: unknown;
    try {
      before = this.resultOf(held, key);
      accumulator = add(held === undefined ? init() : copyData(held[0]), value, key);
      result = finish === undefined ? accumulator : finish(accumulator, key);
    } catch (error) {
      this.context.failed(error, value, recordKey);
      return;
    }
    const latest = held !== undefined && held[1] > time ? held[1] : time;
    this.store.put(key, 0, [accumulator, latest], latest);
    if (this.isTable) {
      if (result !== undefined || before !== undefined)
        this.context.output.receive(key, result, latest, before);
    } else this.context.output.receive(undefined, result, latest, undefined);
  }

  private resultOf(held: Accumulated | undefined, key: unknown): unknown {
    if (held === undefined) return undefined;
    const { finish } = this.aggregation;
    return finish === undefined ? held[0] : finish(held[0], key);
  }
}
