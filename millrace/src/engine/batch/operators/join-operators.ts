/**
 * What is made of the pairs of a join. The order is that of the algorithm (`joins/join-options.ts`); the key stays.
 *
 * @hot
 */
import { isThenable } from '../../../core/thenable.ts';
import type { JoinNode } from '../../../flow/plan.ts';
import type { BroadcastTable } from '../joins/broadcast-table.ts';
import { isFilter, keepsLeft } from '../joins/join-options.ts';
import type { Failures, Mark } from './failures.ts';
import { FunctionOperator } from './function-operator.ts';
import type { Operator } from './operator.ts';

/** Behind an algorithm that reads both sides: it calls `pair`. */
export class PairOperator extends FunctionOperator {
  protected readonly node: JoinNode;
  /** semi and anti give the left value; there is nothing to call. */
  private readonly isFilter: boolean;

  constructor(node: JoinNode, next: Operator, failures: Failures) {
    super(node.name, next, failures);
    this.node = node;
    this.isFilter = isFilter(node.type);
  }

  /** As `push`: undefined stands for the side without a match. */
  readonly pair = (left: unknown, right: unknown, key: unknown): boolean => {
    if (this.isFilter) return this.next.push(left, key);
    let result: unknown;
    try {
      result = this.node.fn(left, right, key);
    } catch (error) {
      return this.failed(error, { left, right }, key);
    }
    if (this.isWaiting || isThenable(result)) return this.wait(result, { left, right }, key);
    return this.next.push(result, key);
  };

  push(value: unknown, key: unknown): boolean {
    return this.pair(value, undefined, key);
  }

  protected settle(result: unknown, _value: unknown, key: unknown): boolean {
    return this.next.push(result, key);
  }
}

/** The left row whose pairs were not all taken, and the right row that is next. */
interface Rest {
  readonly left: unknown;
  readonly key: unknown;
  readonly row: number;
  readonly mark: Mark;
}

/** The join with a broadcast: left rows come as a stream, the right side is in memory. */
export class BroadcastJoinOperator extends PairOperator {
  private readonly table: BroadcastTable;
  private rest: Rest | undefined;

  constructor(node: JoinNode, table: BroadcastTable, next: Operator, failures: Failures) {
    super(node, next, failures);
    this.table = table;
  }

  override push(left: unknown, key: unknown): boolean {
    const { node, table } = this;
    let row: number;
    try {
      row = table.first(key);
    } catch (error) {
      this.failures.inRecord(this.name, error, left);
      return true;
    }
    if (node.type === 'semi') return row < 0 || this.next.push(left, key);
    if (row < 0) return !keepsLeft(node.type) || this.pair(left, undefined, key);
    return node.type === 'anti' || this.pairs(left, key, row);
  }

  protected override resume(): boolean {
    const { rest, failures } = this;
    if (rest === undefined) return true;
    this.rest = undefined;
    const outer = failures.waiting;
    failures.waiting = rest.mark;
    const isDone = this.pairs(rest.left, rest.key, rest.row);
    failures.waiting = outer;
    return isDone;
  }

  private pairs(left: unknown, key: unknown, first: number): boolean {
    const { table } = this;
    for (let row = first; row >= 0; ) {
      const goesOn = this.pair(left, table.value(row), key);
      row = table.next(row);
      if (goesOn || row < 0) {
        if (goesOn) continue;
        return false;
      }
      this.rest = { left, key, row, mark: this.failures.mark() };
      return false;
    }
    return true;
  }
}
