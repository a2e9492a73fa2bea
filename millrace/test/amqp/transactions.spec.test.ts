/** The tx class: what is published and settled counts with the commit, and not at all after a rollback. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AmqpUnderTest, startAmqpUnderTest, uniqueName } from './amqp-under-test.ts';
import { RawAmqp } from './raw-amqp.ts';

let broker: AmqpUnderTest;
beforeAll(async () => {
  broker = await startAmqpUnderTest();
});
afterAll(() => broker.stop());

async function withQueue(use: (client: RawAmqp, queue: string) => Promise<void>): Promise<void> {
  const client = await RawAmqp.open(broker, {}, [1, 2]);
  const queue = uniqueName('tx');
  await client.call(1, 'QueueDeclare', { queue, durable: true });
  await use(client, queue);
  await client.call(2, 'QueueDelete', { queue });
  await client.close();
}

async function ready(client: RawAmqp, queue: string): Promise<unknown> {
  return (await client.call(2, 'QueueDeclare', { queue, passive: true }))['messageCount'];
}

test('what is published is there with the commit', async () => {
  await withQueue(async (client, queue) => {
    await client.call(1, 'TxSelect');
    for (const text of ['1', '2', '3'])
      client.publish(1, { routingKey: queue }, { deliveryMode: 2 }, Buffer.from(text));
    // An answer on the same channel: the messages were read.
    await client.call(1, 'BasicQos', { prefetchCount: 0 });
    expect(await ready(client, queue)).toBe(0);
    await client.call(1, 'TxCommit');
    expect(await ready(client, queue)).toBe(3);
  });
});

test('a rollback forgets what was published', async () => {
  await withQueue(async (client, queue) => {
    await client.call(1, 'TxSelect');
    client.publish(1, { routingKey: queue }, {}, Buffer.from('no'));
    await client.call(1, 'TxRollback');
    client.publish(1, { routingKey: queue }, {}, Buffer.from('yes'));
    await client.call(1, 'TxCommit');
    client.send(2, 'BasicGet', { queue, noAck: true });
    const { body, fields } = await client.expect(2, 'BasicGetOk');
    expect([String(body), fields['messageCount']]).toEqual(['yes', 0]);
  });
});

test('acknowledgements count with the commit; a rollback leaves messages with their holder', async () => {
  await withQueue(async (client, queue) => {
    client.publish(2, { routingKey: queue }, {}, Buffer.from('x'));
    await client.call(2, 'BasicQos', { prefetchCount: 0 });
    await client.call(1, 'TxSelect');
    await expect.poll(() => ready(client, queue)).toBe(1);
    client.send(1, 'BasicGet', { queue });
    const { fields } = await client.expect(1, 'BasicGetOk');
    client.send(1, 'BasicAck', { deliveryTag: fields['deliveryTag'] });
    await client.call(1, 'TxRollback');
    // It is not ready, and can be settled again.
    expect(await ready(client, queue)).toBe(0);
    client.send(1, 'BasicAck', { deliveryTag: fields['deliveryTag'] });
    await client.call(1, 'TxCommit');
    await client.call(1, 'ChannelClose', {
      replyCode: 200,
      replyText: '',
      classId: 0,
      methodId: 0,
    });
    expect(await ready(client, queue)).toBe(0);
  });
});

test('what was acknowledged without a commit comes back when the channel closes', async () => {
  await withQueue(async (client, queue) => {
    client.publish(2, { routingKey: queue }, {}, Buffer.from('x'));
    await expect.poll(() => ready(client, queue)).toBe(1);
    await client.call(1, 'TxSelect');
    client.send(1, 'BasicGet', { queue });
    const { fields } = await client.expect(1, 'BasicGetOk');
    client.send(1, 'BasicAck', { deliveryTag: fields['deliveryTag'] });
    await client.call(1, 'ChannelClose', {
      replyCode: 200,
      replyText: '',
      classId: 0,
      methodId: 0,
    });
    await expect.poll(() => ready(client, queue)).toBe(1);
  });
});

test('a reject within a transaction, too, waits for the commit', async () => {
  await withQueue(async (client, queue) => {
    client.publish(2, { routingKey: queue }, {}, Buffer.from('x'));
    await expect.poll(() => ready(client, queue)).toBe(1);
    await client.call(1, 'TxSelect');
    client.send(1, 'BasicGet', { queue });
    const { fields } = await client.expect(1, 'BasicGetOk');
    client.send(1, 'BasicReject', { deliveryTag: fields['deliveryTag'], requeue: true });
    await client.call(1, 'BasicQos', { prefetchCount: 0 });
    expect(await ready(client, queue)).toBe(0);
    await client.call(1, 'TxCommit');
    await expect.poll(() => ready(client, queue)).toBe(1);
  });
});

test('returns come before the answer to the commit', async () => {
  await withQueue(async (client) => {
    await client.call(1, 'TxSelect');
    client.publish(1, { routingKey: uniqueName('missing'), mandatory: true }, {}, Buffer.from('x'));
    client.send(1, 'TxCommit');
    await client.until(() => client.events.length === 2, 'a return and a commit');
    expect(client.events.map(({ method }) => method)).toEqual(['BasicReturn', 'TxCommitOk']);
    client.events.splice(0);
  });
});
