/** What programs mean to the compiler: this file compiles, or a type of the language is wrong. `flow-types.int.test.ts` runs it. */
import { expectTypeOf } from 'vitest';
import {
  avg,
  col,
  count,
  countDistinct,
  desc,
  type Emit,
  type EmitPair,
  type Entry,
  files,
  type Flow,
  flow,
  type KeyedStream,
  type Lines,
  mapReduce,
  max,
  type Readable,
  type Rows,
  skipTo,
  type Stream,
  sum,
  type Table,
  words,
  type Writable,
} from '../index.ts';

interface Hit {
  readonly path: string;
  readonly status: number;
  readonly bytes: number | null;
  readonly user?: string;
}
interface Place<T> extends Readable<T>, Writable<T, unknown> {}
declare const hits: Place<Hit>;
declare const numbers: Place<number>;
declare const table: Readable<Hit, string> & Writable<Hit, string>;
declare const lines: Place<string>;

export const streams: Flow = flow('streams', { onError: skipTo(files.ndjson('skipped')) }, (f) => {
  const days = f.param('days', 7);
  expectTypeOf(days).toEqualTypeOf<number>();
  expectTypeOf(f.param('name', 'x')).toEqualTypeOf<string>();
  expectTypeOf(f.param('all', false)).toEqualTypeOf<boolean>();

  const texts = f.read(lines);
  expectTypeOf(texts).toEqualTypeOf<Lines>();
  expectTypeOf(f.read(files.lines('a'))).toEqualTypeOf<Lines>();
  expectTypeOf(f.read(numbers)).toEqualTypeOf<Stream<number>>();
  expectTypeOf(f.read(files.ndjson('a'))).toEqualTypeOf<Stream<unknown>>();
  expectTypeOf(f.read(hits)).toEqualTypeOf<Rows<Hit>>();
  expectTypeOf(f.read(files.csv('a'))).toEqualTypeOf<Rows<Readonly<Record<string, string>>>>();

  const asStreams: readonly Stream<unknown>[] = [texts, f.read(hits), texts.rows()];
  const asKeyed: KeyedStream<string, unknown> = f.read(hits).keyBy(String).count('table');
  asStreams.map((stream) => stream.union(asKeyed.values()));
  expectTypeOf(texts.map((line) => line.length)).toEqualTypeOf<Stream<number>>();
  expectTypeOf(texts.map(async (line) => line.length)).toEqualTypeOf<Stream<number>>();
  expectTypeOf(texts.flatMap((line) => line.split(''))).toEqualTypeOf<Stream<string>>();
  expectTypeOf(texts.flatMap(async (line) => [line.length])).toEqualTypeOf<Stream<number>>();
  expectTypeOf(texts.filter((line): line is 'a' => line === 'a')).toEqualTypeOf<Stream<'a'>>();
  expectTypeOf(texts.filter(async (line) => line !== '')).toEqualTypeOf<Lines>();
  expectTypeOf(texts.union(f.read(numbers))).toEqualTypeOf<Stream<string | number>>();
  expectTypeOf(f.read(numbers).union(texts, texts.map(Boolean), f.read(hits))).toEqualTypeOf<
    Stream<string | number | boolean | Hit>
  >();
  expectTypeOf(texts.union()).toEqualTypeOf<Stream<string>>();
  expectTypeOf(texts.distinct('texts')).toEqualTypeOf<Stream<string>>();
  expectTypeOf(texts.count('lines')).toEqualTypeOf<Stream<number>>();
  expectTypeOf(texts.reduce('longest', (a, b) => (a < b ? b : a))).toEqualTypeOf<Stream<string>>();
  const statistics = texts.aggregate('bytes', {
    init: () => 0,
    add: (total, line) => total + line.length,
    finish: (total) => ({ total }),
  });
  expectTypeOf(statistics).toEqualTypeOf<Stream<{ total: number }>>();
  const { a, b, rest } = f.read(numbers).branch({
    a: (value): value is 1 => value === 1,
    b: (value) => value > 2,
  });
  expectTypeOf(a).toEqualTypeOf<Stream<1>>();
  expectTypeOf(b).toEqualTypeOf<Stream<number>>();
  expectTypeOf(rest).toEqualTypeOf<Stream<number>>();
  texts.sort('sorted', (line) => [desc(line.length), line]).write(lines);
  texts.top('top', 3, (line) => line.length).write(files.lines('-'));
  f.read(numbers).sample(0.5).write(numbers);
});

