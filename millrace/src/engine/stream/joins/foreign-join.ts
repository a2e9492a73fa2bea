/**
 * A table joined with another one by a key that its rows name. The rows of the left have to meet the right table where that is, and the
 * answers have to come back to the keys of the left: three parts in three stages, and no way back.
 *
 *   left table ─▶ subscribe ══ by foreign key ══▶ match ══ by primary key ══▶ collect ─▶ result
 *                                                   ▲
 *                                              right table
 *
 * subscribe  numbers every change of a left row and tells the foreign key: here is the row, or forget it.
 * match      keeps the rows that want a key under [foreign key, primary key]. A row is answered when it comes, and when the row of the
 *            right changes, all that want it are.
 * collect    keeps the answer with the highest number of each row, and puts out what changes.
 *
 * Why numbers are enough. When a row names another key, the partitions of the old and the new one answer in any order, and the old one
 * may still answer for a row that has moved away. All numbers of a row come from one task of `subscribe`, so they grow; an answer has the
 * number of the row that it was made for; so an answer is outdated exactly if one with a higher number exists, and such a one does come,
 * since every change of a row that anybody knows is answered, if only by "none". Answers with the same number come from one
 * partition of `match`, in order. Kafka Streams has no numbers: it compares a hash of the row with what the left table says when
 * the answer is back (KIP-213), for which answers have to return to the tasks of the left table: a cycle between two subtopologies, and an
 * answer for a row that went to another value and back passes though it is old. Here the graph stays acyclic, at the price
 * that the left row travels with its subscription and is kept twice.
 *
 * Left rows without a foreign key: not in an inner join; in a left join they go to `match` under the key undefined, which is answered at
 * once and never kept: any partition can do that, so it does not matter where an exchange sends a record without a key.
 *
 * A "none" is kept for a while, against outdated answers that are still on their way. Those were sent by tasks that had not yet
 * read what `sent` (T of subscribe when it spoke) stands for; once T of collect is beyond it, every marker of those tasks is, too.
 * Idle partitions do not hold up T: hence FOREIGN_JOIN_FORGET_MS on top.
 *
 * The function fails: the change goes to the dead letters, and the result stays what it was. The foreign key fails: the row is as if it were not there.
 */
