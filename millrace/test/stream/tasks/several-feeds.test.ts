/** A topic that is read in two ways, one of which cannot decode a record. */
import { expect, test } from 'vitest';
import { json, text } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { Serde } from '../../../src/flow/serde.ts';
import { skipTo } from '../../../src/flow/flow.ts';
import { openFlow, send, written } from './cluster.ts';

test('its letter is of the transaction of the record, also when that is processed later', async () => {
  const lines = topic('hits', { key: json<string>(), value: text() as Serde<string> });
  const numbers = topic('hits', { key: json<string>(), value: json<number>() });
  const other = topic('other', { key: json<string>(), value: json<number>() });
  const out = topic('out', { key: json(), value: json() });
  const bad = topic('bad', { key: json(), value: json() });
  const cluster = await openFlow(
    (f) => {
      f.readKeyed(lines)
        .mapValues((line) => line.length)
        .union(f.readKeyed(numbers))
        .union(f.readKeyed(other))
        .write(out);
    },
    { topics: { hits: 1, other: 1 }, flow: { onError: skipTo(bad) } },
  );
  cluster.produce('hits', [{ key: '"a"', value: 'no number', timestamp: 100 }]);
  send(cluster, 'other', [{ key: 'a', value: 1, time: 1 }]);
  const [running] = cluster.tasks;
  const [worker] = cluster.workers;
  if (running === undefined || worker === undefined) throw new Error('there is one task');
  // What the other topic has is not known yet: the record is decoded, and waits.
  cluster.fetch(running, { topic: 'hits', partition: 0 });
  expect(running.task.process(10)).toBe(0);
  await cluster.commit(worker);
  expect(written(cluster, 'bad')).toEqual([]);
  await cluster.crash(worker);
  await cluster.run();
  expect(written(cluster, 'bad')).toHaveLength(1);
  expect(written(cluster, 'out').map(({ value }) => value)).toEqual([1, 'no number'.length]);
  await cluster.close();
});
