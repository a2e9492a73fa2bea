/**
 * Runs an operator of the stream engine over the records of one key after the other, in the order that they are given, to the end: what a
 * bounded run does with every node that knows of time. All records are there, so that nothing is late.
 *
 * @hot One host serves all keys of a task, one at a time.
 */
import { assert } from '../../core/errors.ts';
import type { Clock, Timer, Timers } from '../../core/env.ts';
import type { PlanNode } from '../../flow/plan.ts';
import { createOperator } from '../stream/operators/create-operator.ts';
import type {
  Operator,
  OperatorContext,
  ReadableTable,
  Receiver,
} from '../stream/operators/operator.ts';
import type { Store, StoreSpec } from '../stream/state/store.ts';
import type { StageNode } from '../stream/topology.ts';
import { ReplayStore } from './replay-store.ts';
import type { Timed } from './timed.ts';

/** A record on its way into a replay: from which input, with which key. */
export interface Arriving extends Timed {
  readonly i: number;
  readonly k: unknown;
}

/** A record on its way out: with its key, and which output of the node it is. */
export interface Leaving extends Timed {
  readonly k: unknown;
  readonly s: 'main' | 'timedOut';
}

export interface ReplaySpec {
  readonly node: PlanNode;
  readonly role: StageNode['role'];
  /** What each input is: a stream; a table whose latest value can be asked; one that also knows what was true before. */
  readonly inputs: readonly ('stream' | 'table' | 'history')[];
  /** T stays where it was until the end. */
  readonly isTimeless: boolean;
}

export class Replay {
  private readonly operator: Operator;
  private readonly stores: ReplayStore[] = [];
  private readonly tables: (LatestTable | undefined)[];
  private t = Number.NEGATIVE_INFINITY;
  /** When it is, in the order of arrival: T, if T is not held. */
  private m = Number.NEGATIVE_INFINITY;
  private readonly isTimeless: boolean;
  private emit: (record: Leaving) => void = () => {};

  constructor(spec: ReplaySpec) {
    const { node, role } = spec;
    this.isTimeless = spec.isTimeless;
    this.tables = spec.inputs.map((kind) => {
      if (kind === 'stream') return undefined;
      return kind === 'table' ? new LatestTable() : new VersionedTable();
    });
    const context: OperatorContext = {
      node,
      output: this.receiver('main'),
      late: undefined,
      timedOut: this.receiver('timedOut'),
      tables: this.tables,
      clock: STOPPED_CLOCK,
      timers: NO_TIMERS,
      time: () => this.t,
      store: <V>(storeSpec: StoreSpec<V>): Store<V> => this.store(storeSpec),
      failed: (error) => {
        throw error;
      },
      droppedLate: () => {},
      wake: () => {},
      origin: () => undefined,
      setOrigin: () => {},
    };
    this.operator = createOperator(context, role);
  }

  /** All records of one key, in the order in which they are to be replayed; `emit` gets what comes out, with its key. */
  run(records: Iterable<unknown>, emit: (record: unknown) => void): void {
    const { operator } = this;
    this.emit = emit;
    for (const each of records) {
      const record = each as Arriving;
      if (record.m > this.m) this.m = record.m;
      if (!this.isTimeless) this.t = this.m;
      this.tables[record.i]?.change(record.v, record.t);
      const receiver = operator.inputs[record.i];
      assert(receiver !== undefined, 'a replay has a receiver for each input');
      receiver.receive(record.k, record.v, record.t, record.o);
      if (operator.nextDue <= this.t) operator.advance();
    }
    this.t = this.m = Number.POSITIVE_INFINITY;
    operator.advance();
    for (const store of this.stores) store.clear();
    for (const table of this.tables) table?.clear();
    this.t = this.m = Number.NEGATIVE_INFINITY;
  }

  private store<V>(spec: StoreSpec<V>): Store<V> {
    const store = new ReplayStore<V>(spec);
    this.stores.push(store as ReplayStore);
    return store;
  }

  private receiver(output: Leaving['s']): Receiver {
    return {
      receive: (k, v, t, o) => {
        const m = Number.isFinite(this.m) && this.m > t ? this.m : t;
        this.emit({ t, m, v, o, k, s: output });
      },
    };
  }
}

/** An input that is a table, as the operator asks it. All its changes are of the key that is replayed. */
class LatestTable implements ReadableTable {
  private latest: unknown;

  change(value: unknown, _time: number): void {
    this.latest = value;
  }

  get(): unknown {
    return this.latest;
  }

  clear(): void {
    this.latest = undefined;
  }
}

class VersionedTable extends LatestTable {
  private readonly versions: { readonly value: unknown; readonly time: number }[] = [];

  override change(value: unknown, time: number): void {
    super.change(value, time);
    let at = this.versions.length;
    while (at > 0 && (this.versions[at - 1]?.time ?? 0) > time) at--;
    this.versions.splice(at, 0, { value, time });
  }

  asOf(_key: unknown, time: number): unknown {
    return this.versions.findLast((version) => version.time <= time)?.value;
  }

  override clear(): void {
    super.clear();
    this.versions.length = 0;
  }
}

/** What happens by the wall clock does not happen: a bounded run is over when its input is. */
const STOPPED_CLOCK: Clock = { nowMs: () => 0, monotonicMs: () => 0 };
const NO_TIMER: Timer = { cancel: () => {} };
const NO_TIMERS: Timers = {
  after: () => NO_TIMER,
  sleep: () => new Promise(() => {}),
  immediate: () => {},
};
