/** A function that changes an accumulator in place and then throws: the record is skipped, and nothing of it stays. */
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { skipTo } from '../../../src/flow/flow.ts';
import { hopping, session, sliding, tumbling } from '../../../src/flow/window-specs.ts';
import { openFlow, send, written } from './cluster.ts';

const numbers = topic('numbers', { key: json<string>(), value: json<number>() });
const out = topic('out', { key: json(), value: json() });
const bad = topic('bad', { key: json(), value: json() });

const collect = {
  init: (): number[] => [],
  add: (all: number[], value: number): number[] => {
    all.push(value);
    if (value < 0) throw new Error('negative');
    return all;
  },
  merge: (left: number[], right: number[]): number[] => [...left, ...right],
};

const FLOWS: Readonly<Record<string, (f: FlowBuilder) => void>> = {
  tumbling: (f) => {
    f.readKeyed(numbers).window(tumbling(10)).aggregate('all', collect).write(out);
  },
  hopping: (f) => {
    f.readKeyed(numbers)
      .window(hopping(10, { every: 5 }))
      .aggregate('all', collect)
      .write(out);
  },
  sliding: (f) => {
    f.readKeyed(numbers).window(sliding(1)).aggregate('all', collect).write(out);
  },
  sessions: (f) => {
    f.readKeyed(numbers).window(session(3)).aggregate('all', collect).write(out);
  },
  'all time': (f) => {
    f.readKeyed(numbers).aggregate('all', collect).write(out);
  },
};

test.each(Object.keys(FLOWS))('%s', async (name) => {
  const build = FLOWS[name] as (f: FlowBuilder) => void;
  const cluster = await openFlow(build, {
    topics: { numbers: 1 },
    flow: { onError: skipTo(bad) },
  });
  send(
    cluster,
    'numbers',
    [1, -1, 2].map((value) => ({ key: 'k', value, time: 5 })),
  );
  send(cluster, 'numbers', [{ key: 'end', value: 0, time: 100 }]);
  await cluster.run();
  const found = written(cluster, 'out').filter(({ key }) => JSON.stringify(key).includes('"k"'));
  expect(found.length).toBeGreaterThan(0);
  for (const { value } of name === 'all time' ? found.slice(-1) : found)
    expect(value).toEqual([1, 2]);
  expect(written(cluster, 'bad')).toHaveLength(1);
  await cluster.close();
});
