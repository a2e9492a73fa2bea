/**
 * The first record of each (key, id): others are dropped whose times are at most `withinMs` before or after that of one that was put out. The first is
 * the one that comes first: it goes on at once. Dropped ones do not count, so a record that repeats for ever comes through again and again.
 *
 * Times of what was put out are kept twice as long as they are needed for records in time, so that those that come up to `withinMs` after T
 * has passed them are still told apart. What is later than that is dropped as late.
 *
 * @hot
 */
import type { DedupeNode } from '../../../flow/stream-nodes.ts';
import type { Store } from '../state/store.ts';
import type { Operator, OperatorContext, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';

/** Store: `<name>`, an entry for each record that was put out, by (key, id) and time. */
export function createDedupe(context: OperatorContext<DedupeNode>): Operator {
  return new Dedupe(context);
}

class Dedupe extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  private readonly context: OperatorContext<DedupeNode>;
  private readonly node: DedupeNode;
  private readonly withinMs: number;
  private readonly store: Store<true>;

  constructor(context: OperatorContext<DedupeNode>) {
    super();
    const { node } = context;
    this.context = context;
    this.node = node;
    this.withinMs = node.withinMs;
    this.store = context.store({
      name: node.name,
      dueOf: (_seen, time) => time + 2 * node.withinMs + 1,
    });
  }

  override get nextDue(): number {
    return this.store.nextDue;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const { context, store, withinMs } = this;
    if (time + withinMs < context.time()) {
      context.droppedLate();
      return;
    }
    let id: unknown;
    try {
      id = this.node.by(value, key);
    } catch (error) {
      context.failed(error, value, key);
      return;
    }
    // Behind streams without a key it is the id that is the key.
    const by = key === id && typeof id !== 'object' ? id : [key, id];
    try {
      const near = store.floor(by, time + withinMs);
      if (near !== undefined && near.sub >= time - withinMs) return;
      store.put(by, time, true, time);
    } catch (error) {
      recordFailed(context, error, value, key);
      return;
    }
    context.output.receive(key, value, time, undefined);
  }

  override advance(): void {
    const until = Math.min(this.context.time(), Number.MAX_VALUE);
    this.store.due(until, (by, time) => this.store.put(by, time, undefined, time));
  }
}
