/** Clients that publish more than can be done at once: what they publish arrives in its order, and others are served meanwhile. */
import { expect, test } from 'vitest';
import { encodeBody, encodeHeader, encodeMethod } from '../../../test/amqp/raw-amqp.ts';
import { LOGIN, OPEN } from '../../../test/server-amqp/raw-login.ts';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import { AMQP_BATCH_BYTES, AMQP_TURN_BYTES } from '../../core/queue-limits.ts';
import type { EmbeddedLog } from '../../embedded-log.ts';

const QUEUES = 100;
const MESSAGES = 1_000;
const CLIENTS = 3;
/** Least bytes of one message on the log. */
const MESSAGE_BYTES = 96;
/** An answer has come after so many turns of the event loop at most: from one pipe to the other, and back. */
const ANSWER_TURNS = 12;
/** Messages that one turn can bring to all queues, and the one that exceeds it. */
const TURN_MESSAGES = Math.ceil(AMQP_TURN_BYTES / ((QUEUES - 1) * MESSAGE_BYTES));

/** All that a client says behind its login: numbered messages, and its farewell if it takes leave. */
function published(client: number, takesLeave: boolean): Buffer {
  const frames: Buffer[] = [OPEN];
  for (let index = 0; index < MESSAGES; index++) {
    const body = Buffer.from(`${client} ${index}`);
    frames.push(encodeMethod(1, 'BasicPublish', { exchange: 'amq.fanout' }));
    frames.push(encodeHeader(1, body.length), encodeBody(1, body));
  }
  if (takesLeave) frames.push(encodeMethod(0, 'ConnectionClose', { replyCode: 200 }));
  return Buffer.concat(frames);
}

interface Publishing {
  /** It has answered the login. */
  readonly isKnown: () => boolean;
  readonly isClosed: () => boolean;
  readonly write: (bytes: Buffer) => void;
  readonly destroy: () => void;
}

function connectRaw(log: EmbeddedLog): Publishing {
  const connection = log.connectAmqp();
  let received = 0;
  let isClosed = false;
  connection.start({
    data: (chunk) => (received += chunk.length),
    drained: () => {},
    closed: () => (isClosed = true),
  });
  connection.write([LOGIN]);
  return {
    isKnown: () => received > 400,
    isClosed: () => isClosed,
    write: (bytes) => connection.write([bytes]),
    destroy: () => connection.destroy(),
  };
}

async function bindQueues(channel: AmqpChannel, durable: boolean): Promise<void> {
  for (let index = 0; index < QUEUES; index++) {
    const { queue } = await channel.declareQueue({ queue: `q${index}`, durable });
    await channel.bindQueue({ queue, exchange: 'amq.fanout', routingKey: '' });
  }
}

async function readyIn(channel: AmqpChannel, queue: string): Promise<number> {
  return (await channel.declareQueue({ queue, passive: true })).messages;
}

test('others are answered while messages go to many queues, and all of them come in their order', async () => {
  await onSimAmqp({}, async ({ log, connect, until }) => {
    const channel = await (await connect()).channel();
    await bindQueues(channel, false);
    const clients = Array.from({ length: CLIENTS }, () => connectRaw(log));
    await until(() => clients.every((each) => each.isKnown()));
    // The last one says farewell at once.
    for (const [index, client] of clients.entries())
      client.write(published(index, index === CLIENTS - 1));
    let seen = 0;
    let most = 0;
    while (seen < CLIENTS * MESSAGES) {
      const ready = await readyIn(channel, 'q0');
      most = Math.max(most, ready - seen);
      seen = ready;
    }
    expect(most).toBeLessThanOrEqual(ANSWER_TURNS * TURN_MESSAGES);
    expect(await readyIn(channel, `q${QUEUES - 1}`)).toBe(CLIENTS * MESSAGES);

    const came = clients.map((): number[] => []);
    await channel.consume({ queue: `q${QUEUES - 1}`, noAck: true }, ({ body }) => {
      const [client = -1, index = -1] = body.toString().split(' ').map(Number);
      came[client]?.push(index);
    });
    await until(() => came.flat().length === CLIENTS * MESSAGES);
    const inOrder = Array.from({ length: MESSAGES }, (_, index) => index);
    expect(came).toEqual(clients.map(() => inOrder));
    await until(() => clients.at(-1)?.isClosed() === true);
    for (const client of clients) client.destroy();
  });
});

test('others are answered while a client publishes to very many queues, one after the other', async () => {
  await onSimAmqp({}, async ({ log, connect, until }) => {
    const channel = await (await connect()).channel();
    // A turn begins less than one message for each of them.
    const queues = AMQP_TURN_BYTES / AMQP_BATCH_BYTES + 10;
    const rounds = 3 * ANSWER_TURNS;
    const declared: Promise<unknown>[] = [];
    for (let index = 0; index < queues; index++)
      declared.push(channel.declareQueue({ queue: `q${index}`, durable: false }));
    await Promise.all(declared);
    const client = connectRaw(log);
    await until(() => client.isKnown());
    const frames: Buffer[] = [OPEN];
    const message = [encodeHeader(1, 1), encodeBody(1, Buffer.from('m'))];
    for (let index = 0; index < rounds * queues; index++)
      frames.push(
        encodeMethod(1, 'BasicPublish', { routingKey: `q${index % queues}` }),
        ...message,
      );
    client.write(Buffer.concat(frames));
    const last = `q${queues - 1}`;
    let seen = 0;
    let most = 0;
    while (seen < rounds) {
      const ready = await readyIn(channel, last);
      most = Math.max(most, ready - seen);
      seen = ready;
    }
    expect(most).toBeLessThanOrEqual(ANSWER_TURNS);
    expect(await readyIn(channel, 'q0')).toBe(rounds);
    client.destroy();
  });
});
