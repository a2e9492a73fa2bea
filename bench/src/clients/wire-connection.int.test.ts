import { createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ANSWER_BODY_AT, WireConnection } from './wire-connection.ts';
import { requestHeader } from './wire-requests.ts';

/** Which of them depends on how far the request got. */
const CLOSED = /closed the connection|ECONNRESET|EPIPE/;
const API = { key: 18, version: 0 };

/** A broker that hands every request's correlation id to `answer`. */
async function serve(answer: (socket: Socket, correlationId: number) => void) {
  const server = createServer((socket) => {
    let buffered = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        answer(socket, buffered.readInt32BE(8));
        buffered = buffered.subarray(4 + buffered.readInt32BE(0));
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const address = server.address();
  return { host: '127.0.0.1', port: typeof address === 'object' ? (address?.port ?? 0) : 0 };
}

function frame(correlationId: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + body.length, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, body]);
}

function ask(connection: WireConnection): Promise<Buffer> {
  return connection.send([requestHeader(API, connection.nextCorrelationId(), 0)]);
}

test('answers come back to their requests, however the bytes are cut', async () => {
  const body = Buffer.alloc(100_000, 'x');
  const at = await serve((socket, correlationId) => {
    const bytes = frame(correlationId, Buffer.concat([Buffer.from([correlationId]), body]));
    socket.write(bytes.subarray(0, 3));
    setImmediate(() => {
      socket.write(bytes.subarray(3, 5000));
      socket.write(bytes.subarray(5000));
    });
  });
  const connection = await WireConnection.open(at);
  try {
    const first = await ask(connection);
    const second = await ask(connection);
    expect([first[ANSWER_BODY_AT], second[ANSWER_BODY_AT]]).toEqual([1, 2]);
    expect(second.subarray(ANSWER_BODY_AT + 1)).toEqual(body);
  } finally {
    connection.close();
  }
});

test('a closed connection fails what waits on it, and what comes after', async () => {
  const at = await serve((socket) => socket.destroy());
  const connection = await WireConnection.open(at);
  await expect(ask(connection)).rejects.toThrow(CLOSED);
  await expect(ask(connection)).rejects.toThrow(CLOSED);
});

test('an answer out of turn is an error', async () => {
  const at = await serve((socket, correlationId) =>
    socket.write(frame(correlationId + 1, Buffer.alloc(0))),
  );
  const connection = await WireConnection.open(at);
  await expect(ask(connection)).rejects.toThrow('out of turn');
});
