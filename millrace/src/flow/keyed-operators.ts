/**
 * What keyed streams do with one record after the other. The classes of the streams that come out are those of `stream-builders.ts`, which
 * knows all of them.
 */
import type { Draft } from './draft.ts';
import { identity, toEntry } from './functions.ts';
import {
  functionOf,
  OperatorBuilder,
  type Predicates,
  requireTimes,
  type UserAggregation,
  type UserFunction,
} from './operator-builder.ts';
import type { AsyncOptions, SampleOptions } from './stream-options.ts';
import { asyncContent, callOfRecord, processContent, type UserProcess } from './timed-operators.ts';

/** S: streams without keys, K: keyed streams, T: tables. */
export abstract class KeyedOperators<S, K, T> extends OperatorBuilder {
  readonly kind = 'keyed';

  protected abstract asStream(draft: Draft): S;
  protected abstract asKeyed(draft: Draft): K;
  protected abstract asTable(draft: Draft): T;
  /** What keeps one value per key where there was one. */
  protected abstract same(draft: Draft): K;

  map(fn: UserFunction): S {
    return this.asStream(this.addMapping('map', 'map', fn, false));
  }

  mapValues(fn: UserFunction): K {
    return this.same(this.addMapping('map', 'mapValues', fn, true));
  }

  flatMap(fn: UserFunction): S {
    return this.asStream(this.addMapping('flatMap', 'flatMap', fn, false));
  }

  flatMapValues(fn: UserFunction): K {
    return this.asKeyed(this.addMapping('flatMap', 'flatMapValues', fn, true));
  }

  filter(fn: UserFunction): K {
    return this.same(this.addFunction('filter', 'filter', fn));
  }

  tap(fn: UserFunction): K {
    return this.same(this.addFunction('tap', 'tap', fn));
  }

  keyBy(fn: UserFunction): K {
    return this.asKeyed(this.addFunction('keyBy', 'keyBy', fn));
  }

  sort(name: string, by: UserFunction): K {
    return this.asKeyed(this.addSort(name, by));
  }

  sample(fraction: number, options?: SampleOptions): K {
    return this.asKeyed(this.addSample(fraction, options));
  }

  union(...streams: readonly unknown[]): K {
    return this.asKeyed(this.addUnion(streams));
  }

  branch(predicates: Predicates): Readonly<Record<string, K>> {
    const branches = [...this.addBranches(predicates)].map(
      ([name, draft]) => [name, this.asKeyed(draft)] as const,
    );
    return Object.freeze(Object.fromEntries(branches));
  }

  with(broadcast: unknown, fn: UserFunction): K {
    return this.asKeyed(this.addWith(broadcast, fn, true));
  }

  values(): S {
    return this.asStream(this.addMap(identity, false));
  }

  entries(): S {
    return this.asStream(this.addMap(toEntry, false));
  }

  count(name: string): T {
    return this.asTable(this.addCount(name, true));
  }

  reduce(name: string, fn: UserFunction): T {
    return this.asTable(this.addReduce(name, fn, true));
  }

  aggregate(name: string, aggregation: UserAggregation): T {
    return this.asTable(this.addAggregate(name, aggregation, true));
  }

  joinGlobal(name: string, table: unknown, keyOf: UserFunction, fn: UserFunction): K {
    return this.asKeyed(this.addGlobalJoin('inner', name, table, { keyOf, fn }));
  }

  leftJoinGlobal(name: string, table: unknown, keyOf: UserFunction, fn: UserFunction): K {
    return this.asKeyed(this.addGlobalJoin('left', name, table, { keyOf, fn }));
  }

  dedupe(name: string, by: UserFunction, within: unknown): K {
    const operator = this.operator('dedupe', name);
    return this.asKeyed(this.addDedupe(operator, functionOf(operator, by), within));
  }

  mapValuesAsync(name: string, fn: UserFunction, options?: AsyncOptions): K {
    const operator = this.operator('mapValuesAsync', name);
    const call = callOfRecord(functionOf(operator, fn));
    return this.asKeyed(this.addNamed(operator, asyncContent(operator, call, true, options)));
  }

  process(name: string, functions: UserProcess): K {
    const operator = this.operator('process', name);
    requireTimes(operator, this.draft);
    return this.asKeyed(this.addNamed(operator, processContent(operator, functions)));
  }
}
