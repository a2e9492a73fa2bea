/**
 * The plan: what building a flow yields. Frozen plain data plus references to functions; nothing here reads, writes or
 * waits. Engines compile it, `explain.ts` prints it, the console draws it.
 *
 * The law of order, which every engine keeps and which makes results independent of workers, splits and failures:
 * every stream has one defined order. A source: file order, then position. After an exchange: partition, then key, then the
 * order of the stream that was exchanged. Every operator keeps the order of its input. Tasks are numbered in that order and
 * their outputs are put together in it.
 */
import type { ColumnAggregates, Expression } from './columns.ts';
import type { NodeBase, ValueFunction } from './node-base.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';
import type { StreamNode } from './stream-nodes.ts';

export type { ValueFunction } from './node-base.ts';

export interface Plan {
  readonly name: string;
  /** In topological order: `nodes[i].id === i`, and inputs come before their users. */
  readonly nodes: readonly PlanNode[];
  readonly counters: readonly PlanCounter[];
  /** Every parameter that the program asked for, with the value it got. */
  readonly parameters: Readonly<Record<string, string | number | boolean>>;
  readonly onError: ErrorPolicy;
  /** Changes when a node, a name, a setting or the text of a function does (hex). Parameters are part of it. */
  readonly fingerprint: string;
}

/** What happens to a record that cannot be decoded or whose function throws. */
export type ErrorPolicy =
  | { readonly kind: 'fail' }
  /** To `sink`, as a DeadLetter; the job fails when there are more than `recordsMax` of them. */
  | { readonly kind: 'skip'; readonly sink: Sink; readonly recordsMax: number };

/** What a dead-letter sink gets for each record that was skipped. */
export interface DeadLetter {
  /** The value as far as it was decoded, else its text. */
  readonly record: unknown;
  readonly error: string;
  /** The operator, by its name, or the source. */
  readonly operator: string;
  /** `path:line` or `path@byte`, where it is known. */
  readonly position: string;
}

/** A counter of the user. `value` counts within one attempt: the engine sets it to 0 before, and adds up those that commit. */
export interface PlanCounter {
  readonly name: string;
  value: number;
}

export type PlanNode = BatchNode | StreamNode;

/** What the batch engine runs as it is. */
export type BatchNode =
  | SourceNode
  | MapNode
  | FlatMapNode
  | FilterNode
  | TapNode
  | KeyByNode
  | UnionNode
  | SampleNode
  | AggregateNode
  | GroupNode
  | JoinNode
  | SortNode
  | TopNode
  | BroadcastNode
  | WithNode
  | IterateNode
  | IterationInputNode
  | WhereNode
  | SelectNode
  | ExplodeNode
  | ColumnAggregateNode
  | WriteNode;

export interface SourceNode extends NodeBase {
  readonly kind: 'source';
  readonly source: Source;
}
export interface MapNode extends NodeBase {
  readonly kind: 'map';
  readonly fn: ValueFunction;
  /** mapValues: the key stays. Otherwise the result has no key. */
  readonly keepsKey: boolean;
}
export interface FlatMapNode extends NodeBase {
  readonly kind: 'flatMap';
  /** Returns an iterable, or a promise of one. */
  readonly fn: ValueFunction;
  readonly keepsKey: boolean;
}
export interface FilterNode extends NodeBase {
  readonly kind: 'filter';
  readonly fn: ValueFunction;
}
/** Calls `fn` for its effect; what it returns is awaited if it is a promise, and dropped. */
export interface TapNode extends NodeBase {
  readonly kind: 'tap';
  readonly fn: ValueFunction;
}
/** Gives each record the key `fn(value, key)`. Moves nothing by itself: the stateful operator behind it does. */
export interface KeyByNode extends NodeBase {
  readonly kind: 'keyBy';
  readonly fn: ValueFunction;
}
/** All records of the inputs: those of the first, then those of the second, and so on. */
export interface UnionNode extends NodeBase {
  readonly kind: 'union';
}
/** Keeps about `fraction` of the records, decided by a hash of key, value and seed: the same ones in every run. */
export interface SampleNode extends NodeBase {
  readonly kind: 'sample';
  /** 0 to 1. */
  readonly fraction: number;
  readonly seed: number;
}
/**
 * One accumulator per key. With `merge` records are aggregated before the exchange, too (combiner): it must be
 * associative, and is called in stream order.
 */