import { FOREIGN_JOIN_FORGET_MS } from '../../../core/stream-limits.ts';
import type { ForeignJoinNode } from '../../../flow/stream-nodes.ts';
import type { Operator, OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import { QuietOperator } from '../operators/quiet-operator.ts';
import type { Store } from '../state/store.ts';
import { FAILED, JoinFunction } from './join-function.ts';
import { checkedKey } from './join-key.ts';
import { laterTime, tableOf } from './table-lookup.ts';

/** From subscribe to match, under the foreign key. NOTE: bytes in repartition topics, do not rename. */
interface Subscription {
  /** `unsubscribe`: the row wants another key, which answers. `delete`: it wants none any more, answer so. */
  readonly kind: 'subscribe' | 'unsubscribe' | 'delete';
  /** Primary key. */
  readonly key: unknown;
  /** Grows with every change of the row. */
  readonly version: number;
  /** T of subscribe. */
  readonly sent: number;
  /** The row; undefined unless it subscribes. */
  readonly left: unknown;
}

/** From match to collect, under the primary key. NOTE: bytes in repartition topics, do not rename. */
interface Answer {
  readonly version: number;
  readonly sent: number;
  /** undefined: none. */
  readonly value: unknown;
}

/**
 * A part of the join. Inputs: of `subscribe` the left table; of `match` the right table and the subscriptions; of `collect` the answers.
 * `subscribe` and `match` put out records of streams, `collect` the changes of a table that can be asked.
 */
export function createForeignJoin(
  context: OperatorContext<ForeignJoinNode>,
  role: 'subscribe' | 'match' | 'collect',
): Operator {
  switch (role) {
    case 'subscribe':
      return new Subscribe(context);
    case 'match':
      return new Match(context);
    case 'collect':
      return new Collect(context);
  }
}

/** A row that takes no part in the join. */
const OUTSIDE: unique symbol = Symbol('outside');

const VERSION = 'version';

/** State: one entry, the number of the last change. */
class Subscribe extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  private readonly context: OperatorContext<ForeignJoinNode>;
  private readonly store: Store<number>;
  private readonly foreignKey: JoinFunction;
  private readonly foreignKeyOfOld: JoinFunction;
  private readonly isLeftJoin: boolean;
  /** undefined: not read yet; state is restored after operators are made. */
  private version: number | undefined;

  constructor(context: OperatorContext<ForeignJoinNode>) {
    super();
    const { node } = context;
    const foreignKey = (left: unknown, _right: unknown, key: unknown): unknown =>
      checkedKey(node.foreignKey(left, key));
    this.context = context;
    this.store = context.store({ name: `${node.name}-version` });
    this.foreignKey = new JoinFunction(foreignKey, context);
    // It was reported when the old row was the new one.
    this.foreignKeyOfOld = new JoinFunction(foreignKey, { node, failed: () => undefined });
    this.isLeftJoin = node.type === 'left';
  }

  receive(key: unknown, value: unknown, time: number, old: unknown): void {
    const from = this.keyOf(this.foreignKeyOfOld, old, key);
    const to = this.keyOf(this.foreignKey, value, key);
    if (from === OUTSIDE && to === OUTSIDE) return;
    const version = (this.version ?? this.store.get(VERSION, 0) ?? 0) + 1;
    this.version = version;
    this.store.put(VERSION, 0, version, time);
    const { output } = this.context;
    const sent = this.context.time();
    if (to === OUTSIDE) {
      output.receive(
        from,
        { kind: 'delete', key, version, sent, left: undefined },
        time,
        undefined,
      );
      return;
    }
    // Two keys that are equal without being the same: first forgotten, then subscribed, by the same partition.
    if (from !== OUTSIDE && from !== undefined && from !== to)
      output.receive(
        from,
        { kind: 'unsubscribe', key, version, sent, left: undefined },
        time,
        undefined,
      );
    output.receive(to, { kind: 'subscribe', key, version, sent, left: value }, time, undefined);
  }

  /** undefined: it names none, and comes out alone. */
  private keyOf(foreignKey: JoinFunction, row: unknown, key: unknown): unknown {
    if (row === undefined || row === null) return OUTSIDE;
    const wanted = foreignKey.call(row, undefined, key, row);
    if (wanted === FAILED) return OUTSIDE;
    if (wanted !== undefined && wanted !== null) return wanted;
    return this.isLeftJoin ? undefined : OUTSIDE;
  }
}

/** A left row that wants a key of the right. */
interface Subscriber {
  readonly version: number;
  readonly sent: number;
  readonly left: unknown;
  readonly time: number;
}

/** State: [foreign key, primary key] has the row. */
class Match extends QuietOperator {
  readonly inputs: readonly Receiver[];
  private readonly context: OperatorContext<ForeignJoinNode>;
  private readonly store: Store<Subscriber>;
  private readonly right: ReadableTable;
  private readonly fn: JoinFunction;
  private readonly isLeftJoin: boolean;
  private readonly answerEach: (key: unknown, sub: number, subscriber: Subscriber) => void;
  // The change of the right that is being answered.
  private rightValue: unknown;
  private rightTime = 0;

  constructor(context: OperatorContext<ForeignJoinNode>) {
    super();
    const { node } = context;
    this.context = context;
    this.store = context.store({ name: `${node.name}-subscribers` });
    this.right = rightTable(context);
    this.fn = new JoinFunction(node.fn, context);
    this.isLeftJoin = node.type === 'left';
    this.inputs = [
      { receive: (key, value, time) => this.changeRight(key, value, time) },
      { receive: (key, value, time) => this.subscription(key, value as Subscription, time) },
    ];
    this.answerEach = (key, _sub, subscriber) => {
      const { time } = subscriber;
      const { rightTime } = this;
      const primary = (key as readonly unknown[])[1];
      this.answer(primary, subscriber, this.rightValue, time > rightTime ? time : rightTime, false);
    };
  }

