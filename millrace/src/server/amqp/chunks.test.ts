/** Bytes of a connection may be cut anywhere: what is published arrives whole, and in its order. */
import { expect, test } from 'vitest';
import { encodeBody, encodeHeader, encodeMethod } from '../../../test/amqp/raw-amqp.ts';
import { LOGIN, OPEN } from '../../../test/server-amqp/raw-login.ts';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import { runs } from '../../../test/runs.ts';

const MESSAGES = 60;

/** All that a client says that does not wait for answers. */
function published(bodies: readonly Buffer[]): Buffer {
  const frames = [OPEN, encodeMethod(2, 'ChannelOpen')];
  for (const [index, body] of bodies.entries()) {
    const channel = 1 + (index % 2);
    const headers = { at: index };
    frames.push(encodeMethod(channel, 'BasicPublish', { routingKey: `q${channel}` }));
    frames.push(encodeHeader(channel, body.length, { deliveryMode: 2, headers }));
    for (let at = 0; at < body.length; at += 4_088)
      frames.push(encodeBody(channel, body.subarray(at, at + 4_088)));
  }
  return Buffer.concat(frames);
}

test('messages arrive whole however their bytes are cut', async () => {
  for (let run = 0; run < runs(5); run++) {
    await onSimAmqp({}, async ({ env, log, connect, until }) => {
      const client = await connect();
      const channel = await client.channel();
      for (const queue of ['q1', 'q2']) await channel.declareQueue({ queue, durable: true });
      const bodies = Array.from({ length: MESSAGES }, (_, index) =>
        Buffer.alloc(Math.floor(env.random.next() ** 3 * 9_000), `${run}.${index};`),
      );
      const connection = log.connectAmqp();
      let received = 0;
      connection.start({
        data: (chunk) => (received += chunk.length),
        drained: () => {},
        closed: () => {},
      });
      connection.write([LOGIN]);
      // The broker has to know who it is before it tunes.
      await until(() => received > 400);
      const bytes = published(bodies);
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + Math.floor(env.random.next() ** 2 * 6_000);
        connection.write([bytes.subarray(at, at + length)]);
        at += length;
      }
      for (const [index, body] of bodies.entries()) {
        let message = await channel.get(`q${1 + (index % 2)}`);
        while (message === undefined) {
          await env.timers.sleep(10);
          message = await channel.get(`q${1 + (index % 2)}`);
        }
        expect(message.properties.headers).toEqual({ at: index });
        expect(message.body.equals(body)).toBe(true);
        message.ack();
      }
      connection.destroy();
    });
  }
});
