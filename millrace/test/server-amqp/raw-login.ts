/** What a client says first, as bytes: for tests that put frames together by hand and do not wait for each answer. */
import type { Connection } from '../../src/core/env.ts';
import { encodeMethod, PROTOCOL_HEADER } from '../amqp/raw-amqp.ts';

/** Until the server has checked the password. */
export const LOGIN = Buffer.concat([
  PROTOCOL_HEADER,
  encodeMethod(0, 'ConnectionStartOk', {
    clientProperties: {},
    mechanism: 'PLAIN',
    response: Buffer.from('\0guest\0guest'),
    locale: 'en_US',
  }),
]);

/** Until there is channel 1. */
export const OPEN = Buffer.concat([
  encodeMethod(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 4_096, heartbeat: 0 }),
  encodeMethod(0, 'ConnectionOpen', { virtualHost: '/' }),
  encodeMethod(1, 'ChannelOpen'),
]);

/** Begins with a connection. @returns what it has answered, piece by piece: it grows */
export function answersOf(connection: Connection): readonly Buffer[] {
  const answers: Buffer[] = [];
  connection.start({
    data: (chunk) => answers.push(Buffer.from(chunk)),
    drained: () => {},
    closed: () => {},
  });
  return answers;
}
