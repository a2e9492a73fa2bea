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

test.each([40, 120])(
  'a disk that is full of %i MiB of messages heals within seconds when they are settled',
  async (mebibytes) => {
    await onSimAmqp({ capacityBytes: 512 * MIB }, async ({ machine, env, connect, until }) => {
      const publisher = await connect();
      const channel = await publisher.channel();
      await channel.declareQueue({ queue: 'tasks', durable: true });
      const send = () =>
        channel.publish({
          routingKey: 'tasks',
          properties: { deliveryMode: 2 },
          body: Buffer.alloc(256 * 1024, 'x'),
        });
      expect(await send()).toBe('confirmed');
      // The journal and the reserve have what they want.
      await env.timers.sleep(5000);
      const used = 512 * MIB - (await env.fs.freeBytes('/data'));
      machine.setCapacity(used + mebibytes * MIB);
      while (publisher.blockedReason === undefined)
        await Promise.race([send(), env.timers.sleep(50)]);
      const consumer = await (await connect()).channel();
      for (
        let got = await consumer.get('tasks');
        got !== undefined;
        got = await consumer.get('tasks')
      )
        got.ack();
      const settledMs = env.clock.monotonicMs();
      await until(() => publisher.blockedReason === undefined);
      expect(env.clock.monotonicMs() - settledMs).toBeLessThan(10_000);
      expect(await send()).toBe('confirmed');
    });
  },
);
