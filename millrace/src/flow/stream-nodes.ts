/**
 * The nodes of a plan that know of time: tables, windows, joins of streams without end, processes and patterns. `plan.ts` has the
 * others. The stream engine runs them; a bounded run turns them into groups sorted by time (`engine/bounded`).
 *
 * A record of a stream is (value, key, time). A record of a table is a change: the new value of a key and the one before, `undefined`
 * where there is none. `isTable` of a node says which of the two it gives.
 *
 * Time of results: of one record, its own; of several (aggregates, joins of streams, of tables), the latest of theirs; of a record
 * joined to a table, the record's; of a timer, the time it was set for.
 */
import type { NodeBase, ValueFunction } from './node-base.ts';
import type { PatternSpec } from './patterns.ts';
import type { EmitPolicy, WindowSpec } from './windows.ts';

export type StreamNode =
  | TableNode
  | ToStreamNode
  | WindowAggregateNode
  | TableAggregateNode
  | WindowJoinNode
  | TableJoinNode
  | ForeignJoinNode
  | GlobalJoinNode
  | ProcessNode
  | AsyncMapNode
  | PatternNode
  | DedupeNode
  | SideOutputNode;

/** The latest value of each key of its input; null, and undefined, delete. */
export interface TableNode extends NodeBase {
  readonly kind: 'table';
  /** `global`: every task has all of it, and it is complete before anything is processed. */
  readonly scope: 'partition' | 'global';
  /** Old versions are kept for so long, by event time, so that joins find what was true at the time of a record (as-of);
   * undefined: only the latest. Milliseconds. */
  readonly historyMs: number | undefined;
  /** A key that was not written for so long, by event time, is deleted; undefined: never. Milliseconds. */
  readonly ttlMs: number | undefined;
}

/** The changes of a table as a stream: the new values, undefined where a key was deleted. */
export interface ToStreamNode extends NodeBase {
  readonly kind: 'toStream';
}

/** One accumulator per key and window. Its key is a Windowed. Side output `late`: records that came after their window was closed. */
export interface WindowAggregateNode extends NodeBase {
  readonly kind: 'windowAggregate';
  readonly window: WindowSpec;
  readonly init: () => unknown;
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  /** Needed for session windows; lets hopping windows share panes. */
  readonly merge: ((left: unknown, right: unknown) => unknown) | undefined;
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
  readonly builtin: 'count' | undefined;
  readonly emit: EmitPolicy;
}

/** One accumulator per key of a table that was given other keys (`keyBy` behind a table): what leaves a group is subtracted. */
export interface TableAggregateNode extends NodeBase {
  readonly kind: 'tableAggregate';
  /** The key of the group. */
  readonly by: ValueFunction;
  readonly init: () => unknown;
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  readonly subtract: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
  readonly builtin: 'count' | undefined;
}

/**
 * Pairs of records of two streams with the same key whose times are near: left.time - beforeMs <= right.time <= left.time + afterMs.
 * Inputs: left, right (the same node twice: a self-join, in which a record does meet itself).
 */
export interface WindowJoinNode extends NodeBase {
  readonly kind: 'windowJoin';
  readonly type: 'inner' | 'left' | 'outer';
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly graceMs: number;
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
}

/**
 * `stream-table`: each record of the left with the value that its key has in the table, now, or as of its time where the table has
 * history. `table-table`: the table of the pairs. Inputs: left, right; keys of null or undefined join nothing.
 */
export interface TableJoinNode extends NodeBase {
  readonly kind: 'tableJoin';
  readonly sides: 'stream-table' | 'table-table';
  /** outer: table-table only. */
  readonly type: 'inner' | 'left' | 'outer';
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
}

/** A table whose values name the keys of another. Inputs: left, right. The result has the keys of the left. */
export interface ForeignJoinNode extends NodeBase {
  readonly kind: 'foreignJoin';
  readonly type: 'inner' | 'left';
  /** The key in the right table; null or undefined: none. */
  readonly foreignKey: ValueFunction;
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
}

/** Each record of a stream with the value in a global table of a key that a function gives. Inputs: stream, global table. */
export interface GlobalJoinNode extends NodeBase {
  readonly kind: 'globalJoin';
  readonly type: 'inner' | 'left';
  readonly lookupKey: ValueFunction;
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
}

/** What a function of a `process` gets beside the record. Valid during the call. */
export interface ProcessContext<S, R> {
  /** Of the key; undefined: none. Plain data. Set it to keep it, also after changing it in place. */
  state: S | undefined;
  /** Event time of the record, or the time the timer was set for. Milliseconds since 1970. */
  readonly time: number;
  /** How far time has come: no earlier records are expected. -Infinity before the first one. */
  readonly watermark: number;
  /** The wall clock, milliseconds since 1970. */
  readonly now: number;
  /** Puts out a record; its key stays. @param time default `time` */
  emit(value: R, time?: number): void;
  /** Calls `onTimer` for this key when event time has passed `time`; once, however often it is set. Kept through crashes. */
  setTimer(time: number): void;
  /** The same by the wall clock. */
  setWallTimer(time: number): void;
  clearTimer(time: number): void;
  clearWallTimer(time: number): void;
}
/** State and timers per key. */
export interface ProcessNode extends NodeBase {
  readonly kind: 'process';
  readonly onRecord: (
    value: unknown,
    context: ProcessContext<unknown, unknown>,
    key: unknown,
  ) => void;
  readonly onTimer:
    | ((context: ProcessContext<unknown, unknown>, key: unknown, timer: 'event' | 'wall') => void)
    | undefined;
  /** State of a key that was not touched for so long, by event time, is forgotten; undefined: never. */
  readonly ttlMs: number | undefined;
}

/** Calls that wait, several at a time; results in the order of the records. */
export interface AsyncMapNode extends NodeBase {
  readonly kind: 'asyncMap';
  /** @param signal fires at the timeout, and when the task ends */
  readonly fn: (value: unknown, key: unknown, signal: AbortSignal) => unknown;
  /** Calls at a time in one task, from 1. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Tries of one record, from 1. */
  readonly attempts: number;
  readonly keepsKey: boolean;
}

/** Matches of a pattern among the records of a key, in the order of their times. Side outputs `late`, `timedOut`. */
export interface PatternNode extends NodeBase {
  readonly kind: 'pattern';
  readonly pattern: PatternSpec;
  /** What becomes the value of the result. @param matched records by step */
  readonly select: (matched: Readonly<Record<string, readonly unknown[]>>, key: unknown) => unknown;
  /** The same for matches that ran out of time. */
  readonly selectTimedOut: (
    matched: Readonly<Record<string, readonly unknown[]>>,
    key: unknown,
  ) => unknown;
}

/** The first record of each (key, id) within a time, by event time, before and after it. */
export interface DedupeNode extends NodeBase {
  readonly kind: 'dedupe';
  /** What records are the same by; a key. */
  readonly by: ValueFunction;
  readonly withinMs: number;
}

/** What else a node gives: the records that came too late; the matches that ran out of time. Its input is that node. */
export interface SideOutputNode extends NodeBase {
  readonly kind: 'sideOutput';
  readonly output: 'late' | 'timedOut';
}
