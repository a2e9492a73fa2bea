/**
 * What a task is made of. One operator per node and task; records go from one to the next by plain synchronous calls.
 *
 * `time` of the task is its watermark T: no record with an earlier time is expected. The task sets T before it hands over a record (the
 * record itself counts), and calls `advance` behind it when something is due. Boundaries, with Kafka's signs: a window is closed when
 * end + grace <= T, a record for it is late then; an entry that waits for a partner until `ts` has found none when ts + grace < T.
 *
 * Behind an operator whose records wait (promises), T stays where the last of its results was: the T of a node is the smallest of the
 * task's and of the `timeBehind` of all operators that are before it in the task, and never goes back. So what is behind sees the same T
 * with each record, however long the promises take. The markers that the task writes carry that T, too.
 *
 * @hot No promise, closure or iterator per record.
 */
import type { Clock, Timers } from '../../../core/env.ts';
import type { PlanNode } from '../../../flow/plan.ts';
import type { Store, StoreSpec } from '../state/store.ts';

/** Takes records. Of a stream: `old` is undefined and means nothing. Of a table: `value` is the new one (undefined: deleted), `old` the one
 * before (undefined: none). */
export interface Receiver {
  receive(key: unknown, value: unknown, time: number, old: unknown): void;
}

export interface Operator {
  /** One for each input of the node, in its order. */
  readonly inputs: readonly Receiver[];
  /** Its result as a table that can be asked; undefined: it is a stream. */
  readonly table?: ReadableTable | undefined;
  /** T at which `advance` has something to do; Infinity: nothing waits. */
  readonly nextDue: number;
  /** T has come to `context.time()`: closes windows, fires timers, gives up waiting. */
  advance(): void;
  /** Wall clock, milliseconds since 1970, at which `tick` has something to do; Infinity: nothing. */
  readonly nextTick: number;
  tick(nowMs: number): void;
  /** Records that wait for asynchronous functions: the task commits only when it is 0. */
  readonly pending: number;
  /** The task takes no more records while it says so. */
  readonly isFull: boolean;
  /** What is behind it has no later T while records wait: that of the last result, or -Infinity. Infinity, or absent: nothing waits. */
  readonly timeBehind?: number;
  /** Puts out the results that are there, in order: the task calls it after `context.wake()`, in a turn of its own, and then `advance` of
   * what is due behind it. Absent: nothing ever waits. @throws what stops the task */
  resume?(): void;
  /** Stops what waits: it never comes out. A task that goes back to its last commit closes its operators and makes new ones. */
  close(): void;
}

/** A table as others ask it. Absent keys are undefined. */
export interface ReadableTable {
  get(key: unknown): unknown;
  /** What was true at `time`; undefined also when that is older than its history. Absent: it has no history. */
  asOf?(key: unknown, time: number): unknown;
  /** Time of the row: of a result that is made of it and of others, the latest of theirs counts. Absent: nobody knows. */
  timeOf?(key: unknown): number | undefined;
}

export interface OperatorContext<Node extends PlanNode = PlanNode> {
  readonly node: Node;
  /** What the node puts out. */
  readonly output: Receiver;
  /** Side outputs; undefined: nobody reads them. */
  readonly late: Receiver | undefined;
  readonly timedOut: Receiver | undefined;
  /** The table behind each input; undefined: that input is a stream. */
  readonly tables: readonly (ReadableTable | undefined)[];
  readonly clock: Clock;
  readonly timers: Timers;
  /** T. -Infinity before the first record. */
  time(): number;
  store<V>(spec: StoreSpec<V>): Store<V>;
  /**
   * A function of the program has failed on a record. Returns when the flow says that such records are skipped: the operator goes on
   * without it, its state untouched.
   * @throws what stops the task
   */
  failed(error: unknown, record: unknown, key: unknown): void;
  /** `failed` may return: what a function has changed in place before it threw must not stay. Absent: it never does. */
  readonly skips?: boolean;
  /** A record was dropped for being late and nobody reads `late`: counted, shown. */
  droppedLate(): void;
  /** A record was dropped that means nothing to the operator, having no key or no value to join by: counted, shown. Absent: nobody counts. */
  droppedNull?(): void;
  /** Something that waited (a promise) is done: the task is to call `resume`. Called from timers and promises; does nothing by itself. */
  wake(): void;
  /** For who puts out what waited, before each result: T behind is `timeBehind` now. Absent: there is no T but the task's. */
  timeComes?(): void;
  /** Behind each result: what is due then is done. */
  timeHasCome?(): void;
  /** The record of an input that is being processed: where errors say it happened. For who keeps a record and goes on with it later. */
  origin(): unknown;
  /** What follows is done for the record that had this origin. */
  setOrigin(origin: unknown): void;
}
