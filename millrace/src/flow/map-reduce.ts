/** MapReduce, as Dean and Ghemawat described it (OSDI 2004), in terms of the language. */
import type { Key } from '../core/key-order.ts';
import type { FlowBuilder } from './builder.ts';
import { keyOfPair, madeOf, type Pair, valueOfPair } from './functions.ts';
import { Handle, type Operator } from './draft.ts';
import { flow } from './flow.ts';
import type { Flow } from './flow-types.ts';
import { functionOf } from './operator-builder.ts';
import type { GroupNode, ValueFunction } from './plan.ts';
import type { Writable } from './sink.ts';
import type { Readable } from './source.ts';
import { GroupedBuilder } from './stream-builders.ts';
import type { Emit } from './stream-options.ts';
import type { FlowTypeError, KeyFits, StreamSinkFits } from './type-errors.ts';

/** Puts out a value under a key. */
export type EmitPair<K, V> = (key: K, value: V) => void;

type MapResult<K> = unknown extends K
  ? FlowTypeError<'Say what emit takes: map: (record, emit: EmitPair<string, number>) => { … }'>
  : unknown extends KeyFits<K>
    ? void | Promise<void>
    : KeyFits<K>;

/** While the compiler does not know yet what `reduce` emits, anything fits. */
type OutputFits<R, Sunk, SinkKey> = unknown extends R ? unknown : StreamSinkFits<R, Sunk, SinkKey>;

export interface MapReduceOptions<T, K, V, R, Sunk, SinkKey, InputKey> {
  /** The name of the flow, of its operators' outputs and errors. */
  readonly name: string;
  /** What is read, or a function that says so, which may ask `f` for parameters. */
  readonly input: Readable<T, InputKey> | ((f: FlowBuilder) => Readable<T, InputKey>);
  /** Called once for each record: emits any number of values under keys. May return a promise. */
  readonly map: (record: T, emit: EmitPair<K, V>) => MapResult<K>;
  /**
   * Makes fewer values of the values of one key, before they move. It is called with some of them, any number of times, also with
   * what it has emitted itself: `reduce` must give the same with it as without it.
   */
  readonly combine?: (key: K, values: Iterable<V>, emit: Emit<V>) => void;
  /** Called once for each key with all its values, as an iterator that can be run through once. May return a promise. */
  readonly reduce: (key: K, values: Iterable<V>, emit: Emit<R>) => void | Promise<void>;
  /** Where the records go that `reduce` emits, or a function that says so. */
  readonly output:
    | (Writable<Sunk, SinkKey> & NoInfer<OutputFits<R, Sunk, SinkKey>>)
    | ((f: FlowBuilder) => Writable<Sunk, SinkKey> & NoInfer<OutputFits<R, Sunk, SinkKey>>);
}

/**
 * A flow of one map, one optional combine and one reduce. Types of keys, values and results follow from what `emit` is declared to
 * take.
 * @throws {MillraceError} ML_FLOW_INVALID for a name that cannot be
 * @example
 * export default mapReduce({
 *   name: 'word-count',
 *   input: files.lines('book.txt'),
 *   map: (line, emit: EmitPair<string, number>) => {
 *     for (const word of line.match(/[a-z]+/gi) ?? []) emit(word, 1);
 *   },
 *   combine: (_word, counts, emit) => emit(total(counts)),
 *   reduce: (word, counts, emit: Emit<{ word: string; uses: number }>) => emit({ word, uses: total(counts) }),
 *   output: files.ndjson('out/word-count'),
 * });
 */
export function mapReduce<T, K, V, R, Sunk, SinkKey, InputKey>(
  options: MapReduceOptions<T, K, V, R, Sunk, SinkKey, InputKey>,
): Flow {
  const { name, input, map, combine, reduce, output } = options as unknown as Untyped;
  return flow(name, (f) => {
    const operator: Operator = { method: 'mapReduce', name: undefined, flow: name };
    const from = typeof input === 'function' ? input(f) : input;
    const pairs = f.read(from).flatMap(pairsOf(functionOf(operator, map, '`map`')));
    const keyed = pairs.keyBy(keyOfPair).mapValues(valueOfPair);
    const combiner =
      combine === undefined ? undefined : combinerOf(functionOf(operator, combine, '`combine`'));
    new GroupedBuilder(Handle.draftOf(operator, keyed, 'keyed'), undefined)
      .addGroup('reduce', functionOf(operator, reduce, '`reduce`'), combiner)
      .write(typeof output === 'function' ? output(f) : output);
  });
}

/** The options, their types forgotten. */
interface Untyped {
  readonly name: string;
  readonly input: Readable | ((f: FlowBuilder) => Readable);
  readonly map: unknown;
  readonly combine: unknown;
  readonly reduce: unknown;
  readonly output: Writable | ((f: FlowBuilder) => Writable);
}

type MapFunction = (record: unknown, emit: EmitPair<Key, unknown>) => unknown;
type CombineFunction = (key: unknown, values: Iterable<unknown>, emit: Emit<unknown>) => void;

function pairsOf(
  map: ValueFunction,
): (record: unknown) => readonly Pair[] | Promise<readonly Pair[]> {
  const call = map as MapFunction;
  return madeOf([map], (record: unknown) => {
    const pairs: Pair[] = [];
    const done = call(record, (key, value) => {
      pairs.push([key, value]);
    });
    return done instanceof Promise ? done.then(() => pairs) : pairs;
  });
}

function combinerOf(combine: ValueFunction): GroupNode['combine'] {
  const call = combine as unknown as CombineFunction;
  return madeOf([combine], (key: unknown, values: Iterable<unknown>) => {
    const combined: unknown[] = [];
    call(key, values, (value) => {
      combined.push(value);
    });
    return combined;
  });
}
