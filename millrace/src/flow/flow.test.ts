import { expect, test } from 'vitest';
import {
  col,
  count,
  desc,
  files,
  flow,
  type FlowBuilder,
  mapReduce,
  MillraceError,
  skipTo,
  sum,
  words,
} from '../index.ts';
import { explainPlan } from './explain.ts';
import { lineOfRow, rowOfLine } from './functions.ts';
import type { Plan, PlanNode } from './plan.ts';
import type { Readable } from './source.ts';
import type { Writable } from './sink.ts';

function planOf(
  build: (f: FlowBuilder) => void,
  settings?: Readonly<Record<string, string>>,
): Plan {
  return flow('test', build).plan(settings);
}

function errorOf(build: (f: FlowBuilder) => void): MillraceError {
  try {
    planOf(build);
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('the flow was built');
}

function namesOf(plan: Plan): readonly string[] {
  return plan.nodes.map((node) => node.name);
}

function nodeOf<K extends PlanNode['kind']>(
  nodes: readonly PlanNode[],
  kind: K,
): Extract<PlanNode, { kind: K }> {
  const found = nodes.find((node) => node.kind === kind);
  if (found === undefined) throw new Error(`there is no ${kind}`);
  return found as Extract<PlanNode, { kind: K }>;
}

const lines = files.lines('in.txt');
const out = files.ndjson('out');
const numbers = files.ndjson<number>('numbers.ndjson');
/** A source and sink of keys and values. */
const keyed = {
  source: () => ({ ...lines.source(), format: 'table', columns: undefined }),
  sink: () => ({ ...files.ndjson('table').sink(), format: 'table', arrangement: 'by-key' }),
} as unknown as Readable<number, string> & Writable<number, string>;

test('the plan of a flow is frozen, in topological order, with names for all', () => {
  const plan = planOf((f) => {
    f.read(lines)
      .map((line) => line.split(' ')[6] ?? '')
      .keyBy((path) => path)
      .count('hits')
      .top(10)
      .write(out);
  });
  expect(namesOf(plan)).toEqual([
    'read-0',
    'map-1',
    'keyBy-2',
    'hits',
    'map-4',
    'hits-top',
    'write-6',
  ]);
  expect(plan.nodes.map((node) => node.inputs)).toEqual([[], [0], [1], [2], [3], [4], [5]]);
  expect(plan.nodes.map((node) => node.id)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(plan.nodes[3]).toMatchObject({ kind: 'aggregate', builtin: 'count', isKeyed: true });
  expect(plan.nodes[5]).toMatchObject({ kind: 'top', count: 10, order: { descending: true } });
  for (const object of [plan, plan.nodes, plan.counters, plan.parameters, ...plan.nodes]) {
    expect(Object.isFrozen(object)).toBe(true);
  }
  expect(nodeOf(plan.nodes, 'top').order.by({ key: 'a', value: 3 }, undefined)).toBe(3);
});

test('what reaches no sink is not in the plan, and names and numbers close up', () => {
  const plan = planOf((f) => {
    const read = f.read(lines);
    read
      .map(() => 1)
      .keyBy((value) => value)
      .count('unused');
    f.read(numbers).sort('sorted', (value) => value);
    read.filter((line) => line !== '').write(out);
  });
  expect(namesOf(plan)).toEqual(['read-0', 'filter-1', 'write-2']);
});

test('made-up names make way for given ones', () => {
  const plan = planOf((f) => {
    f.read(lines)
      .map((line) => line)
      .distinct('map-1')
      .write(out);
  });
  expect(namesOf(plan)).toEqual(['read-0', 'map-1-', 'keyBy-2', 'map-1', 'map-4', 'write-5']);
});

test('aggregations do what they say', () => {
  const plan = planOf((f) => {
    const stream = f.read(numbers).keyBy((value) => value % 2);
    stream.reduce('largest', (left, right) => Math.max(left, right)).write(out);
    f.read(numbers).count('count').write(files.ndjson('a'));
    f.read(numbers)
      .reduce('total', (left, right) => left + right)
      .write(files.ndjson('b'));
    f.read(numbers)
      .distinct('first', (value) => value % 3)
      .write(files.ndjson('c'));
    f.table(keyed).write(files.ndjson('d'));
  });
  const aggregates = plan.nodes.filter((node) => node.kind === 'aggregate');
  const [largest, all, total, first, latest] = aggregates;
  const fold = (node: typeof largest, values: readonly unknown[]): unknown =>
    values.reduce<unknown>((state, value) => node?.add(state, value, 'key'), node?.init());
  expect(fold(largest, [])).toBeUndefined();
  expect(fold(largest, [2, 5, 3])).toBe(5);
  expect(largest?.merge?.(undefined, 4)).toBe(4);
  expect(largest?.merge?.(4, undefined)).toBe(4);
  expect(fold(all, ['x', 'y'])).toBe(2);
  expect(all).toMatchObject({ builtin: 'count', isKeyed: false });
  expect(fold(total, [1, 2])).toBe(3);
  expect(total?.isKeyed).toBe(false);
  // Nothing in, nothing out: the result of an empty stream is dropped behind the aggregation.
  const [behind] = plan.nodes.filter((node) => node.inputs[0] === total?.id);
  expect(behind?.kind === 'filter' && behind.fn(undefined, undefined)).toBe(false);
  expect(fold(first, [7, 8])).toBe(7);
  expect(first?.merge?.(7, 8)).toBe(7);
  expect(fold(latest, [7, 8])).toBe(8);
  expect(latest?.merge?.(7, 8)).toBe(8);
});

test('a record goes to the first branch that takes it, also when predicates are slow', async () => {
  const plan = planOf((f) => {
    const { small, even, rest } = f.read(numbers).branch({
      small: async (value) => value < 3,
      // As programs without types would have it, and `filter` takes it.
      even: (value) => Number(value % 2 === 0) as unknown as boolean,
    });
    small.write(files.ndjson('small'));
    even.write(files.ndjson('even'));
    rest.write(files.ndjson('rest'));
  });
  const filters = plan.nodes.filter((node) => node.kind === 'filter');
  const chosen = await Promise.all(
    [1, 2, 4, 5].map((value) => Promise.all(filters.map((filter) => filter.fn(value, undefined)))),
  );
  expect(chosen).toEqual([
    [true, false, false],
    [true, false, false],
    [false, true, false],
    [false, false, true],
  ]);
});

test('joins say their type, strategy and whether hot keys are split', () => {
  const plan = planOf((f) => {
    const left = f.read(numbers).keyBy((value) => value);
    left
      .join('inner', left, (a, b) => a + b, { strategy: 'sort-merge', splitHotKeys: false })
      .antiJoin('anti', left)
      .write(out);
  });
  const [inner, anti] = plan.nodes.filter((node) => node.kind === 'join');
  expect(inner).toMatchObject({
    name: 'inner',
    type: 'inner',
    inputs: [1, 1],
    strategy: 'sort-merge',
    splitsHotKeys: false,
  });
  expect(anti).toMatchObject({ type: 'anti', strategy: undefined, splitsHotKeys: true });
});

test('tables are written as entries, or as they are where the sink takes keys', () => {
  const plan = planOf((f) => {
    const table = f
      .read(numbers)
      .keyBy((value) => String(value))
      .count('n');
    table.write(out);
    table.write(keyed);
    table.mapValues((value) => value + 1).write(files.ndjson('values'));
  });
  const kinds = plan.nodes
    .filter((node) => node.kind === 'write')
    .map((node) => plan.nodes[node.inputs[0] ?? 0]?.kind);
  expect(kinds).toEqual(['map', 'aggregate', 'map']);
  expect(errorOf((f) => f.read(numbers).write(keyed as never)).message).toContain('needs keys');
});

test('an iteration has a body of its own, which reads outer streams through inputs', () => {
  const plan = planOf((f) => {
    const links = f.read(numbers).keyBy((value) => value);
    const unused = f.read(lines);
    const start = links.count('start');
    f.iterate('ranks', start, { rounds: 3, fixpoint: true }, (ranks) => {
      unused.count('never');
      return ranks
        .join('inner', links, (rank) => rank)
        .semiJoin('known', links)
        .join('start-again', start, (rank) => rank)
        .reduce('ranked', (left) => left);
    }).write(out);
  });
  const node = nodeOf(plan.nodes, 'iterate');
  expect(node.inputs).toEqual([2, 1, 2]);
  expect(node).toMatchObject({ name: 'ranks', rounds: 3, isFixpoint: true, until: undefined });
  expect(node.body.map(({ name, inputs }) => [name, inputs])).toEqual([
    ['ranks.input-0', []],
    ['ranks.input-1', []],
    ['inner', [0, 1]],
    ['known', [2, 1]],
    ['ranks.input-4', []],
    ['start-again', [3, 4]],
    ['ranked', [5]],
  ]);
  expect(node.body.filter(({ kind }) => kind === 'iterationInput')).toMatchObject([
    { index: 0 },
    { index: 1 },
    { index: 2 },
  ]);
  expect(node.result).toBe(6);
});

test('iterations nest', () => {
  const plan = planOf((f) => {
    const start = f.read(numbers);
    const far = f.read(lines);
    f.iterate('outer', start, { rounds: 2 }, (current) =>
      f.iterate('inner', start, { rounds: 2 }, (deep) =>
        deep.union(current).union(far.map((line) => line.length)),
      ),
    ).write(out);
  });
  const outer = nodeOf(plan.nodes, 'iterate');
  const inner = nodeOf(outer.body, 'iterate');
  // `far.map` does not depend on the iterations and is computed outside of them.
  const names = outer.inputs.map((id) => plan.nodes[id]?.name);
  expect(names).toEqual(['read-0', 'map-2', 'read-0']);
  expect(inner.inputs.map((id) => outer.body[id])).toMatchObject([
    { kind: 'iterationInput', index: 2 },
    { kind: 'iterationInput', index: 0 },
    { kind: 'iterationInput', index: 1 },
  ]);
  expect(inner.body.map(({ kind }) => kind)).toEqual([
    'iterationInput',
    'iterationInput',
    'union',
    'iterationInput',
    'union',
  ]);
});

test('counters are shared between the plan and the functions, and new in each plan', () => {
  const counted = flow('counted', (f) => {
    const seen = f.counter('seen');
    f.counter('seen').add(2);
    f.read(lines)
      .tap(() => seen.add())
      .write(out);
  });
  const plan = counted.plan();
  expect(plan.counters).toMatchObject([{ name: 'seen', value: 2 }]);
  nodeOf(plan.nodes, 'tap').fn('x', undefined);
  expect(plan.counters[0]?.value).toBe(3);
  expect(counted.plan().counters[0]?.value).toBe(2);
});

test('parameters take the type of their default', () => {
  const build = (f: FlowBuilder): void => {
    f.read(files.lines(`${f.param('directory', 'logs')}/${f.param('days', 7)}`))
      .filter(() => f.param('all', false))
      .write(out);
    f.param('all', false);
  };
  expect(planOf(build).parameters).toEqual({ directory: 'logs', days: 7, all: false });
  const plan = planOf(build, { directory: 'x', days: '2.5', all: 'true' });
  expect(plan.parameters).toEqual({ directory: 'x', days: 2.5, all: true });
  expect(nodeOf(plan.nodes, 'source').source.paths).toEqual(['x/2.5']);
  const wrong: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ days: 'two' }, 'parameter "days" must be a number, and is "two"'],
    [{ days: '' }, 'parameter "days" must be a number, and is ""'],
    [{ all: 'yes' }, 'parameter "all" must be true or false, and is "yes"'],
    [
      { day: '1' },
      'it has no parameter "day"; parameters: directory (string, default "logs"), days',
    ],
  ];
  for (const [settings, message] of wrong) {
    expect(() => planOf(build, settings)).toThrow(message);
  }
});

