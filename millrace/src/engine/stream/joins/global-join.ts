/**
 * Each record of a stream with a row of a global table. The key to look up is made by a function, of value and key: the record needs
 * no key of its own. A lookup key of null or undefined finds nothing (KIP-962): dropped by an inner join, alone in a left join.
 * A record without a value is dropped. Every task has the whole table, so nothing is moved; and nothing orders the table and the stream, other
 * than that the table was complete before the first record.
 *
 * @hot
 */
import type { GlobalJoinNode } from '../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import { QuietOperator } from '../operators/quiet-operator.ts';
import { FAILED, JoinFunction } from './join-function.ts';
import { checkedKey } from './join-key.ts';
import { tableOf, UNHEARD, valueAt } from './table-lookup.ts';

/** Inputs: the stream, the global table. */
export function createGlobalJoin(context: OperatorContext<GlobalJoinNode>): Operator {
  return new GlobalJoin(context);
}

class GlobalJoin extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this, UNHEARD];
  private readonly context: OperatorContext<GlobalJoinNode>;
  private readonly right: ReadableTable;
  private readonly lookupKey: JoinFunction;
  private readonly fn: JoinFunction;
  private readonly isLeftJoin: boolean;

  constructor(context: OperatorContext<GlobalJoinNode>) {
    super();
    const { node } = context;
    this.context = context;
    this.right = tableOf(context, 1);
    this.lookupKey = new JoinFunction(
      (value, _right, key) => checkedKey(node.lookupKey(value, key)),
      context,
    );
    this.fn = new JoinFunction(node.fn, context);
    this.isLeftJoin = node.type === 'left';
  }

  receive(key: unknown, value: unknown, time: number): void {
    if (value === undefined || value === null) {
      this.context.droppedNull?.();
      return;
    }
    const wanted = this.lookupKey.call(value, undefined, key, value);
    if (wanted === FAILED) return;
    const isKey = wanted !== undefined && wanted !== null;
    if (!isKey && !this.isLeftJoin) {
      this.context.droppedNull?.();
      return;
    }
    const right = isKey ? valueAt(this.right, wanted, time) : undefined;
    if (right === undefined && !this.isLeftJoin) return;
    const result = this.fn.call(value, right, key, value);
    if (result !== FAILED) this.context.output.receive(key, result, time, undefined);
  }
}
