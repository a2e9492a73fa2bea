/**
 * Flows at random, in the public language. A step is plain data: which operator, and which of the streams that are there it is put
 * behind; so fast-check can leave steps away one by one. Nearly every operator is among them, and iterations whose bodies are made of
 * the same steps.
 */
import fc from 'fast-check';
import { desc, type Key, type SortKey } from '../../src/core/key-order.ts';
import type { FlowBuilder } from '../../src/flow/builder.ts';
import type { JoinStrategy } from '../../src/flow/plan.ts';
import type { Emit } from '../../src/flow/stream-options.ts';
import type { KeyedStream, Stream } from '../../src/flow/streams.ts';

export interface Row {
  readonly k: Key;
  readonly n: number;
}

type Rows = Stream<Row>;
type Keyed = KeyedStream<Key, Row>;

export interface Step {
  readonly operator: string;
  /** Chooses the stream, and a second one where the operator takes two. */
  readonly first: number;
  readonly second: number;
  readonly strategy: JoinStrategy | undefined;
  /** The body of an iteration. */
  readonly body: readonly Step[];
}

/** What an operator is made with. */
interface Context {
  readonly f: FlowBuilder;
  /** Unique among the operators of the flow. */
  readonly name: () => string;
  readonly strategy: JoinStrategy | undefined;
}

const keyOf = (row: Row): Key => row.k;
const nOf = (row: Row): number => row.n;
const small = (n: number): number => ((n % 97) + 97) % 97;
const mix = (left: number, right: number): number => small(left * 31 + right);
const sizeOf = (key: Key): number => (typeof key === 'string' ? key.length : 3);

const ROW_STEPS: Readonly<Record<string, (rows: Rows, other: Rows, context: Context) => Rows>> = {
  map: (rows) => rows.map(({ k, n }) => ({ k, n: small(n + 1) })),
  mapLater: (rows) => rows.map((row) => (row.n % 3 === 0 ? Promise.resolve(row) : row)),
  flatMap: (rows) => rows.flatMap((row) => (row.n % 3 === 0 ? [row, { k: row.n, n: 5 }] : [])),
  filter: (rows) => rows.filter(({ n }) => n % 4 !== 1),
  distinct: (rows, _, { name }) => rows.distinct(name(), ({ n }) => n % 9),
  sort: (rows, _, { name }) => rows.sort(name(), ({ k, n }): SortKey => [desc(k), n % 3]),
  sortByText: (rows, _, { name }) => rows.sort(name(), ({ n }) => `${n % 13}`),
  top: (rows, _, { name }) => rows.top(name(), 7, ({ n }) => n % 5),
  sample: (rows) => rows.sample(0.6, { seed: 3 }),
  union: (rows, other) => rows.union(other),
  branch: (rows) => {
    const { odd, third, rest } = rows.branch({
      odd: ({ n }: Row) => n % 2 === 1,
      third: ({ n }: Row) => n % 3 === 0,
    });
    return rest.union(
      third,
      odd.map(({ k, n }) => ({ k, n: mix(n, 1) })),
    );
  },
  with: (rows, other, { f, name }) =>
    rows.with(f.broadcast(name(), other), ({ k, n }, side) => ({
      k,
      n: mix(n, side.length + (side[0]?.n ?? 0)),
    })),
  withTable: (rows, other, { f, name }) =>
    rows.with(
      f.broadcast(
        name(),
        other.keyBy(({ n }) => n % 4),
      ),
      ({ k, n }, side) => ({ k, n: mix(n, side.get(n % 4)?.n ?? side.size) }),
    ),
  count: (rows, _, { name }) => rows.count(name()).map((n) => ({ k: 'all', n: small(n) })),
  reduce: (rows, _, { name }) => rows.reduce(name(), (left, right) => ({ k: left.k, n: right.n })),
  aggregate: (rows, _, { name }) =>
    rows
      .aggregate(name(), {
        init: (): number[] => [],
        add: (list, { n }) => [...list, n],
        merge: (left, right) => [...left, ...right],
        finish: (list) => list.reduce(mix, 0),
      })
      .map((n) => ({ k: null, n })),
  group: (rows, _, { name }) =>
    rows.groupBy(keyOf).reduce(name(), (k, values, emit: Emit<Row>) => {
      emit({ k, n: [...values].map(nOf).reduce(mix, 1) });
    }),
  groupSorted: (rows, _, { name }) =>
    rows
      .groupBy(({ n }) => n % 4)
      .sortValuesBy(({ k, n }): SortKey => [desc(n % 5), k])
      .reduce(name(), (_key, values, emit: Emit<Row>) => {
        let left = 3;
        for (const row of values) if (left-- > 0) emit(row);
      }),
};