test('columns become data, and known ones are checked', () => {
  const rows = files.delimited('a.log', {
    separator: ' ',
    fields: { path: 6, status: [8, 'number'] },
  });
  const plan = planOf((f) => {
    f.read(rows)
      .where({ status: 200, path: '/' })
      .groupBy('path')
      .agg({ hits: count(), total: sum('status') })
      .sortBy(desc('hits'))
      .write(out);
    f.read(rows).sortBy(desc('status'), 'path').write(files.ndjson('sorted'));
  });
  expect(nodeOf(plan.nodes, 'where').condition).toMatchObject({
    kind: 'and',
    terms: [{ operator: '=', right: { value: 200 } }, { left: { name: 'path' } }],
  });
  expect(nodeOf(plan.nodes, 'columnAggregate')).toMatchObject({
    by: ['path'],
    aggregates: { hits: { kind: 'count' }, total: { value: { kind: 'column', name: 'status' } } },
  });
  const [first, second] = plan.nodes.filter((node) => node.kind === 'sort');
  expect(first).toMatchObject({ column: 'hits', order: { descending: true } });
  expect(first?.order.by({ hits: 3 }, undefined)).toBe(3);
  expect(second).toMatchObject({ column: undefined, order: { descending: false } });
  expect(second?.order.by({ status: 3, path: 'a' }, undefined)).toEqual([desc(3), 'a']);
  expect(() => first?.order.by({ n: 3 }, undefined)).toThrow('there is no column "hits"');
  const error = errorOf((f) => {
    f.read(rows)
      .groupBy('path')
      .agg({ hits: count() })
      .where(col('status').eq(1) as never)
      .write(out);
  });
  expect(error).toMatchObject({ code: 'ML_COLUMN_UNKNOWN', fields: { column: 'status' } });
  expect(error.message).toContain('there are path, hits');
});

