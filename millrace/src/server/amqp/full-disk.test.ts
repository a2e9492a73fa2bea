/** Publishers and consumers on a machine whose disk gets full, and has space again. */
import { expect, test } from 'vitest';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';

const MIB = 1024 * 1024;

test('a full disk refuses messages and blocks publishers; consumers go on; with space it heals', async () => {
  await onSimAmqp({ capacityBytes: 512 * MIB }, async ({ machine, env, connect, until }) => {
    const publisher = await connect();
    const consumer = await connect();
    const channel = await publisher.channel();
    await channel.declareQueue({ queue: 'tasks', durable: true });
    const send = (bytes: number) =>
      channel.publish({
        routingKey: 'tasks',
        properties: { deliveryMode: 2 },
        body: Buffer.alloc(bytes, 'x'),
      });
    expect(await send(10)).toBe('confirmed');

    const used = 512 * MIB - (await env.fs.freeBytes('/data'));
    machine.setCapacity(used + MIB);
    let outcome = await send(256 * 1024);
    for (let sent = 0; outcome === 'confirmed' && sent < 1_000; sent++)
      outcome = await send(256 * 1024);
    expect(outcome).toBe('refused');
    await until(() => publisher.blockedReason !== undefined);
    expect(publisher.blockedReason).toBe('low on disk');
    expect(consumer.blockedReason).toBeUndefined();

    // What waits in the socket of a publisher is taken when there is space.
    const waiting = send(20);
    const reading = await consumer.channel();
    const first = await reading.get('tasks');
    expect(first?.body.length).toBe(10);
    first?.ack();
    machine.setCapacity(1_024 * MIB);
    expect(await waiting).toBe('confirmed');
    expect(publisher.blockedReason).toBeUndefined();
  });
});
