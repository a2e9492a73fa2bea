import { describe, expect, test } from 'vitest';
import { json } from '../../../connect/topics/serdes.ts';
import { topic } from '../../../connect/topics/topic.ts';
import { files } from '../../../connect/files/files.ts';
import type { FlowBuilder } from '../../../flow/builder.ts';
import { flow, type FlowOptions, skipTo } from '../../../flow/flow.ts';
import { hopping, tumbling } from '../../../flow/window-specs.ts';
import type { Topology } from '../topology.ts';
import { explainTopology } from './explain-topology.ts';
import { planTopology } from './plan-topology.ts';

interface Row {
  readonly id: string;
  readonly other: string;
  readonly n: number;
}

const a = topic('a', { value: json<Row>() });
const b = topic('b', { value: json<Row>() });
const asJson = topic('j', { key: json<string>(), value: json<Row>() });
const out = topic('out', { key: json(), value: json() });

function plan(
  build: (f: FlowBuilder) => void,
  topics: Readonly<Record<string, number>>,
  options: { readonly partitions?: number; readonly flow?: FlowOptions } = {},
): Topology {
  const known = Object.entries(topics).map(([name, partitions]) => [name, { partitions }] as const);
  return planTopology(flow('f', options.flow ?? {}, build).plan(), new Map(known), options);
}

/** Exchanges: from which stage, over how many partitions, by what, to which nodes. */
function exchangesOf({ stages, plan: { nodes } }: Topology): readonly string[] {
  return stages.flatMap(({ id, exits }) =>
    exits.flatMap((exit) => {
      if (exit.kind === 'sink') return [];
      const { name, partitions, partitioner, to } = exit.exchange;
      const by = typeof partitioner === 'string' ? partitioner : partitioner.serde.name;
      const users = to.map(({ node, input }) => `${nodes[node]?.name ?? ''}.${input}`);
      return [`${id} ${name} ${partitions} ${by} > ${users.join(' ')}`];
    }),
  );
}

describe('what stays in one stage', () => {
  test('records without state', () => {
    const topology = plan(
      (f) => {
        f.read(a)
          .map((row) => row.n)
          .write(out);
      },
      { a: 4 },
    );
    expect(topology.stages).toMatchObject([{ partitions: 4, exits: [{ partitions: 4 }] }]);
    expect(topology.outputTopics).toMatchObject([{ name: 'out', partitions: 4 }]);
    expect(topology.internalTopics).toEqual([]);
  });

  test('state by the key of the topic, also when values were changed', () => {
    const topology = plan(
      (f) => {
        f.readKeyed(a)
          .mapValues((row) => row.n)
          .filter((n) => n > 0)
          .count('c')
          .write(out);
      },
      { a: 4 },
    );
    expect(topology.stages).toHaveLength(1);
  });

  test('a join of topics that are partitioned alike', () => {
    const topology = plan(
      (f) => {
        f.readKeyed(a)
          .join('j', f.table(b), (left, right) => left.n + right.n)
          .write(out);
      },
      { a: 4, b: 4 },
    );
    expect(topology.stages).toHaveLength(1);
    expect(topology.stages[0]?.inputs.map(({ topic: name }) => name)).toEqual(['a', 'b']);
  });

  test('everything when there is one partition, unless more are wanted', () => {
    const build = (f: FlowBuilder): void => {
      f.read(a)
        .keyBy((row) => row.other)
        .count('c')
        .write(out);
    };
    expect(plan(build, { a: 1 }).stages).toHaveLength(1);
    expect(exchangesOf(plan(build, { a: 1 }, { partitions: 3 }))).toEqual([
      '0 c 3 key-codec > c.0',
    ]);
  });
});