test('columns of NDJSON may be missing', () => {
  const plan = planOf((f) => {
    f.read(files.ndjson<{ a: number; b: string }>('x.ndjson'))
      .where(col('a').eq(1))
      .groupBy('b')
      .agg({ total: sum('a') })
      .write(out);
  });
  expect(nodeOf(plan.nodes, 'where').condition).toMatchObject({ left: { isOptional: true } });
  expect(nodeOf(plan.nodes, 'select').columns).toEqual({
    a: { kind: 'column', name: 'a', isOptional: true },
    b: { kind: 'column', name: 'b', isOptional: true },
  });
});

test('rows stay rows where functions only choose among them or put them in order', () => {
  const plan = planOf((f) => {
    f.read(files.csv('a.csv', { columns: { a: 'number', b: 'string' } }))
      .filter((row) => row.b !== '')
      .tap(() => undefined)
      .sample(0.5)
      .distinct('by-b', (row) => row.b)
      .sort('by-a', (row) => row.a)
      .top('ten', 10, (row) => row.a)
      .where(col('a').eq(1))
      .write(out);
    const unknown = f.read(files.csv('b.csv', { columns: { a: 'number' } })).filter(() => true);
    expect(() => unknown.sortBy('c' as never)).toThrow('there is no column "c"; there are a');
  });
  expect(nodeOf(plan.nodes, 'where').condition).toMatchObject({ left: { name: 'a' } });
});