const KEYED_STEPS: Readonly<
  Record<string, (keyed: Keyed, other: Keyed, context: Context) => Keyed>
> = {
  mapValues: (keyed) => keyed.mapValues(({ k, n }, key) => ({ k, n: mix(n, sizeOf(key)) })),
  flatMapValues: (keyed) => keyed.flatMapValues((row) => (row.n % 2 === 0 ? [row, row] : [row])),
  filter: (keyed) => keyed.filter(({ n }, key) => n % 5 !== 0 || key === null),
  keyBy: (keyed) => keyed.keyBy(({ n }): Key => (n % 6 === 0 ? null : n % 6)),
  sample: (keyed) => keyed.sample(0.7, { seed: 1 }),
  union: (keyed, other) => keyed.union(other),
  sort: (keyed, _, { name }) => keyed.sort(name(), ({ n }) => desc(n % 8)),
  branch: (keyed) => keyed.branch({ even: ({ n }: Row) => n % 2 === 0 }).rest,
  with: (keyed, other, { f, name }) =>
    keyed.with(f.broadcast(name(), other), ({ k, n }, side, key) => ({
      k,
      // A key that is an object can be gone through, but not asked for.
      n: mix(n, (typeof key === 'object' ? [...side.values()][0] : side.get(key))?.n ?? side.size),
    })),
  count: (keyed, _, { name }) => keyed.count(name()).mapValues((n, k): Row => ({ k, n: small(n) })),
  reduce: (keyed, _, { name }) =>
    keyed.reduce(name(), (left, right) => ({ k: left.k, n: small(left.n + right.n) })),
  aggregate: (keyed, _, { name }) =>
    keyed.aggregate(name(), {
      init: () => ({ first: -1, last: -1 }),
      add: ({ first }, { n }) => ({ first: first < 0 ? n : first, last: n }),
      finish: ({ first, last }, k) => ({ k, n: mix(first, last) }),
    }),
  join: (keyed, other, context) => keyed.join(context.name(), other, pair, optionsOf(context)),
  leftJoin: (keyed, other, context) =>
    keyed.leftJoin(context.name(), other, pair, optionsOf(context)),
  rightJoin: (keyed, other, context) =>
    keyed.rightJoin(context.name(), other, pair, keepingRight(context)),
  outerJoin: (keyed, other, context) =>
    keyed.outerJoin(context.name(), other, pair, keepingRight(context)),
  semiJoin: (keyed, other, context) => keyed.semiJoin(context.name(), other, optionsOf(context)),
  antiJoin: (keyed, other, context) => keyed.antiJoin(context.name(), other, optionsOf(context)),
};

/** Whatever is there of the two sides. Promises, now and then. */
function pair(left: Row | undefined, right: Row | undefined, key: Key): Row | Promise<Row> {
  const n = mix(left?.n ?? 11, right?.n ?? 13);
  const row = { k: key, n };
  return n % 10 === 0 ? Promise.resolve(row) : row;
}

function optionsOf({ strategy }: Context): { readonly strategy?: JoinStrategy } {
  return strategy === undefined ? {} : { strategy };
}

/** A broadcast cannot keep right rows. */
function keepingRight({ strategy }: Context): { readonly strategy?: JoinStrategy } {
  return strategy === undefined || strategy === 'broadcast-hash' ? {} : { strategy };
}

