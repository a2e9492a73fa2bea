/** Questions to a broker about its queues, and what comes back instead of answers. */
import { expect, test } from 'vitest';
import { FakeBroker, type Received } from '../../../test/client-amqp/fake-broker.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { decodeProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { connectAmqp } from './client.ts';

/** Answers questions with what `reply` makes of them; undefined: not at all. */
function answering(
  reply: (request: Readonly<Record<string, unknown>>) => string | undefined,
): (received: Received, broker: FakeBroker) => boolean {
  let consumerTag = '';
  return ({ channel, method, properties, body }, broker) => {
    if (method.name === 'basic.consume') ({ consumerTag } = method);
    if (method.name !== 'basic.publish') return false;
    expect(method).toMatchObject({ exchange: 'amq.millrace', routingKey: 'management' });
    const { correlationId = '', replyTo } = decodeProperties(properties);
    expect(replyTo).toBe('amq.rabbitmq.reply-to');
    const text = reply(JSON.parse(body.toString()) as Readonly<Record<string, unknown>>);
    if (text !== undefined) {
      const answer = { name: 'basic.deliver', consumerTag, deliveryTag: 1 } as const;
      broker.sendContent(channel, answer, Buffer.from(text), encodeProperties({ correlationId }));
    }
    return true;
  };
}

test('each question has its answer, whatever their order', async () => {
  const held: (() => void)[] = [];
  const broker = new FakeBroker({
    on: (received, fake) => {
      if (received.method.name !== 'basic.publish') return answer(received, fake);
      held.unshift(() => void answer(received, fake));
      if (held.length === 2) for (const each of held) each();
      return true;
    },
  });
  const answer = answering(({ op, name }) =>
    JSON.stringify({ ok: true, value: `${op as string} ${name as string}` }),
  );
  const client = await connectAmqp(broker.env, { connect: broker.connect });
  const answers = await Promise.all([
    client.request({ op: 'queue', name: 'a' }),
    client.request({ op: 'purge', name: 'b' }),
  ]);
  expect(answers).toEqual(['queue a', 'purge b']);
  expect(broker.all('channel.open')).toHaveLength(1);
  await client.close();
});

test('a refusal is said with the words of the broker, and an answer that is none is told', async () => {
  const broker = new FakeBroker({
    on: answering(({ op }) =>
      op === 'users' ? '{"ok":false,"error":"ACCESS_REFUSED","message":"not you"}' : 'what?',
    ),
  });
  const client = await connectAmqp(broker.env, { connect: broker.connect });
  await expect(client.request({ op: 'users' })).rejects.toMatchObject({
    code: 'ML_AMQP_REFUSED',
    message: "'users' was refused: not you",
    fields: { reply: 'ACCESS_REFUSED' },
  });
  await expect(client.request({ op: 'vhosts' })).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining('brought an answer that is none') as string,
  });
  await client.close();
});

test('another broker is told from a Millrace', async () => {
  const broker = new FakeBroker({
    on: ({ channel, method }, fake) => {
      if (method.name !== 'basic.publish') return false;
      const replyText = "NOT_FOUND - no exchange 'amq.millrace' in vhost '/'";
      fake.send(channel, { name: 'channel.close', replyCode: 404, replyText });
      return true;
    },
  });
  const client = await connectAmqp(broker.env, { connect: broker.connect });
  for (let round = 0; round < 2; round++) {
    await expect(client.request({ op: 'queues' })).rejects.toMatchObject({
      code: 'ML_AMQP_REFUSED',
      message: expect.stringContaining('is no Millrace') as string,
    });
  }
  expect(client.isOpen).toBe(true);
  await client.close();
});

test('a question that is not answered is given up, one whose connection is lost is rejected', async () => {
  const clock = new ManualClock(0);
  const broker = new FakeBroker({ timers: clock, on: answering(() => undefined) });
  const client = await connectAmqp(broker.env, { connect: broker.connect });
  const late = client.request({ op: 'queues' }, { timeoutMs: 100 });
  await broker.until(() => broker.all('basic.publish').length === 1);
  clock.advance(100);
  await expect(late).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining("an answer to 'queues' for 100 ms") as string,
  });
  const lost = client.request({ op: 'queues' });
  await broker.until(() => broker.all('basic.publish').length === 2);
  broker.hangUp();
  await expect(lost).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  await expect(client.request({ op: 'queues' })).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
  });
});
