/**
 * Joins with a table of the same key.
 *
 * stream-table: each record of the left is looked up when it comes; changes of the table put out nothing. Where the table has a history
 * the record finds what was true at its own time, so that its result does not depend on what came first (KIP-914). A record without
 * a value is dropped; one without a key is dropped by an inner join and finds nothing in a left join (KIP-962).
 *
 * table-table: both inputs are changes, and the result is a table. It is kept, with its time, under its key. So the old value of each change is what was put out last, also when the same change arrives over
 * both inputs (where asking the tables again would give a pair that never was: KAFKA-6443), and the function is called once per change.
 * A result of null or undefined is none. Time of a result: that of the later of its two rows. A key is deleted only when it had a result.
 *
 * @hot
 */
import type { TableJoinNode } from '../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import { QuietOperator } from '../operators/quiet-operator.ts';
import type { Store } from '../state/store.ts';
import { FAILED, JoinFunction } from './join-function.ts';
import { isUsableKey } from './join-key.ts';
import { laterTime, tableOf, UNHEARD, valueAt } from './table-lookup.ts';

/** Inputs: the stream or left table, the right table. `context.tables` has the tables; they hold a change before it is received here. */
export function createTableJoin(context: OperatorContext<TableJoinNode>): Operator {
  return context.node.sides === 'stream-table'
    ? new StreamTableJoin(context)
    : new TableTableJoin(context);
}

class StreamTableJoin extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this, UNHEARD];
  private readonly context: OperatorContext<TableJoinNode>;
  private readonly right: ReadableTable;
  private readonly fn: JoinFunction;
  private readonly isLeftJoin: boolean;

  constructor(context: OperatorContext<TableJoinNode>) {
    super();
    this.context = context;
    this.right = tableOf(context, 1);
    this.fn = new JoinFunction(context.node.fn, context);
    this.isLeftJoin = context.node.type !== 'inner';
  }

  receive(key: unknown, value: unknown, time: number): void {
    const hasKey = key !== undefined && key !== null;
    if (value === undefined || value === null || !(hasKey || this.isLeftJoin)) {
      this.context.droppedNull?.();
      return;
    }
    if (hasKey && !isUsableKey(this.context, key, value)) return;
    const right = hasKey ? valueAt(this.right, key, time) : undefined;
    if (right === undefined && !this.isLeftJoin) return;
    const result = this.fn.call(value, right, key, value);
    if (result !== FAILED) this.context.output.receive(key, result, time, undefined);
  }
}

type Row = readonly [value: unknown, time: number];

class TableTableJoin extends QuietOperator {
  readonly inputs: readonly Receiver[];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<TableJoinNode>;
  private readonly store: Store<Row>;
  private readonly fn: JoinFunction;

  constructor(context: OperatorContext<TableJoinNode>) {
    super();
    this.context = context;
    const left = tableOf(context, 0);
    const right = tableOf(context, 1);
    const store = context.store<Row>({ name: context.node.name });
    this.store = store;
    this.fn = new JoinFunction(context.node.fn, context);
    this.table = {
      get: (key) => store.get(key, 0)?.[0],
      timeOf: (key) => store.get(key, 0)?.[1],
    };
    this.inputs = [
      {
        receive: (key, value, time) => {
          const row = value ?? undefined;
          const result = this.resultOf(key, row, right.get(key) ?? undefined, row);
          if (result !== FAILED) this.change(key, result, laterTime(time, right, key));
        },
      },
      {
        receive: (key, value, time) => {
          const row = value ?? undefined;
          const result = this.resultOf(key, left.get(key) ?? undefined, row, row);
          if (result !== FAILED) this.change(key, result, laterTime(time, left, key));
        },
      },
    ];
  }

  private resultOf(key: unknown, left: unknown, right: unknown, record: unknown): unknown {
    const { type } = this.context.node;
    const hasResult =
      left === undefined
        ? type === 'outer' && right !== undefined
        : type !== 'inner' || right !== undefined;
    return hasResult ? (this.fn.call(left, right, key, record) ?? undefined) : undefined;
  }

  private change(key: unknown, value: unknown, time: number): void {
    const old = this.store.get(key, 0);
    if (value === undefined && old === undefined) return;
    this.store.put(key, 0, value === undefined ? undefined : [value, time], time);
    this.context.output.receive(key, value, time, old?.[0]);
  }
}