describe('an exchange', () => {
  test('stands where equal keys have to meet and the key has changed', () => {
    const topology = plan(
      (f) => {
        f.readKeyed(a)
          .keyBy((row) => row.other)
          .window(tumbling(10))
          .count('c')
          .write(out);
      },
      { a: 4 },
    );
    expect(exchangesOf(topology)).toEqual(['0 c 4 key-codec > c.0']);
    expect(topology.internalTopics).toMatchObject([{ name: 'f-c-repartition', partitions: 4 }]);
    expect(topology.stages[1]?.inputs[0]?.from).toMatchObject({
      exchange: { writers: 4, writerStage: 0 },
    });
  });

  test('is shared by those that want the same', () => {
    const topology = plan(
      (f) => {
        const keyed = f.read(a).keyBy((row) => row.other);
        keyed.count('c').write(out);
        keyed.reduce('r', (left) => left).write(out);
      },
      { a: 4 },
    );
    expect(exchangesOf(topology)).toEqual(['0 c 4 key-codec > c.0 r.0']);
    expect(topology.stages).toHaveLength(2);
  });

  test('gives a self-join both sides of one topic', () => {
    const topology = plan(
      (f) => {
        const keyed = f.read(a).keyBy((row) => row.other);
        keyed.join('j', keyed, (left, right) => left.n + right.n, { within: 5 }).write(out);
      },
      { a: 4 },
    );
    expect(exchangesOf(topology)).toEqual(['0 j 4 key-codec > j.0 j.1']);
  });

  test('takes partitions and keys of the table that a stream has to meet', () => {
    const topology = plan(
      (f) => {
        f.read(a)
          .keyBy((row) => row.other)
          .join('with-row', f.table(asJson), (left, right) => left.n + right.n)
          .write(out);
      },
      { a: 4, j: 3 },
    );
    expect(exchangesOf(topology)).toEqual(['0 with-row-left 3 json > with-row.0']);
    expect(topology.stages.map(({ partitions }) => partitions)).toEqual([4, 3]);
  });

  test('brings one of two topics with different counts to the other', () => {
    const streams = plan(
      (f) => {
        f.readKeyed(a)
          .join('j', f.readKeyed(b), (left, right) => left.n + right.n, { within: 5 })
          .write(out);
      },
      { a: 2, b: 5 },
    );
    expect(exchangesOf(streams)).toEqual(['0 j-left 5 text > j.0']);
    const tables = plan(
      (f) => {
        f.table(a)
          .join('j', f.table(b), (left, right) => left.n + right.n)
          .write(out);
      },
      { a: 5, b: 2 },
    );
    expect(exchangesOf(tables)).toEqual(['0 j-right 5 text > j.1']);
    expect(
      tables.stages[1]?.inputs.find(({ from }) => from.kind === 'exchange')?.from,
    ).toMatchObject({
      exchange: { isTable: true, table: { kind: 'table', name: 'j-right-copy' } },
    });
  });

  test('never leads back into the stage that writes it', () => {
    const topology = plan(
      (f) => {
        f.read(a)
          .keyBy((row) => row.other)
          .join('j', f.table(a), (left, right) => left.n + right.n)
          .write(out);
      },
      { a: 4 },
    );
    expect(exchangesOf(topology)).toEqual(['0 j-left 4 text > j.0', '0 j-right 4 text > j.1']);
    const union = plan(
      (f) => {
        const rows = f.readKeyed(a);
        const counts = rows
          .keyBy((row) => row.other)
          .count('c')
          .toStream();
        rows
          .mapValues((row) => row.n)
          .union(counts)
          .write(out);
      },
      { a: 4 },
    );
    expect(exchangesOf(union)).toEqual([
      '0 c 4 key-codec > c.0',
      expect.stringMatching(/^0 union-\d-0 4 text > union-\d\.0$/),
    ]);
  });

  test('a topic that is read twice is an input of one stage', () => {
    const topology = plan(
      (f) => {
        f.read(a).write(out);
        f.readKeyed(a).count('c').write(out);
      },
      { a: 4 },
    );
    expect(topology.stages).toHaveLength(1);
  });
});

describe('what is refused', () => {
  test('has a sentence for each operator', () => {
    const build = (f: FlowBuilder): void => {
      f.read(files.lines('x.log')).write(out);
      f.read(a)
        .map((row) => row.n)
        .top('best', 3, (n) => n)
        .write(out);
    };
    expect(() => plan(build, { a: 1 })).toThrow(
      /^flow "f" cannot run without end:\n {2}"read-0" .*\n {2}"best" /,
    );
  });

  test('names a topic that does not exist', () => {
    expect(() => plan((f) => f.read(a).write(out), {})).toThrow(
      'flow "f" reads topic a, which does not exist',
    );
  });
});

test('what saved state depends on is told by node', () => {
  const build =
    (size: number) =>
    (f: FlowBuilder): void => {
      f.read(a)
        .keyBy((row) => row.other)
        .window(tumbling(size))
        .count('c')
        .write(out);
    };
  const one = plan(build(10), { a: 2 }).stateFingerprint;
  const same = plan(build(10), { a: 2 }).stateFingerprint;
  const other = plan(build(20), { a: 2 }).stateFingerprint;
  const wider = plan(build(10), { a: 2 }, { partitions: 3 }).stateFingerprint;
  expect(Object.keys(one)).toEqual(['c', 'f-c-repartition']);
  expect(same).toEqual(one);
  expect(other['c']).not.toBe(one['c']);
  expect(other['f-c-repartition']).toBe(one['f-c-repartition']);
  expect(wider['f-c-repartition']).not.toBe(one['f-c-repartition']);
});

test('windows that share panes are kept otherwise than those that do not', () => {
  const build =
    (everyMs: number, merge?: (left: number, right: number) => number) =>
    (f: FlowBuilder): void => {
      f.read(a)
        .keyBy((row) => row.other)
        .window(hopping(10, { every: everyMs }))
        .aggregate('sum', {
          init: () => 0,
          add: (sum: number, row) => sum + row.n,
          ...(merge && { merge }),
        })
        .write(out);
    };
  const keptOf = (everyMs: number, merge?: (left: number, right: number) => number): unknown =>
    plan(build(everyMs, merge), { a: 2 }).stateFingerprint['sum'];
  const plus = (left: number, right: number): number => left + right;
  expect(keptOf(5, plus)).not.toBe(keptOf(5));
  // Where there is nothing to share, a function more is no other state.
  expect(keptOf(10, plus)).toBe(keptOf(10));
});

test('a topology is told in words', () => {
  const topology = plan(
    (f) => {
      f.read(a)
        .keyBy((row) => row.other)
        .join('with-row', f.table(asJson), (left, right) => left.n + right.n)
        .window(tumbling(10))
        .count('c')
        .late(topic('late'))
        .write(out);
    },
    { a: 4, j: 3 },
    { flow: { onError: skipTo(topic('failed', { value: json() })) } },
  );
  expect(explainTopology(topology)).toBe(
    [
      'Stage 0: 4 tasks',
      '  reads   topic a',
      '  runs    keyBy-1',
      '  sends   f-with-row-left-repartition, 3 partitions by key as json, to with-row',
      '',
      'Stage 1: 3 tasks',
      '  reads   topic j',
      '  reads   f-with-row-left-repartition',
      '  runs    j: table, with state',
      '  runs    with-row: tableJoin, with state',
      '  runs    c: windowAggregate, with state',
      '  runs    sideOutput-6',
      '  writes  topic late, 3 partitions',
      '  writes  topic out, 3 partitions',
      '',
      'Records that fail go to topic failed',
    ].join('\n'),
  );
});