export const keyed: Flow = flow('keyed', (f) => {
  const byPath = f.read(hits).keyBy((hit) => hit.path);
  expectTypeOf(byPath).toEqualTypeOf<KeyedStream<string, Hit>>();
  const byBoth = f.read(hits).keyBy((hit) => [hit.path, hit.status]);
  expectTypeOf(byBoth).toEqualTypeOf<KeyedStream<readonly [string, number], Hit>>();
  expectTypeOf(f.read(hits).keyBy(async (hit) => hit.status)).toEqualTypeOf<
    KeyedStream<number, Hit>
  >();
  expectTypeOf(byPath.map((hit, key) => [hit.status, key])).toEqualTypeOf<
    Stream<(string | number)[]>
  >();
  expectTypeOf(byPath.mapValues((hit) => hit.status)).toEqualTypeOf<KeyedStream<string, number>>();
  expectTypeOf(byPath.count('hits')).toEqualTypeOf<Table<string, number>>();
  expectTypeOf(byPath.count('n').mapValues(String)).toEqualTypeOf<Table<string, string>>();
  expectTypeOf(byPath.count('c').top(10)).toEqualTypeOf<Stream<Entry<string, number>>>();
  byPath.reduce('r', (left) => left).top(3, { by: (hit) => [hit.status, desc(hit.path)] });
  byPath.reduce('s', (left) => left).top('top', 3, (hit) => hit.status);
  const joined = byPath.leftJoin('j', byPath.count('d'), (hit, n, key) => ({ hit, n, key }));
  expectTypeOf(joined).toEqualTypeOf<
    KeyedStream<string, { hit: Hit; n: number | undefined; key: string }>
  >();
  const narrowed = f.read(hits).keyBy((hit) => (hit.status < 400 ? 'good' : 'bad'));
  expectTypeOf(narrowed.join('n', byPath, (left) => left)).toEqualTypeOf<
    KeyedStream<'good' | 'bad', Hit>
  >();
  expectTypeOf(byPath.union(byPath.count('u'), byPath.mapValues(String))).toEqualTypeOf<
    KeyedStream<string, Hit | number | string>
  >();
  byPath.semiJoin('semi', byPath, { strategy: 'broadcast-hash' }).write(hits);
  byPath.count('e').write(files.ndjson('counts'));
  byPath.reduce('t', (left) => left).write(table);
  byPath.write(table);
  f.table(table).write(table);

  const grouped = f.read(hits).groupBy((hit) => hit.user);
  const sessions = grouped
    .sortValuesBy((hit) => hit.path)
    .reduce('sessions', (user, visits, emit: Emit<{ user: string; n: number }>) => {
      expectTypeOf(user).toEqualTypeOf<string | undefined>();
      emit({ user: user ?? '', n: [...visits].length });
    });
  expectTypeOf(sessions).toEqualTypeOf<Stream<{ user: string; n: number }>>();

  const side = f.broadcast('counts', byPath.count('b'));
  const listed = f.broadcast('all', f.read(numbers));
  f.read(hits).with(side, (hit, counts) => {
    expectTypeOf(counts).toEqualTypeOf<ReadonlyMap<string, number>>();
    return counts.get(hit.path);
  });
  byPath.with(listed, (hit, all, key) => {
    expectTypeOf(all).toEqualTypeOf<readonly number[]>();
    return key + hit.path;
  });
  const ranks = f.iterate('ranks', byPath.count('x'), { rounds: 3, fixpoint: true }, (current) =>
    current.join('y', byPath, (rank) => rank + 1),
  );
  expectTypeOf(ranks).toEqualTypeOf<Table<string, number>>();
  const smaller = f.iterate(
    'halves',
    f.read(numbers),
    { rounds: 3, until: (previous, next) => (previous[0] ?? 0) === next[0] },
    (current) => current.map((value) => value / 2),
  );
  expectTypeOf(smaller).toEqualTypeOf<Stream<number>>();
});

