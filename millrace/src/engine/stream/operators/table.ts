/**
 * The latest value of each key. Null and undefined delete; what deletes a key that is not there tells nobody. As in Kafka, it is the order
 * of the records that decides, not their times: a table with history (`versioned-table.ts`) goes by time.
 *
 *   (key, 0) → [value, time]
 *
 * @hot
 */
import { MillraceError } from '../../../core/errors.ts';
import type { TableNode } from '../../../flow/stream-nodes.ts';
import type { Store } from '../state/store.ts';
import type { OperatorContext, ReadableTable, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';

export type Row = readonly [value: unknown, time: number];

export class LatestTable extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<TableNode>;
  private readonly store: Store<Row>;

  constructor(context: OperatorContext<TableNode>) {
    super();
    this.context = context;
    const { name, scope, ttlMs } = context.node;
    this.store = context.store<Row>({
      name,
      isLogged: scope !== 'global',
      ...(ttlMs !== undefined && { dueOf: ([, time]) => time + ttlMs }),
    });
    this.table = {
      get: (key) => this.store.get(key, 0)?.[0],
      timeOf: (key) => this.store.get(key, 0)?.[1],
    };
  }

  override get nextDue(): number {
    return this.store.nextDue;
  }

  receive(key: unknown, given: unknown, time: number): void {
    const value = given ?? undefined;
    let old: Row | undefined;
    try {
      if (key === undefined || key === null) throw withoutKey();
      old = this.store.get(key, 0);
    } catch (error) {
      recordFailed(this.context, error, given, key);
      return;
    }
    if (value === undefined && old === undefined) return;
    this.store.put(key, 0, value === undefined ? undefined : [value, time], time);
    this.context.output.receive(key, value, time, old?.[0]);
  }

  /** Rows that were not written for too long go, at the time at which that was so. */
  override advance(): void {
    const time = this.context.time();
    // The end of all time is for what waits: a row that no record has outlived stays.
    if (time === Number.POSITIVE_INFINITY) return;
    const { ttlMs = 0 } = this.context.node;
    this.store.due(time, (key, sub, [value, writtenAt]) => {
      this.store.put(key, sub, undefined, writtenAt + ttlMs);
      this.context.output.receive(key, undefined, writtenAt + ttlMs, value);
    });
  }
}

export function withoutKey(): MillraceError {
  return new MillraceError('ML_KEY_INVALID', 'a record without a key cannot be a row of a table', {
    hint: 'Give the topic a serde for its keys, or the stream a key with keyBy before toTable',
  });
}
