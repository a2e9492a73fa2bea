/** The callback API of amqplib: the same protocol in another order of calls. */
import { type Channel, type ConfirmChannel, connect, type Connection } from 'amqplib/callback_api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AmqpUnderTest, startAmqpUnderTest, uniqueName } from './amqp-under-test.ts';

let broker: AmqpUnderTest;
beforeAll(async () => {
  broker = await startAmqpUnderTest();
});
afterAll(() => broker.stop());

/** Resolves with what a call gives its callback. */
function given<Value>(
  call: (done: (error: unknown, value: Value) => void) => void,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    call((error, value) => {
      if (error) reject(error);
      else resolve(value);
    });
  });
}

async function withChannel(
  use: (channel: ConfirmChannel, model: Connection) => Promise<void>,
): Promise<void> {
  const model = await given<Connection>((done) => connect(broker.url, done));
  const channel = await given<ConfirmChannel>((done) => model.createConfirmChannel(done));
  await use(channel, model);
  await given((done) => model.close((error) => done(error, undefined)));
}

test('declares, binds, publishes, consumes, and acknowledges', async () => {
  await withChannel(async (channel) => {
    const [exchange, queue] = [uniqueName('exchange'), uniqueName('queue')];
    await given((done) => channel.assertExchange(exchange, 'topic', { durable: false }, done));
    await given((done) => channel.assertQueue(queue, { exclusive: true }, done));
    await given((done) => channel.bindQueue(queue, exchange, 'a.*', {}, done));
    let confirmed = 0;
    for (let n = 0; n < 100; n++)
      channel.publish(exchange, 'a.b', Buffer.from(String(n)), {}, (error) => {
        if (error === null) confirmed++;
      });
    await given((done) => channel.waitForConfirms((error) => done(error, undefined)));
    expect(confirmed).toBe(100);
    const bodies: string[] = [];
    await new Promise<void>((resolve) => {
      channel.consume(queue, (message) => {
        if (message === null) return;
        bodies.push(message.content.toString());
        channel.ack(message);
        if (bodies.length === 100) resolve();
      });
    });
    expect(bodies.map(Number)).toEqual([...Array(100).keys()]);
    expect(await given((done) => channel.purgeQueue(queue, done))).toEqual({ messageCount: 0 });
    await given((done) => channel.unbindQueue(queue, exchange, 'a.*', {}, done));
    await given((done) => channel.deleteQueue(queue, {}, done));
    await given((done) => channel.deleteExchange(exchange, {}, done));
  });
});

test('one message is asked for', async () => {
  await withChannel(async (channel) => {
    const { queue } = await given<{ readonly queue: string }>((done) =>
      channel.assertQueue('', { exclusive: true }, done),
    );
    expect(await given((done) => channel.get(queue, {}, done))).toBe(false);
    channel.sendToQueue(queue, Buffer.from('x'));
    await given((done) => channel.waitForConfirms((error) => done(error, undefined)));
    const message = await given<unknown>((done) => channel.get(queue, { noAck: true }, done));
    expect(message).toMatchObject({ fields: { messageCount: 0, routingKey: queue } });
  });
});

test('an error goes to the callback, and to the listener of the channel', async () => {
  await withChannel(async (_confirm, model) => {
    const channel = await given<Channel>((done) => model.createChannel(done));
    const failed = new Promise<Error>((resolve) => channel.on('error', resolve));
    const checked = given((done) => channel.checkQueue(uniqueName('missing'), done));
    await expect(checked).rejects.toThrow(/404/);
    expect(await failed).toMatchObject({ code: 404, classId: 50, methodId: 10 });
  });
});
