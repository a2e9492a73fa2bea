/**
 * One operator by itself: records in, records out, time by hand. It does what a task does around an operator: T counts a record before
 * the operator gets it, and `advance` is called behind it when something is due.
 *
 * @example
 * const harness = new OperatorHarness(node, createPattern);
 * harness.send('key', { n: 1 }, 10);
 * harness.advanceTo(100);
 * expect(harness.take()).toEqual([{ key: 'key', value: …, time: 10, old: undefined }]);
 */
import type { Timer, Timers } from '../../src/core/env.ts';
import type {
  Operator,
  OperatorContext,
  ReadableTable,
  Receiver,
} from '../../src/engine/stream/operators/operator.ts';
import type { Store, StoreSpec } from '../../src/engine/stream/state/store.ts';
import type { PlanNode } from '../../src/flow/plan.ts';
import { OracleStore } from './oracle-store.ts';

/** What came out. */
export interface Emitted {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
  readonly old: unknown;
}

/** A function of the program that failed on a record. */
export interface Failure {
  readonly error: unknown;
  readonly record: unknown;
  readonly key: unknown;
}

/** Stores that can commit and abort, as the harness needs them. */
export interface HarnessStores {
  store<V>(spec: StoreSpec<V>): Store<V>;
  commit(): void;
  abort(): void;
}

export interface HarnessOptions {
  /** How far T stays behind the latest record. Default 0. */
  readonly outOfOrderMs?: number;
  /** Whether somebody reads the side outputs. Default true. */
  readonly hasSideOutputs?: boolean;
  /** What the flow does with records that fail. Default `skip`. */
  readonly onError?: 'skip' | 'fail';
  readonly tables?: readonly (ReadableTable | undefined)[];
  /** Default: oracle stores. */
  readonly stores?: HarnessStores;
}

export class OperatorHarness {
  operator: Operator;
  readonly stores: HarnessStores;
  readonly outputs: Emitted[] = [];
  readonly lates: Emitted[] = [];
  readonly timedOut: Emitted[] = [];
  readonly failures: Failure[] = [];
  /** Records dropped as late while nobody reads `late`. */
  dropped = 0;
  wakes = 0;
  /** The wall clock. */
  nowMs = 0;
  /** Timers by the wall clock: they fire in `tick`. */
  readonly timers = new HandTimers();
  /** Of the record that is being processed: its number, from 0. */
  origin: unknown;
  private sent = 0;
  private time = Number.NEGATIVE_INFINITY;
  private committedTime = Number.NEGATIVE_INFINITY;
  private latest = Number.NEGATIVE_INFINITY;
  private committedLatest = Number.NEGATIVE_INFINITY;
  private readonly node: PlanNode;
  private readonly create: (context: OperatorContext<never>) => Operator;
  private readonly options: HarnessOptions;

  /** @param create the factory of the operator */
  constructor(
    node: PlanNode,
    create: (context: OperatorContext<never>) => Operator,
    options: HarnessOptions = {},
  ) {
    this.node = node;
    this.create = create;
    this.options = options;
    this.stores = options.stores ?? new OracleStores();
    this.operator = this.open();
  }

  /** T. */
  get watermark(): number {
    return this.time;
  }

  /** @param input which one of the operator. @param old of a table: the value before */
  send(key: unknown, value: unknown, time: number, input = 0, old?: unknown): this {
    this.latest = Math.max(this.latest, time);
    this.time = Math.max(this.time, this.latest - (this.options.outOfOrderMs ?? 0));
    const receiver = this.operator.inputs[input];
    if (receiver === undefined) throw new Error(`the operator has no input ${input}`);
    this.origin = this.sent++;
    receiver.receive(key, value, time, old);
    this.advance();
    return this;
  }

  /** T comes to `time` without a record. */
  advanceTo(time: number): this {
    this.time = Math.max(this.time, time);
    this.advance();
    return this;
  }

  /** T comes to `time`, and the operator does not hear of it before its next record. */
  jumpTo(time: number): this {
    this.time = Math.max(this.time, time);
    return this;
  }

  /** The wall clock comes to `nowMs`. */
  tick(nowMs: number): this {
    this.nowMs = nowMs;
    this.timers.advanceTo(nowMs);
    if (this.operator.nextTick <= nowMs) this.operator.tick(nowMs);
    return this;
  }

  /** What came out since the last call. */
  take(): Emitted[] {
    return this.outputs.splice(0);
  }

  takeLate(): Emitted[] {
    return this.lates.splice(0);
  }

  /** Everything so far is durable. */
  commit(): this {
    this.stores.commit();
    this.committedTime = this.time;
    this.committedLatest = this.latest;
    return this;
  }

  /** Back to the last commit, as after a crash: a new operator over what the stores had, and the T of then. Outputs stay. */
  crash(): this {
    this.operator.close();
    this.stores.abort();
    this.time = this.committedTime;
    this.latest = this.committedLatest;
    this.operator = this.open();
    return this;
  }

  private advance(): void {
    if (this.operator.nextDue <= this.time) this.operator.advance();
    if (this.operator.nextDue <= this.time && this.time !== Number.POSITIVE_INFINITY)
      throw new Error(`something is due still after advance: ${this.operator.nextDue}`);
  }

  private open(): Operator {
    const { options } = this;
    const hasSideOutputs = options.hasSideOutputs ?? true;
    const context: OperatorContext = {
      node: this.node,
      output: collector(this.outputs),
      late: hasSideOutputs ? collector(this.lates) : undefined,
      timedOut: hasSideOutputs ? collector(this.timedOut) : undefined,
      tables: options.tables ?? [],
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      timers: this.timers,
      time: () => this.time,
      store: (spec) => this.stores.store(spec),
      failed: (error, record, key) => {
        if (options.onError === 'fail') throw error;
        this.failures.push({ error, record, key });
      },
      droppedLate: () => {
        this.dropped++;
      },
      wake: () => {
        this.wakes++;
      },
      origin: () => this.origin,
      setOrigin: (origin) => {
        this.origin = origin;
      },
    };
    return this.create(context as OperatorContext<never>);
  }
}

/** Timers that fire when they are told that it is time. */
export class HandTimers implements Timers {
  private now = 0;
  private readonly waiting = new Set<{ readonly at: number; readonly callback: () => void }>();

  get count(): number {
    return this.waiting.size;
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry = { at: this.now + delayMs, callback };
    this.waiting.add(entry);
    return { cancel: () => void this.waiting.delete(entry) };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  immediate(callback: () => void): void {
    this.after(0, callback);
  }

  advanceTo(now: number): void {
    this.now = now;
    for (const entry of [...this.waiting].sort((a, b) => a.at - b.at)) {
      if (entry.at > now || !this.waiting.delete(entry)) continue;
      entry.callback();
    }
  }
}

/** Oracle stores by name. */
export class OracleStores implements HarnessStores {
  private readonly stores = new Map<string, OracleStore<never>>();

  store<V>(spec: StoreSpec<V>): Store<V> {
    const known = this.stores.get(spec.name);
    if (known !== undefined) return known;
    const store = new OracleStore<V>(spec);
    this.stores.set(spec.name, store as unknown as OracleStore<never>);
    return store;
  }

  commit(): void {
    for (const store of this.stores.values()) store.commit();
  }

  abort(): void {
    for (const store of this.stores.values()) store.abort();
  }
}

function collector(into: Emitted[]): Receiver {
  return {
    receive: (key, value, time, old) => {
      into.push({ key, value, time, old });
    },
  };
}