test('lines are rows of one column, and such rows are lines again', () => {
  const plan = planOf((f) => {
    const rows = f.read(lines).rows();
    rows.sortBy('line').write(files.lines('sorted.txt'));
    rows.explode('word', words(col('line').lower())).write(out);
  });
  const [toRow, toLine] = plan.nodes.filter((node) => node.kind === 'map');
  expect(toRow?.fn).toBe(rowOfLine);
  expect(toLine?.fn).toBe(lineOfRow);
  expect(nodeOf(plan.nodes, 'explode')).toMatchObject({
    column: 'word',
    expression: { kind: 'words', text: { kind: 'lower' }, of: 'letters' },
  });
});

test('a fingerprint changes with what the program does, and with nothing else', () => {
  const build =
    (fn: (left: number, right: number) => number, name = 'n', path = 'out') =>
    (f: FlowBuilder): void => {
      f.param('days', 7);
      f.read(numbers).keyBy(String).reduce(name, fn).write(files.ndjson(path));
    };
  const add = (left: number, right: number): number => left + right;
  const base = planOf(build(add)).fingerprint;
  expect(base).toMatch(/^[0-9a-f]{64}$/);
  expect(planOf(build((left: number, right: number): number => left + right)).fingerprint).toBe(
    base,
  );
  expect(planOf(build(Math.max)).fingerprint).not.toBe(base);
  expect(planOf(build(add, 'm')).fingerprint).not.toBe(base);
  expect(planOf(build(add, 'n', 'elsewhere')).fingerprint).not.toBe(base);
  expect(planOf(build(add), { days: '8' }).fingerprint).not.toBe(base);
});