/** Streams that operators may be put behind. */
interface World {
  readonly f: FlowBuilder;
  readonly rows: readonly Rows[];
  readonly keyed: readonly Keyed[];
  readonly name: () => string;
}

/** The world with what the steps make, the latest last. */
export function build(world: World, steps: readonly Step[]): World {
  const rows = [...world.rows];
  const keyed = [...world.keyed];
  const { f, name } = world;
  const chosen = <T>(list: readonly T[], at: number): T => list[at % list.length] as T;
  for (const step of steps) {
    const context: Context = { f, name, strategy: step.strategy };
    const row = chosen(rows, step.first);
    const key = chosen(keyed, step.first);
    if (step.operator === 'toKeyed') keyed.push(row.keyBy(keyOf));
    else if (step.operator === 'toRows') rows.push(key.map(({ n }, k) => ({ k, n })));
    else if (step.operator === 'iterateRows')
      rows.push(iterateRows({ f, rows, keyed, name }, row, step));
    else if (step.operator === 'iterateTable')
      keyed.push(iterateTable({ f, rows, keyed, name }, key, step));
    else {
      const [kind, operator = ''] = step.operator.split(' ');
      if (kind === 'rows') {
        const made = ROW_STEPS[operator]?.(row, chosen(rows, step.second), context);
        if (made !== undefined) rows.push(made);
      } else {
        const made = KEYED_STEPS[operator]?.(key, chosen(keyed, step.second), context);
        if (made !== undefined) keyed.push(made);
      }
    }
  }
  return { f, rows, keyed, name };
}

function iterateRows(world: World, start: Rows, step: Step): Rows {
  const { f, rows, keyed, name } = world;
  const rounds = 1 + (step.second % 4);
  return f.iterate(name(), start, { rounds, fixpoint: true }, (current) => {
    const inner = build(
      { f, name, rows: [...rows, current], keyed: [...keyed, current.keyBy(keyOf)] },
      step.body,
    );
    return inner.rows.at(-1) ?? current;
  });
}

function iterateTable(world: World, start: Keyed, step: Step): Keyed {
  const { f, rows, keyed, name } = world;
  const table = start.reduce(name(), (left) => left);
  const options = {
    rounds: 4,
    until: (previous: readonly Row[], next: readonly Row[], round: number) =>
      round === 1 + (step.second % 4) || next.length > 2 * previous.length,
  };
  return f.iterate(name(), table, options, (current) => {
    const inner = build(
      { f, name, rows: [...rows, current.values()], keyed: [...keyed, current] },
      step.body,
    );
    return inner.keyed.at(-1) ?? current;
  });
}

const OPERATORS: readonly string[] = [
  ...Object.keys(ROW_STEPS).map((name) => `rows ${name}`),
  ...Object.keys(KEYED_STEPS).map((name) => `keyed ${name}`),
  'toKeyed',
  'toKeyed',
  'toRows',
  'toRows',
];
const ITERATIONS: readonly string[] = ['iterateRows', 'iterateTable'];

function stepOf(
  operators: readonly string[],
  body: fc.Arbitrary<readonly Step[]>,
): fc.Arbitrary<Step> {
  return fc.record({
    operator: fc.constantFrom(...operators),
    first: fc.nat({ max: 30 }),
    second: fc.nat({ max: 30 }),
    strategy: fc.constantFrom<JoinStrategy | undefined>(
      undefined,
      'sort-merge',
      'partitioned-hash',
      'broadcast-hash',
    ),
    body,
  });
}

const noSteps = fc.constant<readonly Step[]>([]);
const innermost = fc.array(stepOf(OPERATORS, noSteps), { maxLength: 3 });
const body = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: stepOf(OPERATORS, noSteps) },
    { weight: 1, arbitrary: stepOf(ITERATIONS, innermost) },
  ),
  { maxLength: 4 },
);

export const randomSteps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: stepOf(OPERATORS, noSteps) },
    { weight: 1, arbitrary: stepOf(ITERATIONS, body) },
  ),
  { minLength: 1, maxLength: 8, size: 'max' },
);