export const rows: Flow = flow('rows', (f) => {
  const read = f.read(hits);
  const good = read.where(col('status').lt(400).and(col('path').startsWith('/'))).where({
    status: 200,
    user: null,
  });
  expectTypeOf(good).toEqualTypeOf<Rows<Hit>>();
  expectTypeOf(read.filter((hit) => hit.status > 1)).toEqualTypeOf<Rows<Hit>>();
  expectTypeOf(f.read(lines).filter((line) => line !== '')).toEqualTypeOf<Lines>();
  expectTypeOf(read.top('first', 3, (hit) => hit.status).select('path')).toEqualTypeOf<
    Rows<{ readonly path: string }>
  >();
  expectTypeOf(read.select('path', 'bytes')).toEqualTypeOf<
    Rows<{ readonly path: string; readonly bytes: number | null }>
  >();
  const computed = read.select({
    page: col('path').before('?').lower(),
    bits: col('bytes').times(8),
    double: col('status').times(2),
    share: col('status').dividedBy(2),
    parsed: col('path').number(),
    isBad: col('status').ge(400),
  });
  expectTypeOf(computed).toEqualTypeOf<
    Rows<{
      readonly page: string;
      readonly bits: number | null;
      readonly double: number;
      readonly share: number | null;
      readonly parsed: number | null;
      readonly isBad: boolean;
    }>
  >();
  const aggregated = read.groupBy('path', 'status').agg({
    hits: count(),
    bytes: sum('bytes'),
    total: sum('status'),
    double: avg(col('status').times(2)),
    last: max('path'),
    users: countDistinct('user'),
  });
  expectTypeOf(aggregated).toEqualTypeOf<
    Rows<{
      readonly path: string;
      readonly status: number;
      readonly hits: number;
      readonly bytes: number | null;
      readonly total: number;
      readonly double: number;
      readonly last: string;
      readonly users: number;
    }>
  >();
  expectTypeOf(read.agg({ hits: count(), total: sum('status') })).toEqualTypeOf<
    Rows<{ readonly hits: number; readonly total: number | null }>
  >();
  aggregated.sortBy(desc('hits'), 'path').top('top', 10, (row) => row.hits);
  read.groupBy((hit) => hit.path).count('groups');
  const exploded = f.read(lines).rows().explode('word', words('line'));
  expectTypeOf(exploded).toEqualTypeOf<Rows<{ readonly word: string }>>();
  f.read(lines).rows().sortBy('line').write(lines);
  exploded.groupBy('word').agg({ uses: count() }).write(files.csv('uses.csv'));
  const loose = f.read(files.csv('a.csv')).where(col('any').eq('x')).select('any', 'other');
  expectTypeOf(loose).toEqualTypeOf<Rows<{ readonly any: string; readonly other: string }>>();
});

export const reduced: Flow = mapReduce({
  name: 'word-count',
  input: lines,
  map: (line, emit: EmitPair<string, number>) => {
    expectTypeOf(line).toEqualTypeOf<string>();
    emit(line, 1);
  },
  combine: (word, counts, emit) => {
    expectTypeOf(word).toEqualTypeOf<string>();
    emit([...counts].length);
  },
  reduce: (word, counts, emit: Emit<string>) => {
    expectTypeOf(counts).toEqualTypeOf<Iterable<number>>();
    emit(word);
  },
  output: lines,
});
