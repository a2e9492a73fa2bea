/**
 * Aggregates over the rows of a table under another key. It runs in two parts, with an exchange between them:
 *
 *   changes of the table ─▶ regroup: { new, old } by the key of the group ─▶ exchange ─▶ aggregate: subtracts old, adds new
 *
 * A row that moves from one group to another becomes two changes: first it leaves the one, then it comes to the other. A row whose group
 * is null or undefined is in none. A group without rows is gone.
 *
 *   (group, 0) → [accumulator, time, rows]
 *
 * Source: KTable.groupBy of Kafka Streams, and KIP-904 (a change within one group is one update). There, a group without rows stays.
 */
import type { TableAggregateNode } from '../../../flow/stream-nodes.ts';
import { isThenable } from '../../../core/thenable.ts';
import type { Store } from '../state/store.ts';
import { copyData } from './copy-data.ts';
import { FunctionOperator } from './function-operator.ts';
import type { OperatorContext, ReadableTable, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';
import { isSameKey } from './same-key.ts';

/** The part before the exchange. */
export class Regroup extends FunctionOperator {
  private readonly by: TableAggregateNode['by'];

  constructor(context: OperatorContext<TableAggregateNode>) {
    super(context);
    this.by = context.node.by;
  }

  start(value: unknown, key: unknown, old: unknown): unknown {
    const to = this.groupOf(value, key);
    const from = this.groupOf(old, key);
    return isThenable(to) || isThenable(from) ? Promise.all([to, from]) : [to, from];
  }

  deliver(result: unknown, value: unknown, key: unknown, time: number, old: unknown): void {
    const [to, from] = result as readonly [unknown, unknown];
    // A row whose group cannot be told is in none: now it is said, later it is known.
    if (to instanceof Ungrouped) this.context.failed(to.error, value, key);
    const isIn = isGroup(to);
    const wasIn = isGroup(from);
    let isSame = false;
    try {
      isSame = isIn && wasIn && isSameKey(to, from);
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    if (isSame) {
      this.output.receive(to, value, time, old);
      return;
    }
    if (wasIn) this.output.receive(from, undefined, time, old);
    if (isIn) this.output.receive(to, value, time, undefined);
  }

  private groupOf(value: unknown, key: unknown): unknown {
    if (value === undefined) return undefined;
    try {
      const group = this.by(value, key);
      if (!isThenable(group)) return group;
      return Promise.resolve(group).catch((error: unknown) => new Ungrouped(error));
    } catch (error) {
      return new Ungrouped(error);
    }
  }
}

class Ungrouped {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

function isGroup(group: unknown): boolean {
  return group !== undefined && group !== null && !(group instanceof Ungrouped);
}

type Group = readonly [accumulator: unknown, time: number, rows: number];

/** The part behind it: changes come by group. @hot */
export class TableAggregate extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<TableAggregateNode>;
  private readonly store: Store<Group>;

  constructor(context: OperatorContext<TableAggregateNode>) {
    super();
    this.context = context;
    this.store = context.store<Group>({ name: context.node.name });
    this.table = {
      get: (key) => this.resultOf(this.store.get(key, 0), key),
      timeOf: (key) => this.store.get(key, 0)?.[1],
    };
  }

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    const { init, add, subtract } = this.context.node;
    let held: Group | undefined;
    try {
      held = this.store.get(key, 0);
    } catch (error) {
      recordFailed(this.context, error, value ?? old, key);
      return;
    }
    const rows = (held?.[2] ?? 0) + (value === undefined ? 0 : 1) - (old === undefined ? 0 : 1);
    let before: unknown;
    let after: Group | undefined;
    let result: unknown;
    try {
      before = this.resultOf(held, key);
      if (rows > 0) {
        let accumulator = held === undefined ? init() : copyData(held[0]);
        if (old !== undefined) accumulator = subtract(accumulator, old, key);
        if (value !== undefined) accumulator = add(accumulator, value, key);
        after = [accumulator, Math.max(time, held?.[1] ?? time), rows];
        result = this.resultOf(after, key);
      }
    } catch (error) {
      this.context.failed(error, value ?? old, key);
      return;
    }
    this.store.put(key, 0, after, time);
    if (result === undefined && before === undefined) return;
    this.context.output.receive(key, result, after?.[1] ?? time, before);
  }

  private resultOf(group: Group | undefined, key: unknown): unknown {
    if (group === undefined) return undefined;
    const { finish } = this.context.node;
    return finish === undefined ? group[0] : finish(group[0], key);
  }
}
