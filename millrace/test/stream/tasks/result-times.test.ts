/** Results that time brings about are in time for windows behind them. */
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { pattern } from '../../../src/flow/pattern-builder.ts';
import { session, tumbling } from '../../../src/flow/window-specs.ts';
import type { MemoryCluster } from '../../../src/testing/memory-cluster.ts';
import { openFlow, send, written } from './cluster.ts';

const events = topic('events', { key: json<string>(), value: json<string>() });
const out = topic('out', { key: json(), value: json() });

function late(cluster: MemoryCluster): number {
  return cluster.tasks.reduce((sum, { task }) => sum + task.metrics.lateDropped, 0);
}

const BEHIND: Readonly<Record<string, (f: FlowBuilder) => void>> = {
  'of a pattern without an end': (f) => {
    f.readKeyed(events)
      .match(
        'pairs',
        pattern('first', (value: string) => value === 'a').next('second', (value) => value === 'b'),
        () => 'found',
      )
      .window(tumbling(10))
      .count('found')
      .write(out);
  },
  'of timers': (f) => {
    f.readKeyed(events)
      .process('wait', {
        onRecord: (value, context) => {
          if (value === 'b') context.setTimer(context.time + 3);
        },
        onTimer: (context) => {
          context.emit('found');
        },
      })
      .window(tumbling(10))
      .count('found')
      .write(out);
  },
  'of timers behind timers': (f) => {
    f.readKeyed(events)
      .process('wait', {
        onRecord: (value, context) => {
          if (value === 'b') context.setTimer(context.time + 2);
        },
        onTimer: (context) => {
          context.emit('found');
        },
      })
      .process('wait-again', {
        onRecord: (_value, context) => {
          context.setTimer(context.time + 1);
        },
        onTimer: (context) => {
          context.emit('found');
        },
      })
      .window(tumbling(10))
      .count('found')
      .write(out);
  },
  'of timers, behind an exchange': (f) => {
    f.readKeyed(events)
      .process('wait', {
        onRecord: (value, context) => {
          if (value === 'b') context.setTimer(context.time + 3);
        },
        onTimer: (context) => {
          context.emit('found');
        },
      })
      .keyBy(() => 'all')
      .window(tumbling(10))
      .count('found')
      .write(out);
  },
};

test.each(Object.keys(BEHIND))('%s', async (name) => {
  const build = BEHIND[name] as (f: FlowBuilder) => void;
  const cluster = await openFlow(build, { topics: { events: 2 }, partitions: 2 });
  send(cluster, 'events', [
    { key: 'k', value: 'a', time: 11 },
    { key: 'k', value: 'b', time: 12 },
    // T passes the result and the end of its window at once.
    { key: 'k', value: 'end', time: 500 },
    { key: 'k', value: 'end', time: 510 },
  ]);
  await cluster.run();
  expect(late(cluster)).toBe(0);
  expect(written(cluster, 'out')).toMatchObject([{ key: { start: 10, end: 20 }, value: 1 }]);
  await cluster.close();
});

test('windows behind timers close with the record that brings T to their end', async () => {
  const cluster = await openFlow(BEHIND['of timers'] as (f: FlowBuilder) => void, {
    topics: { events: 1 },
  });
  send(cluster, 'events', [
    { key: 'k', value: 'b', time: 12 },
    { key: 'k', value: 'end', time: 20 },
  ]);
  await cluster.run();
  expect(written(cluster, 'out')).toHaveLength(1);
  await cluster.close();
});

// A session is told one millisecond behind its end, and may be the last of a window of the next stage.
test('of sessions, when the clock tells them while the next stage looks at the clock, too', async () => {
  const idle = topic('events', { key: json<string>(), value: json<string>(), time: { idle: 50 } });
  const cluster = await openFlow(
    (f) => {
      f.readKeyed(idle)
        .window(session(200))
        .count('sessions')
        .entries()
        .keyBy(() => 'all')
        .window(tumbling(10))
        .count('found')
        .write(out);
    },
    { topics: { events: 2 }, partitions: 2, workers: 2 },
  );
  send(cluster, 'events', [{ key: 'k', value: 'a', time: 19 }]);
  await cluster.run();
  expect(cluster.topology.stages).toHaveLength(2);
  const writers = cluster.tasks.filter(({ id }) => id.stage === 0);
  const readers = cluster.tasks.filter(({ id }) => id.stage > 0);
  for (let turn = 0; turn < 40; turn++) {
    cluster.clock.advance(10);
    for (const running of readers) cluster.turn(running);
    for (const running of writers) cluster.turn(running);
    if (turn === 6 || turn === 30)
      for (const worker of cluster.workers) await cluster.commit(worker);
  }
  for (let turn = 0; turn < 60; turn++) await cluster.advance(10);
  expect(late(cluster)).toBe(0);
  expect(written(cluster, 'out')).toMatchObject([{ key: { start: 10, end: 20 }, value: 1 }]);
  await cluster.close();
});