test('MapReduce is a flat map, a group and a combiner', () => {
  const plan = mapReduce({
    name: 'word-count',
    input: () => lines,
    map: (line, emit: (word: string, uses: number) => void) => {
      for (const word of line.split(' ')) emit(word, 1);
    },
    combine: (_word, uses, emit) => emit([...uses].length),
    reduce: (word, uses, emit: (row: object) => void) => emit({ word, uses: [...uses].length }),
    output: () => out,
  }).plan();
  expect(plan.nodes.map((node) => node.kind)).toEqual([
    'source',
    'flatMap',
    'keyBy',
    'map',
    'group',
    'write',
  ]);
  const pairs = [...(nodeOf(plan.nodes, 'flatMap').fn('a b', undefined) as Iterable<unknown>)];
  expect(pairs.map((pair) => nodeOf(plan.nodes, 'keyBy').fn(pair, undefined))).toEqual(['a', 'b']);
  expect(pairs.map((pair) => nodeOf(plan.nodes, 'map').fn(pair, undefined))).toEqual([1, 1]);
  expect(nodeOf(plan.nodes, 'group').combine?.('a', [1, 1])).toEqual([2]);
});

test('dead letters have a sink and a bound', () => {
  const build = (f: FlowBuilder): void => f.read(lines).write(out);
  const policy = skipTo(files.ndjson('skipped'), { recordsMax: 5 });
  const plan = flow('test', { onError: policy }, build).plan();
  expect(plan.onError).toMatchObject({ kind: 'skip', recordsMax: 5 });
  expect(planOf(build).onError).toEqual({ kind: 'fail' });
  expect(() => skipTo(files.ndjson('skipped'), { recordsMax: 0 })).toThrow('recordsMax must be');
  expect(() => flow('test', { onError: skipTo(out) }, build).plan()).toThrow('written to out');
});

const WRONG: readonly (readonly [string, (f: FlowBuilder) => unknown])[] = [
  ['"test": nothing is written', (f) => f.read(lines)],
  ['top "t": the number of records', (f) => f.read(numbers).top('t', 0, (value) => value)],
  ['top "t": the number of records', (f) => f.read(numbers).top('t', 1.5, (value) => value)],
  ['top "n-top": the number', (f) => f.read(numbers).keyBy(String).count('n').top(0)],
  ['top: its first argument is its name', (f) => f.read(numbers).top(3 as never, 3, (v) => v)],
  ['sample: the fraction must be from 0 to 1', (f) => f.read(numbers).sample(2)],
  ['sample: the fraction must be from 0 to 1', (f) => f.read(numbers).sample(Number.NaN)],
  ['sample: the seed', (f) => f.read(numbers).sample(0.5, { seed: -1 })],
  ['iterate "i": rounds', (f) => f.iterate('i', f.read(numbers), { rounds: 0 }, (s) => s)],
  [
    'iterate "i": what it is given must be a stream without keys',
    (f) => f.iterate('i', f.read(numbers), { rounds: 1 }, (s) => s.keyBy(String) as never),
  ],
  ['map: what it is given must be a function', (f) => f.read(numbers).map(3 as never)],
  [
    'aggregate "a": add must be a function',
    (f) => f.read(numbers).aggregate('a', { init: () => 0 } as never),
  ],
  ['count "n": the name "n" is taken', (f) => [f.read(lines).count('n'), f.read(lines).count('n')]],
  ['count "a b": its name must be', (f) => f.read(lines).count('a b')],
  [
    'join "j": what it is given must be a stream with keys',
    (f) =>
      f
        .read(numbers)
        .keyBy(String)
        .join('j', f.read(numbers) as never, () => 1),
  ],
  [
    'join "j": the strategy must be one of sort-merge',
    (f) => {
      const side = f.read(numbers).keyBy(String);
      side.join('j', side, () => 1, { strategy: 'magic' as never });
    },
  ],
  [
    'union: what it is given must be a stream without keys',
    (f) => f.read(numbers).union(f.read(numbers).keyBy(String) as never),
  ],
  [
    'with: what it is given must be what f.broadcast returns',
    (f) => f.read(numbers).with(f.read(numbers) as never, () => 1),
  ],
  ['read: what it is given cannot be read: it is "a.txt"', (f) => f.read('a.txt' as never)],
  ['write: what it is given cannot be written to', (f) => f.read(lines).write('out' as never)],
  ['branch: it has no branches', (f) => f.read(lines).branch({})],
  ['branch: a branch cannot be called "rest"', (f) => f.read(lines).branch({ rest: () => true })],
  [
    '"test": two streams are written to out',
    (f) => [f.read(lines).write(out), f.read(lines).write(out)],
  ],
  ['"test": its builder must not be async', async (f) => f.read(lines).write(out)],
  [
    'its builder threw: oops',
    () => {
      throw new Error('oops');
    },
  ],
  [
    'the body of iterate "i" cannot write',
    (f) =>
      f.iterate('i', f.read(numbers), { rounds: 1 }, (s) => {
        s.write(out);
        return s;
      }),
  ],
  [
    'belongs to the body of iterate "i" and cannot be used outside',
    (f) => {
      let leaked = f.read(numbers);
      f.iterate('i', f.read(numbers), { rounds: 1 }, (s) => {
        leaked = s;
        return s;
      });
      leaked.write(out);
    },
  ],
  [
    'groupBy: it takes the names',
    (f) => (f.read(files.csv('a.csv')) as { groupBy(): void }).groupBy(),
  ],
  [
    'agg: "a" is a column of the groups already',
    (f) => f.read(files.csv('a.csv')).groupBy('a').agg({ a: count() }),
  ],
  ['param "9": its name must be', (f) => f.param('9', 1)],
  ['param "x": it is asked for twice', (f) => [f.param('x', 1), f.param('x', 2)]],
];

