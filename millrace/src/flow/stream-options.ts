/** What the operators of streams are given besides functions: aggregations, options, and what `process` and `mapAsync` call. */
import type { Duration } from './durations.ts';
import type { JoinStrategy } from './plan.ts';
import type { ProcessContext } from './stream-nodes.ts';

/** A record of a table. */
export interface Entry<K, V> {
  readonly key: K;
  readonly value: V;
}

/** Puts out one record. */
export type Emit<R> = (value: R) => void;

/** An aggregation of the user: what `aggregate` takes. Its functions are synchronous. */
export interface Aggregation<T, K, A, R = A> {
  /** A new accumulator: plain data. */
  readonly init: () => A;
  /** Puts one value into it, in the order of the stream. May change the accumulator and return it. */
  readonly add: (accumulator: A, value: T, key: K) => A;
  /**
   * Puts two accumulators into one, `left` being of records that come before those of `right`. With it, records are
   * aggregated where they are read, and far less has to move. It must be associative.
   */
  readonly merge?: (left: A, right: A) => A;
  /** What the result is. Default: the accumulator. */
  readonly finish?: (accumulator: A, key: K) => R;
}

/** The same where it must be possible to put two accumulators into one. */
export interface MergedAggregation<T, K, A, R = A> extends Aggregation<T, K, A, R> {
  readonly merge: (left: A, right: A) => A;
}

/** An aggregation of a table, from which values are taken again when they change. Its functions are synchronous. */
export interface TableAggregation<V, K, A, R = A> {
  /** A new accumulator: plain data. */
  readonly init: () => A;
  /** Puts one value into it. @param key of the group */
  readonly add: (accumulator: A, value: V, key: K) => A;
  /** Takes out a value that was put in before. @param key of the group */
  readonly subtract: (accumulator: A, value: V, key: K) => A;
  /** What the result is. Default: the accumulator. */
  readonly finish?: (accumulator: A, key: K) => R;
}

export interface SampleOptions {
  /** An integer, 0 to 4,294,967,295; other seeds choose other records. Default 0. */
  readonly seed?: number;
}

export interface JoinOptions {
  /** How to join what has an end. Default: the planner's choice, which `millrace plan` shows with its reason. */
  readonly strategy?: JoinStrategy;
  /** Whether a key with very many records may be shared between tasks; the result is the same. Default true. */
  readonly splitHotKeys?: boolean;
  /** Two streams of topics: records match whose times are at most so far apart. Needed, or `before` or `after`. */
  readonly within?: Duration;
  /** The same, one by one: a record of the right side may be so much earlier than that of the left. Default 0. */
  readonly before?: Duration;
  /** And so much later. Default 0. */
  readonly after?: Duration;
  /** Two streams of topics: for so long after its time has passed a record still waits for late ones. Default 0. */
  readonly grace?: Duration;
}

/** Called for each pair that matches. */
export type JoinFunction<L, U, K, R> = (left: L, right: U, key: K) => R;

// What operators are called with, where several are called with the same.
export type JoinArguments<Right, Fn> = [name: string, right: Right, fn: Fn, options?: JoinOptions];
export type SemiJoinArguments<Right> = [name: string, right: Right, options?: JoinOptions];
/** `keyOf` gives the key in the right side; null and undefined: none. */
export type Lookup<Right, T, K, L, Fn> = [
  name: string,
  right: Right,
  keyOf: (value: T, key: K) => L | null | undefined,
  fn: Fn,
];
export type AsyncArguments<Fn> = [name: string, fn: Fn, options?: AsyncOptions];
export type WindowArguments<Given> = [name: string, aggregation: Given, options?: WindowEmit];

/** Two values, or two accumulators, put into one. */
export type Pairwise<T> = (left: T, right: T) => T;
/** What `flatMap` makes of a record. */
export type Several<U> = Iterable<U> | PromiseLike<Iterable<U>>;
/** All values of a key. */
export type GroupFunction<K, T, R> = (
  key: K,
  values: Iterable<T>,
  emit: Emit<R>,
) => void | Promise<void>;

export interface TableOptions {
  /** Of the operator and its state. Default: the name of the topic. */
  readonly name?: string;
  /** Old versions are kept for so long, by event time: joins then find the value that a key had at the time of a record. Default:
   * the latest only. */
  readonly history?: Duration;
  /** A key that was not written for so long, by event time, is deleted. Default: never. */
  readonly ttl?: Duration;
}

export interface WindowEmit {
  /**
   * When a window says what it has. `close` (the default): once, when no record can change it any more. `changes`: at every change.
   * `{ every }`: what has changed, every so often by the wall clock.
   */
  readonly emit?: 'close' | 'changes' | { readonly every: Duration };
}

export interface AsyncOptions {
  /** Calls at a time in one task: 1 to 1,000. Default 16. */
  readonly concurrency?: number;
  /** How long a call may take. Default 30 seconds. */
  readonly timeout?: Duration;
  /** How often a record is tried before it counts as failed: 1 to 100. Default 1. */
  readonly attempts?: number;
}

/** What a function of `mapAsync` gets beside the record. */
export interface AsyncCall {
  /** Fires at the timeout, and when the task ends. */
  readonly signal: AbortSignal;
}

/** What `process` calls. Its functions are synchronous. */
export interface ProcessFunctions<T, K, S, R> {
  readonly onRecord: (value: T, context: ProcessContext<S, R>, key: K) => void;
  /** When a timer that was set for the key is due. */
  readonly onTimer?: (context: ProcessContext<S, R>, key: K, timer: 'event' | 'wall') => void;
  /** State of a key that was not touched for so long, by event time, is forgotten. Default: never. */
  readonly ttl?: Duration;
}

/** Side data in the memory of every task: what `f.broadcast` returns, and `with` takes. */
export interface Broadcast<Side> {
  readonly kind: 'broadcast';
  /** Carries the type; never set. */
  readonly types?: Side;
}

/** A table all of which is in every task: what `f.globalTable` returns, and `joinGlobal` takes. */
export interface GlobalTable<K, V> {
  readonly kind: 'global';
  /** Carries the types; never set. */
  readonly types?: Entry<K, V>;
}

export type Predicate<T> = (value: T) => boolean | PromiseLike<boolean>;
export type KeyedPredicate<T, K> = (value: T, key: K) => boolean | PromiseLike<boolean>;
/** What a predicate leaves of a type: a type guard narrows it. */
export type Narrowed<T, P> = P extends Guard<T, infer U> ? U : T;
type Guard<T, U extends T> = (value: T, ...rest: never[]) => value is U;