export interface AggregateNode extends NodeBase {
  readonly kind: 'aggregate';
  readonly init: () => unknown;
  /** May change `accumulator` in place; returns it or a new one. */
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
  readonly merge: ((left: unknown, right: unknown) => unknown) | undefined;
  /** What becomes the value of the result; undefined: the accumulator itself. */
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
  /** Which of the well-known aggregations this is, for engines that have a faster way. */
  readonly builtin: 'count' | undefined;
  /** The result has keys (a table); false: one accumulator for the whole stream, present even when the stream is empty. */
  readonly isKeyed: boolean;
}
/** All values of a key at once, as an iterator that can be read once. */
export interface GroupNode extends NodeBase {
  readonly kind: 'group';
  /** Order of the values within a key (secondary sort); undefined: stream order. */
  readonly sortValuesBy: SortOrder | undefined;
  /** Emits zero or more values; they have no key. May return a promise. */
  readonly fn: (
    key: unknown,
    values: Iterable<unknown>,
    emit: (value: unknown) => void,
  ) => void | Promise<void>;
  /** MapReduce's combiner: values of one key in one map task to fewer values. Associative with itself and `fn`. */
  readonly combine: ((key: unknown, values: Iterable<unknown>) => Iterable<unknown>) | undefined;
}
export type JoinType = 'inner' | 'left' | 'right' | 'outer' | 'semi' | 'anti';
export type JoinStrategy = 'sort-merge' | 'broadcast-hash' | 'partitioned-hash';
/** Inputs: left, right; both have keys. A key of undefined or null joins nothing, as in SQL. */
export interface JoinNode extends NodeBase {
  readonly kind: 'join';
  readonly type: JoinType;
  /** undefined: chosen by the planner. */
  readonly strategy: JoinStrategy | undefined;
  /** Split hot keys over several tasks. */
  readonly splitsHotKeys: boolean;
  /** A side without a match is undefined. Not called for semi and anti, which give the left value. The key stays. */
  readonly fn: (left: unknown, right: unknown, key: unknown) => unknown;
}
export interface SortOrder {
  /** What to order by: anything that can be a key; arrays compare element by element. */
  readonly by: ValueFunction;
  readonly descending: boolean;
}
/** Total order over the whole stream; equal elements keep their order. The key stays. */
export interface SortNode extends NodeBase {
  readonly kind: 'sort';
  readonly order: SortOrder;
  /** Set by sortBy(column): `order.by` reads just this column of a row. */
  readonly column: string | undefined;
}
/** The first `count` of the stream under `order`, sorted; among equals those that come first. */
export interface TopNode extends NodeBase {
  readonly kind: 'top';
  readonly count: number;
  readonly order: SortOrder;
}
/** The whole input in the memory of every task that uses it. */
export interface BroadcastNode extends NodeBase {
  readonly kind: 'broadcast';
  /** `map`: a Map from key to value, the last one wins; else an array of values. Both frozen by agreement. */
  readonly form: 'array' | 'map';
}
/** Inputs: a stream, then a broadcast. */
export interface WithNode extends NodeBase {
  readonly kind: 'with';
  readonly fn: (value: unknown, side: unknown, key: unknown) => unknown;
  readonly keepsKey: boolean;
}
/**
 * Runs `body` again and again, its result becoming its first input, without writing anything to disk that fits in memory.
 * Inputs: the initial stream, then the outer streams that the body uses; the body reads input i at its IterationInputNode i.
 */
export interface IterateNode extends NodeBase {
  readonly kind: 'iterate';
  readonly body: readonly PlanNode[];
  /** Id, in `body`, of the node whose records are the next round's input, or the result. */
  readonly result: number;
  /** At most so many rounds, 1 to 1,000,000. */
  readonly rounds: number;
  /** Stop when a round's output equals its input as sequences of (key, value), or when `until` says so. */
  readonly isFixpoint: boolean;
  /** Called after each round with both sequences of values. */
  readonly until:
    | ((previous: readonly unknown[], next: readonly unknown[], round: number) => boolean)
    | undefined;
}
export interface IterationInputNode extends NodeBase {
  readonly kind: 'iterationInput';
  readonly index: number;
}

// Declarative columns: values are rows, objects of column to value. Engines may run them on bytes.

export interface WhereNode extends NodeBase {
  readonly kind: 'where';
  readonly condition: Expression;
}
/** A row of exactly these columns. */
export interface SelectNode extends NodeBase {
  readonly kind: 'select';
  readonly columns: Readonly<Record<string, Expression>>;
}
/** One row for each element of the array that `expression` gives (of the words of a text, for example), as column `name`
 * in place of all others. */
export interface ExplodeNode extends NodeBase {
  readonly kind: 'explode';
  readonly column: string;
  readonly expression: Expression;
}
/** One row per distinct combination of the `by` columns: those columns, then the aggregates. No key. */
export interface ColumnAggregateNode extends NodeBase {
  readonly kind: 'columnAggregate';
  readonly by: readonly string[];
  readonly aggregates: ColumnAggregates;
}

export interface WriteNode extends NodeBase {
  readonly kind: 'write';
  readonly sink: Sink;
}

const STREAM_KINDS: Readonly<Record<StreamNode['kind'], true>> = {
  table: true,
  toStream: true,
  windowAggregate: true,
  tableAggregate: true,
  windowJoin: true,
  tableJoin: true,
  foreignJoin: true,
  globalJoin: true,
  process: true,
  asyncMap: true,
  pattern: true,
  dedupe: true,
  sideOutput: true,
};

/** Whether only a run without end has such nodes: a bounded run turns them into others first. */
export function isStreamNode(node: PlanNode): node is StreamNode {
  return node.kind in STREAM_KINDS;
}
