/** What the commands make of peers that are not what they should be. */
import { once } from 'node:events';
import { createServer, type Socket, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { deferred } from '../../core/deferred.ts';
import type { Connection } from '../../core/env.ts';
import { connectionPair } from '../../core/pipe.ts';
import { realEnv } from '../../core/real-env.ts';
import { messages } from '../../wire/kafka/registry.ts';
import { encodeResponse } from '../../wire/kafka/frames.ts';
import { BrokerConnection } from './connection.ts';
import { Cluster } from './cluster.ts';

/** A server that does with each chunk what the test says. */
async function server(answer: (socket: Socket, chunk: Buffer) => void): Promise<number> {
  const listening = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => answer(socket, chunk));
  }).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  onTestFinished(() => void listening.close());
  return (listening.address() as AddressInfo).port;
}

function versions(max: number): (socket: Socket, chunk: Buffer) => void {
  return (socket, chunk) => {
    const correlationId = chunk.readInt32BE(8);
    const apiKeys = [{ apiKey: 3, minVersion: max, maxVersion: max }];
    const body = { errorCode: 0, apiKeys };
    socket.write(encodeResponse(messages[18], { apiVersion: 0, correlationId }, body));
  };
}

const env = realEnv();
const open = (port: number): Promise<BrokerConnection> =>
  BrokerConnection.open(env, { host: '127.0.0.1', port });

test('a web server is told from a broker', async () => {
  const port = await server((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await expect(open(port)).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: `the connection to 127.0.0.1:${port} does not speak the Kafka protocol`,
  });
});

test('a server that hangs up is said to', async () => {
  const port = await server((socket) => socket.destroy());
  await expect(open(port)).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining('was closed by the broker') as string,
  });
});

test('an answer to another question ends the connection', async () => {
  const port = await server((socket, chunk) => {
    const correlationId = chunk.readInt32BE(8) + 1;
    const body = { errorCode: 0, apiKeys: [] };
    socket.write(encodeResponse(messages[18], { apiVersion: 0, correlationId }, body));
  });
  await expect(open(port)).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
});

test('a server that says nothing is given up on', async () => {
  let asked = 0;
  const port = await server((socket, chunk) => {
    if (asked++ === 0) versions(12)(socket, chunk);
  });
  const connection = await open(port);
  const call = connection.call(messages[3], { topics: null }, { timeoutMs: 50 });
  await expect(call).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining('did not answer Metadata for 50 ms') as string,
  });
  expect(connection.isOpen).toBe(false);
});

test('a broker from another age is refused with what is needed', async () => {
  const connection = await open(await server(versions(99)));
  onTestFinished(() => connection.close());
  await expect(connection.call(messages[3], { topics: null })).rejects.toMatchObject({
    code: 'ML_BROKER_REFUSED',
    message: expect.stringContaining('no version of Metadata') as string,
    hint: expect.stringContaining('Apache Kafka 2.4') as string,
  });
  await expect(
    connection.call(messages[1], { maxWaitMs: 0, minBytes: 0, topics: [] }),
  ).rejects.toMatchObject({
    code: 'ML_BROKER_REFUSED',
  });
});

test('what is closed rejects what is asked, and what was asked', async () => {
  const connection = await open(await server(versions(12)));
  const call = connection.call(messages[3], { topics: null });
  connection.close();
  await expect(call).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  await expect(connection.call(messages[3], { topics: null })).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
  });
});

test('a cluster that was closed opens nothing any more', async () => {
  const cluster = await Cluster.connect(env, [
    { host: '127.0.0.1', port: await server(versions(12)) },
  ]);
  await cluster.close();
  await expect(cluster.topics()).rejects.toMatchObject({ code: 'ML_ABORTED' });
});

/** A broker that answers the first request, and nothing after it; it has the connection until somebody closes it. */
async function silent(): Promise<{
  readonly connection: BrokerConnection;
  readonly broker: Connection;
  readonly received: () => number;
  readonly ended: Promise<void>;
  readonly closed: Promise<void>;
}> {
  const [client, broker] = connectionPair(env.timers, 'silent');
  let bytes = 0;
  let isFirst = true;
  const ended = deferred<void>();
  const closed = deferred<void>();
  broker.start({
    data: (chunk) => {
      bytes += chunk.length;
      if (!isFirst) return;
      isFirst = false;
      const correlationId = chunk.readInt32BE(8);
      const apiKeys = [{ apiKey: 3, minVersion: 0, maxVersion: 12 }];
      const body = { errorCode: 0, apiKeys };
      broker.write([encodeResponse(messages[18], { apiVersion: 0, correlationId }, body)]);
    },
    drained: () => {},
    ended: () => ended.resolve(),
    closed: () => closed.resolve(),
  });
  const address = { host: 'silent', port: 1 };
  const connection = await BrokerConnection.open(env, address, { connect: async () => client });
  return {
    connection,
    broker,
    received: () => bytes,
    ended: ended.promise,
    closed: closed.promise,
  };
}

test('who closes while an answer waits for others is gone, when what was written has gone', async () => {
  const { connection, broker, received, closed } = await silent();
  const before = received();
  broker.pause();
  const topics = [{ name: 'x'.repeat(200) }];
  const call = connection.call(messages[3], { topics }, { isLong: true });
  connection.close();
  connection.close();
  await expect(call).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  expect(received()).toBe(before);
  broker.resume();
  await closed;
  expect(received()).toBeGreaterThan(before + 200);
});

test('who closes while an answer is at hand lets the broker end', async () => {
  const { connection, broker, ended, closed } = await silent();
  const call = connection.call(messages[3], { topics: null });
  connection.close();
  await expect(call).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  await ended;
  broker.end();
  await closed;
});