  private changeRight(foreign: unknown, value: unknown, time: number): void {
    if (foreign === undefined || foreign === null) return;
    this.rightValue = value ?? undefined;
    this.rightTime = time;
    this.store.prefix([foreign], this.answerEach);
    this.rightValue = undefined;
  }

  private subscription(foreign: unknown, message: Subscription, time: number): void {
    const { kind, key, version, sent, left } = message;
    const isKey = foreign !== undefined && foreign !== null;
    if (kind !== 'subscribe') {
      if (isKey) this.store.put([foreign, key], 0, undefined, time);
      if (kind === 'delete') this.send(key, { version, sent, value: undefined }, time);
      return;
    }
    const subscriber: Subscriber = { version, sent, left, time };
    if (!isKey) {
      this.answer(key, subscriber, undefined, time, true);
      return;
    }
    this.store.put([foreign, key], 0, subscriber, time);
    const right = this.right.get(foreign) ?? undefined;
    this.answer(key, subscriber, right, laterTime(time, this.right, foreign), true);
  }

  /** @param isOfLeft whether the left row is what changed, or the right one */
  private answer(
    key: unknown,
    subscriber: Subscriber,
    right: unknown,
    time: number,
    isOfLeft: boolean,
  ): void {
    const { version, sent, left } = subscriber;
    let value: unknown;
    if (right !== undefined || this.isLeftJoin) {
      value = this.fn.call(left, right, key, isOfLeft ? left : right);
      if (value === FAILED) return;
    }
    this.send(key, { version, sent, value: value ?? undefined }, time);
  }

  private send(key: unknown, answer: Answer, time: number): void {
    this.context.output.receive(key, answer, time, undefined);
  }
}

/** The answer with the highest number, and the time of its pair. */
interface Kept extends Answer {
  readonly time: number;
}

/** State: per primary key the answer that counts. */
class Collect extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<ForeignJoinNode>;
  private readonly store: Store<Kept>;
  private readonly forget: (key: unknown, sub: number, kept: Kept) => void;

  constructor(context: OperatorContext<ForeignJoinNode>) {
    super();
    this.context = context;
    const store = context.store<Kept>({
      name: context.node.name,
      dueOf: ({ value, sent, time }) => {
        if (value !== undefined) return Number.POSITIVE_INFINITY;
        // Where there was no time yet, that of the record has to do.
        return (Number.isFinite(sent) ? sent : time) + FOREIGN_JOIN_FORGET_MS;
      },
    });
    this.store = store;
    this.table = {
      get: (key) => store.get(key, 0)?.value,
      timeOf: (key) => {
        const kept = store.get(key, 0);
        return kept?.value === undefined ? undefined : kept.time;
      },
    };
    this.forget = (key, sub, { sent }) => {
      store.put(key, sub, undefined, sent);
    };
  }

  override get nextDue(): number {
    return this.store.nextDue;
  }

  receive(key: unknown, answer: unknown, time: number): void {
    const { version, sent, value } = answer as Answer;
    const before = this.store.get(key, 0);
    if (before !== undefined && version < before.version) return;
    this.store.put(key, 0, { version, sent, value, time }, time);
    const old = before?.value;
    if (value !== undefined || old !== undefined)
      this.context.output.receive(key, value, time, old);
  }

  override advance(): void {
    this.store.due(this.context.time(), this.forget);
  }
}

/** The only table that `match` has. */
function rightTable(context: OperatorContext<ForeignJoinNode>): ReadableTable {
  return tableOf(context, context.tables[0] === undefined ? 1 : 0);
}
