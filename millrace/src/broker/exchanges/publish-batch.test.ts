import { expect, test } from 'vitest';
import {
  ANYBODY,
  declared,
  type FakeHosts,
  message,
  valueOf,
  withFakeHosts,
} from '../../../test/exchanges/fake-queue.ts';
import { decodeProperties } from '../../wire/amqp/properties.ts';
import { PublishBatch } from './publish-batch.ts';

async function withQueues(
  program: (fake: FakeHosts, batch: PublishBatch) => Promise<void>,
): Promise<void> {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    for (const name of ['a', 'b']) {
      await vhost.declareQueue(declared(name), ANYBODY);
      const destination = { kind: 'queue', name } as const;
      const both = { source: 'amq.fanout', destination, routingKey: '', arguments: {} };
      await vhost.bind(both, ANYBODY);
    }
    await program(fake, new PublishBatch(vhost));
  });
}

test('each queue gets its messages as one batch, in order', async () => {
  await withQueues(async (fake, batch) => {
    const counts = ['a', 'b', 'a', 'none'].map((key) => valueOf(batch.add(message('', key))));
    counts.push(valueOf(batch.add(message('amq.fanout', 'all'))));
    expect(counts).toEqual([1, 1, 1, 0, 2]);
    expect(batch.commit()).toEqual({ refused: [], reason: undefined, durable: undefined });
    expect(fake.queue('a').batches).toEqual([3]);
    expect(fake.queue('a').messages.map(({ routingKey }) => routingKey)).toEqual(['a', 'a', 'all']);
    expect(fake.queue('b').messages.map(({ routingKey }) => routingKey)).toEqual(['b', 'all']);
    batch.add(message('', 'b'));
    batch.commit();
    expect(fake.queue('a').batches).toEqual([3]);
    expect(fake.queue('b').batches).toEqual([2, 1]);
  });
});

test('what a queue refuses is named by the call that brought it, once', async () => {
  await withQueues(async (fake, batch) => {
    fake.queue('a').answer = () => ({ refused: [0, 2], reason: 'full', durable: undefined });
    fake.queue('b').answer = () => ({ refused: [1], reason: 'disk-full', durable: undefined });
    batch.add(message('nowhere', 'x'));
    for (const key of ['a', 'a', 'b']) batch.add(message('', key));
    batch.add(message('amq.fanout', ''));
    expect(batch.commit()).toMatchObject({ refused: [1, 4], reason: 'disk-full' });
    expect(batch.commit()).toMatchObject({ refused: [], reason: undefined });
  });
});

test('it is durable when all its queues are', async () => {
  await withQueues(async (fake, batch) => {
    const done: string[] = [];
    const [a, finishA] = deferred();
    const [b, finishB] = deferred();
    fake.queue('a').answer = () => ({ refused: [], reason: undefined, durable: a });
    fake.queue('b').answer = () => ({ refused: [], reason: undefined, durable: b });
    batch.add(message('amq.fanout', ''));
    const { durable } = batch.commit();
    const waiting = durable?.then(() => done.push('both'));
    batch.add(message('', 'a'));
    expect(batch.commit().durable).toBe(a);
    finishA();
    await a;
    await Promise.resolve();
    expect(done).toEqual([]);
    finishB();
    await waiting;
    expect(done).toEqual(['both']);
  });
});

test('nobody who receives a message sees BCC, and all see CC', async () => {
  await withQueues(async (fake, batch) => {
    const headers = { CC: ['b'], BCC: ['a'], other: 1 };
    expect(valueOf(batch.add(message('', 'none', headers)))).toBe(2);
    batch.commit();
    for (const name of ['a', 'b']) {
      const [received] = fake.queue(name).messages;
      expect(decodeProperties(received?.properties ?? Buffer.alloc(0)).headers).toEqual({
        CC: ['b'],
        other: 1,
      });
    }
  });
});

test('what merely looks like BCC stays', async () => {
  await withQueues(async (fake, batch) => {
    const published = message('', 'a', { note: 'a\x03BCC', CC: [] });
    batch.add(published);
    batch.commit();
    expect(fake.queue('a').messages[0]?.properties).toBe(published.properties);
  });
});

test('a queue over a topic is not published to', async () => {
  await withQueues(async (fake, batch) => {
    const { vhost, topics } = fake;
    await topics.create({ name: 'events', partitions: 2, overrides: {} });
    const table = { 'x-source-topic': 'events' };
    valueOf(
      await vhost.declareQueue(declared('over', { durable: true, arguments: table }), ANYBODY),
    );
    const refused = batch.add(message('', 'over'));
    expect(refused.ok ? '' : refused.error).toBe('ACCESS_REFUSED');
    const destination = { kind: 'queue', name: 'over' } as const;
    const bound = await vhost.bind(
      { source: 'amq.fanout', destination, routingKey: '', arguments: {} },
      ANYBODY,
    );
    expect(bound.ok ? '' : bound.error).toBe('PRECONDITION_FAILED');
  });
});

function deferred(): [promise: Promise<void>, resolve: () => void] {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return [promise, resolve];
}
