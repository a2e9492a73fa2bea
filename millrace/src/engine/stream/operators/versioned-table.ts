/**
 * A table that knows what was true before: each value of a key from its time on until the next one. A record that comes late takes its
 * place among them; only one that is the latest of its key is a change of the table. Of several with one time the last that came counts.
 *
 *   (key, time) → [value, until]      value null: deleted; until: the time of the next version, Infinity: it is the latest
 *
 * A version is forgotten when what followed it is older than the history; a record that is older than that itself is too late. The latest
 * value of a key stays for as long as nothing follows.
 *
 * Source: KIP-889 (versioned state stores), KIP-914 (joins and aggregations over them).
 */
import type { TableNode } from '../../../flow/stream-nodes.ts';
import type { Store } from '../state/store.ts';
import type { OperatorContext, ReadableTable, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';
import { withoutKey } from './table.ts';

export type Version = readonly [value: unknown, until: number];

const { POSITIVE_INFINITY } = Number;

export class VersionedTable extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  readonly table: ReadableTable;
  private readonly context: OperatorContext<TableNode>;
  private readonly historyMs: number;
  private readonly ttlMs: number;
  private readonly store: Store<Version>;

  constructor(context: OperatorContext<TableNode>, historyMs: number) {
    super();
    this.context = context;
    this.historyMs = historyMs;
    const { name, scope, ttlMs = POSITIVE_INFINITY } = context.node;
    this.ttlMs = ttlMs;
    this.store = context.store<Version>({
      name,
      isLogged: scope !== 'global',
      dueOf: ([value, until], time) => {
        if (until !== POSITIVE_INFINITY) return until + historyMs;
        return time + (value === null ? historyMs : ttlMs);
      },
    });
    this.table = {
      get: (key) => this.store.floor(key, POSITIVE_INFINITY)?.value[0] ?? undefined,
      asOf: (key, time) => this.asOf(key, time),
      timeOf: (key) => {
        const latest = this.store.floor(key, POSITIVE_INFINITY);
        return latest === undefined || latest.value[0] === null ? undefined : latest.sub;
      },
    };
  }

  override get nextDue(): number {
    return this.store.nextDue;
  }

  receive(key: unknown, given: unknown, time: number): void {
    const value = given ?? null;
    const { context } = this;
    if (time < context.time() - this.historyMs) {
      if (context.late === undefined) context.droppedLate();
      else context.late.receive(key, given, time, undefined);
      return;
    }
    try {
      if (key === undefined || key === null) throw withoutKey();
      this.write(key, value, time);
    } catch (error) {
      recordFailed(context, error, given, key);
    }
  }

  override advance(): void {
    const now = this.context.time();
    if (now === POSITIVE_INFINITY) return;
    // A row that expires is followed by its deletion, which may be older than the history itself.
    while (this.store.nextDue <= now) {
      this.store.due(now, (key, time, [value, until]) => {
        const isExpired = until === POSITIVE_INFINITY && value !== null;
        if (isExpired) this.write(key, null, time + this.ttlMs);
        if (!isExpired || time + this.ttlMs + this.historyMs <= now)
          this.store.put(key, time, undefined, now);
      });
    }
  }

  private write(key: unknown, value: unknown, time: number): void {
    const { store } = this;
    const before = store.floor(key, time);
    const until = before === undefined ? this.firstAfter(key, time) : before.value[1];
    const isSameTime = before?.sub === time;
    // Also a deletion of nothing is kept: an earlier value may still come.
    store.put(key, time, [value, until], time);
    if (before !== undefined && !isSameTime)
      store.put(key, before.sub, [before.value[0], time], before.sub);
    if (until !== POSITIVE_INFINITY) return;
    const old = before?.value[0] ?? undefined;
    if (value === null && old === undefined) return;
    this.context.output.receive(key, value ?? undefined, time, old);
  }

  private firstAfter(key: unknown, time: number): number {
    let first = POSITIVE_INFINITY;
    this.store.scan(key, time, POSITIVE_INFINITY, (sub) => {
      first = sub;
      return false;
    });
    return first;
  }

  private asOf(key: unknown, time: number): unknown {
    const version = this.store.floor(key, time)?.value;
    if (version === undefined) return undefined;
    const isLatest = version[1] === POSITIVE_INFINITY;
    if (!isLatest && time < this.context.time() - this.historyMs) return undefined;
    return version[0] ?? undefined;
  }
}
