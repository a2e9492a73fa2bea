/** What consumers are given, and what becomes of it when they go or say nothing: on a simulated machine, so that half an hour is soon over. */
import { expect, test } from 'vitest';
import { onSimAmqp, type SimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import type { AmqpDelivery } from '../../client/amqp/delivery.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';

const PERSISTENT = { deliveryMode: 2 };

async function filled(
  under: SimAmqp,
  options: { readonly count: number; readonly arguments?: FieldTable },
): Promise<AmqpChannel> {
  const client = await under.connect();
  const channel = await client.channel();
  await channel.declareQueue({
    queue: 'tasks',
    durable: true,
    ...(options.arguments === undefined ? {} : { arguments: options.arguments }),
  });
  for (let sent = 0; sent < options.count; sent++)
    await channel.publish({
      routingKey: 'tasks',
      properties: PERSISTENT,
      body: Buffer.from(String(sent)),
    });
  return channel;
}

/** Consumes into a list. */
async function collecting(channel: AmqpChannel, prefetch = 0): Promise<AmqpDelivery[]> {
  const seen: AmqpDelivery[] = [];
  await channel.consume({ queue: 'tasks', prefetch }, (delivery) => {
    seen.push(delivery);
  });
  return seen;
}

function bodies(deliveries: readonly AmqpDelivery[]): string[] {
  return deliveries.map(({ body }) => body.toString());
}

function countOf(delivery: AmqpDelivery | undefined): unknown {
  return delivery?.properties.headers?.['x-delivery-count'];
}

test('a consumer that says nothing loses its channel after half an hour; its messages come again', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 3 });
    const silent = await under.connect();
    const holding = await silent.channel();
    const held = await collecting(holding, 2);
    const startMs = under.env.clock.monotonicMs();
    const why = await holding.closed;
    const tookMs = under.env.clock.monotonicMs() - startMs;
    expect(why?.message).toContain('406');
    expect(why?.message).toContain(
      'delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms',
    );
    expect(tookMs).toBeGreaterThanOrEqual(1_800_000);
    expect(tookMs).toBeLessThan(1_900_000);
    expect(bodies(held)).toEqual(['0', '1']);
    expect(silent.isOpen).toBe(true);
    const again = await channel.get('tasks');
    expect(again).toMatchObject({ redelivered: true });
    expect(again?.body.toString()).toBe('0');
    expect(countOf(again)).toBe(1);
  });
});

test('what a channel holds goes back in its order when the channel ends, and is counted', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 6 });
    const other = await under.connect();
    const leaving = await other.channel();
    const held = await collecting(leaving, 4);
    await under.until(() => held.length === 4);
    held[1]?.ack();
    await leaving.close();
    const seen = await collecting(channel);
    await under.until(() => seen.length === 5);
    expect(bodies(seen)).toEqual(['0', '2', '3', '4', '5']);
    expect(seen.map(({ redelivered }) => redelivered)).toEqual([true, true, true, false, false]);
    expect(seen.map(countOf)).toEqual([1, 1, 1, undefined, undefined]);
  });
});

test('no channel of a connection that ends is given what another one gives back', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 4 });
    const other = await under.connect();
    const [first, second] = [await other.channel(), await other.channel()];
    // The second one has room for what the first gives back.
    const held = [await collecting(first, 2), await collecting(second, 4)];
    await under.until(() => held.every(({ length }) => length === 2));
    await other.close();
    const seen = await collecting(channel);
    await under.until(() => seen.length === 4);
    expect(seen.map(countOf)).toEqual([1, 1, 1, 1]);
  });
});

test('a message that is released comes again after its delay, and not before', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 2 });
    const seen: { readonly body: string; readonly atMs: number }[] = [];
    await channel.consume({ queue: 'tasks', prefetch: 1 }, (delivery) => {
      seen.push({ body: delivery.body.toString(), atMs: under.env.clock.monotonicMs() });
      if (seen.length === 1) delivery.release(60_000);
      else delivery.ack();
    });
    await under.until(() => seen.length === 3);
    expect(seen.map(({ body }) => body)).toEqual(['0', '1', '0']);
    const [first, , again] = seen;
    expect((again?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(60_000);
  });
});

test('a message that comes back too often is a dead letter', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, {
      count: 1,
      arguments: {
        'x-delivery-limit': 3,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'dead',
      },
    });
    await channel.declareQueue({ queue: 'dead', durable: true });
    let seen = 0;
    await channel.consume({ queue: 'tasks' }, (delivery) => {
      seen++;
      delivery.reject({ requeue: true });
    });
    let dead: AmqpDelivery | undefined;
    await under.until(async () => (dead = await channel.get('dead')) !== undefined);
    expect(seen).toBe(4);
    expect(dead?.properties.headers).toMatchObject({ 'x-first-death-reason': 'delivery_limit' });
  });
});

test('deleting a queue tells its consumers, and what they held is nobody’s', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 1 });
    const other = await under.connect();
    const consuming = await other.channel();
    const held: AmqpDelivery[] = [];
    const subscription = await consuming.consume({ queue: 'tasks' }, (each) => held.push(each));
    await under.until(() => held.length === 1);
    await channel.deleteQueue('tasks');
    expect((await subscription.ended)?.message).toContain('was deleted');
    held[0]?.ack();
    await consuming.declareQueue({ queue: 'others' });
    expect(consuming.isOpen).toBe(true);
  });
});

test('a stream is read from where its consumer wants, by each consumer for itself', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await filled(under, { count: 5, arguments: { 'x-queue-type': 'stream' } });
    const read = async (from: string | number): Promise<AmqpDelivery[]> => {
      const seen: AmqpDelivery[] = [];
      const table = { 'x-stream-offset': from };
      await channel.consume({ queue: 'tasks', prefetch: 100, arguments: table }, (delivery) => {
        seen.push(delivery);
      });
      return seen;
    };
    const [all, some, later] = [await read('first'), await read(3), await read('next')];
    await under.until(() => all.length === 5 && some.length === 2);
    expect(bodies(some)).toEqual(['3', '4']);
    expect(all.map(({ properties }) => properties.headers?.['x-stream-offset'])).toEqual([
      0, 1, 2, 3, 4,
    ]);
    expect(later).toEqual([]);
    await channel.publish({ routingKey: 'tasks', properties: PERSISTENT, body: Buffer.from('5') });
    await under.until(() => all.length === 6 && later.length === 1);
    expect(bodies(later)).toEqual(['5']);
  });
});

test('a server that stops tells its clients', async () => {
  await onSimAmqp({}, async (under) => {
    const client = await under.connect();
    const closed = client.closed;
    const closing = under.log.close();
    expect((await closed)?.message).toContain(
      "320: CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    );
    await closing;
  });
});
