/**
 * Joins with a table of the same key.
 *
 * stream-table: each record of the left is looked up when it comes; changes of the table put out nothing. Where the table has a history
 * the record finds what was true at its own time, so that its result does not depend on what came first (KIP-914). A record without
 * a value is dropped; one without a key is dropped by an inner join and finds nothing in a left join (KIP-962).
 *
 * table-table: both inputs are changes, and the result is a table. It is kept: an entry per key that is on either side has the result, and
 * the times of the two rows. So the old value of each change is what was put out last, also when the same change arrives over
 * both inputs (where asking the tables again would give a pair that never was: KAFKA-6443), and the function is called once per change.
 * A result of null or undefined is none. Time of a result: the later of its two rows. A key is deleted only when it had a result.
 *
 * @hot
 */
import type { TableJoinNode } from '../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import type { Store } from '../state/store.ts';
import { ImmediateOperator, UNHEARD } from './immediate-operator.ts';
import { FAILED, JoinFunction } from './join-function.ts';
import { tableOf, valueAt } from './table-lookup.ts';

/** Inputs: the stream or left table, the right table. `context.tables` has the tables; they hold a change before it is received here. */
export function createTableJoin(context: OperatorContext<TableJoinNode>): Operator {
  return context.node.sides === 'stream-table'
    ? new StreamTableJoin(context)
    : new TableTableJoin(context);
}

class StreamTableJoin extends ImmediateOperator implements Receiver {
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
    const right = hasKey ? valueAt(this.right, key, time) : undefined;
    if (right === undefined && !this.isLeftJoin) return;
    const result = this.fn.call(value, right, key, value);
    if (result !== FAILED) this.context.output.receive(key, result, time, undefined);
  }
}

/** Of a key that is on at least one side. */
interface Joined {
  /** undefined: the pair has no result. */
  readonly value: unknown;
  /** Of the row on each side; undefined: there is none. */
  readonly leftTime: number | undefined;
  readonly rightTime: number | undefined;
}

class TableTableJoin extends ImmediateOperator {
  readonly inputs: readonly Receiver[];
  override readonly table: ReadableTable;
  private readonly context: OperatorContext<TableJoinNode>;
  private readonly store: Store<Joined>;
  private readonly fn: JoinFunction;

  constructor(context: OperatorContext<TableJoinNode>) {
    super();
    this.context = context;
    const left = tableOf(context, 0);
    const right = tableOf(context, 1);
    const store = context.store<Joined>({ name: context.node.name });
    this.store = store;
    this.fn = new JoinFunction(context.node.fn, context);
    this.table = { get: (key) => store.get(key, 0)?.value };
    this.inputs = [
      {
        receive: (key, value, time) =>
          this.change(key, value ?? undefined, right.get(key), time, true),
      },
      {
        receive: (key, value, time) =>
          this.change(key, left.get(key), value ?? undefined, time, false),
      },
    ];
  }

  private change(key: unknown, left: unknown, right: unknown, time: number, isLeft: boolean): void {
    if (key === undefined || key === null) {
      this.context.droppedNull?.();
      return;
    }
    const before = this.store.get(key, 0);
    const value = this.resultOf(key, left, right, isLeft ? left : right);
    if (value === FAILED) return;
    // A row that is there without a time came while its change is still on its way here.
    const leftTime = left === undefined ? undefined : isLeft ? time : (before?.leftTime ?? time);
    const rightTime = right === undefined ? undefined : isLeft ? (before?.rightTime ?? time) : time;
    const resultTime = Math.max(time, leftTime ?? time, rightTime ?? time);
    const isThere = left !== undefined || right !== undefined;
    if (isThere || before !== undefined)
      this.store.put(key, 0, isThere ? { value, leftTime, rightTime } : undefined, resultTime);
    const old = before?.value;
    if (value !== undefined || old !== undefined)
      this.context.output.receive(key, value, resultTime, old);
  }

  private resultOf(key: unknown, left: unknown, right: unknown, record: unknown): unknown {
    const { type } = this.context.node;
    const hasResult =
      left === undefined
        ? type === 'outer' && right !== undefined
        : type !== 'inner' || right !== undefined;
    return hasResult ? (this.fn.call(left, right, key, record) ?? undefined) : undefined;
  }
}
