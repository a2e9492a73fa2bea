/** What tasks do with whole flows, on a log in memory. */
import { describe, expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import { tumbling } from '../../../src/flow/window-specs.ts';
import { openFlow, send, written } from './cluster.ts';

interface Hit {
  readonly path: string;
  readonly ms: number;
}

const hits = topic('hits', { key: json(), value: json<Hit>() });
const out = topic('out', { key: json(), value: json() });

describe('a pass-through', () => {
  test('keeps keys, values, times and the order of a partition', async () => {
    const cluster = await openFlow(
      (f) => {
        f.readKeyed(hits)
          .mapValues((hit) => ({ ...hit, ms: hit.ms * 2 }))
          .write(out);
      },
      { topics: { hits: 2, out: 2 } },
    );
    send(cluster, 'hits', [
      { key: 'a', value: { path: '/', ms: 1 }, time: 10 },
      { key: 'a', value: { path: '/x', ms: 2 }, time: 5 },
    ]);
    await cluster.run();
    const [first, second] = written(cluster, 'out');
    expect(first).toMatchObject({ key: 'a', value: { path: '/', ms: 2 }, time: 10 });
    expect(second).toMatchObject({ key: 'a', value: { path: '/x', ms: 4 }, time: 5 });
    await cluster.close();
  });
});

describe('a windowed count over two stages', () => {
  test('closes windows when the slowest partition has passed their end', async () => {
    const cluster = await openFlow(
      (f) => {
        f.read(hits)
          .keyBy((hit) => hit.path)
          .window(tumbling('10 ms'))
          .count('hits-per-path')
          .write(out);
      },
      { topics: { hits: 2 }, workers: 2 },
    );
    expect(cluster.topology.stages).toHaveLength(2);
    send(cluster, 'hits', [
      { value: { path: '/a', ms: 0 }, time: 1, partition: 0 },
      { value: { path: '/b', ms: 0 }, time: 2, partition: 0 },
      { value: { path: '/a', ms: 0 }, time: 3, partition: 1 },
      { value: { path: '/a', ms: 0 }, time: 12, partition: 0 },
    ]);
    await cluster.run();
    expect(written(cluster, 'out')).toEqual([]);
    send(cluster, 'hits', [{ value: { path: '/a', ms: 0 }, time: 10, partition: 1 }]);
    await cluster.run();
    const results = written(cluster, 'out').map(({ key, value, time }) => ({ key, value, time }));
    expect(results.toSorted((a, b) => a.time - b.time)).toEqual([
      { key: { key: '/b', start: 0, end: 10 }, value: 1, time: 2 },
      { key: { key: '/a', start: 0, end: 10 }, value: 2, time: 3 },
    ]);
    await cluster.close();
  });
});