test.each(WRONG)('%s', (message, build) => {
  const error = errorOf(build);
  expect(error.code).toBe('ML_FLOW_INVALID');
  expect(error.message).toContain('flow "test"');
  expect(error.message).toContain(message);
});

test('a stream of another flow, or of a flow that is built, is refused', () => {
  let stolen: ReturnType<FlowBuilder['read']> | undefined;
  let other: FlowBuilder | undefined;
  planOf((f) => {
    other = f;
    stolen = f.read(lines) as never;
    f.read(lines).write(out);
  });
  expect(() => stolen?.write(out as never)).toThrow('belongs to a flow that has been built');
  expect(() => other?.read(lines)).toThrow('the flow has been built already');
  flow('first', (first) => {
    const mine = first.read(numbers).keyBy(String);
    const error = errorOf((second) => {
      second
        .read(numbers)
        .keyBy(String)
        .join('j', mine, () => 1);
    });
    expect(error.message).toContain('it is given a stream of another flow, "first"');
    mine.write(out);
  }).plan();
});

test('parameters and counters are asked for while the flow is built', () => {
  const plan = planOf((f) => {
    f.read(lines)
      .map((line) => `${line}${f.param('late', 1)}`)
      .tap(() => f.counter('late').add())
      .write(out);
  });
  const built = 'the flow has been built already';
  expect(() => nodeOf(plan.nodes, 'map').fn('x', undefined)).toThrow(built);
  expect(() => nodeOf(plan.nodes, 'tap').fn('x', undefined)).toThrow(built);
});

test('names of flows are checked when they are made', () => {
  expect(() => flow('', () => undefined)).toThrow('its name must be');
  expect(() => flow('a', 3 as never)).toThrow('the builder must be a function');
});

test('a plan reads as a list of operators', () => {
  const plan = planOf((f) => {
    const rows = f.read(files.csv('a.csv', { columns: { a: 'number', b: 'string' } }));
    const table = rows
      .where(col('a').ge(3).and(col('b').startsWith("it's")))
      .keyBy((row) => row.b)
      .reduce('last', (_left, right) => right);
    f.iterate('again', table, { rounds: 2, fixpoint: true }, (current) =>
      current.semiJoin('known', table),
    ).write(out);
    rows.groupBy('b').agg({ n: count() }).sortBy(desc('n')).write(files.csv('n.csv'));
  });
  expect(explainPlan(plan)).toBe(
    `
test
  read-0           read       csv a.csv
  where-1          where      (a >= 3) and (b startsWith 'it''s')
  keyBy-2          keyBy      (row) => row.b
  last             aggregate  per key: (_left, right) => right, combined before it moves
  again            iterate    at most 2 rounds, until nothing changes  ← last, last
    again.input-0  input      last, then what a round gave
    again.input-1  input      last
    known          semi join  ← again.input-0, again.input-1
  map-5            map        { key, value }
  write-6          write      ndjson out
  agg-7            aggregate  by b: n = count()  ← read-0
  sort-8           sort       n, from large to small
  write-9          write      csv n.csv`.trim(),
  );
});
